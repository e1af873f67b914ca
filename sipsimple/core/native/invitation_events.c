/* What happens to an INVITE dialog: PJSIP's callbacks. They copy facts into events and return. */
#include "invitation.h"

#include <stdlib.h>
#include <string.h>

#include <pjmedia/errno.h>
#include <pjsip_simple.h>

#include "events.h"

#define LOCAL SS_INV_BY_US
#define REMOTE SS_INV_BY_PEER

/* ---- posting ------------------------------------------------------------------------------------------------- */

static ss_event *make_state(ss_handle handle, int state, int code, int originator, int flags, ss_blob raw,
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
    return ss_event_make(SS_EV_INV_STATE, handle, nums, 5, blobs, 4);
}

void ss_inv_post_state(ss_handle handle, int state, int code, int originator, int flags, ss_blob raw,
                       const pj_str_t *reason, const pjsip_rx_data *rdata)
{
    ss_event *event = make_state(handle, state, code, originator, flags, raw, reason, rdata);

    if (event)
        ss_event_queue(event);
}

ss_blob ss_inv_print_sdp(const pjmedia_sdp_session *sdp, char *buffer, size_t size)
{
    int length = sdp ? pjmedia_sdp_print(sdp, buffer, size) : 0;
    ss_blob blob = { buffer, length > 0 ? (size_t)length : 0 };

    return blob;
}

/* A stream that one side rejected has port 0 on both: copies of the media lines concerned, in `media`. */
static void reject_alike(pjmedia_sdp_session *local, pjmedia_sdp_session *remote, pjmedia_sdp_media *media)
{
    for (unsigned i = 0; i < local->media_count && i < remote->media_count; i++) {
        pjmedia_sdp_session *other = local->media[i]->desc.port == 0 ? remote : local;

        if ((local->media[i]->desc.port == 0) == (remote->media[i]->desc.port == 0))
            continue;
        media[i] = *other->media[i];
        media[i].desc.port = 0;
        other->media[i] = &media[i];
    }
}

void ss_inv_post_sdp(ss_handle handle, pjsip_inv_session *inv, pj_status_t status)
{
    char local_text[SS_INV_SDP_SIZE], remote_text[SS_INV_SDP_SIZE], error[160] = "";
    const pjmedia_sdp_session *local = NULL, *remote = NULL;
    pjmedia_sdp_media media[PJMEDIA_MAX_SDP_MEDIA];
    pjmedia_sdp_session local_copy, remote_copy;
    int64_t nums[1] = { status };
    ss_blob blobs[3];

    if (status == PJ_SUCCESS) {
        pjmedia_sdp_neg_get_active_local(inv->neg, &local);
        pjmedia_sdp_neg_get_active_remote(inv->neg, &remote);
        if (local && remote) {
            local_copy = *local;
            remote_copy = *remote;
            reject_alike(&local_copy, &remote_copy, media);
            local = &local_copy;
            remote = &remote_copy;
        }
    } else {
        ss_strerror(status, error, sizeof error);
    }
    blobs[0] = ss_inv_print_sdp(local, local_text, sizeof local_text);
    blobs[1] = ss_inv_print_sdp(remote, remote_text, sizeof remote_text);
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

/*
 * PJSIP reports the state that a response leads to before it looks at the session description inside. Python is told
 * the other way round: what media is agreed on is known when the call is said to be early, connecting or connected. So
 * such a change is held until the description is dealt with, or until anything else is to be said.
 */
static void flush_held(ss_inv *self)
{
    ss_event *event = self->held;

    self->held = NULL;
    if (event)
        ss_event_queue(event);
}

void ss_inv_post_disconnecting(ss_inv *self, int code, const pj_str_t *reason)
{
    const ss_blob none = { NULL, 0 };

    if (self->ending)
        return;
    self->ending = 1;
    flush_held(self);
    ss_inv_post_state(self->base.handle, SS_INV_DISCONNECTING, code, LOCAL, self->ack_missing ? SS_INV_MISSING_ACK : 0,
                      none, reason, NULL);
}

/* The call is up. Is it one that may stay? */
static int must_end(ss_inv *self, pjsip_inv_session *inv)
{
    if (self->ending)
        return !inv->pending_bye;       /* cancelled too late; a BYE that waited for the ACK goes out by itself */
    if (!self->sdp_failed && (!inv->neg || pjmedia_sdp_neg_get_state(inv->neg) != PJMEDIA_SDP_NEG_STATE_DONE)) {
        self->sdp_failed = 1;           /* the ACK should have brought an answer */
        ss_inv_post_sdp(self->base.handle, inv, PJMEDIA_SDPNEG_ENOACTIVE);
    }
    return self->sdp_failed;
}

static int is_own_bye(const pjsip_event *event)
{
    return event->type == PJSIP_EVENT_TSX_STATE && event->body.tsx_state.tsx
           && event->body.tsx_state.tsx->role == PJSIP_ROLE_UAC
           && event->body.tsx_state.tsx->method.id == PJSIP_BYE_METHOD;
}

/* callback: pjsip_inv on_state_changed | thread: any that sends, worker | gil: no | locks: dialog | lifetime: handle */
static void on_state_changed(pjsip_inv_session *inv, pjsip_event *event)
{
    ss_handle handle = ss_inv_handle(inv);
    const pj_str_t *reason = NULL;
    ss_inv *self;
    cause found;
    int code = 0;

    if (inv->state == PJSIP_INV_STATE_INCOMING)
        return;                         /* incoming ones are announced by on_invite */
    self = handle ? ss_object_acquire(handle, SS_T_INVITATION) : NULL;
    if (!self) {
        if (inv->state == PJSIP_INV_STATE_CONFIRMED && !inv->pending_bye)
            ss_inv_hang_up(inv, PJSIP_SC_OK, NULL);     /* given up before it was answered */
        return;
    }
    found = find_cause(event);
    flush_held(self);
    if (inv->state == PJSIP_INV_STATE_CONNECTING && event->type == PJSIP_EVENT_TSX_STATE)
        self->initial = event->body.tsx_state.tsx;
    if (inv->state == PJSIP_INV_STATE_DISCONNECTED && !is_own_bye(event)) {
        code = inv->cause;
        reason = &inv->cause_text;
    } else if (event->type == PJSIP_EVENT_TSX_STATE && event->body.tsx_state.tsx) {
        code = event->body.tsx_state.tsx->status_code;
        reason = &event->body.tsx_state.tsx->status_text;
    }
    if (inv->state == PJSIP_INV_STATE_CONFIRMED && must_end(self, inv)) {
        if (self->ending)
            ss_inv_hang_up(inv, PJSIP_SC_OK, NULL);
        else
            ss_inv_hang_up(inv, PJSIP_SC_NOT_ACCEPTABLE_HERE, "SDP negotiation failed");
    } else if (inv->state < PJSIP_INV_STATE_CONFIRMED && found.rdata && found.rdata->msg_info.msg->body) {
        self->held = make_state(handle, inv->state, code, found.originator, found.flags, found.raw, reason, found.rdata);
    } else {
        ss_inv_post_state(handle, inv->state, code, found.originator, found.flags, found.raw, reason, found.rdata);
    }
    if (inv->state == PJSIP_INV_STATE_DISCONNECTED)
        ss_inv_detach(self);
    ss_object_release(self);
}

typedef struct hang_up {
    pjsip_inv_session *inv;             /* with a reference */
    pj_grp_lock_t *dialog_lock;         /* with a reference */
    int code;
    const char *reason;                 /* a literal, or NULL */
} hang_up;

static void hang_up_in_worker(void *argument)
{
    hang_up *work = argument;
    pj_str_t reason = pj_str((char *)(work->reason ? work->reason : ""));
    pjsip_tx_data *tdata = NULL;

    pj_grp_lock_acquire(work->dialog_lock);
    if (work->inv->state == PJSIP_INV_STATE_CONFIRMED) {
        if (pjsip_inv_end_session(work->inv, work->code, work->reason ? &reason : NULL, &tdata) != PJ_SUCCESS)
            pjsip_inv_terminate(work->inv, PJSIP_SC_INTERNAL_SERVER_ERROR, PJ_TRUE);
        else if (tdata)
            pjsip_inv_send_msg(work->inv, tdata);
    }
    pjsip_inv_dec_ref(work->inv);
    pj_grp_lock_release(work->dialog_lock);
    pj_grp_lock_dec_ref(work->dialog_lock);
    free(work);
}

void ss_inv_hang_up(pjsip_inv_session *inv, int code, const char *reason)
{
    hang_up *work = malloc(sizeof *work);

    if (!work) {
        SS_COUNT(out_of_memory);
        return;
    }
    *work = (hang_up){ inv, inv->dlg->grp_lock_, code, reason };
    pjsip_inv_add_ref(inv);
    pj_grp_lock_add_ref(work->dialog_lock);
    ss_worker_call(hang_up_in_worker, work);
}

/* callback: pjsip_inv on_media_update | thread: any that sends, worker | gil: no | locks: dialog | lifetime: handle */
static void on_media_update(pjsip_inv_session *inv, pj_status_t status)
{
    ss_handle handle = ss_inv_handle(inv);
    ss_inv *self = handle ? ss_object_acquire(handle, SS_T_INVITATION) : NULL;

    if (!self)
        return;
    if (status != PJ_SUCCESS && inv->state < PJSIP_INV_STATE_CONFIRMED)
        self->sdp_failed = 1;
    if (status == PJ_SUCCESS) {
        memcpy(self->wanted, self->given, sizeof self->wanted);
        self->agreed = 1;
    }
    if (self->reinvite_waits)
        self->reinvite_waits = 2;       /* the answer is here */
    if (self->update_waits)
        self->update_waits = 2;
    ss_inv_post_sdp(handle, inv, status);
    ss_object_release(self);
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
    char text[SS_INV_SDP_SIZE];
    pjsip_tx_data *tdata;
    int64_t nums[1] = { offer != NULL };
    ss_blob blobs[2] = { ss_raw(rdata), { NULL, 0 } };

    ss_inv *self = handle ? ss_object_acquire(handle, SS_T_INVITATION) : NULL;
    int gone = !self || self->ending;

    if (self)
        self->reinvite_offered = offer != NULL;
    ss_object_release(self);
    if (inv->last_answer) {
        pjsip_tx_data_dec_ref(inv->last_answer);
        inv->last_answer = NULL;
    }
    /* 100 at once; the application's answer is then a modification of it. 481: our BYE is on its way (RFC 5407 section 3.1.3). */
    if (pjsip_inv_initial_answer(inv, rdata, gone ? 481 : 100, NULL, NULL, &tdata) != PJ_SUCCESS)
        return PJ_EUNKNOWN;
    pjsip_inv_send_msg(inv, tdata);
    if (gone)
        return PJ_SUCCESS;
    blobs[1] = ss_inv_print_sdp(offer, text, sizeof text);
    ss_post(SS_EV_INV_REINVITE, handle, nums, 1, blobs, 2);
    return PJ_SUCCESS;
}

/*
 * An offer that must be answered within the callback: UPDATE, PRACK. The active local SDP stands as the answer, with the
 * directions that it had before the peer's narrowed them; the negotiator narrows formats and directions. The change is
 * reported as an SDP update.
 */
/* callback: pjsip_inv on_rx_offer2 | thread: worker | gil: no | locks: dialog | lifetime: handle */
static void on_rx_offer(pjsip_inv_session *inv, struct pjsip_inv_on_rx_offer_cb_param *param)
{
    ss_handle handle = ss_inv_handle(inv);
    const pjmedia_sdp_session *active;
    pjmedia_sdp_session *answer;
    ss_inv *self;

    if (param->rdata->msg_info.msg->type == PJSIP_REQUEST_MSG
        && param->rdata->msg_info.msg->line.req.method.id == PJSIP_INVITE_METHOD)
        return;                         /* on_rx_reinvite takes it to the application */
    self = handle ? ss_object_acquire(handle, SS_T_INVITATION) : NULL;
    if (self && !self->agreed) {
        /* The answer to our INVITE without offer: Python's turn, see on_send_ack. */
        char text[SS_INV_SDP_SIZE];
        ss_blob offer = ss_inv_print_sdp(param->offer, text, sizeof text);

        ss_post(SS_EV_INV_OFFER, handle, NULL, 0, &offer, 1);
    } else if (self && pjmedia_sdp_neg_get_active_local(inv->neg, &active) == PJ_SUCCESS) {
        answer = pjmedia_sdp_session_clone(inv->pool_prov, active);
        answer->origin.version++;
        ss_inv_want_directions(self, inv->pool_prov, answer);
        for (unsigned i = 0; i < answer->media_count && i < param->offer->media_count; i++) {
            if (param->offer->media[i]->desc.port == 0)
                answer->media[i]->desc.port = 0;
        }
        pjsip_inv_set_sdp_answer(inv, answer);      /* a stream beyond those we have is rejected by the negotiator */
    } else if (!self) {
        answer = pjmedia_sdp_session_clone(inv->pool_prov, param->offer);      /* given up: nothing is wanted any more */
        for (unsigned i = 0; i < answer->media_count; i++)
            answer->media[i]->desc.port = 0;
        pjsip_inv_set_sdp_answer(inv, answer);
    }
    ss_object_release(self);
}

/* An ACK cannot be challenged, so it repeats the credentials of its INVITE: RFC 3261 section 22.1. */
static void repeat_credentials(const pjsip_inv_session *inv, pjsip_tx_data *ack)
{
    const pjsip_msg *invite = inv->invite_tsx && inv->invite_tsx->last_tx ? inv->invite_tsx->last_tx->msg : NULL;
    const pjsip_hdr *header;

    if (!invite || invite->type != PJSIP_REQUEST_MSG || invite->line.req.method.id != PJSIP_INVITE_METHOD)
        return;
    for (header = invite->hdr.next; header != &invite->hdr; header = header->next) {
        if (header->type == PJSIP_H_AUTHORIZATION || header->type == PJSIP_H_PROXY_AUTHORIZATION)
            pjsip_msg_add_hdr(ack->msg, pjsip_hdr_clone(ack->pool, header));
    }
}

/* callback: pjsip_inv on_send_ack | thread: worker | gil: no | locks: dialog | lifetime: handle */
static void on_send_ack(pjsip_inv_session *inv, pjsip_rx_data *rdata)
{
    ss_handle handle = ss_inv_handle(inv);
    ss_inv *self = handle ? ss_object_acquire(handle, SS_T_INVITATION) : NULL;
    int waits = self && !self->ending && inv->state == PJSIP_INV_STATE_CONNECTING && inv->neg
                && pjmedia_sdp_neg_get_state(inv->neg) == PJMEDIA_SDP_NEG_STATE_REMOTE_OFFER;
    pjsip_tx_data *tdata;

    if (waits) {
        self->ack_waits = 1;
        self->ack_cseq = rdata->msg_info.cseq->cseq;
    } else if (inv->state == PJSIP_INV_STATE_DISCONNECTED) {
        /* A 2xx once more, or late. PJSIP may have destroyed the session, with its pools, while the dialog waits for its transactions. */
        if (pjsip_dlg_create_request(inv->dlg, pjsip_get_ack_method(), rdata->msg_info.cseq->cseq, &tdata) == PJ_SUCCESS)
            pjsip_dlg_send_request(inv->dlg, tdata, -1, NULL);
    } else if (pjsip_inv_create_ack(inv, rdata->msg_info.cseq->cseq, &tdata) == PJ_SUCCESS) {
        repeat_credentials(inv, tdata);
        pjsip_inv_send_msg(inv, tdata);
    }
    ss_object_release(self);
}

/* ---- transactions inside the dialog --------------------------------------------------------------------------- */

static void respond(pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_rx_data *rdata, int code)
{
    pjsip_tx_data *tdata;

    if (pjsip_dlg_create_response(inv->dlg, rdata, code, NULL, &tdata) != PJ_SUCCESS)
        return;
    if (code == 405 || rdata->msg_info.msg->line.req.method.id == PJSIP_OPTIONS_METHOD)
        ss_ua_add_capabilities(tdata->pool, &tdata->msg->hdr, code != 405);
    pjsip_dlg_send_response(inv->dlg, tsx, tdata);
}

/* Methods that PJSIP's invite session answers. */
static int is_for_session(const pjsip_method *method)
{
    static const char *const names[] = { "INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "PRACK" };

    for (unsigned i = 0; i < PJ_ARRAY_SIZE(names); i++) {
        if (pj_strcmp2(&method->name, names[i]) == 0)
            return 1;
    }
    return 0;
}

static void received_request(ss_inv *self, pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_rx_data *rdata)
{
    const pjsip_method *method = &tsx->method;
    ss_blob raw = ss_raw(rdata);

    if (is_for_session(method))
        return;
    if (method->id == PJSIP_OPTIONS_METHOD) {
        respond(inv, tsx, rdata, 200);
    } else if (pj_strcmp2(&method->name, "MESSAGE") == 0) {
        if (!ss_has_content_type(rdata)) {
            respond(inv, tsx, rdata, 400);
        } else {
            respond(inv, tsx, rdata, 200);
            ss_post(SS_EV_INV_MESSAGE, self->base.handle, NULL, 0, &raw, 1);
        }
    } else if (pj_strcmp2(&method->name, "REFER") == 0) {
        ss_inv_received_refer(self, inv, tsx, rdata);
    } else if (pj_strcmp2(&method->name, "NOTIFY") == 0) {
        /* The event layer takes part in the dialog from the first transfer on. */
        if (!pjsip_dlg_has_usage(inv->dlg, pjsip_evsub_instance()))
            respond(inv, tsx, rdata, 481);
    } else if (pj_strcmp2(&method->name, "SUBSCRIBE") != 0) {       /* which the event layer is asked for first, see on_unclaimed() */
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

void ss_inv_forget_offer(pjmedia_sdp_neg *negotiator)
{
    pjmedia_sdp_neg_state state = negotiator ? pjmedia_sdp_neg_get_state(negotiator) : PJMEDIA_SDP_NEG_STATE_NULL;

    if (state == PJMEDIA_SDP_NEG_STATE_LOCAL_OFFER || state == PJMEDIA_SDP_NEG_STATE_REMOTE_OFFER)
        pjmedia_sdp_neg_cancel_offer(negotiator);
}

static void reinvite_ended(ss_inv *self, pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_event *event)
{
    cause found = find_cause(event);
    int ours = tsx->role == PJSIP_ROLE_UAC;
    int64_t nums[3] = { tsx->status_code, ours ? REMOTE : LOCAL, ours };
    ss_blob blobs[2] = { found.raw, { tsx->status_text.ptr, (size_t)tsx->status_text.slen } };

    if (inv->invite_tsx && inv->invite_tsx != tsx)
        return;                         /* a challenge or 422, tried again by the session; or one refused because of another */
    if (!ours && self->reinvite)
        return;                         /* refused because of ours, which waits for its turn */
    /* PJSIP forgets this after a challenge that we cannot answer and after a CANCEL; no later offer would work. */
    if (tsx->status_code >= 300)
        ss_inv_forget_offer(inv->neg);
    if (ours && found.originator == LOCAL)
        nums[1] = LOCAL;                /* timeout, transport error */
    if (!ours && tsx->status_code == 487)
        nums[1] = REMOTE;               /* cancelled */
    self->reinvite_waits = 0;
    if (ours)
        self->reinvite_sent = 0;
    ss_post(SS_EV_INV_REINVITE_END, self->base.handle, nums, 3, blobs, 2);
}

/* Was the peer's re-INVITE answered with a 2xx? When the ACK does not come the status of the transaction tells of that. */
static int was_accepted(const pjsip_transaction *tsx)
{
    return tsx->last_tx && tsx->last_tx->msg->type == PJSIP_RESPONSE_MSG && tsx->last_tx->msg->line.status.code / 100 == 2;
}

static void invite_changed(ss_inv *self, pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_event *event)
{
    if (tsx == self->initial) {
        if (tsx->state >= PJSIP_TSX_STATE_TERMINATED)
            self->initial = NULL;       /* its memory may be the next transaction's */
        return;
    }
    if (inv->state != PJSIP_INV_STATE_CONFIRMED)
        return;
    if (tsx->role == PJSIP_ROLE_UAS && tsx->state >= PJSIP_TSX_STATE_CONFIRMED)
        ss_inv_reinvite_may_go(self, inv);
    if (tsx->role == PJSIP_ROLE_UAS && tsx->state == PJSIP_TSX_STATE_TERMINATED
        && tsx->status_code == PJSIP_SC_TSX_TIMEOUT) {
        if (was_accepted(tsx)) {
            self->ack_missing = 1;      /* RFC 3261 section 14.2 */
            ss_inv_hang_up(inv, PJSIP_SC_REQUEST_TIMEOUT, "ACK missing");
        }
    } else if (tsx->role == PJSIP_ROLE_UAC && tsx->state == PJSIP_TSX_STATE_PROCEEDING
               && event->body.tsx_state.type == PJSIP_EVENT_RX_MSG && tsx->status_code > 100) {
        int64_t code = tsx->status_code;
        ss_blob raw = ss_raw(event->body.tsx_state.src.rdata);

        ss_post(SS_EV_INV_REINVITE_PROGRESS, self->base.handle, &code, 1, &raw, 1);
    } else if (self->reinvite_waits && tsx->role == PJSIP_ROLE_UAS && tsx->state > PJSIP_TSX_STATE_COMPLETED) {
        reinvite_ended(self, inv, tsx, event);
    } else if (has_ended(tsx, event)) {
        if (tsx->role == PJSIP_ROLE_UAS && tsx->status_code / 100 == 2
            && pjmedia_sdp_neg_get_state(inv->neg) != PJMEDIA_SDP_NEG_STATE_DONE) {
            self->reinvite_waits = 1;   /* for the ACK, which brings the answer */
            self->reinvite_cseq = tsx->cseq;
        } else {
            reinvite_ended(self, inv, tsx, event);
        }
    }
}

/* Our UPDATE: an offer that was refused, or got no answer, is a failed SDP update. */
static void update_changed(ss_inv *self, pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_event *event)
{
    if (self->update_waits && tsx->state == PJSIP_TSX_STATE_CALLING) {
        self->update = tsx;
    } else if (tsx == self->update && has_ended(tsx, event)) {
        if (self->update_waits == 1)
            ss_inv_post_sdp(self->base.handle, inv, tsx->status_code >= 300 ? PJSIP_ERRNO_FROM_SIP_STATUS(tsx->status_code)
                                                                            : PJMEDIA_SDPNEG_ENOACTIVE);
        self->update_waits = 0;
        self->update = NULL;
    }
}

/* A BYE goes out. Unless the application asked for it: a session timer ran out, the dialog is dead, the ACK did not come. */
static void bye_sent(ss_inv *self, pjsip_inv_session *inv)
{
    pjsip_transaction *tsx = inv->invite_tsx;

    if (self->reinvite_sent && tsx && tsx->status_code >= 300) {
        /* Our re-INVITE showed that the dialog is dead; of its end PJSIP tells only after the BYE. */
        int64_t nums[3] = { tsx->status_code, tsx->state == PJSIP_TSX_STATE_COMPLETED ? REMOTE : LOCAL, 1 };
        ss_blob blobs[2] = { { NULL, 0 }, { tsx->status_text.ptr, (size_t)tsx->status_text.slen } };

        self->reinvite_sent = 0;
        ss_post(SS_EV_INV_REINVITE_END, self->base.handle, nums, 3, blobs, 2);
    }
    if (inv->state == PJSIP_INV_STATE_CONNECTING && inv->role == PJSIP_ROLE_UAS && inv->cause == PJSIP_SC_REQUEST_TIMEOUT)
        self->ack_missing = 1;
    ss_inv_post_disconnecting(self, inv->cause, &inv->cause_text);
}

/* callback: pjsip_inv on_tsx_state_changed | thread: any that sends, worker | gil: no | locks: dialog | lifetime: handle */
static void on_tsx_state_changed(pjsip_inv_session *inv, pjsip_transaction *tsx, pjsip_event *event)
{
    ss_handle handle = ss_inv_handle(inv);
    ss_inv *self = handle && event->type == PJSIP_EVENT_TSX_STATE ? ss_object_acquire(handle, SS_T_INVITATION) : NULL;

    if (!self)
        return;
    flush_held(self);
    if (tsx->role == PJSIP_ROLE_UAS && tsx->state == PJSIP_TSX_STATE_TRYING
        && event->body.tsx_state.type == PJSIP_EVENT_RX_MSG)
        received_request(self, inv, tsx, event->body.tsx_state.src.rdata);
    else if (tsx->method.id == PJSIP_INVITE_METHOD)
        invite_changed(self, inv, tsx, event);
    else if (tsx->role == PJSIP_ROLE_UAC && pj_strcmp2(&tsx->method.name, "UPDATE") == 0)
        update_changed(self, inv, tsx, event);
    else if (tsx->method.id == PJSIP_BYE_METHOD && tsx->role == PJSIP_ROLE_UAC && tsx->state == PJSIP_TSX_STATE_CALLING)
        bye_sent(self, inv);
    else if (tsx->role == PJSIP_ROLE_UAC && tsx->state == PJSIP_TSX_STATE_CALLING && pj_strcmp2(&tsx->method.name, "REFER") == 0)
        ss_inv_sent_refer(self, find_cause(event).raw);
    ss_object_release(self);
}

/* ---- what PJSIP's own layers leave ----------------------------------------------------------------------------- */

/* A SUBSCRIBE inside the dialog: it may refresh the subscription of a transfer, otherwise there is nothing to subscribe to. */
/* callback: pjsip_module on_tsx_state | thread: any that sends, worker | gil: no | locks: dialog | lifetime: dialog */
static void on_unclaimed(pjsip_transaction *tsx, pjsip_event *event)
{
    const pj_str_t name = { "Event", 5 }, short_name = { "o", 1 }, refer = { "refer", 5 };
    pjsip_dialog *dialog = pjsip_tsx_get_dlg(tsx);
    pjsip_inv_session *inv = dialog ? pjsip_dlg_get_inv_session(dialog) : NULL;
    const pjsip_event_hdr *header;

    if (!inv || tsx->role != PJSIP_ROLE_UAS || tsx->state != PJSIP_TSX_STATE_TRYING || event->body.tsx_state.type != PJSIP_EVENT_RX_MSG
        || pj_strcmp2(&tsx->method.name, "SUBSCRIBE") != 0 || pjsip_tsx_get_evsub(tsx))
        return;
    header = pjsip_msg_find_hdr_by_names(event->body.tsx_state.src.rdata->msg_info.msg, &name, &short_name, NULL);
    respond(inv, tsx, event->body.tsx_state.src.rdata, header && pj_stricmp(&header->event_type, &refer) == 0 ? 481 : 489);
}

/* The ACK to a 2xx, which has no transaction. */
static void received_ack(ss_inv *self, pjsip_inv_session *inv, pjsip_rx_data *rdata)
{
    ss_handle handle = self->base.handle;

    if (self->reinvite_waits && self->reinvite_cseq == rdata->msg_info.cseq->cseq) {
        int64_t nums[3] = { PJSIP_SC_OK, LOCAL, 0 };
        const pj_str_t *reason = pjsip_get_status_text(PJSIP_SC_OK);
        ss_blob blobs[2] = { { NULL, 0 }, { reason->ptr, (size_t)reason->slen } };

        if (self->reinvite_waits == 1)
            ss_inv_post_sdp(handle, inv, PJMEDIA_SDPNEG_ENOACTIVE);     /* no answer in it; the session goes on as it was */
        self->reinvite_waits = 0;
        ss_post(SS_EV_INV_REINVITE_END, handle, nums, 3, blobs, 2);
    }
    ss_inv_reinvite_may_go(self, inv);
}

/* callback: pjsip_module on_rx_request | thread: worker | gil: no | locks: dialog | lifetime: handle */
static pj_bool_t on_rx_request(pjsip_rx_data *rdata)
{
    const pjsip_method *method = &rdata->msg_info.msg->line.req.method;
    pjsip_dialog *dialog = pjsip_rdata_get_dlg(rdata);
    int is_ack = method->id == PJSIP_ACK_METHOD;
    pjsip_inv_session *inv;
    ss_inv *self;
    ss_handle handle;

    if (!dialog || (!is_ack && pj_strcmp2(&method->name, "UPDATE") != 0))
        return PJ_FALSE;
    inv = pjsip_dlg_get_inv_session(dialog);
    handle = inv ? ss_inv_handle(inv) : 0;
    self = handle ? ss_object_acquire(handle, SS_T_INVITATION) : NULL;
    if (!self)
        return PJ_FALSE;
    if (is_ack) {
        received_ack(self, inv, rdata);
    } else if (pjsip_msg_find_hdr(rdata->msg_info.msg, PJSIP_H_CONTACT, NULL)) {
        ss_blob raw = ss_raw(rdata);

        ss_post(SS_EV_INV_UPDATE, handle, NULL, 0, &raw, 1);        /* a target refresh, RFC 3311 section 5.2 */
    }
    ss_object_release(self);
    return PJ_FALSE;
}

/*
 * A 2xx once more. PJSIP acknowledges it, but for one of an earlier re-INVITE, or of the INVITE, that comes while the peer has one of its own under way.
 *
 * callback: pjsip_module on_rx_response | thread: worker | gil: no | locks: dialog | lifetime: dialog
 */
static pj_bool_t on_rx_response(pjsip_rx_data *rdata)
{
    pjsip_dialog *dialog = pjsip_rdata_get_dlg(rdata);
    pjsip_tx_data *tdata;

    if (!dialog || pjsip_rdata_get_tsx(rdata) || rdata->msg_info.cseq->method.id != PJSIP_INVITE_METHOD
        || rdata->msg_info.msg->line.status.code / 100 != 2 || !pjsip_dlg_get_inv_session(dialog))
        return PJ_FALSE;
    if (pjsip_dlg_create_request(dialog, pjsip_get_ack_method(), rdata->msg_info.cseq->cseq, &tdata) == PJ_SUCCESS)
        pjsip_dlg_send_request(dialog, tdata, -1, NULL);
    return PJ_TRUE;
}

pjsip_module ss_inv_ack_module = {
    .name = { "mod-invite-ack", 14 },
    .id = -1,
    .priority = PJSIP_MOD_PRIORITY_DIALOG_USAGE + 1,    /* behind PJSIP's own, which takes the answer out of the ACK */
    .on_rx_request = &on_rx_request,
    .on_rx_response = &on_rx_response,
    .on_tsx_state = &on_unclaimed,
};

void ss_invitation_events_init(pjsip_inv_callback *callbacks)
{
    callbacks->on_state_changed = &on_state_changed;
    callbacks->on_new_session = &on_new_session;
    callbacks->on_tsx_state_changed = &on_tsx_state_changed;
    callbacks->on_rx_offer2 = &on_rx_offer;
    callbacks->on_rx_reinvite = &on_rx_reinvite;
    callbacks->on_media_update = &on_media_update;
    callbacks->on_send_ack = &on_send_ack;
}
