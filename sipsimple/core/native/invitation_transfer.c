/*
 * Call transfer inside an INVITE dialog (RFC 3515, 5589): an outgoing REFER and the NOTIFYs about it, an incoming one
 * and the NOTIFYs we send. One at a time. Everything here runs with the dialog locked.
 */
#include "invitation.h"

#include <stdlib.h>
#include <string.h>

#include <pjsip_simple.h>

#include "events.h"

static ss_handle transfer_handle(pjsip_evsub *sub)
{
    return (ss_handle)(uintptr_t)pjsip_evsub_get_mod_data(sub, ss_ua_module.id);
}

#define MAX_REASON 100                  /* PJSIP prints the sipfrag into 128 bytes */

static void post_state(ss_handle handle, pjsip_evsub_state state, const char *name, int code, const pj_str_t *reason,
                       const pjsip_rx_data *rdata)
{
    int64_t nums[2] = { state, code };
    ss_blob blobs[3] = { { name, strlen(name) }, ss_raw(rdata), { NULL, 0 } };

    if (reason)
        blobs[2] = (ss_blob){ reason->ptr, (size_t)reason->slen };
    ss_post(SS_EV_INV_TRANSFER_STATE, handle, nums, 2, blobs, 3);
}

/* callback: pjsip_evsub on_evsub_state | thread: any that sends, worker | gil: no | locks: dialog | lifetime: handle */
static void on_transfer_state(pjsip_evsub *sub, pjsip_event *event)
{
    ss_handle handle = transfer_handle(sub);
    pjsip_rx_data *rdata = NULL;
    const pj_str_t *reason = NULL;
    int code = 0;
    ss_inv *self;

    if (!handle)
        return;
    if (event && event->type == PJSIP_EVENT_TSX_STATE) {
        pjsip_transaction *tsx = event->body.tsx_state.tsx;

        code = tsx->status_code;
        reason = &tsx->status_text;
        if (event->body.tsx_state.type == PJSIP_EVENT_RX_MSG)
            rdata = event->body.tsx_state.src.rdata;
    }
    post_state(handle, pjsip_evsub_get_state(sub), pjsip_evsub_get_state_name(sub), code, reason, rdata);
    if (pjsip_evsub_get_state(sub) != PJSIP_EVSUB_STATE_TERMINATED)
        return;
    self = ss_object_acquire(handle, SS_T_INVITATION);
    pjsip_evsub_set_mod_data(sub, ss_ua_module.id, NULL);
    if (self) {
        if (self->transfer == sub)
            self->transfer = NULL;
        ss_object_release(self);
    }
}

/* callback: pjsip_evsub on_rx_notify | thread: worker | gil: no | locks: dialog | lifetime: handle */
static void on_transfer_notify(pjsip_evsub *sub, pjsip_rx_data *rdata, int *code, pj_str_t **text, pjsip_hdr *headers,
                               pjsip_msg_body **body)
{
    ss_handle handle = transfer_handle(sub);
    ss_blob raw = ss_raw(rdata);

    (void)code;
    (void)text;
    (void)headers;
    (void)body;
    if (handle)
        ss_post(SS_EV_INV_TRANSFER_NOTIFY, handle, NULL, 0, &raw, 1);
}

/* The subscription made by a REFER is never refreshed by us (RFC 3515 leaves its life to the notifier). */
static void on_client_refresh(pjsip_evsub *sub)
{
    (void)sub;
}

static void on_server_timeout(pjsip_evsub *sub)
{
    pjsip_tx_data *tdata;
    pj_str_t reason = pj_str("timeout");

    if (pjsip_xfer_current_notify(sub, &tdata) == PJ_SUCCESS)
        pjsip_xfer_send_request(sub, tdata);
    if (transfer_handle(sub))
        post_state(transfer_handle(sub), PJSIP_EVSUB_STATE_TERMINATED, "TERMINATED", 408, &reason, NULL);
}

static const pjsip_evsub_user transfer_user = {
    .on_evsub_state = &on_transfer_state,
    .on_rx_notify = &on_transfer_notify,
    .on_client_refresh = &on_client_refresh,
    .on_server_timeout = &on_server_timeout,
};

void ss_inv_end_transfer(ss_inv *self)
{
    pjsip_evsub *sub = self->transfer;

    self->transfer = NULL;
    self->transfer_silent = 0;
    if (sub) {
        pjsip_evsub_set_mod_data(sub, ss_ua_module.id, NULL);
        pjsip_evsub_terminate(sub, PJ_FALSE);
    }
}

pj_status_t ss_inv_transfer(ss_handle handle, pj_str_t refer_to, const ss_field *fields, unsigned count)
{
    pjsip_inv_session *inv;
    ss_inv *self = ss_inv_lock(handle, &inv);
    pjsip_evsub *sub = NULL;
    pjsip_tx_data *tdata;
    pj_str_t target;
    pj_status_t status;

    if (!self)
        return PJ_EGONE;
    if (self->transfer || self->transfer_silent || inv->state != PJSIP_INV_STATE_CONFIRMED) {
        ss_inv_unlock(self, inv);
        return PJ_EINVALIDOP;
    }
    status = pjsip_xfer_create_uac(inv->dlg, &transfer_user, &sub);
    if (status == PJ_SUCCESS) {
        pjsip_evsub_set_mod_data(sub, ss_ua_module.id, (void *)(uintptr_t)handle);
        self->transfer = sub;
        self->transfer_incoming = self->transfer_told = 0;
        pj_strdup_with_null(inv->dlg->pool, &target, &refer_to);
        status = pjsip_xfer_initiate(sub, &target, &tdata);
        if (status == PJ_SUCCESS) {
            status = ss_add_fields(tdata->pool, tdata->msg, fields, count);
            if (status != PJ_SUCCESS)
                pjsip_tx_data_dec_ref(tdata);
        }
        if (status == PJ_SUCCESS)
            status = pjsip_xfer_send_request(sub, tdata);
        if (status != PJ_SUCCESS)
            ss_inv_end_transfer(self);
    }
    ss_inv_unlock(self, inv);
    return status;
}

void ss_inv_sent_refer(ss_inv *self, ss_blob raw)
{
    if (self->transfer && !self->transfer_incoming && !self->transfer_told) {
        self->transfer_told = 1;        /* once, though a challenge may make PJSIP send it again */
        ss_post(SS_EV_INV_TRANSFER_OUT, self->base.handle, NULL, 0, &raw, 1);
    }
}

void ss_inv_transfer_end(ss_handle handle)
{
    pjsip_inv_session *inv;
    ss_inv *self = ss_inv_lock(handle, &inv);

    if (self) {
        ss_inv_end_transfer(self);
        ss_inv_unlock(self, inv);
    }
}

pj_status_t ss_inv_transfer_notify(ss_handle handle, int code, pj_str_t reason)
{
    pjsip_inv_session *inv;
    ss_inv *self = ss_inv_lock(handle, &inv);
    pjsip_tx_data *tdata;
    pj_status_t status = PJ_EINVALIDOP;

    if (!self)
        return PJ_EGONE;
    if (reason.slen > MAX_REASON)
        reason.slen = MAX_REASON;
    if (self->transfer_silent) {
        status = PJ_SUCCESS;
        if (code >= 200) {
            self->transfer_silent = 0;
            post_state(handle, PJSIP_EVSUB_STATE_TERMINATED, "TERMINATED", code, &reason, NULL);
        }
    } else if (self->transfer && self->transfer_incoming) {
        pjsip_evsub_state state = code >= 200 ? PJSIP_EVSUB_STATE_TERMINATED : PJSIP_EVSUB_STATE_ACTIVE;

        status = pjsip_xfer_notify(self->transfer, state, code, reason.slen ? &reason : NULL, &tdata);
        if (status == PJ_SUCCESS)
            status = pjsip_xfer_send_request(self->transfer, tdata);
    }
    ss_inv_unlock(self, inv);
    return status;
}

static void refuse_refer(pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_rx_data *rdata, int code)
{
    pjsip_tx_data *tdata;

    if (pjsip_dlg_create_response(inv->dlg, rdata, code, NULL, &tdata) == PJ_SUCCESS)
        pjsip_dlg_send_response(inv->dlg, tsx, tdata);
}

static int has_sip_target(pjsip_rx_data *rdata)
{
    const pj_str_t name = { "Refer-To", 8 };
    pjsip_generic_string_hdr *header = pjsip_msg_find_hdr_by_name(rdata->msg_info.msg, &name, NULL);
    pj_str_t text;
    pjsip_uri *uri;

    if (!header || !header->hvalue.slen || header->hvalue.slen >= PJSIP_MAX_URL_SIZE)
        return 0;
    pj_strdup_with_null(rdata->tp_info.pool, &text, &header->hvalue);
    uri = pjsip_parse_uri(rdata->tp_info.pool, text.ptr, text.slen, PJSIP_PARSE_URI_AS_NAMEADDR);
    return uri && (PJSIP_URI_SCHEME_IS_SIP(uri) || PJSIP_URI_SCHEME_IS_SIPS(uri));
}

/* RFC 4488: the peer wants no subscription, and so no NOTIFYs. */
static int wants_silence(pjsip_rx_data *rdata)
{
    const pj_str_t name = { "Refer-Sub", 9 }, no = { "false", 5 };
    pjsip_generic_string_hdr *header = pjsip_msg_find_hdr_by_name(rdata->msg_info.msg, &name, NULL);

    return header && pj_strnicmp(&header->hvalue, &no, no.slen) == 0;
}

static void accept_silently(ss_inv *self, pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_rx_data *rdata)
{
    const pj_str_t name = { "Refer-Sub", 9 }, no = { "false", 5 };
    int64_t nums[1] = { 202 };
    ss_blob raw = ss_raw(rdata);
    pjsip_tx_data *tdata;

    if (pjsip_dlg_create_response(inv->dlg, rdata, 202, NULL, &tdata) != PJ_SUCCESS)
        return;
    pjsip_msg_add_hdr(tdata->msg, (pjsip_hdr *)pjsip_generic_string_hdr_create(tdata->pool, &name, &no));
    if (pjsip_dlg_send_response(inv->dlg, tsx, tdata) != PJ_SUCCESS)
        return;
    self->transfer_silent = 1;
    ss_post(SS_EV_INV_TRANSFER_IN, self->base.handle, nums, 1, &raw, 1);
}

void ss_inv_received_refer(ss_inv *self, pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_rx_data *rdata)
{
    pjsip_evsub *sub = NULL;
    pjsip_tx_data *tdata;
    int64_t nums[1] = { 202 };
    ss_blob raw = ss_raw(rdata);

    if (self->transfer || self->transfer_silent || inv->state != PJSIP_INV_STATE_CONFIRMED) {
        refuse_refer(inv, tsx, rdata, 480);
        return;
    }
    if (!has_sip_target(rdata)) {
        refuse_refer(inv, tsx, rdata, 400);
        return;
    }
    if (wants_silence(rdata)) {
        accept_silently(self, inv, tsx, rdata);
        return;
    }
    if (pjsip_xfer_create_uas(inv->dlg, &transfer_user, rdata, &sub) != PJ_SUCCESS) {
        refuse_refer(inv, tsx, rdata, 500);
        return;
    }
    pjsip_evsub_set_mod_data(sub, ss_ua_module.id, (void *)(uintptr_t)self->base.handle);
    self->transfer = sub;
    self->transfer_incoming = 1;
    if (pjsip_xfer_accept(sub, rdata, 202, NULL) != PJ_SUCCESS) {
        ss_inv_end_transfer(self);
        return;
    }
    ss_post(SS_EV_INV_TRANSFER_IN, self->base.handle, nums, 1, &raw, 1);
    if (pjsip_xfer_notify(sub, PJSIP_EVSUB_STATE_ACTIVE, 100, NULL, &tdata) == PJ_SUCCESS)
        pjsip_xfer_send_request(sub, tdata);
}
