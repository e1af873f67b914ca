/*
 * Requests outside dialogs: client transactions with digest authentication, and incoming requests that Python answers.
 *
 * A client request lives until its final response was posted; Python closes it then, or when the time that a 2xx granted
 * is over: so long it holds the connection that the 2xx came over, see flow.c. The transaction holds the handle in its module
 * data. Each answer to a challenge starts a new transaction under the same handle; responses of the one before are over by
 * then (a UAC transaction gives its user one final response). There may be several challenges: of a proxy and of the server
 * behind it, and again when a nonce has become stale.
 */
#include "engine.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"

enum { MAX_CHALLENGES = 4 };

typedef struct request {
    ss_object base;
    pj_pool_t *pool;
    pj_mutex_t *lock;
    pjsip_auth_clt_sess auth;
    int has_auth, challenges, done;     /* done: a final answer was posted */
    pjsip_transaction *tsx;             /* the one under way; a group lock reference is held */
    pjsip_transport *transport;         /* of a 2xx; a reference is held */
    pjsip_transport_type_e type;        /* of that transport, also over UDP; and where the request went */
    pj_sockaddr remote;
    pj_timer_entry timer;
} request;

typedef struct incoming_request {
    ss_object base;
    pj_mutex_t *lock;
    pj_pool_t *pool;
    pjsip_transaction *tsx;             /* group lock reference held */
    pjsip_tx_data *response;            /* made when the request came, sent by the answer */
} incoming_request;

/* ---- client: ends -------------------------------------------------------------------------------------------- */

/* Take the transaction out; the caller owns the group lock reference. */
static pjsip_transaction *take_transaction(request *self)
{
    pjsip_transaction *tsx;

    pj_mutex_lock(self->lock);
    tsx = self->tsx;
    self->tsx = NULL;
    pj_mutex_unlock(self->lock);
    return tsx;
}

/* True for the one caller that may post the final answer. */
static int claim_end(request *self)
{
    int first;

    pj_mutex_lock(self->lock);
    first = !self->done;
    self->done = 1;
    pj_mutex_unlock(self->lock);
    return first;
}

static void stop_timer(request *self)
{
    if (ss_endpoint() && pj_timer_entry_running(&self->timer)
        && pj_timer_heap_cancel(pjsip_endpt_get_timer_heap(ss_endpoint()), &self->timer) > 0)
        ss_object_release(self);        /* the timer's reference */
}

/*
 * A connection without a reference is closed after half a minute. Who registered over it would be out of reach from then
 * on, as the server can connect to nobody behind a NAT.
 */
static void hold_transport(request *self, pjsip_transport *transport, const pjsip_tx_data *sent)
{
    int is_connection = (transport->flag & PJSIP_TRANSPORT_RELIABLE) != 0;

    if (is_connection)
        pjsip_transport_add_ref(transport);
    pj_mutex_lock(self->lock);
    self->type = (pjsip_transport_type_e)transport->key.type;
    if (is_connection)
        self->transport = transport;
    else if (sent->tp_info.transport)
        pj_sockaddr_cp(&self->remote, &sent->tp_info.dst_addr);
    pj_mutex_unlock(self->lock);
}

static void release_transport(request *self)
{
    pjsip_transport *transport;

    pj_mutex_lock(self->lock);
    transport = self->transport;
    self->transport = NULL;
    pj_mutex_unlock(self->lock);
    if (transport)
        pjsip_transport_dec_ref(transport);
}

static void kill_request(ss_object *object)
{
    request *self = (request *)object;
    pjsip_transaction *tsx = take_transaction(self);

    claim_end(self);
    stop_timer(self);
    if (tsx) {
        tsx->mod_data[ss_ua_module.id] = NULL;
        if (tsx->state < PJSIP_TSX_STATE_COMPLETED)
            pjsip_tsx_terminate(tsx, PJSIP_SC_REQUEST_TIMEOUT);
        pj_grp_lock_dec_ref(tsx->grp_lock);
    }
    release_transport(self);
}

static void destroy_request(ss_object *object)
{
    request *self = (request *)object;
    pj_pool_t *pool = self->pool;

    release_transport(self);            /* taken while it was killed */
    if (self->has_auth)
        pjsip_auth_clt_deinit(&self->auth);
    pj_mutex_destroy(self->lock);
    pj_pool_release(pool);
}

static void post_response(ss_handle handle, int code, int cseq, const pjsip_rx_data *rdata, const pj_str_t *reason)
{
    int64_t nums[3] = { code, rdata ? rdata->pkt_info.src_port : 0, cseq };
    ss_blob blobs[3] = { ss_raw(rdata), { NULL, 0 }, { NULL, 0 } };
    const pj_str_t *text = reason ? reason : pjsip_get_status_text(code);

    blobs[1] = (ss_blob){ text->ptr, (size_t)text->slen };
    if (rdata)
        blobs[2] = (ss_blob){ rdata->pkt_info.src_name, strlen(rdata->pkt_info.src_name) };
    ss_post(SS_EV_REQUEST_RESPONSE, handle, nums, 3, blobs, 3);
}

/* ---- client: transactions ------------------------------------------------------------------------------------- */

static pj_status_t start_transaction(request *self, pjsip_tx_data *tdata)
{
    pjsip_transaction *tsx;
    pj_status_t status;

    status = pjsip_tsx_create_uac2(&ss_ua_module, tdata, NULL, &tsx);
    if (status != PJ_SUCCESS) {
        pjsip_tx_data_dec_ref(tdata);
        return status;
    }
    /* Before the send, which may fail at once and let another thread end the transaction. */
    pj_grp_lock_add_ref(tsx->grp_lock);
    pj_mutex_lock(self->lock);
    if (self->done) {
        pj_mutex_unlock(self->lock);
        pjsip_tsx_terminate(tsx, PJSIP_SC_REQUEST_TIMEOUT);
        pj_grp_lock_dec_ref(tsx->grp_lock);
        pjsip_tx_data_dec_ref(tdata);
        return PJ_ECANCELLED;
    }
    tsx->mod_data[ss_ua_module.id] = (void *)(uintptr_t)self->base.handle;
    self->tsx = tsx;
    pj_mutex_unlock(self->lock);
    status = pjsip_tsx_send_msg(tsx, NULL);
    if (status != PJ_SUCCESS) {
        tsx = take_transaction(self);
        if (tsx) {
            tsx->mod_data[ss_ua_module.id] = NULL;
            pjsip_tsx_terminate(tsx, PJSIP_SC_INTERNAL_SERVER_ERROR);
            pj_grp_lock_dec_ref(tsx->grp_lock);
        }
    }
    return status;
}

void ss_request_was_sent(pjsip_tx_data *tdata)
{
    ss_handle handle = (ss_handle)(uintptr_t)tdata->mod_data[ss_ua_module.id];
    ss_blob raw;

    if (!handle)
        return;
    tdata->mod_data[ss_ua_module.id] = NULL;
    raw = ss_raw_sent(tdata);
    ss_post(SS_EV_REQUEST_SENT, handle, NULL, 0, &raw, 1);
}

/* True when the request had credentials for a realm of the challenge already, and these are not merely stale. */
static int was_refused(const pjsip_msg *request, const pjsip_msg *response)
{
    const pjsip_hdr *sent, *challenge;

    for (challenge = response->hdr.next; challenge != &response->hdr; challenge = challenge->next) {
        const pjsip_www_authenticate_hdr *asked = (const pjsip_www_authenticate_hdr *)challenge;

        if ((challenge->type != PJSIP_H_WWW_AUTHENTICATE && challenge->type != PJSIP_H_PROXY_AUTHENTICATE)
            || pj_stricmp2(&asked->scheme, "digest") || asked->challenge.digest.stale)
            continue;
        for (sent = request->hdr.next; sent != &request->hdr; sent = sent->next) {
            const pjsip_authorization_hdr *given = (const pjsip_authorization_hdr *)sent;

            if (sent->type == (challenge->type == PJSIP_H_WWW_AUTHENTICATE ? PJSIP_H_AUTHORIZATION : PJSIP_H_PROXY_AUTHORIZATION)
                && !pj_strcmp(&given->credential.digest.realm, &asked->challenge.digest.realm))
                return 1;
        }
    }
    return 0;
}

/* True when the challenge was answered by a new request. */
static int answer_challenge(request *self, pjsip_transaction *tsx, pjsip_rx_data *rdata)
{
    pjsip_cseq_hdr *cseq;
    pjsip_tx_data *tdata;
    pjsip_transaction *old;
    pj_status_t status;

    if (!rdata || !self->has_auth || (tsx->status_code != 401 && tsx->status_code != 407)
        || ++self->challenges > MAX_CHALLENGES || was_refused(tsx->last_tx->msg, rdata->msg_info.msg))
        return 0;
    if (pjsip_auth_clt_reinit_req(&self->auth, rdata, tsx->last_tx, &tdata) != PJ_SUCCESS)
        return 0;
    /* RFC 3261 section 22.2: a new request, so the next CSeq. */
    cseq = pjsip_msg_find_hdr(tdata->msg, PJSIP_H_CSEQ, NULL);
    if (cseq) {
        cseq->cseq++;
        pjsip_tx_data_invalidate_msg(tdata);
    }
    old = take_transaction(self);
    if (old) {
        old->mod_data[ss_ua_module.id] = NULL;
        pj_grp_lock_dec_ref(old->grp_lock);
    }
    status = start_transaction(self, tdata);
    if (status != PJ_SUCCESS && claim_end(self)) {
        char text[160];
        pj_str_t reason;

        ss_strerror(status, text, sizeof text);
        reason = pj_str(text);
        stop_timer(self);
        post_response(self->base.handle, 0, 0, NULL, &reason);
    }
    return 1;
}

/* callback: pjsip_module on_tsx_state | thread: worker or caller of send | gil: no | locks: transaction | lifetime: handle */
void ss_request_on_tsx_state(pjsip_transaction *tsx, pjsip_event *event)
{
    ss_handle handle = (ss_handle)(uintptr_t)tsx->mod_data[ss_ua_module.id];
    pjsip_rx_data *rdata = NULL;
    request *self;
    int cseq;

    if (!handle || tsx->role != PJSIP_ROLE_UAC || event->type != PJSIP_EVENT_TSX_STATE)
        return;
    if (event->body.tsx_state.type == PJSIP_EVENT_RX_MSG)
        rdata = event->body.tsx_state.src.rdata;
    if (tsx->state == PJSIP_TSX_STATE_PROCEEDING) {
        if (rdata)
            post_response(handle, tsx->status_code, tsx->cseq, rdata, &tsx->status_text);
        return;
    }
    if (tsx->state != PJSIP_TSX_STATE_COMPLETED && tsx->state != PJSIP_TSX_STATE_TERMINATED)
        return;
    self = ss_object_acquire(handle, SS_T_REQUEST);
    if (!self)
        return;
    cseq = tsx->cseq;
    if (!self->done && !answer_challenge(self, tsx, rdata) && claim_end(self)) {
        stop_timer(self);
        if (rdata && tsx->status_code / 100 == 2)
            hold_transport(self, rdata->tp_info.transport, tsx->last_tx);
        post_response(handle, tsx->status_code, cseq, rdata, &tsx->status_text);
    }
    ss_object_release(self);
}

static void on_request_timeout(pj_timer_heap_t *heap, pj_timer_entry *entry)
{
    request *self = (request *)((char *)entry - offsetof(request, timer));

    (void)heap;
    if (claim_end(self))
        post_response(self->base.handle, PJSIP_SC_REQUEST_TIMEOUT, 0, NULL, NULL);
    ss_object_release(self);
}

/* ---- client: create ------------------------------------------------------------------------------------------ */

ss_handle ss_request_new(void)
{
    pj_pool_t *pool = ss_pool_create("request", 1000, 1000);
    request *self;

    if (!pool)
        return 0;
    self = PJ_POOL_ZALLOC_T(pool, request);
    self->pool = pool;
    self->base.kill = &kill_request;
    self->base.destroy = &destroy_request;
    if (pj_mutex_create_recursive(pool, "request", &self->lock) != PJ_SUCCESS) {
        pj_pool_release(pool);
        return 0;
    }
    pj_timer_entry_init(&self->timer, 0, NULL, &on_request_timeout);
    if (!ss_object_register(&self->base, SS_T_REQUEST)) {
        destroy_request(&self->base);
        return 0;
    }
    return self->base.handle;
}

static pj_status_t make_request(request *self, const ss_request_params *params, pjsip_tx_data **tdata)
{
    pjsip_method method;
    pj_str_t name;
    pj_status_t status;

    pj_strdup_with_null(self->pool, &name, &params->method);
    pjsip_method_init_np(&method, &name);
    status = pjsip_endpt_create_request(ss_endpoint(), &method, &params->target, &params->from, &params->to,
                                        params->contact.slen ? &params->contact : NULL,
                                        params->call_id.slen ? &params->call_id : NULL, params->cseq, NULL, tdata);
    if (status == PJ_SUCCESS) {
        if (params->from_tag.slen)
            pj_strdup((*tdata)->pool, &PJSIP_MSG_FROM_HDR((*tdata)->msg)->tag, &params->from_tag);
        if (params->to_tag.slen)
            pj_strdup((*tdata)->pool, &PJSIP_MSG_TO_HDR((*tdata)->msg)->tag, &params->to_tag);
        if (params->report_sent)
            (*tdata)->mod_data[ss_ua_module.id] = (void *)(uintptr_t)self->base.handle;
        status = ss_add_parameters((*tdata)->pool, PJSIP_MSG_FROM_HDR((*tdata)->msg), params->from_params);
    }
    if (status == PJ_SUCCESS)
        status = ss_add_parameters((*tdata)->pool, PJSIP_MSG_TO_HDR((*tdata)->msg), params->to_params);
    if (status == PJ_SUCCESS)
        status = ss_set_route((*tdata)->pool, &(*tdata)->msg->hdr, params->route, &(*tdata)->dest_info.name);
    if (status == PJ_SUCCESS)
        status = ss_add_fields((*tdata)->pool, (*tdata)->msg, params->fields, params->field_count);
    if (status == PJ_SUCCESS && params->content_type.slen) {
        (*tdata)->msg->body = ss_body((*tdata)->pool, params->content_type, params->body);
        if (!(*tdata)->msg->body)
            status = PJSIP_EINVALIDHDR;
    }
    if (status == PJ_SUCCESS && params->credentials.username.slen) {
        status = pjsip_auth_clt_init(&self->auth, ss_endpoint(), self->pool, 0);
        if (status == PJ_SUCCESS) {
            self->has_auth = 1;
            status = ss_set_credentials(&self->auth, &params->credentials);
        }
    }
    return status;
}

pj_status_t ss_request_send(ss_handle handle, const ss_request_params *params)
{
    request *self = ss_object_acquire(handle, SS_T_REQUEST);
    pjsip_tx_data *tdata = NULL;
    pj_status_t status;

    if (!self)
        return PJ_EGONE;
    status = make_request(self, params, &tdata);
    if (status != PJ_SUCCESS) {
        if (tdata)
            pjsip_tx_data_dec_ref(tdata);
    } else {
        if (params->timeout_ms) {
            pj_time_val delay = { params->timeout_ms / 1000, params->timeout_ms % 1000 };

            ss_object_acquire(handle, SS_T_REQUEST);        /* the timer's reference */
            if (pjsip_endpt_schedule_timer(ss_endpoint(), &self->timer, &delay) != PJ_SUCCESS)
                ss_object_release(self);
        }
        /* Whether the system knows at once that nobody is there, or a moment later, is all the same to who asked. */
        if (start_transaction(self, tdata) != PJ_SUCCESS && claim_end(self)) {
            const pj_str_t reason = { "Transport Error", 15 };

            stop_timer(self);
            post_response(handle, PJSIP_SC_TSX_TRANSPORT_ERROR, 0, NULL, &reason);
        }
    }
    ss_object_release(self);
    return status;
}

void ss_request_cancel(ss_handle handle)
{
    request *self = ss_object_acquire(handle, SS_T_REQUEST);

    if (!self)
        return;
    if (claim_end(self)) {
        stop_timer(self);
        post_response(handle, PJSIP_SC_REQUEST_TIMEOUT, 0, NULL, NULL);
    }
    ss_object_release(self);
}

int ss_request_way(ss_handle handle, pjsip_transport **connection, pjsip_transport_type_e *type, pj_sockaddr *remote)
{
    request *self = ss_object_acquire(handle, SS_T_REQUEST);
    int found;

    if (!self)
        return 0;
    pj_mutex_lock(self->lock);
    found = self->transport || self->remote.addr.sa_family;
    *connection = self->transport;
    if (self->transport)
        pjsip_transport_add_ref(self->transport);       /* not the first reference: this takes no lock */
    *type = self->type;
    *remote = self->remote;
    pj_mutex_unlock(self->lock);
    ss_object_release(self);
    return found;
}

/* ---- server -------------------------------------------------------------------------------------------------- */

static void kill_incoming(ss_object *object)
{
    incoming_request *self = (incoming_request *)object;
    pjsip_transaction *tsx;
    pjsip_tx_data *response;

    pj_mutex_lock(self->lock);
    tsx = self->tsx;
    response = self->response;
    self->tsx = NULL;
    self->response = NULL;
    pj_mutex_unlock(self->lock);
    if (response) {                     /* nobody answered: say so, the peer must not wait for its timeout */
        response->msg->line.status.code = PJSIP_SC_INTERNAL_SERVER_ERROR;
        response->msg->line.status.reason = *pjsip_get_status_text(PJSIP_SC_INTERNAL_SERVER_ERROR);
        if (pjsip_tsx_send_msg(tsx, response) != PJ_SUCCESS)
            pjsip_tx_data_dec_ref(response);
    }
    if (tsx)
        pj_grp_lock_dec_ref(tsx->grp_lock);
}

static void destroy_incoming(ss_object *object)
{
    incoming_request *self = (incoming_request *)object;
    pj_pool_t *pool = self->pool;

    pj_mutex_destroy(self->lock);
    pj_pool_release(pool);
}

void ss_request_received(pjsip_rx_data *rdata)
{
    pj_pool_t *pool = ss_pool_create("incoming", 512, 512);
    incoming_request *self;
    int64_t port = rdata->pkt_info.src_port;
    const char *type = rdata->tp_info.transport->type_name;
    ss_blob blobs[3] = { ss_raw(rdata), { rdata->pkt_info.src_name, strlen(rdata->pkt_info.src_name) },
                         { type, strlen(type) } };

    if (!pool) {
        ss_ua_respond(rdata, 500, NULL);
        return;
    }
    self = PJ_POOL_ZALLOC_T(pool, incoming_request);
    self->pool = pool;
    self->base.kill = &kill_incoming;
    self->base.destroy = &destroy_incoming;
    if (pj_mutex_create_simple(pool, "incoming", &self->lock) != PJ_SUCCESS) {
        pj_pool_release(pool);
        ss_ua_respond(rdata, 500, NULL);
        return;
    }
    if (pjsip_endpt_create_response(ss_endpoint(), rdata, 200, NULL, &self->response) != PJ_SUCCESS) {
        destroy_incoming(&self->base);
        ss_ua_respond(rdata, 500, NULL);
        return;
    }
    if (pjsip_tsx_create_uas2(&ss_ua_module, rdata, NULL, &self->tsx) != PJ_SUCCESS) {
        pjsip_tx_data_dec_ref(self->response);
        destroy_incoming(&self->base);
        ss_ua_respond(rdata, 500, NULL);
        return;
    }
    pj_grp_lock_add_ref(self->tsx->grp_lock);
    pjsip_tsx_recv_msg(self->tsx, rdata);
    if (!ss_object_register(&self->base, SS_T_INCOMING_REQUEST)) {
        kill_incoming(&self->base);
        destroy_incoming(&self->base);
        return;
    }
    ss_post(SS_EV_INCOMING_REQUEST, self->base.handle, &port, 1, blobs, 3);
}

pj_status_t ss_incoming_request_answer(ss_handle handle, int code, pj_str_t reason, const ss_field *fields, unsigned count)
{
    incoming_request *self = ss_object_acquire(handle, SS_T_INCOMING_REQUEST);
    pjsip_transaction *tsx = NULL;
    pjsip_tx_data *response = NULL;
    pj_status_t status = PJ_EINVALIDOP;
    int64_t nums[1] = { code };

    if (!self)
        return PJ_EGONE;
    pj_mutex_lock(self->lock);
    if (self->response) {
        status = ss_add_fields(self->response->pool, self->response->msg, fields, count);
        if (status == PJ_SUCCESS) {
            response = self->response;
            tsx = self->tsx;
            self->response = NULL;
            self->tsx = NULL;
        }
    }
    pj_mutex_unlock(self->lock);
    if (status == PJ_SUCCESS) {
        ss_blob raw;

        response->msg->line.status.code = code;
        if (reason.slen)
            pj_strdup(response->pool, &response->msg->line.status.reason, &reason);
        else
            response->msg->line.status.reason = *pjsip_get_status_text(code);
        pjsip_tx_data_add_ref(response);        /* to read the printed text afterwards */
        status = pjsip_tsx_send_msg(tsx, response);
        if (status != PJ_SUCCESS) {
            pjsip_tx_data_dec_ref(response);
        } else {
            raw = ss_raw_sent(response);
            ss_post(SS_EV_INCOMING_REQUEST_SENT, handle, nums, 1, &raw, 1);
        }
        pjsip_tx_data_dec_ref(response);
        pj_grp_lock_dec_ref(tsx->grp_lock);
    }
    ss_object_release(self);
    return status;
}
