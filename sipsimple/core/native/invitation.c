/* What Python asks of an INVITE dialog. What happens to it by itself: invitation_events.c. */
#include "invitation.h"

#include <stdlib.h>
#include <string.h>

#include <pjmedia/errno.h>

#include "events.h"

#define INV_OPTIONS (PJSIP_INV_SUPPORT_100REL | PJSIP_INV_SUPPORT_TIMER | PJSIP_INV_SUPPORT_UPDATE)

/* ---- life ---------------------------------------------------------------------------------------------------- */

ss_handle ss_inv_handle(pjsip_inv_session *inv)
{
    return (ss_handle)(uintptr_t)inv->mod_data[ss_ua_module.id];
}

void ss_inv_detach(ss_inv *self)
{
    pjsip_inv_session *inv;
    pj_grp_lock_t *dialog_lock;

    pj_mutex_lock(self->lock);
    inv = self->inv;
    dialog_lock = self->dialog_lock;
    self->inv = NULL;
    self->dialog_lock = NULL;
    pj_mutex_unlock(self->lock);
    if (!inv)
        return;
    pj_grp_lock_acquire(dialog_lock);
    inv->mod_data[ss_ua_module.id] = NULL;
    ss_inv_end_transfer(self);
    ss_inv_drop_reinvite(self);
    pjsip_inv_dec_ref(inv);
    pj_grp_lock_release(dialog_lock);
    pj_grp_lock_dec_ref(dialog_lock);
}

static void kill_invitation(ss_object *object)
{
    ss_inv *self = (ss_inv *)object;
    pjsip_inv_session *inv;
    pj_grp_lock_t *dialog_lock;
    pjsip_tx_data *tdata = NULL;

    pj_mutex_lock(self->lock);
    inv = self->inv;
    dialog_lock = self->dialog_lock;
    if (dialog_lock)
        pj_grp_lock_add_ref(dialog_lock);
    pj_mutex_unlock(self->lock);
    if (!inv)
        return;
    pj_grp_lock_acquire(dialog_lock);
    if (self->inv) {
        inv->mod_data[ss_ua_module.id] = NULL;  /* silent from now on */
        if (inv->state < PJSIP_INV_STATE_DISCONNECTED) {
            if (inv->state == PJSIP_INV_STATE_NULL
                || pjsip_inv_end_session(inv, PJSIP_SC_TEMPORARILY_UNAVAILABLE, NULL, &tdata) != PJ_SUCCESS)
                pjsip_inv_terminate(inv, PJSIP_SC_REQUEST_TERMINATED, PJ_FALSE);
            else if (tdata)
                pjsip_inv_send_msg(inv, tdata);
        }
        ss_inv_detach(self);
    }
    pj_grp_lock_release(dialog_lock);
    pj_grp_lock_dec_ref(dialog_lock);
}

static void destroy_invitation(ss_object *object)
{
    ss_inv *self = (ss_inv *)object;
    pj_pool_t *pool = self->pool;

    free(self->held);
    pj_mutex_destroy(self->lock);
    pj_pool_release(pool);
}

ss_inv *ss_inv_new(void)
{
    pj_pool_t *pool = ss_pool_create("invitation", 512, 512);
    ss_inv *self;

    if (!pool)
        return NULL;
    self = PJ_POOL_ZALLOC_T(pool, ss_inv);
    self->pool = pool;
    self->base.kill = &kill_invitation;
    self->base.destroy = &destroy_invitation;
    if (pj_mutex_create_simple(pool, "invitation", &self->lock) != PJ_SUCCESS) {
        pj_pool_release(pool);
        return NULL;
    }
    if (!ss_object_register(&self->base, SS_T_INVITATION)) {
        destroy_invitation(&self->base);
        return NULL;
    }
    return self;
}

void ss_inv_attach(ss_inv *self, pjsip_inv_session *inv)
{
    pjsip_inv_add_ref(inv);
    pj_grp_lock_add_ref(inv->dlg->grp_lock_);
    inv->mod_data[ss_ua_module.id] = (void *)(uintptr_t)self->base.handle;
    pjsip_dlg_add_usage(inv->dlg, &ss_inv_ack_module, inv);
    pj_mutex_lock(self->lock);
    self->inv = inv;
    self->dialog_lock = inv->dlg->grp_lock_;
    pj_mutex_unlock(self->lock);
}

ss_inv *ss_inv_lock(ss_handle handle, pjsip_inv_session **inv)
{
    ss_inv *self = ss_object_acquire(handle, SS_T_INVITATION);
    pj_grp_lock_t *dialog_lock;

    if (!self)
        return NULL;
    pj_mutex_lock(self->lock);
    *inv = self->inv;
    dialog_lock = self->dialog_lock;
    if (dialog_lock)
        pj_grp_lock_add_ref(dialog_lock);
    pj_mutex_unlock(self->lock);
    if (dialog_lock) {
        pj_grp_lock_acquire(dialog_lock);
        if (self->inv) {                /* it cannot go while the dialog is locked: detach needs that lock */
            pjsip_dlg_inc_lock((*inv)->dlg);
            pj_grp_lock_release(dialog_lock);
            return self;
        }
        pj_grp_lock_release(dialog_lock);
        pj_grp_lock_dec_ref(dialog_lock);
    }
    ss_object_release(self);
    return NULL;
}

void ss_inv_unlock(ss_inv *self, pjsip_inv_session *inv)
{
    pj_grp_lock_t *dialog_lock = inv->dlg->grp_lock_;

    pjsip_dlg_dec_lock(inv->dlg);
    pj_grp_lock_dec_ref(dialog_lock);
    ss_object_release(self);
}

/* ---- session timers ------------------------------------------------------------------------------------------ */

static pjsip_timer_setting session_timer = { .sess_expires = PJSIP_SESS_TIMER_DEF_SE, .min_se = 90 };

void ss_inv_set_session_timer(unsigned expires, unsigned minimum)
{
    pjsip_timer_abs_min_se = minimum;
    session_timer.min_se = minimum;
    session_timer.sess_expires = expires;
}

pj_status_t ss_inv_start_session_timer(pjsip_inv_session *inv)
{
    return pjsip_timer_init_session(inv, &session_timer);
}

/* ---- helpers ------------------------------------------------------------------------------------------------- */

static pj_status_t set_contact(pjsip_dialog *dialog, pj_str_t contact)
{
    const pj_str_t name = { "Contact", 7 };
    pj_str_t copy;
    pjsip_contact_hdr *header;

    if (!contact.slen)
        return PJ_SUCCESS;
    pj_strdup_with_null(dialog->pool, &copy, &contact);
    header = pjsip_parse_hdr(dialog->pool, &name, copy.ptr, copy.slen, NULL);
    if (!header)
        return PJSIP_EINVALIDURI;
    dialog->local.contact = header;
    return PJ_SUCCESS;
}

static void replace_contact(pjsip_tx_data *tdata, pjsip_dialog *dialog)
{
    pjsip_hdr *old = pjsip_msg_find_hdr(tdata->msg, PJSIP_H_CONTACT, NULL);

    if (old)
        pj_list_erase(old);
    pjsip_msg_add_hdr(tdata->msg, pjsip_hdr_clone(tdata->pool, dialog->local.contact));
}

/* ---- outgoing ------------------------------------------------------------------------------------------------ */

static pj_status_t make_session(ss_inv *self, const ss_invite_params *params, pjsip_dialog *dialog,
                                pjsip_tx_data **tdata)
{
    pjmedia_sdp_session *sdp;
    pjsip_inv_session *inv;
    pjsip_route_hdr routes;
    pj_status_t status;

    pj_list_init(&routes);
    status = ss_set_route(dialog->pool, (pjsip_hdr *)&routes, params->route, &dialog->initial_dest);
    if (status == PJ_SUCCESS && !pj_list_empty(&routes))
        status = pjsip_dlg_set_route_set(dialog, &routes);
    if (status == PJ_SUCCESS)
        status = ss_add_parameters(dialog->pool, dialog->local.info, params->from_params);
    if (status == PJ_SUCCESS)
        status = ss_add_parameters(dialog->pool, dialog->remote.info, params->to_params);
    if (status == PJ_SUCCESS)
        status = ss_set_credentials(&dialog->auth_sess, &params->credentials);
    if (status == PJ_SUCCESS)
        status = ss_inv_parse_sdp(self, dialog->pool, params->sdp, &sdp);
    /* A reliable provisional response to an INVITE without offer would bring one that its PRACK has to answer at once. */
    if (status == PJ_SUCCESS)
        status = pjsip_inv_create_uac(dialog, sdp, sdp ? INV_OPTIONS : INV_OPTIONS & ~PJSIP_INV_SUPPORT_100REL, &inv);
    if (status != PJ_SUCCESS)
        return status;
    ss_inv_attach(self, inv);
    status = ss_inv_start_session_timer(inv);
    if (status == PJ_SUCCESS)
        status = pjsip_inv_invite(inv, tdata);
    if (status == PJ_SUCCESS) {
        status = ss_add_fields((*tdata)->pool, (*tdata)->msg, params->fields, params->field_count);
        if (status != PJ_SUCCESS) {
            pjsip_tx_data_dec_ref(*tdata);
            *tdata = NULL;
        }
    }
    return status;
}

ss_handle ss_inv_create(void)
{
    ss_inv *self = ss_inv_new();

    return self ? self->base.handle : 0;
}

pj_status_t ss_inv_invite(ss_handle handle, const ss_invite_params *params)
{
    ss_inv *self = ss_object_acquire(handle, SS_T_INVITATION);
    pjsip_tx_data *tdata = NULL;
    pjsip_dialog *dialog;
    pj_status_t status;

    if (!self)
        return PJ_EGONE;
    status = pjsip_dlg_create_uac(pjsip_ua_instance(), &params->from, &params->contact, &params->to, &params->target,
                                  &dialog);
    if (status != PJ_SUCCESS) {
        ss_object_release(self);
        return status;
    }
    pjsip_dlg_inc_lock(dialog);
    status = make_session(self, params, dialog, &tdata);
    if (status == PJ_SUCCESS) {
        status = pjsip_inv_send_msg(self->inv, tdata);
        if (status != PJ_SUCCESS && !self->inv)
            status = PJ_SUCCESS;        /* the failure was reported as `disconnected` already */
    }
    if (status != PJ_SUCCESS && !self->inv)
        pjsip_dlg_terminate(dialog);
    else if (status != PJ_SUCCESS)
        kill_invitation(&self->base);
    pjsip_dlg_dec_lock(dialog);
    ss_object_release(self);
    return status;
}

/* ---- answers ------------------------------------------------------------------------------------------------- */

/* Our offer in the 2xx to a re-INVITE that brought none. */
static pj_status_t offer_in_answer(pjsip_inv_session *inv, pjmedia_sdp_session *sdp, pjsip_tx_data *tdata)
{
    const pjmedia_sdp_session *offer;
    pjmedia_sdp_session *copy;
    pj_status_t status;

    if (sdp)
        status = pjmedia_sdp_neg_modify_local_offer2(inv->pool_prov, inv->neg, inv->sdp_neg_flags, sdp);
    else
        status = pjmedia_sdp_neg_send_local_offer(inv->pool_prov, inv->neg, &offer);
    if (status == PJ_SUCCESS)
        status = pjmedia_sdp_neg_get_neg_local(inv->neg, &offer);
    if (status != PJ_SUCCESS)
        return status;
    copy = pjmedia_sdp_session_clone(tdata->pool, offer);
    return pjsip_create_sdp_body(tdata->pool, copy, &tdata->msg->body);
}

/*
 * PJSIP numbers the reliable provisional responses (RFC 3262) of one INVITE in a dialog, and asserts that there is no other; such a
 * response to a re-INVITE is refused here.
 */
static int is_reliable_to_another(ss_inv *self, const pjsip_inv_session *inv, int code)
{
    if (code <= 100 || code >= 200 || !(inv->options & PJSIP_INV_REQUIRE_100REL))
        return 0;
    if (!self->reliable_cseq)
        self->reliable_cseq = inv->invite_tsx->cseq;
    return self->reliable_cseq != inv->invite_tsx->cseq;
}

pj_status_t ss_inv_answer(ss_handle handle, int code, pj_str_t reason, pj_str_t contact, pj_str_t sdp_text,
                          const ss_field *fields, unsigned count)
{
    pjsip_inv_session *inv;
    ss_inv *self = ss_inv_lock(handle, &inv);
    pjmedia_sdp_session *sdp = NULL, *for_answer;
    pjsip_tx_data *tdata = NULL;
    pjsip_hdr *last = NULL;
    int own_offer;
    pj_status_t status;

    if (!self)
        return PJ_EGONE;
    if (!inv->invite_tsx || !inv->last_answer || is_reliable_to_another(self, inv, code)) {
        ss_inv_unlock(self, inv);
        return PJ_EINVALIDOP;
    }
    status = ss_inv_parse_sdp(self, inv->pool_prov, sdp_text, &sdp);
    if (status == PJ_SUCCESS)
        status = set_contact(inv->dlg, contact);
    own_offer = inv->state == PJSIP_INV_STATE_CONFIRMED && !self->reinvite_offered;
    /* What a provisional response said stands, answer or offer; the final one may not bring another (RFC 6337 section 2.2). */
    for_answer = own_offer || (inv->neg && pjmedia_sdp_neg_get_state(inv->neg) != PJMEDIA_SDP_NEG_STATE_REMOTE_OFFER)
                 ? NULL : sdp;
    if (status == PJ_SUCCESS)
        status = pjsip_inv_answer(inv, code, reason.slen ? &reason : NULL, for_answer, &tdata);
    if (status == PJ_SUCCESS && own_offer && code / 100 == 2)
        status = offer_in_answer(inv, sdp, tdata);
    if (status == PJ_SUCCESS) {
        if (contact.slen)
            replace_contact(tdata, inv->dlg);
        last = tdata->msg->hdr.prev;
        status = ss_add_fields(tdata->pool, tdata->msg, fields, count);
        if (status != PJ_SUCCESS)
            pjsip_tx_data_dec_ref(tdata);
    }
    if (status == PJ_SUCCESS) {
        if (code >= 300 && inv->state < PJSIP_INV_STATE_CONNECTING)
            ss_inv_post_disconnecting(self, 0, NULL);
        pjsip_tx_data_add_ref(tdata);
        status = pjsip_inv_send_msg(inv, tdata);
        /* The next answer is made from this one. What was added to this one is not meant for it. */
        for (unsigned i = 0; i < count; i++)
            pj_list_erase(last->next);
        pjsip_tx_data_dec_ref(tdata);
    }
    ss_inv_unlock(self, inv);
    return status;
}

/* ---- within the dialog --------------------------------------------------------------------------------------- */

pj_status_t ss_inv_ack(ss_handle handle, pj_str_t sdp_text, const ss_field *fields, unsigned count)
{
    pjsip_inv_session *inv;
    ss_inv *self = ss_inv_lock(handle, &inv);
    pjmedia_sdp_session *sdp = NULL;
    pjsip_tx_data *tdata = NULL;
    pj_status_t status = PJ_EINVALIDOP;

    if (!self)
        return PJ_EGONE;
    if (self->ack_waits)
        status = ss_inv_parse_sdp(self, inv->pool_prov, sdp_text, &sdp);
    if (status == PJ_SUCCESS && sdp)
        status = pjsip_inv_set_sdp_answer(inv, sdp);
    if (status == PJ_SUCCESS) {
        self->ack_waits = 0;
        status = pjsip_inv_create_ack(inv, self->ack_cseq, &tdata);
    }
    if (status == PJ_SUCCESS) {
        status = ss_add_fields(tdata->pool, tdata->msg, fields, count);
        if (status != PJ_SUCCESS)
            pjsip_tx_data_dec_ref(tdata);
        else
            status = pjsip_inv_send_msg(inv, tdata);
    }
    ss_inv_unlock(self, inv);
    return status;
}

pj_status_t ss_inv_end(ss_handle handle, int code, const ss_field *fields, unsigned count)
{
    pjsip_inv_session *inv;
    ss_inv *self = ss_inv_lock(handle, &inv);
    pjsip_tx_data *tdata = NULL;
    pj_status_t status;

    if (!self)
        return PJ_SUCCESS;      /* It has ended by itself; who asks has not got the event yet. */
    if (self->ending) {
        ss_inv_unlock(self, inv);
        return PJ_SUCCESS;
    }
    if (self->ack_waits) {
        /* RFC 3261 section 13.2.2.4: the ACK first. Without an answer in it; the BYE follows by itself. */
        const pj_str_t no_answer = { NULL, 0 };

        ss_inv_post_disconnecting(self, 0, NULL);
        ss_inv_unlock(self, inv);
        return ss_inv_ack(handle, no_answer, NULL, 0);
    }
    status = pjsip_inv_end_session(inv, code, NULL, &tdata);
    if (status == PJ_SUCCESS && tdata) {
        status = ss_add_fields(tdata->pool, tdata->msg, fields, count);
        if (status != PJ_SUCCESS)
            pjsip_tx_data_dec_ref(tdata);
    }
    if (status == PJ_SUCCESS) {
        ss_inv_post_disconnecting(self, 0, NULL);
        /* What cannot be sent must not leave the session alive for ever. */
        if (tdata && pjsip_inv_send_msg(inv, tdata) != PJ_SUCCESS && inv->state < PJSIP_INV_STATE_DISCONNECTED)
            pjsip_inv_terminate(inv, PJSIP_SC_TSX_TRANSPORT_ERROR, PJ_TRUE);
    }
    ss_inv_unlock(self, inv);
    return status;
}

void ss_inv_abort(ss_handle handle, int code, const char *reason)
{
    pjsip_inv_session *inv;
    ss_inv *self = ss_inv_lock(handle, &inv);
    pj_str_t text = pj_str((char *)reason);
    ss_blob none = { NULL, 0 };

    if (!self)
        return;
    ss_inv_post_state(handle, PJSIP_INV_STATE_DISCONNECTED, code, 1, 0, none, &text, NULL);
    kill_invitation(&self->base);       /* sends the CANCEL or BYE if none went out */
    ss_inv_unlock(self, inv);
}

pj_status_t ss_inv_message(ss_handle handle, pj_str_t content_type, pj_str_t content, const ss_field *fields, unsigned count)
{
    const pjsip_method method = { PJSIP_OTHER_METHOD, { "MESSAGE", 7 } };
    pjsip_inv_session *inv;
    ss_inv *self = ss_inv_lock(handle, &inv);
    pjsip_tx_data *tdata = NULL;
    pj_status_t status;

    if (!self)
        return PJ_EGONE;
    status = pjsip_dlg_create_request(inv->dlg, &method, -1, &tdata);
    if (status == PJ_SUCCESS) {
        tdata->msg->body = ss_body(tdata->pool, content_type, content);
        status = tdata->msg->body ? ss_add_fields(tdata->pool, tdata->msg, fields, count) : PJSIP_EINVALIDHDR;
        if (status != PJ_SUCCESS)
            pjsip_tx_data_dec_ref(tdata);
        else
            status = pjsip_dlg_send_request(inv->dlg, tdata, -1, NULL);
    }
    ss_inv_unlock(self, inv);
    return status;
}

static void copy_text(char *buffer, size_t size, const pj_str_t *text)
{
    size_t length = text->slen < (pj_ssize_t)size - 1 ? (size_t)text->slen : size - 1;

    memcpy(buffer, text->ptr, length);
    buffer[length] = '\0';
}

pj_status_t ss_inv_dialog_id(ss_handle handle, char *call_id, char *local_tag, char *remote_tag, size_t size)
{
    pjsip_inv_session *inv;
    ss_inv *self = ss_inv_lock(handle, &inv);

    if (!self)
        return PJ_EGONE;
    copy_text(call_id, size, &inv->dlg->call_id->id);
    copy_text(local_tag, size, &inv->dlg->local.info->tag);
    copy_text(remote_tag, size, &inv->dlg->remote.info->tag);
    ss_inv_unlock(self, inv);
    return PJ_SUCCESS;
}

pj_status_t ss_invitation_init(pjsip_endpoint *endpoint)
{
    pjsip_inv_callback callbacks;

    pj_status_t status;

    pj_bzero(&callbacks, sizeof callbacks);
    ss_invitation_events_init(&callbacks);
    ss_invitation_incoming_init();
    ss_inv_ack_module.id = ss_inv_fork_module.id = -1;
    status = pjsip_inv_usage_init(endpoint, &callbacks);
    if (status == PJ_SUCCESS)
        status = pjsip_endpt_register_module(endpoint, &ss_inv_ack_module);
    if (status == PJ_SUCCESS)
        status = pjsip_endpt_register_module(endpoint, &ss_inv_fork_module);
    return status;
}
