/*
 * RTP transports: states, sockets, SDP lines. ICE is in ice.c, SRTP in srtp.c.
 *
 * Lifetime: the ss_rtp is memory of its own; PJMEDIA's transports are closed by kill() and end by their group locks. They know this
 * object by its handle only, so that a late ICE callback finds nothing.
 */
#include "rtp_transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pjlib.h>

#include "dtls_srtp.h"
#include "engine.h"
#include "events.h"
#include "leg.h"
#include "mixer.h"

/* ---- states --------------------------------------------------------------------------------------------------- */

typedef enum input { IN_INIT, IN_READY, IN_LOCAL, IN_REMOTE, IN_ESTABLISHED, IN_RETRY, IN_FAIL, INPUTS } input;

#define ILLEGAL (-1)
#define X ILLEGAL

/* IN_INIT from NULL begins the gathering, which for plain sockets ends at once; IN_RETRY takes a failed beginning back. */
static const signed char transitions[SS_RTP_STATES][INPUTS] = {
    /*                       INIT              READY        LOCAL             REMOTE             ESTABLISHED         RETRY        FAIL */
    [SS_RTP_NULL]        = { SS_RTP_WAIT_STUN, X,           X,                X,                 X,                  X,           SS_RTP_INVALID },
    [SS_RTP_WAIT_STUN]   = { SS_RTP_WAIT_STUN, SS_RTP_INIT, X,                X,                 X,                  SS_RTP_NULL, SS_RTP_INVALID },
    [SS_RTP_INIT]        = { SS_RTP_INIT,      X,           SS_RTP_LOCAL,     SS_RTP_REMOTE,     X,                  X,           SS_RTP_INVALID },
    [SS_RTP_LOCAL]       = { SS_RTP_INIT,      X,           SS_RTP_LOCAL,     X,                 SS_RTP_ESTABLISHED, X,           SS_RTP_INVALID },
    [SS_RTP_REMOTE]      = { SS_RTP_INIT,      X,           X,                SS_RTP_REMOTE,     SS_RTP_ESTABLISHED, X,           SS_RTP_INVALID },
    [SS_RTP_ESTABLISHED] = { SS_RTP_INIT,      X,           X,                X,                 SS_RTP_ESTABLISHED, X,           SS_RTP_INVALID },
    [SS_RTP_INVALID]     = { X,                X,           X,                X,                 X,                  X,           SS_RTP_INVALID },
};

#undef X

/* The only writer of `state`. Returns the state before, ILLEGAL when the input is. */
static int fire(ss_rtp *self, input in)
{
    int before, next;

    pthread_mutex_lock(&self->lock);
    before = (int)self->state;
    next = transitions[before][in];
    if (next != ILLEGAL)
        self->state = (ss_rtp_state)next;
    pthread_mutex_unlock(&self->lock);
    return next == ILLEGAL ? ILLEGAL : before;
}

static int may_fire(ss_rtp *self, input in)
{
    int next;

    pthread_mutex_lock(&self->lock);
    next = transitions[self->state][in];
    pthread_mutex_unlock(&self->lock);
    return next != ILLEGAL;
}

ss_rtp_state ss_rtp_get_state(const ss_rtp *self)
{
    ss_rtp_state state;

    pthread_mutex_lock((pthread_mutex_t *)&self->lock);
    state = self->state;
    pthread_mutex_unlock((pthread_mutex_t *)&self->lock);
    return state;
}

int ss_rtp_is_ready(const ss_rtp *self)
{
    ss_rtp_state state = ss_rtp_get_state(self);

    return state == SS_RTP_LOCAL || state == SS_RTP_REMOTE || state == SS_RTP_ESTABLISHED;
}

void ss_rtp_set_ice_state(ss_rtp *self, ss_ice_state state)
{
    ss_ice_state before;

    pthread_mutex_lock(&self->lock);
    before = self->ice_state;
    self->ice_state = state;
    pthread_mutex_unlock(&self->lock);
    if (before != state)
        ss_post_num(SS_EV_ICE_STATE, self->object.handle, before, state);
}

void ss_rtp_close(ss_rtp *self)
{
    ss_ice_stop_gathering(self);
    if (self->base)
        pjmedia_transport_close(ss_rtp_top(self));  /* and its member */
    self->dtls = self->srtp = self->base = NULL;
}

void ss_rtp_initialized(ss_rtp *self, pj_status_t status)
{
    char text[PJ_ERR_MSG_SIZE] = "";
    pjmedia_sock_info info;

    if (ss_rtp_get_state(self) != SS_RTP_WAIT_STUN)
        return;
    ss_ice_stop_gathering(self);
    if (status == PJ_SUCCESS)
        status = ss_rtp_sock_info(self, &info);
    if (status == PJ_SUCCESS) {
        pthread_mutex_lock(&self->lock);
        self->local = info.rtp_addr_name;
        pthread_mutex_unlock(&self->lock);
    } else {
        ss_rtp_close(self);
    }
    if (fire(self, status == PJ_SUCCESS ? IN_READY : IN_FAIL) == ILLEGAL)
        return;
    if (status != PJ_SUCCESS)
        ss_strerror(status, text, sizeof text);
    ss_post_text(SS_EV_RTP_INIT, self->object.handle, status, 0, text);
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

static void rtp_kill(ss_object *object)
{
    ss_rtp *self = (ss_rtp *)object;
    const int waited = ss_rtp_get_state(self) == SS_RTP_WAIT_STUN;

    if (fire(self, IN_FAIL) != ILLEGAL && waited && ss_objects_are_closed())
        ss_post_text(SS_EV_RTP_INIT, object->handle, PJ_ECANCELLED, 0, "the Engine has stopped");
    pthread_mutex_lock(&self->ops);
    if (self->leg)
        ss_leg_detach(self->leg);
    self->leg = NULL;
    ss_rtp_close(self);
    pthread_mutex_unlock(&self->ops);
}

static void rtp_destroy(ss_object *object)
{
    ss_rtp *self = (ss_rtp *)object;

    pthread_mutex_destroy(&self->ops);
    pthread_mutex_destroy(&self->lock);
    pj_pool_release(self->pool);
}

static const char *keep(pj_pool_t *pool, const char *text)
{
    char *copy;
    size_t size;

    if (!text || !*text)
        return NULL;
    size = strlen(text) + 1;
    copy = pj_pool_alloc(pool, size);
    memcpy(copy, text, size);
    return copy;
}

pj_status_t ss_rtp_create(const ss_rtp_params *params, ss_handle *handle)
{
    pj_pool_t *pool;
    ss_rtp *self;

    if (!ss_media_endpoint())
        return PJ_EGONE;
    pool = ss_pool_create("rtp", 1500, 500);
    if (!pool)
        return PJ_ENOMEM;
    self = PJ_POOL_ZALLOC_T(pool, ss_rtp);
    self->pool = pool;
    self->params = *params;
    self->params.bind_address = keep(pool, params->bind_address);
    self->params.stun_server = keep(pool, params->stun_server);
    self->params.turn_server = keep(pool, params->turn_server);
    self->params.turn_username = keep(pool, params->turn_username);
    self->params.turn_password = keep(pool, params->turn_password);
    self->params.turn_tls_name = keep(pool, params->turn_tls_name);
    self->params.turn_ca_file = keep(pool, params->turn_ca_file);
    pthread_mutex_init(&self->ops, NULL);
    pthread_mutex_init(&self->lock, NULL);
    self->object.kill = rtp_kill;
    self->object.destroy = rtp_destroy;
    *handle = ss_object_register(&self->object, SS_T_RTP_TRANSPORT);
    if (*handle)
        return PJ_SUCCESS;
    rtp_destroy(&self->object);
    return PJ_ETOOMANY;
}

/* ---- sockets -------------------------------------------------------------------------------------------------- */

static pj_status_t open_socket(int family, const pj_str_t *host, unsigned port, pj_sockaddr *address, pj_sock_t *fd)
{
    pj_status_t status = pj_sockaddr_init(family, address, host, (pj_uint16_t)port);

    if (status == PJ_SUCCESS)
        status = pj_sock_socket(family, pj_SOCK_DGRAM() | pj_SOCK_CLOEXEC(), 0, fd);
    if (status != PJ_SUCCESS)
        return status;
    status = pj_sock_bind(*fd, address, pj_sockaddr_get_len(address));
    if (status != PJ_SUCCESS) {
        pj_sock_close(*fd);
        *fd = PJ_INVALID_SOCKET;
    }
    return status;
}

static pj_status_t create_udp(ss_rtp *self, pjmedia_transport **transport)
{
    int family = self->params.ipv6 ? pj_AF_INET6() : pj_AF_INET();
    pj_str_t text = pj_str((char *)self->params.bind_address), *host = self->params.bind_address ? &text : NULL;
    unsigned pairs = 1;
    pj_status_t status = PJ_ENOTFOUND;

    for (unsigned i = 0; i < pairs; i++) {
        pjmedia_sock_info info;
        unsigned port = ss_rtp_ports_next(&pairs);

        memset(&info, 0, sizeof info);
        status = open_socket(family, host, port, &info.rtp_addr_name, &info.rtp_sock);
        if (status == PJ_SUCCESS) {
            status = open_socket(family, host, port + 1, &info.rtcp_addr_name, &info.rtcp_sock);
            if (status != PJ_SUCCESS)
                pj_sock_close(info.rtp_sock);
        }
        if (status == PJ_STATUS_FROM_OS(EADDRINUSE) || status == PJ_STATUS_FROM_OS(EACCES))
            continue;
        if (status != PJ_SUCCESS)
            return status;
        /* What to tell the peer when the socket is bound to every address: the route decides. */
        ss_own_address(family, &info.rtp_addr_name);
        ss_own_address(family, &info.rtcp_addr_name);
        return pjmedia_transport_udp_attach(ss_media_endpoint(), "rtp%p", &info, 0, transport);
    }
    return status;
}

static int uses_dtls(const ss_rtp *self)
{
    return self->params.encryption == SS_ENC_DTLS_OPTIONAL || self->params.encryption == SS_ENC_DTLS_MANDATORY;
}

pj_status_t ss_rtp_open(ss_rtp *self)
{
    pj_status_t status;

    if (!ss_media_endpoint())
        return PJ_EGONE;
    status = self->params.use_ice ? ss_ice_create(self, &self->base) : create_udp(self, &self->base);
    if (status == PJ_SUCCESS && uses_dtls(self))
        status = ss_dtls_srtp_create(self->object.handle, self->base, self->params.encryption == SS_ENC_DTLS_MANDATORY,
                                     self->params.dtls_limit_ms, &self->dtls);
    else if (status == PJ_SUCCESS && self->params.encryption != SS_ENC_NONE)
        status = ss_srtp_create(self);
    if (status != PJ_SUCCESS)
        ss_rtp_close(self);
    return status;
}

pj_status_t ss_rtp_sock_info(ss_rtp *self, pjmedia_sock_info *result)
{
    pjmedia_transport_info info;
    pj_status_t status;

    if (!self->base)
        return PJ_EINVALIDOP;
    pjmedia_transport_info_init(&info);
    status = pjmedia_transport_get_info(self->base, &info);
    if (status == PJ_SUCCESS)
        *result = info.sock_info;
    return status;
}

/* ops held. */
static void forget_media(ss_rtp *self)
{
    int had_ice;

    if (self->leg)
        ss_leg_detach(self->leg);
    self->leg = NULL;
    if (self->base)
        pjmedia_transport_media_stop(ss_rtp_top(self));
    pthread_mutex_lock(&self->lock);
    memset(&self->source, 0, sizeof self->source);
    memset(&self->ice_local, 0, sizeof self->ice_local);
    memset(&self->ice_remote, 0, sizeof self->ice_remote);
    had_ice = self->ice_state > SS_ICE_GATHERING_COMPLETE;
    pthread_mutex_unlock(&self->lock);
    if (had_ice)
        ss_rtp_set_ice_state(self, SS_ICE_GATHERING_COMPLETE);
}

/* ---- operations ----------------------------------------------------------------------------------------------- */

static ss_rtp *begin(ss_handle handle)
{
    ss_rtp *self = ss_object_acquire(handle, SS_T_RTP_TRANSPORT);

    if (self)
        pthread_mutex_lock(&self->ops);
    return self;
}

static pj_status_t end(ss_rtp *self, pj_pool_t *pool, pj_status_t status)
{
    if (pool)
        pj_pool_release(pool);
    pthread_mutex_unlock(&self->ops);
    ss_object_release(self);
    return status;
}

pj_status_t ss_rtp_set_init(ss_handle handle)
{
    ss_rtp *self = begin(handle);
    pj_status_t status = PJ_SUCCESS;
    int before;

    if (!self)
        return PJ_EGONE;
    before = fire(self, IN_INIT);
    switch (before) {
    case ILLEGAL:
        status = PJ_EINVALIDOP;
        break;
    case SS_RTP_NULL:
        status = ss_rtp_open(self);
        if (status != PJ_SUCCESS) {
            fire(self, IN_RETRY);
        } else if (!self->params.use_ice) {
            ss_rtp_initialized(self, PJ_SUCCESS);
        }
        break;
    case SS_RTP_LOCAL:
    case SS_RTP_REMOTE:
    case SS_RTP_ESTABLISHED:
        forget_media(self);
        break;
    default:
        break;
    }
    return end(self, NULL, status);
}

/* RTP and RTCP on one port (RFC 5761): when the peer offers it. We offer it with DTLS, where its peers want it. */
static int wants_mux(const ss_rtp *self, const pjmedia_sdp_session *remote, unsigned index)
{
    return remote ? pjmedia_sdp_media_find_attr2(remote->media[index], "rtcp-mux", NULL) != NULL : uses_dtls(self);
}

/* ops held; from INIT only. ICE must know by then whether there will be one component or two; UDP sockets go by the addresses they are to send to. */
static pj_status_t media_create(ss_rtp *self, pj_pool_t *pool, const pjmedia_sdp_session *remote, unsigned index)
{
    unsigned options = self->params.use_ice && wants_mux(self, remote, index) ? PJMEDIA_TPMED_RTCP_MUX : 0;
    pj_status_t status = ss_srtp_prepare(self, remote ? remote->media[index] : NULL);

    if (status == PJ_SUCCESS)
        status = pjmedia_transport_media_create(ss_rtp_top(self), pool, options, remote, index);
    return status;
}

static pj_status_t set_offered(ss_rtp *self, input in, pj_pool_t *pool, const pjmedia_sdp_session *remote, unsigned index)
{
    pj_status_t status;

    if (!may_fire(self, in))
        return PJ_EINVALIDOP;
    if (ss_rtp_get_state(self) != SS_RTP_INIT)
        return PJ_SUCCESS;
    status = media_create(self, pool, remote, index);
    if (status == PJ_SUCCESS && fire(self, in) == ILLEGAL)
        status = PJ_EINVALIDOP;
    return status;
}

pj_status_t ss_rtp_set_local(ss_handle handle, unsigned index)
{
    ss_rtp *self = begin(handle);
    pj_pool_t *pool;

    if (!self)
        return PJ_EGONE;
    pool = ss_pool_create("sdp", 1000, 1000);
    return end(self, pool, set_offered(self, IN_LOCAL, pool, NULL, index));
}

pj_status_t ss_rtp_set_remote(ss_handle handle, const char *text, size_t length, unsigned index)
{
    ss_rtp *self = begin(handle);
    pj_pool_t *pool;
    pjmedia_sdp_session *remote;
    pj_status_t status;

    if (!self)
        return PJ_EGONE;
    pool = ss_pool_create("sdp", 4000, 4000);
    status = ss_sdp_parse_remote(pool, text, length, index, self->params.use_ice, &remote);
    if (status == PJ_SUCCESS)
        status = set_offered(self, IN_REMOTE, pool, remote, index);
    return end(self, pool, status);
}

pj_status_t ss_rtp_media_start(ss_rtp *self, pj_pool_t *pool, const pjmedia_sdp_session *local, const pjmedia_sdp_session *remote,
                               unsigned index, int initial)
{
    pj_status_t status;

    if (!may_fire(self, IN_ESTABLISHED))
        return PJ_EINVALIDOP;
    if (initial && ss_rtp_get_state(self) == SS_RTP_ESTABLISHED)
        return PJ_SUCCESS;
    ss_ice_media_starting(self);
    status = pjmedia_transport_media_start(ss_rtp_top(self), pool, local, remote, index);
    if (status == PJ_SUCCESS)
        status = ss_srtp_check_started(self);
    if (status != PJ_SUCCESS) {
        if (initial)
            pjmedia_transport_media_stop(ss_rtp_top(self));
        return status;
    }
    ss_ice_media_started(self, initial && ss_sdp_has_ice(remote, index));
    if (self->leg)
        ss_leg_media_changed(self->leg);
    if (self->dtls && !ss_ice_is_negotiating(self))
        ss_dtls_srtp_path_ready(self->dtls);
    return fire(self, IN_ESTABLISHED) == ILLEGAL ? PJ_EINVALIDOP : PJ_SUCCESS;
}

pj_status_t ss_rtp_set_established(ss_handle handle, const char *local_text, size_t local_length, const char *remote_text,
                                   size_t remote_length, unsigned index)
{
    ss_rtp *self = begin(handle);
    pj_pool_t *pool;
    pjmedia_sdp_session *local, *remote;
    pj_status_t status;

    if (!self)
        return PJ_EGONE;
    pool = ss_pool_create("sdp", 8000, 4000);
    status = ss_sdp_parse(pool, local_text, local_length, index, &local);
    if (status == PJ_SUCCESS)
        status = ss_sdp_parse_remote(pool, remote_text, remote_length, index, self->params.use_ice, &remote);
    if (status == PJ_SUCCESS)
        status = ss_rtp_media_start(self, pool, local, remote, index, 1);
    return end(self, pool, status);
}

void ss_rtp_media_stop(ss_rtp *self)
{
    pthread_mutex_lock(&self->ops);
    if (ss_rtp_is_ready(self) && fire(self, IN_INIT) != ILLEGAL)
        forget_media(self);
    pthread_mutex_unlock(&self->ops);
}

/* PJMEDIA takes one ICE component for a stream without RTCP, and says so (RFC 3556). */
static void keep_reports(pjmedia_sdp_media *media)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < media->bandw_count; i++) {
        if (pj_stricmp2(&media->bandw[i]->modifier, "RS") != 0 && pj_stricmp2(&media->bandw[i]->modifier, "RR") != 0)
            media->bandw[kept++] = media->bandw[i];
    }
    media->bandw_count = kept;
}

pj_status_t ss_rtp_encode(ss_rtp *self, pj_pool_t *pool, pjmedia_sdp_session *local, const pjmedia_sdp_session *remote, unsigned index)
{
    pjmedia_sock_info info;
    pjmedia_sdp_media *media = local->media[index];
    pj_status_t status;

    if (!ss_rtp_is_ready(self))
        return PJ_EINVALIDOP;
    status = ss_rtp_sock_info(self, &info);
    if (status != PJ_SUCCESS)
        return status;
    ss_sdp_set_transport(pool, media, &info);
    media->desc.transport = pj_str("RTP/AVP");
    status = pjmedia_transport_encode_sdp(ss_rtp_top(self), pool, local, remote, index);
    if (status == PJ_SUCCESS && !self->params.use_ice && wants_mux(self, remote, index)) {
        if (remote)
            pjmedia_sdp_attr_remove_all(&media->attr_count, media->attr, "rtcp");
        pjmedia_sdp_attr_add(&media->attr_count, media->attr, pjmedia_sdp_attr_create(pool, "rtcp-mux", NULL));
    }
    if (status == PJ_SUCCESS && self->params.use_ice && wants_mux(self, remote, index))
        keep_reports(media);
    if (status == PJ_SUCCESS && remote) {
        /* These stand in offers only, RFC 8839 section 5.2; PJMEDIA has them in answers of the controlling side, too. */
        pjmedia_sdp_attr_remove_all(&media->attr_count, media->attr, "remote-candidates");
        status = ss_srtp_check_answer(self, media);
    }
    return status;
}

pj_status_t ss_rtp_encode_sdp(ss_handle handle, const char *local_text, size_t local_length, const char *remote_text,
                              size_t remote_length, unsigned index, char **text, size_t *length)
{
    ss_rtp *self = begin(handle);
    pj_pool_t *pool;
    pjmedia_sdp_session *local, *remote = NULL;
    pj_status_t status;

    if (!self)
        return PJ_EGONE;
    pool = ss_pool_create("sdp", 8000, 4000);
    status = ss_sdp_parse(pool, local_text, local_length, index, &local);
    if (status == PJ_SUCCESS && remote_text)
        status = ss_sdp_parse_remote(pool, remote_text, remote_length, index, self->params.use_ice, &remote);
    if (status == PJ_SUCCESS)
        status = ss_rtp_encode(self, pool, local, remote, index);
    if (status == PJ_SUCCESS)
        status = ss_sdp_print(local, text, length);
    return end(self, pool, status);
}

pj_status_t ss_rtp_rebind(ss_handle handle, const char *text, size_t length, unsigned index)
{
    ss_rtp *self = begin(handle);
    pj_pool_t *pool;
    pjmedia_sdp_session *remote;
    pj_status_t status = PJ_EINVALIDOP;

    if (!self)
        return PJ_EGONE;
    pool = ss_pool_create("sdp", 4000, 4000);
    if (ss_rtp_get_state(self) == SS_RTP_ESTABLISHED && self->leg)
        status = ss_sdp_parse_remote(pool, text, length, index, self->params.use_ice, &remote);
    if (status == PJ_SUCCESS)
        status = ss_leg_rebind_sdp(self->leg, remote, index);
    return end(self, pool, status);
}

/* ---- what can be asked ------------------------------------------------------------------------------------------ */

void ss_rtp_set_source(ss_rtp *self, const pj_sockaddr *source)
{
    pthread_mutex_lock(&self->lock);
    self->source = *source;
    pthread_mutex_unlock(&self->lock);
}

static unsigned print_address(const pj_sockaddr *address, char *text)
{
    if (!pj_sockaddr_has_addr(address))
        return 0;
    pj_sockaddr_print(address, text, SS_ADDRESS_SIZE, 0);
    return pj_sockaddr_get_port(address);
}

/* PJMEDIA's ICE transport, after a failed negotiation, keeps to itself where packets come from. ops held. */
static void get_ice_source(ss_rtp *self, pj_sockaddr *source)
{
    pjmedia_transport_info info;

    pjmedia_transport_info_init(&info);
    if (pjmedia_transport_get_info(self->base, &info) == PJ_SUCCESS)
        *source = info.src_rtp_name;
}

void ss_rtp_get_info(ss_handle handle, int full, ss_rtp_info *info)
{
    ss_rtp *self = ss_object_acquire(handle, SS_T_RTP_TRANSPORT);
    pj_sockaddr source;

    memset(info, 0, sizeof *info);
    memset(&source, 0, sizeof source);
    if (!self) {
        info->state = SS_RTP_INVALID;
        return;
    }
    if (full) {
        pthread_mutex_lock(&self->ops);
        if (ss_rtp_get_state(self) == SS_RTP_ESTABLISHED) {
            info->srtp_active = ss_srtp_get_suite(self, info->srtp_suite, sizeof info->srtp_suite);
            if (self->params.use_ice)
                get_ice_source(self, &source);
        }
        info->turn_failed = self->without_turn;
        pthread_mutex_unlock(&self->ops);
    }
    pthread_mutex_lock(&self->lock);
    info->state = (int)self->state;
    info->ice_active = self->ice_state == SS_ICE_RUNNING;
    if (full && self->state != SS_RTP_INVALID && self->state > SS_RTP_WAIT_STUN) {
        info->local_port = print_address(info->ice_active ? &self->ice_local : &self->local, info->local_address);
        if (!pj_sockaddr_has_addr(&source))
            source = self->source;
        info->remote_port = print_address(info->ice_active ? &self->ice_remote : &source, info->remote_address);
    }
    pthread_mutex_unlock(&self->lock);
    ss_object_release(self);
}
