/* Offers of ours inside an INVITE dialog: re-INVITE and UPDATE. */
#include "invitation.h"

#include <stdlib.h>
#include <string.h>

#include <pjmedia/errno.h>

#include "events.h"

/* ---- descriptions -------------------------------------------------------------------------------------------- */

static const char *const directions[] = { "sendrecv", "sendonly", "recvonly", "inactive" };

void ss_inv_keep_directions(ss_inv *self, const pjmedia_sdp_session *sdp)
{
    pj_bzero(self->given, sizeof self->given);
    for (unsigned i = 0; i < sdp->media_count; i++) {
        for (unsigned char k = 0; k < PJ_ARRAY_SIZE(directions); k++) {
            if (pjmedia_sdp_media_find_attr2(sdp->media[i], directions[k], NULL)
                || pjmedia_sdp_attr_find2(sdp->attr_count, sdp->attr, directions[k], NULL))
                self->given[i] = k;
        }
    }
}

void ss_inv_want_directions(const ss_inv *self, pj_pool_t *pool, pjmedia_sdp_session *sdp)
{
    for (unsigned i = 0; i < sdp->media_count; i++) {
        pjmedia_sdp_media *media = sdp->media[i];

        for (unsigned k = 0; k < PJ_ARRAY_SIZE(directions); k++)
            pjmedia_sdp_attr_remove_all(&media->attr_count, media->attr, directions[k]);
        pjmedia_sdp_media_add_attr(media, pjmedia_sdp_attr_create(pool, directions[self->wanted[i]], NULL));
    }
}

pj_status_t ss_inv_parse_sdp(ss_inv *self, pj_pool_t *pool, pj_str_t text, pjmedia_sdp_session **sdp)
{
    pj_str_t copy;
    pj_status_t status;

    *sdp = NULL;
    if (!text.slen)
        return PJ_SUCCESS;
    pj_strdup_with_null(pool, &copy, &text);
    status = pjmedia_sdp_parse(pool, copy.ptr, copy.slen, sdp);
    if (status == PJ_SUCCESS)
        ss_inv_keep_directions(self, *sdp);
    return status;
}

/* ---- re-INVITE ----------------------------------------------------------------------------------------------- */

/*
 * RFC 3261 section 14.1: no re-INVITE while one of the peer's is in progress, and that lasts until the ACK for our answer. Python
 * takes the peer's proposal for done when it is answered, so ours is made then, but kept until the ACK is here.
 */
static int is_answered(const pjsip_transaction *tsx)
{
    return tsx && tsx->role == PJSIP_ROLE_UAS && tsx->state == PJSIP_TSX_STATE_COMPLETED;
}

static pj_status_t create_reinvite(pjsip_inv_session *inv, const pj_str_t *contact, const pjmedia_sdp_session *sdp,
                                   pjsip_tx_data **tdata)
{
    pjsip_transaction *tsx = inv->invite_tsx;
    pj_status_t status;

    if (is_answered(tsx))
        inv->invite_tsx = NULL;         /* we lock the dialog; nobody else sees it */
    status = pjsip_inv_reinvite(inv, contact, sdp, tdata);
    inv->invite_tsx = tsx;
    return status;
}

static pj_status_t send_reinvite(ss_inv *self, pjsip_inv_session *inv, pjsip_tx_data *tdata)
{
    pj_status_t status;

    self->reinvite_sent = 1;
    status = pjsip_inv_send_msg(inv, tdata);
    if (status == PJ_SUCCESS && !self->reinvite_sent)
        return PJSIP_ERRNO_FROM_SIP_STATUS(PJSIP_SC_TSX_TRANSPORT_ERROR);     /* over before it began */
    if (status != PJ_SUCCESS) {
        self->reinvite_sent = 0;
        if (!inv->invite_tsx)
            ss_inv_forget_offer(inv->neg);
    }
    return status;
}

static void post_end(ss_handle handle, int code)
{
    const pj_str_t *reason = pjsip_get_status_text(code);
    int64_t nums[3] = { code, SS_INV_BY_US, 1 };
    ss_blob blobs[2] = { { NULL, 0 }, { reason->ptr, (size_t)reason->slen } };

    ss_post(SS_EV_INV_REINVITE_END, handle, nums, 3, blobs, 2);
}

void ss_inv_drop_reinvite(ss_inv *self)
{
    pjsip_tx_data *tdata = self->reinvite;

    self->reinvite = NULL;
    if (tdata)
        pjsip_tx_data_dec_ref(tdata);
}

static void send_kept(void *argument)
{
    ss_handle *handle = argument;
    pjsip_inv_session *inv;
    ss_inv *self = ss_inv_lock(*handle, &inv);

    free(handle);
    if (!self)
        return;
    if (self->reinvite && self->ending) {
        ss_inv_drop_reinvite(self);
    } else if (self->reinvite && !inv->invite_tsx) {
        pjsip_tx_data *tdata = self->reinvite;

        self->reinvite = NULL;
        /* When PJSIP calls back during the sending it tells of the end itself. */
        if (send_reinvite(self, inv, tdata) != PJ_SUCCESS && !self->ending)
            post_end(self->base.handle, PJSIP_SC_TSX_TRANSPORT_ERROR);
    }
    ss_inv_unlock(self, inv);
}

void ss_inv_reinvite_may_go(ss_inv *self, pjsip_inv_session *inv)
{
    ss_handle *handle = self->reinvite ? malloc(sizeof *handle) : NULL;

    if (!handle)
        return;
    /* PJSIP takes an ACK without description for the lost answer to our offer, and forgets it. */
    if (pjmedia_sdp_neg_get_state(inv->neg) == PJMEDIA_SDP_NEG_STATE_DONE)
        pjmedia_sdp_neg_modify_local_offer2(inv->pool_prov, inv->neg, inv->sdp_neg_flags, self->reinvite->msg->body->data);
    *handle = self->base.handle;
    ss_worker_call(send_kept, handle);  /* PJSIP is not done with the transaction that has just ended */
}

/* ---- what Python asks ---------------------------------------------------------------------------------------- */

typedef pj_status_t offer_function(pjsip_inv_session *, const pj_str_t *, const pjmedia_sdp_session *, pjsip_tx_data **);

static pj_status_t create_offer(offer_function *create, ss_inv *self, pjsip_inv_session *inv, pj_str_t contact,
                                pj_str_t sdp_text, const ss_field *fields, unsigned count, pjsip_tx_data **tdata)
{
    const pjmedia_sdp_session *active;
    pjmedia_sdp_session *sdp = NULL;
    pj_status_t status = ss_inv_parse_sdp(self, inv->pool_prov, sdp_text, &sdp);

    if (status == PJ_SUCCESS && !sdp) {
        status = self->agreed ? pjmedia_sdp_neg_get_active_local(inv->neg, &active) : PJMEDIA_SDPNEG_ENOACTIVE;
        if (status == PJ_SUCCESS)
            sdp = pjmedia_sdp_session_clone(inv->pool_prov, active);
    }
    if (status == PJ_SUCCESS)
        status = create(inv, contact.slen ? &contact : NULL, sdp, tdata);
    if (status == PJ_SUCCESS) {
        status = ss_add_fields((*tdata)->pool, (*tdata)->msg, fields, count);
        if (status != PJ_SUCCESS)
            pjsip_tx_data_dec_ref(*tdata);
    }
    return status;
}

pj_status_t ss_inv_reinvite(ss_handle handle, pj_str_t contact, pj_str_t sdp, const ss_field *fields, unsigned count)
{
    pjsip_inv_session *inv;
    ss_inv *self = ss_inv_lock(handle, &inv);
    pjsip_tx_data *tdata = NULL;
    pj_status_t status = PJ_EINVALIDOP;

    if (!self)
        return PJ_EGONE;
    if (!self->reinvite)
        status = create_offer(&create_reinvite, self, inv, contact, sdp, fields, count, &tdata);
    if (status != PJ_SUCCESS) {
        if (!self->reinvite && (!inv->invite_tsx || is_answered(inv->invite_tsx)))
            ss_inv_forget_offer(inv->neg);
    } else if (inv->invite_tsx) {
        self->reinvite = tdata;
    } else {
        status = send_reinvite(self, inv, tdata);
    }
    if (status == PJ_SUCCESS)
        ss_post(SS_EV_INV_REINVITE_SENT, handle, NULL, 0, NULL, 0);
    ss_inv_unlock(self, inv);
    return status;
}

pj_status_t ss_inv_update(ss_handle handle, pj_str_t contact, pj_str_t sdp, const ss_field *fields, unsigned count)
{
    pjsip_inv_session *inv;
    ss_inv *self = ss_inv_lock(handle, &inv);
    pjsip_tx_data *tdata = NULL;
    pj_status_t status = PJ_EINVALIDOP;

    if (!self)
        return PJ_EGONE;
    if (!self->reinvite)
        status = create_offer(&pjsip_inv_update, self, inv, contact, sdp, fields, count, &tdata);
    if (status == PJ_SUCCESS) {
        self->update_waits = 1;
        status = pjsip_inv_send_msg(inv, tdata);
    }
    if (status != PJ_SUCCESS && !self->reinvite) {
        self->update_waits = 0;
        if (!inv->invite_tsx)
            ss_inv_forget_offer(inv->neg);
    }
    ss_inv_unlock(self, inv);
    return status;
}

pj_status_t ss_inv_cancel_reinvite(ss_handle handle)
{
    pjsip_inv_session *inv;
    ss_inv *self = ss_inv_lock(handle, &inv);
    pjsip_tx_data *tdata = NULL;
    pj_status_t status = PJ_EINVALIDOP;

    if (!self)
        return PJ_EGONE;
    if (self->reinvite) {
        ss_inv_drop_reinvite(self);
        ss_inv_forget_offer(inv->neg);
        post_end(handle, PJSIP_SC_REQUEST_TERMINATED);
        status = PJ_SUCCESS;
    } else if (inv->invite_tsx && inv->invite_tsx->role == PJSIP_ROLE_UAC && inv->state == PJSIP_INV_STATE_CONFIRMED) {
        status = pjsip_inv_cancel_reinvite(inv, &tdata);
        if (status == PJ_SUCCESS && tdata)
            status = pjsip_inv_send_msg(inv, tdata);
    }
    ss_inv_unlock(self, inv);
    return status;
}
