/*
 * ICE under an RTP transport: PJMEDIA's ICE transport, run by the SIP worker (its ioqueue and timers).
 *
 * PJNATH reports two moments only, gathered and negotiated; the other states follow from what we call. Its callbacks come inside
 * PJNATH's locks, so they hand the work to the worker, which then takes `ops` like any caller.
 */
#include "rtp_transport.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pjlib.h>
#include <pjsip.h>

#include "dtls_srtp.h"
#include "engine.h"
#include "events.h"
#include "mixer.h"

#define COMPONENTS 2                    /* RTP, RTCP */
#define GATHER_LIMIT_MS 4000            /* for servers to answer: six transmissions of a request over UDP */

/*
 * PJMEDIA and PJNATH have no accessor for the check lists. These are the first fields of their private structures in 2.17
 * (transport_ice.c, ice_strans.c); get_session() compares what can be known otherwise before it believes them.
 */
struct ice_transport_head {
    pjmedia_transport base;
    pj_pool_t *pool;
    unsigned options;
    unsigned comp_cnt;
    pj_ice_strans *ice_st;
};

struct ice_strans_head {
    char *obj_name;
    pj_pool_factory *pf;
    pj_pool_t *pool;
    void *user_data;
    pj_ice_strans_cfg cfg;
    pj_ice_strans_cb cb;
    pj_grp_lock_t *grp_lock;
    pj_ice_strans_state state;
    pj_ice_sess *ice;
};

static pj_ice_strans *get_strans(pjmedia_transport *transport)
{
    const struct ice_transport_head *head = (const void *)transport;

    return head->comp_cnt == COMPONENTS ? head->ice_st : NULL;
}

static pj_ice_sess *get_session(pjmedia_transport *transport)
{
    pj_ice_strans *strans = get_strans(transport);
    const struct ice_strans_head *head = (const void *)strans;

    if (!strans || !pj_ice_strans_has_sess(strans) || head->grp_lock != pj_ice_strans_get_grp_lock(strans) ||
        head->user_data != pj_ice_strans_get_user_data(strans) || head->state != pj_ice_strans_get_state(strans) ||
        !head->ice || head->ice->grp_lock != head->grp_lock || head->ice->user_data != strans)
        return NULL;
    return head->ice;
}

/* ---- the report: a line per candidate and check, parsed in _rtp_transport.pyx ------------------------------------ */

typedef struct report {
    char *text;
    size_t length, size;
} report;

static void add_line(report *self, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    if (self->length + (size_t)length + 1 > self->size) {
        size_t size = (self->size + (size_t)length + 1) * 2;
        char *text = realloc(self->text, size);

        if (!text) {
            SS_COUNT(out_of_memory);
            return;
        }
        self->text = text;
        self->size = size;
    }
    va_start(arguments, format);
    vsnprintf(self->text + self->length, self->size - self->length, format, arguments);
    va_end(arguments);
    self->length += (size_t)length;
}

static const char *address_text(const pj_sockaddr *address, char *buffer)
{
    if (!pj_sockaddr_has_addr(address))
        return "-";
    return pj_sockaddr_print(address, buffer, SS_ADDRESS_SIZE, 0);
}

/* kind component type address port priority related-address */
static void add_candidate(report *self, const char *kind, const pj_ice_sess_cand *candidate)
{
    char address[SS_ADDRESS_SIZE], related[SS_ADDRESS_SIZE];

    add_line(self, "%s %u %d %s %u %u %s\n", kind, candidate->comp_id, (int)candidate->type, address_text(&candidate->addr, address),
             pj_sockaddr_get_port(&candidate->addr), (unsigned)candidate->prio, address_text(&candidate->rel_addr, related));
}

/* kind local-index remote-index state nominated */
static void add_check(report *self, const char *kind, const pj_ice_sess *session, const pj_ice_sess_check *check)
{
    add_line(self, "%s %d %d %d %d\n", kind, (int)(check->lcand - session->lcand), (int)(check->rcand - session->rcand),
             (int)check->state, check->nominated != 0);
}

static void write_report(report *self, pj_ice_sess *session)
{
    pj_grp_lock_acquire(session->grp_lock);
    for (unsigned i = 0; i < session->lcand_cnt; i++)
        add_candidate(self, "L", &session->lcand[i]);
    for (unsigned i = 0; i < session->rcand_cnt; i++)
        add_candidate(self, "R", &session->rcand[i]);
    for (unsigned i = 0; i < session->comp_cnt; i++) {
        if (session->comp[i].valid_check)
            add_check(self, "P", session, session->comp[i].valid_check);
    }
    for (unsigned i = 0; i < session->valid_list.count; i++)
        add_check(self, "V", session, &session->valid_list.checks[i]);
    pj_grp_lock_release(session->grp_lock);
}

/* ---- callbacks -------------------------------------------------------------------------------------------------- */

typedef struct completion {
    ss_handle handle;
    pj_ice_strans_op op;
    pj_status_t status;
    unsigned gathering;                 /* that it belongs to: there may be a second one meanwhile */
    pj_timestamp when;
} completion;

/*
 * While ICE works, packets count only from where it has checked. After it failed they come from the addresses of the SDP, or from
 * wherever they do without ICE.
 */
static void check_sources(pj_ice_strans *strans, int check)
{
    pj_ice_sess_options options;

    if (pj_ice_strans_get_options(strans, &options) == PJ_SUCCESS && options.check_src_addr != check) {
        options.check_src_addr = check;
        pj_ice_strans_set_options(strans, &options);
    }
}

static void post_done(const ss_rtp *self, pj_status_t status, uint32_t duration, const report *text)
{
    char error[PJ_ERR_MSG_SIZE] = "";
    int64_t nums[2] = { status, duration };

    if (status != PJ_SUCCESS)
        ss_strerror(status, error, sizeof error);
    {
        ss_blob blobs[2] = { { text->text, text->length }, { error, strlen(error) } };

        ss_post(SS_EV_ICE_DONE, self->object.handle, nums, 2, blobs, 2);
    }
}

/* ops held. */
static void negotiated(ss_rtp *self, const completion *done)
{
    report text = { NULL, 0, 0 };
    const pj_ice_sess_check *pair = NULL;
    pj_ice_strans *strans = self->base ? get_strans(self->base) : NULL;
    pj_ice_sess *session = self->base ? get_session(self->base) : NULL;
    pj_timestamp started;
    int expected;

    pthread_mutex_lock(&self->lock);
    expected = self->ice_state == SS_ICE_NEGOTIATING;
    started = self->ice_started;
    pthread_mutex_unlock(&self->lock);
    if (!expected || !strans)
        return;                         /* media were stopped in the meantime */
    if (done->status == PJ_SUCCESS) {
        pair = pj_ice_strans_get_valid_pair(strans, 1);
        pthread_mutex_lock(&self->lock);
        if (pair) {
            self->ice_local = pair->lcand->addr;
            self->ice_remote = pair->rcand->addr;
        }
        pthread_mutex_unlock(&self->lock);
        if (session)
            write_report(&text, session);
    } else {
        check_sources(strans, PJ_FALSE);
    }
    ss_rtp_set_ice_state(self, done->status == PJ_SUCCESS ? SS_ICE_RUNNING : SS_ICE_FAILED);
    if (self->dtls)
        ss_dtls_srtp_path_ready(self->dtls);        /* also when it failed: by the addresses of the SDP, then */
    post_done(self, done->status, pj_elapsed_usec(&started, &done->when), &text);
    free(text.text);
}

/* Which gathering is under way; `lock` is one that callbacks may take. */
static unsigned gathering_of(ss_rtp *self)
{
    unsigned number;

    pthread_mutex_lock(&self->lock);
    number = self->gathering;
    pthread_mutex_unlock(&self->lock);
    return number;
}

static int uses_turn(const ss_rtp *self)
{
    return self->params.turn_server && !self->without_turn;
}

static unsigned relayed_of(ss_rtp *self)
{
    unsigned count;

    pthread_mutex_lock(&self->lock);
    count = self->relayed;
    pthread_mutex_unlock(&self->lock);
    return count;
}

/* ops held. */
static void give_up_turn(ss_rtp *self)
{
    PJ_LOG(3, ("ice", "No relay from the TURN server %s, going on without", self->params.turn_server));
    self->without_turn = 1;
}

static void complete(void *argument)
{
    completion *done = argument;
    ss_rtp *self = ss_object_acquire(done->handle, SS_T_RTP_TRANSPORT);

    if (self) {
        pthread_mutex_lock(&self->ops);
        if (done->gathering != gathering_of(self)) {
            /* of a transport that is closed */
        } else if (done->op == PJ_ICE_STRANS_OP_INIT && ss_rtp_get_state(self) != SS_RTP_WAIT_STUN) {
            /* a server that answers when nobody waits any more */
        } else if (done->op == PJ_ICE_STRANS_OP_INIT) {
            if (uses_turn(self) && relayed_of(self) < COMPONENTS)
                give_up_turn(self);
            ss_rtp_set_ice_state(self, done->status == PJ_SUCCESS ? SS_ICE_GATHERING_COMPLETE : SS_ICE_FAILED);
            ss_rtp_initialized(self, done->status);
        } else {
            negotiated(self, done);
        }
        pthread_mutex_unlock(&self->ops);
        ss_object_release(self);
    }
    free(done);
}

/* callback: pjmedia_ice complete | thread: worker, or the caller of set_INIT | gil: no | locks: ICE group | lifetime: handle */
static void on_ice_complete(pjmedia_transport *transport, pj_ice_strans_op op, pj_status_t status)
{
    ss_handle handle = (ss_handle)(uintptr_t)transport->user_data;
    completion *done;
    ss_rtp *self;

    if (op != PJ_ICE_STRANS_OP_INIT && op != PJ_ICE_STRANS_OP_NEGOTIATION)
        return;                         /* a keep-alive that failed, an address that changed: the checks find out */
    self = ss_object_acquire(handle, SS_T_RTP_TRANSPORT);
    if (!self)
        return;
    done = malloc(sizeof *done);
    if (!done) {
        SS_COUNT(out_of_memory);
        ss_object_release(self);
        return;
    }
    done->handle = handle;
    done->gathering = gathering_of(self);
    ss_object_release(self);
    done->op = op;
    done->status = status;
    pj_get_timestamp(&done->when);
    ss_worker_call(complete, done);
}

/* callback: pjmedia_ice candidate | thread: worker | gil: no | locks: ICE group | lifetime: handle */
static void on_new_candidate(pjmedia_transport *transport, const pj_ice_sess_cand *candidate, pj_bool_t last)
{
    ss_rtp *self;

    (void)last;
    if (!candidate || candidate->type != PJ_ICE_CAND_TYPE_RELAYED)
        return;
    self = ss_object_acquire((ss_handle)(uintptr_t)transport->user_data, SS_T_RTP_TRANSPORT);
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    self->relayed++;
    pthread_mutex_unlock(&self->lock);
    ss_object_release(self);
}

/* ---- the time a gathering may take -------------------------------------------------------------------------------- */

/*
 * A server that is down should not hold up a call for as long as a TCP connection takes to fail (minutes). Without its TURN server
 * the call may still succeed, so then the gathering begins anew without; without its STUN server it is for the user of this object
 * to try another.
 *
 * callback: pj_timer | thread: worker | gil: no | locks: none | lifetime: the timer's reference
 */
static void on_gather_timer(pj_timer_heap_t *heap, pj_timer_entry *entry)
{
    ss_rtp *self = entry->user_data;
    pj_status_t status = PJ_ETIMEDOUT;

    (void)heap;
    pthread_mutex_lock(&self->ops);
    self->gather_timer_runs = 0;
    if (ss_rtp_get_state(self) == SS_RTP_WAIT_STUN) {
        if (uses_turn(self) && relayed_of(self) < COMPONENTS) {
            ss_rtp_close(self);
            give_up_turn(self);
            status = ss_rtp_open(self);
        }
        if (status != PJ_SUCCESS) {
            ss_rtp_set_ice_state(self, SS_ICE_FAILED);
            ss_rtp_initialized(self, status);
        }
    }
    pthread_mutex_unlock(&self->ops);
    ss_object_release(self);
}

static void start_gather_timer(ss_rtp *self)
{
    pj_time_val delay = { GATHER_LIMIT_MS / 1000, GATHER_LIMIT_MS % 1000 };

    if (!ss_object_acquire(self->object.handle, SS_T_RTP_TRANSPORT))
        return;
    pj_timer_entry_init(&self->gather_timer, 0, self, on_gather_timer);
    self->gather_timer_runs = pjsip_endpt_schedule_timer(ss_endpoint(), &self->gather_timer, &delay) == PJ_SUCCESS;
    if (!self->gather_timer_runs)
        ss_object_release(self);        /* the caller has one of its own */
}

void ss_ice_stop_gathering(ss_rtp *self)
{
    if (!self->gather_timer_runs)
        return;
    self->gather_timer_runs = 0;
    /* When the heap has taken it out already, on_gather_timer() waits for `ops`, and gives its reference back. */
    if (ss_endpoint() && pj_timer_heap_cancel(pjsip_endpt_get_timer_heap(ss_endpoint()), &self->gather_timer) > 0)
        ss_object_release(self);
}

/* ---- creation ----------------------------------------------------------------------------------------------------- */

static int is_loopback(const pj_sockaddr *address)
{
    static const unsigned char loopback6[16] = { [15] = 1 };

    if (address->addr.sa_family == pj_AF_INET6())
        return memcmp(pj_sockaddr_get_addr(address), loopback6, sizeof loopback6) == 0;
    return pj_ntohl(address->ipv4.sin_addr.s_addr) >> 24 == 127;
}

/* Loopback addresses are candidates only where there is nothing else. */
static int only_loopback(int family, const pj_sockaddr *bound)
{
    pj_sockaddr own;

    if (pj_sockaddr_has_addr(bound))
        return is_loopback(bound);
    return pj_getdefaultipinterface(family, &own) != PJ_SUCCESS || !pj_sockaddr_has_addr(&own) || is_loopback(&own);
}

static void configure_turn(pj_ice_strans_turn_cfg *turn, const ss_rtp_params *params, int family, const pj_sockaddr *bound)
{
    static const pj_turn_tp_type types[] = { PJ_TURN_TP_UDP, PJ_TURN_TP_TCP, PJ_TURN_TP_TLS };

    pj_ice_strans_turn_cfg_default(turn);
    turn->af = family;
    turn->server = pj_str((char *)params->turn_server);
    turn->port = (pj_uint16_t)params->turn_port;
    turn->conn_type = types[params->turn_transport];
    turn->alloc_param.af = family;
    turn->cfg.bound_addr = *bound;
    pj_sockaddr_set_port(&turn->cfg.bound_addr, 0);
    if (params->turn_username) {
        turn->auth_cred.type = PJ_STUN_AUTH_CRED_STATIC;
        turn->auth_cred.data.static_cred.username = pj_str((char *)params->turn_username);
        turn->auth_cred.data.static_cred.data_type = PJ_STUN_PASSWD_PLAIN;
        turn->auth_cred.data.static_cred.data = pj_str((char *)(params->turn_password ? params->turn_password : ""));
    }
    if (turn->conn_type == PJ_TURN_TP_TLS) {
        turn->cfg.tls_cfg.ssock_param.proto = PJ_SSL_SOCK_PROTO_TLS1_2 | PJ_SSL_SOCK_PROTO_TLS1_3;
        turn->cfg.tls_cfg.ssock_param.verify_peer = params->turn_verify;
        turn->cfg.tls_cfg.ssock_param.server_name = pj_str((char *)(params->turn_tls_name ? params->turn_tls_name : params->turn_server));
        if (params->turn_ca_file)
            turn->cfg.tls_cfg.ca_list_file = pj_str((char *)params->turn_ca_file);
    }
}

pj_status_t ss_ice_create(ss_rtp *self, pjmedia_transport **transport)
{
    const ss_rtp_params *params = &self->params;
    int family = params->ipv6 ? pj_AF_INET6() : pj_AF_INET();
    pj_str_t text = pj_str((char *)params->bind_address);
    pjmedia_ice_cb callbacks = { .on_ice_complete = on_ice_complete, .on_new_candidate = on_new_candidate };
    pj_ice_strans_cfg *config = malloc(sizeof *config);     /* some tens of kilobytes */
    pj_ice_strans_stun_cfg *stun;
    pj_sockaddr bound;
    pj_status_t status;

    if (!config)
        return PJ_ENOMEM;
    pj_ice_strans_cfg_default(config);
    config->af = family;
    pj_stun_config_init(&config->stun_cfg, ss_pool_factory(), 0, pjsip_endpt_get_ioqueue(ss_endpoint()),
                        pjsip_endpt_get_timer_heap(ss_endpoint()));
    config->resolver = pjsip_endpt_get_resolver(ss_endpoint());
    config->opt.aggressive = PJ_TRUE;
    status = pj_sockaddr_init(family, &bound, params->bind_address ? &text : NULL, 0);
    if (status != PJ_SUCCESS) {
        free(config);
        return status;
    }
    config->stun_tp_cnt = 1;
    stun = &config->stun_tp[0];
    pj_ice_strans_stun_cfg_default(stun);
    stun->af = family;
    stun->cfg.bound_addr = bound;
    pj_sockaddr_set_port(&stun->cfg.bound_addr, (pj_uint16_t)params->port_first);
    stun->cfg.port_range = (pj_uint16_t)(params->port_count ? params->port_count - 1 : 0);
    stun->loop_addr = only_loopback(family, &bound);
    if (params->stun_server) {
        stun->server = pj_str((char *)params->stun_server);
        stun->port = (pj_uint16_t)params->stun_port;
    }
    if (uses_turn(self)) {
        config->turn_tp_cnt = 1;
        configure_turn(&config->turn_tp[0], params, family, &bound);
    }
    ss_rtp_set_ice_state(self, SS_ICE_GATHERING);
    pthread_mutex_lock(&self->lock);
    self->gathering++;
    self->relayed = 0;
    pthread_mutex_unlock(&self->lock);
    status = pjmedia_ice_create3(ss_media_endpoint(), "ice%p", COMPONENTS, config, &callbacks, 0, (void *)(uintptr_t)self->object.handle,
                                 transport);
    free(config);
    if (status != PJ_SUCCESS)
        ss_rtp_set_ice_state(self, SS_ICE_NULL);
    else if (params->stun_server || uses_turn(self))
        start_gather_timer(self);
    return status;
}

/* ---- negotiation ---------------------------------------------------------------------------------------------------- */

void ss_ice_media_starting(ss_rtp *self)
{
    if (!self->params.use_ice)
        return;
    /* The checks may end before the call that starts them returns: be ready for their result. */
    pthread_mutex_lock(&self->lock);
    pj_get_timestamp(&self->ice_started);
    pthread_mutex_unlock(&self->lock);
}

/* Whether the session under `strans` is another one than before; it has a user fragment of its own then. */
static int is_new_session(ss_rtp *self, pj_ice_strans *strans)
{
    pj_str_t ufrag = { NULL, 0 };
    char text[sizeof self->ice_ufrag];

    pj_ice_strans_get_ufrag_pwd(strans, &ufrag, NULL, NULL, NULL);
    pj_ansi_snprintf(text, sizeof text, "%.*s", (int)ufrag.slen, ufrag.ptr ? ufrag.ptr : "");
    if (strcmp(text, self->ice_ufrag) == 0)
        return 0;
    strcpy(self->ice_ufrag, text);
    return 1;
}

void ss_ice_media_started(ss_rtp *self, int offered)
{
    const report nothing = { NULL, 0, 0 };
    pj_ice_strans *strans;
    int before;

    if (!self->params.use_ice || !(strans = get_strans(self->base)))
        return;
    pthread_mutex_lock(&self->lock);
    before = self->ice_state;
    pthread_mutex_unlock(&self->lock);
    if (!pj_ice_strans_has_sess(strans)) {      /* the peer has no ICE, or no longer */
        if (before > SS_ICE_GATHERING_COMPLETE)
            ss_rtp_set_ice_state(self, SS_ICE_GATHERING_COMPLETE);
        if (offered)                    /* somebody on the way has put another address there, RFC 8839 section 4.2.5 */
            post_done(self, PJNATH_EICEMISMATCH, 0, &nothing);
        return;
    }
    /* Begun just now, for the first time or because the peer wants it anew. A result that is there already waits for `ops`. */
    if (is_new_session(self, strans)) {
        check_sources(strans, PJ_TRUE);
        ss_rtp_set_ice_state(self, SS_ICE_NEGOTIATION_START);
        ss_rtp_set_ice_state(self, SS_ICE_NEGOTIATING);
    }
}

int ss_ice_is_negotiating(ss_rtp *self)
{
    int result;

    pthread_mutex_lock(&self->lock);
    result = self->ice_state == SS_ICE_NEGOTIATION_START || self->ice_state == SS_ICE_NEGOTIATING;
    pthread_mutex_unlock(&self->lock);
    return result;
}
