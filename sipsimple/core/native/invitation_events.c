/* What happens to an INVITE dialog: PJSIP's callbacks. They copy facts into events and return. */
#include "invitation.h"

#include <stdlib.h>
#include <string.h>

#include "events.h"

#define SDP_TEXT_SIZE 16384

#define LOCAL 1
#define REMOTE 2

/* ---- posting ------------------------------------------------------------------------------------------------- */

void ss_inv_post_state(ss_handle handle, int state, int code, int originator, int flags, ss_blob raw,
                       const pj_str_t *reason, const pjsip_rx_data *rdata)
{
    int64_t nums[5] = { state, code, originator, flags, rdata ? rdata->pkt_info.src_port : 0 };
    ss_blob blobs[4] = { raw, { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };

    if (reason)
        blobs[1] = (ss_blob){ reason->ptr, (size_t)reason->slen };
    if (rdata) {
        const char *type = rdata->tp_info.transport->type_name;

        blobs[2] = (ss_blob){ rdata->pkt_info.src_name, strlen(rdata->pkt_info.src_name) };
        blobs[3] = (ss_blob){ type, strlen(type) };
    }
    ss_post(SS_EV_INV_STATE, handle, nums, 5, blobs, 4);
}

static ss_blob print_sdp(const pjmedia_sdp_session *sdp, char *buffer, size_t size)
{
    int length = sdp ? pjmedia_sdp_print(sdp, buffer, size) : 0;
    ss_blob blob = { buffer, length > 0 ? (size_t)length : 0 };

    return blob;
}

void ss_inv_post_sdp(ss_handle handle, pjsip_inv_session *inv, pj_status_t status)
{
    char local_text[SDP_TEXT_SIZE], remote_text[SDP_TEXT_SIZE], error[160] = "";
    const pjmedia_sdp_session *local = NULL, *remote = NULL;
    int64_t nums[1] = { status };
    ss_blob blobs[3];

    if (status == PJ_SUCCESS) {
        pjmedia_sdp_neg_get_active_local(inv->neg, &local);
        pjmedia_sdp_neg_get_active_remote(inv->neg, &remote);
    } else {
        ss_strerror(status, error, sizeof error);
    }
    blobs[0] = print_sdp(local, local_text, sizeof local_text);
    blobs[1] = print_sdp(remote, remote_text, sizeof remote_text);
    blobs[2] = (ss_blob){ error, strlen(error) };
    ss_post(SS_EV_INV_SDP, handle, nums, 1, blobs, 3);
}

/* The message behind a PJSIP event. */
typedef struct cause {
    int originator, flags;
    ss_blob raw;
    pjsip_rx_data *rdata;
} cause;

static cause find_cause(pjsip_event *event)
{
    cause found = { LOCAL, 0, { NULL, 0 }, NULL };
    pjsip_event_id_e type = event->type;
    pjsip_rx_data *rdata = NULL;
    pjsip_tx_data *tdata = NULL;

    if (type == PJSIP_EVENT_TSX_STATE) {
        type = event->body.tsx_state.type;
        if (type == PJSIP_EVENT_RX_MSG)
            rdata = event->body.tsx_state.src.rdata;
        else if (type == PJSIP_EVENT_TX_MSG)
            tdata = event->body.tsx_state.src.tdata;
    } else if (type == PJSIP_EVENT_RX_MSG) {
        rdata = event->body.rx_msg.rdata;
    } else if (type == PJSIP_EVENT_TX_MSG) {
        tdata = event->body.tx_msg.tdata;
    }
    if (rdata) {
        found.originator = REMOTE;
        found.rdata = rdata;
        found.raw = ss_raw(rdata);
        found.flags = rdata->msg_info.msg->type == PJSIP_REQUEST_MSG ? SS_INV_REQUEST : 0;
    } else if (tdata) {
        found.flags = SS_INV_LOCAL | (tdata->msg->type == PJSIP_REQUEST_MSG ? SS_INV_REQUEST : 0);
        found.raw = ss_raw_sent(tdata);
    }
    return found;
}

/* ---- session state ------------------------------------------------------------------------------------------- */

/* callback: pjsip_inv on_state_changed | thread: any that sends, worker | gil: no | locks: dialog | lifetime: handle */
static void on_state_changed(pjsip_inv_session *inv, pjsip_event *event)
{
    ss_handle handle = ss_inv_handle(inv);
    const pj_str_t *reason = NULL;
    ss_inv *self;
    cause found;
    int code = 0;

    if (!handle || inv->state == PJSIP_INV_STATE_INCOMING)
        return;                         /* incoming ones are announced by on_invite */
    self = ss_object_acquire(handle, SS_T_INVITATION);
    if (!self)
        return;
    found = find_cause(event);
    if (inv->state == PJSIP_INV_STATE_CONNECTING && event->type == PJSIP_EVENT_TSX_STATE)
        self->initial = event->body.tsx_state.tsx;
    if (inv->state == PJSIP_INV_STATE_DISCONNECTED) {
        code = inv->cause;
        reason = &inv->cause_text;
    } else if (event->type == PJSIP_EVENT_TSX_STATE && event->body.tsx_state.tsx) {
        code = event->body.tsx_state.tsx->status_code;
        reason = &event->body.tsx_state.tsx->status_text;
    }
    ss_inv_post_state(handle, inv->state, code, found.originator, found.flags, found.raw, reason, found.rdata);
    if (inv->state == PJSIP_INV_STATE_DISCONNECTED)
        ss_inv_detach(self);
    ss_object_release(self);
}

/* callback: pjsip_inv on_media_update | thread: any that sends, worker | gil: no | locks: dialog | lifetime: handle */
static void on_media_update(pjsip_inv_session *inv, pj_status_t status)
{
    ss_handle handle = ss_inv_handle(inv);

    if (handle)
        ss_inv_post_sdp(handle, inv, status);
}

static void on_new_session(pjsip_inv_session *inv, pjsip_event *event)
{
    (void)inv;                          /* a fork; the session it came from goes on with the branch that answers */
    (void)event;
}

/* ---- offers -------------------------------------------------------------------------------------------------- */

/* callback: pjsip_inv on_rx_reinvite | thread: worker | gil: no | locks: dialog | lifetime: handle */
static pj_status_t on_rx_reinvite(pjsip_inv_session *inv, const pjmedia_sdp_session *offer, pjsip_rx_data *rdata)
{
    ss_handle handle = ss_inv_handle(inv);
    char text[SDP_TEXT_SIZE];
    pjsip_tx_data *tdata;
    int64_t nums[1] = { offer != NULL };
    ss_blob blobs[2] = { ss_raw(rdata), { NULL, 0 } };

    if (!handle)
        return PJ_EGONE;
    if (inv->last_answer) {
        pjsip_tx_data_dec_ref(inv->last_answer);
        inv->last_answer = NULL;
    }
    /* 100 at once; the application's answer is then a modification of it. */
    if (pjsip_inv_initial_answer(inv, rdata, 100, NULL, NULL, &tdata) != PJ_SUCCESS)
        return PJ_EUNKNOWN;
    pjsip_inv_send_msg(inv, tdata);
    blobs[1] = print_sdp(offer, text, sizeof text);
    ss_post(SS_EV_INV_REINVITE, handle, nums, 1, blobs, 2);
    return PJ_SUCCESS;
}

/*
 * An offer that must be answered within the callback: UPDATE, PRACK, a 2xx to an INVITE without offer. The active local
 * SDP stands as the answer; the negotiator narrows formats and directions. The change is reported as an SDP update.
 */
/* callback: pjsip_inv on_rx_offer2 | thread: worker | gil: no | locks: dialog | lifetime: handle */
static void on_rx_offer(pjsip_inv_session *inv, struct pjsip_inv_on_rx_offer_cb_param *param)
{
    const pjmedia_sdp_session *active;
    pjmedia_sdp_session *answer;

    if (param->rdata->msg_info.msg->type == PJSIP_REQUEST_MSG
        && param->rdata->msg_info.msg->line.req.method.id == PJSIP_INVITE_METHOD)
        return;                         /* on_rx_reinvite takes it to the application */
    if (!inv->neg || pjmedia_sdp_neg_get_active_local(inv->neg, &active) != PJ_SUCCESS)
        return;
    answer = pjmedia_sdp_session_clone(inv->pool_prov, active);
    answer->origin.version++;
    for (unsigned i = 0; i < answer->media_count && i < param->offer->media_count; i++) {
        if (param->offer->media[i]->desc.port == 0)
            answer->media[i]->desc.port = 0;
    }
    if (answer->media_count == param->offer->media_count)
        pjsip_inv_set_sdp_answer(inv, answer);
}

/* ---- transactions inside the dialog --------------------------------------------------------------------------- */

static void respond(pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_rx_data *rdata, int code)
{
    pjsip_tx_data *tdata;

    if (pjsip_dlg_create_response(inv->dlg, rdata, code, NULL, &tdata) != PJ_SUCCESS)
        return;
    if (code == 200 && rdata->msg_info.msg->line.req.method.id == PJSIP_OPTIONS_METHOD) {
        const pjsip_hdr *accept = pjsip_endpt_get_capability(ss_endpoint(), PJSIP_H_ACCEPT, NULL);

        if (accept)
            pjsip_msg_add_hdr(tdata->msg, pjsip_hdr_clone(tdata->pool, accept));
    }
    pjsip_dlg_send_response(inv->dlg, tsx, tdata);
}

static void received_request(ss_inv *self, pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_rx_data *rdata)
{
    static const char *const by_session[] = { "INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "PRACK", "SUBSCRIBE", "NOTIFY" };
    const pjsip_method *method = &tsx->method;
    ss_blob raw = ss_raw(rdata);

    for (unsigned i = 0; i < PJ_ARRAY_SIZE(by_session); i++) {
        if (pj_stricmp2(&method->name, by_session[i]) == 0)
            return;
    }
    if (method->id == PJSIP_OPTIONS_METHOD) {
        respond(inv, tsx, rdata, 200);
    } else if (pj_strcmp2(&method->name, "MESSAGE") == 0) {
        respond(inv, tsx, rdata, 200);
        ss_post(SS_EV_INV_MESSAGE, self->base.handle, NULL, 0, &raw, 1);
    } else if (pj_strcmp2(&method->name, "REFER") == 0) {
        ss_inv_received_refer(self, inv, tsx, rdata);
    } else {
        respond(inv, tsx, rdata, 405);
    }
}

/* True once, when the transaction got its final response. */
static int has_ended(pjsip_transaction *tsx, pjsip_event *event)
{
    int previous = event->body.tsx_state.prev_state;

    if (tsx->status_code < 200)
        return 0;
    return tsx->state == PJSIP_TSX_STATE_COMPLETED
           || (tsx->state == PJSIP_TSX_STATE_TERMINATED && previous < PJSIP_TSX_STATE_COMPLETED);
}

static void reinvite_ended(ss_inv *self, pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_event *event)
{
    cause found = find_cause(event);
    int ours = tsx->role == PJSIP_ROLE_UAC;
    int64_t nums[3] = { tsx->status_code, ours ? REMOTE : LOCAL, ours };
    ss_blob blobs[2] = { found.raw, { tsx->status_text.ptr, (size_t)tsx->status_text.slen } };

    if (ours && inv->invite_tsx && inv->invite_tsx != tsx)
        return;                         /* a challenge or 422, tried again by the session */
    if (ours && found.originator == LOCAL)
        nums[1] = LOCAL;                /* timeout, transport error */
    if (!ours && tsx->status_code == 487)
        nums[1] = REMOTE;               /* cancelled */
    ss_post(SS_EV_INV_REINVITE_END, self->base.handle, nums, 3, blobs, 2);
}

/* callback: pjsip_inv on_tsx_state_changed | thread: any that sends, worker | gil: no | locks: dialog | lifetime: handle */
static void on_tsx_state_changed(pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_event *event)
{
    ss_handle handle = ss_inv_handle(inv);
    ss_inv *self;

    if (!handle || event->type != PJSIP_EVENT_TSX_STATE)
        return;
    if (tsx->role == PJSIP_ROLE_UAS && tsx->state == PJSIP_TSX_STATE_TRYING
        && event->body.tsx_state.type == PJSIP_EVENT_RX_MSG) {
        self = ss_object_acquire(handle, SS_T_INVITATION);
        if (self) {
            received_request(self, inv, tsx, event->body.tsx_state.src.rdata);
            ss_object_release(self);
        }
        return;
    }
    if (tsx->method.id != PJSIP_INVITE_METHOD)
        return;
    self = ss_object_acquire(handle, SS_T_INVITATION);
    if (!self)
        return;
    if (tsx == self->initial) {
        if (tsx->state >= PJSIP_TSX_STATE_TERMINATED)
            self->initial = NULL;       /* its memory may be the next transaction's */
    } else if (inv->state == PJSIP_INV_STATE_CONFIRMED) {
        if (self->reinvite_waits && tsx->role == PJSIP_ROLE_UAS && tsx->state > PJSIP_TSX_STATE_COMPLETED) {
            self->reinvite_waits = 0;
            reinvite_ended(self, inv, tsx, event);
        } else if (has_ended(tsx, event)) {
            if (tsx->role == PJSIP_ROLE_UAS && tsx->status_code / 100 == 2
                && pjmedia_sdp_neg_get_state(inv->neg) != PJMEDIA_SDP_NEG_STATE_DONE)
                self->reinvite_waits = 1;
            else
                reinvite_ended(self, inv, tsx, event);
        }
    }
    ss_object_release(self);
}

/* ---- incoming ------------------------------------------------------------------------------------------------ */

/* Default contact: the request URI when its host is an address, else where the request arrived. */
static pj_str_t make_contact(pjsip_rx_data *rdata, char *buffer, size_t size)
{
    pjsip_uri *uri = pjsip_uri_get_uri(rdata->msg_info.msg->line.req.uri);
    pjsip_transport *transport = rdata->tp_info.transport;
    const char *type = transport->type_name;
    pj_str_t contact = { buffer, 0 };
    pj_sockaddr address;
    pjsip_sip_uri *sip = NULL;
    int length;

    if (PJSIP_URI_SCHEME_IS_SIP(uri) || PJSIP_URI_SCHEME_IS_SIPS(uri))
        sip = (pjsip_sip_uri *)uri;
    if (sip && (pj_sockaddr_parse(pj_AF_INET(), 0, &sip->host, &address) == PJ_SUCCESS
                || pj_sockaddr_parse(pj_AF_INET6(), 0, &sip->host, &address) == PJ_SUCCESS)) {
        char text[PJSIP_MAX_URL_SIZE];
        int used = pjsip_uri_print(PJSIP_URI_IN_CONTACT_HDR, uri, text, sizeof text - 1);

        if (used > 0) {
            length = pj_ansi_snprintf(buffer, size, "<%.*s>", used, text);
            if (length > 0 && (size_t)length < size) {
                contact.slen = length;
                return contact;
            }
        }
    }
    {
        char local[PJ_INET6_ADDRSTRLEN + 10];
        const pj_str_t *user = sip ? &sip->user : NULL;

        if (pj_sockaddr_has_addr(&transport->local_addr))
            pj_sockaddr_print(&transport->local_addr, local, sizeof local, 3);
        else
            pj_ansi_snprintf(local, sizeof local, "%.*s:%d", (int)transport->local_name.host.slen,
                             transport->local_name.host.ptr, transport->local_name.port);
        length = pj_ansi_snprintf(buffer, size, "<sip:%.*s%s%s%s%s>", user && user->slen < 200 ? (int)user->slen : 0,
                                  user && user->slen ? user->ptr : "", user && user->slen ? "@" : "", local,
                                  pj_ansi_stricmp(type, "udp") == 0 ? "" : ";transport=",
                                  pj_ansi_stricmp(type, "udp") == 0 ? "" : type);
        contact.slen = length > 0 && (size_t)length < size ? length : 0;
    }
    return contact;
}

static void refuse(pjsip_rx_data *rdata, pjsip_tx_data *tdata, int code)
{
    pjsip_response_addr address;

    if (!tdata) {
        ss_ua_respond(rdata, code, NULL);
        return;
    }
    if (pjsip_get_response_addr(tdata->pool, rdata, &address) != PJ_SUCCESS
        || pjsip_endpt_send_response(ss_endpoint(), &address, tdata, NULL, NULL) != PJ_SUCCESS)
        pjsip_tx_data_dec_ref(tdata);
}

/* handler of INVITE outside dialogs | thread: worker */
static void on_invite(pjsip_rx_data *rdata)
{
    unsigned options = PJSIP_INV_SUPPORT_100REL | PJSIP_INV_SUPPORT_TIMER | PJSIP_INV_SUPPORT_UPDATE;
    char contact_text[PJSIP_MAX_URL_SIZE + 16], sdp_text[SDP_TEXT_SIZE];
    pjsip_rdata_sdp_info *sdp_info;
    pjsip_dialog *dialog = NULL, *replaced = NULL;
    pjsip_inv_session *inv = NULL;
    pjsip_tx_data *tdata = NULL;
    pjsip_timer_setting timer;
    pj_str_t contact;
    ss_inv *self;
    pj_status_t status;
    int64_t nums[1] = { rdata->pkt_info.src_port };
    ss_blob blobs[6];

    status = pjsip_replaces_verify_request(rdata, &replaced, PJ_FALSE, &tdata);
    if (status != PJ_SUCCESS) {
        refuse(rdata, tdata, 500);
        return;
    }
    sdp_info = pjsip_rdata_get_sdp_info(rdata);
    status = pjsip_inv_verify_request2(rdata, &options, sdp_info->sdp, NULL, NULL, ss_endpoint(), &tdata);
    if (status != PJ_SUCCESS) {
        refuse(rdata, tdata, 500);
        return;
    }
    contact = make_contact(rdata, contact_text, sizeof contact_text);
    status = pjsip_dlg_create_uas_and_inc_lock(pjsip_ua_instance(), rdata, contact.slen ? &contact : NULL, &dialog);
    if (status != PJ_SUCCESS) {
        refuse(rdata, NULL, 500);
        return;
    }
    status = pjsip_inv_create_uas(dialog, rdata, NULL, options, &inv);
    if (status != PJ_SUCCESS) {
        if (pjsip_dlg_create_response(dialog, rdata, 500, NULL, &tdata) == PJ_SUCCESS)
            pjsip_dlg_send_response(dialog, pjsip_rdata_get_tsx(rdata), tdata);
        pjsip_dlg_dec_lock(dialog);
        return;
    }
    self = ss_inv_new();
    pjsip_timer_setting_default(&timer);
    status = self ? pjsip_timer_init_session(inv, &timer) : PJ_ENOMEM;
    if (status == PJ_SUCCESS) {
        ss_inv_attach(self, inv);
        status = pjsip_inv_initial_answer(inv, rdata, 100, NULL, NULL, &tdata);
        if (status == PJ_SUCCESS)
            status = pjsip_inv_send_msg(inv, tdata);
    }
    if (status != PJ_SUCCESS) {
        inv->mod_data[ss_ua_module.id] = NULL;
        pjsip_inv_terminate(inv, 500, PJ_FALSE);
        if (self)
            ss_object_close(self->base.handle);
        pjsip_dlg_dec_lock(dialog);
        return;
    }
    blobs[0] = ss_raw(rdata);
    blobs[1] = (ss_blob){ rdata->pkt_info.src_name, strlen(rdata->pkt_info.src_name) };
    blobs[2] = (ss_blob){ rdata->tp_info.transport->type_name, strlen(rdata->tp_info.transport->type_name) };
    blobs[3] = (ss_blob){ dialog->local.info->tag.ptr, (size_t)dialog->local.info->tag.slen };
    blobs[4] = (ss_blob){ contact.ptr, (size_t)contact.slen };
    blobs[5] = print_sdp(sdp_info->sdp, sdp_text, sizeof sdp_text);
    ss_post(SS_EV_INV_INCOMING, self->base.handle, nums, 1, blobs, 6);
    pjsip_dlg_dec_lock(dialog);
}

void ss_invitation_events_init(pjsip_inv_callback *callbacks)
{
    callbacks->on_state_changed = &on_state_changed;
    callbacks->on_new_session = &on_new_session;
    callbacks->on_tsx_state_changed = &on_tsx_state_changed;
    callbacks->on_rx_offer2 = &on_rx_offer;
    callbacks->on_rx_reinvite = &on_rx_reinvite;
    callbacks->on_media_update = &on_media_update;
    ss_ua_set_handler("INVITE", &on_invite);
}
