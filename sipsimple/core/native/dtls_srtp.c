/*
 * DTLS-SRTP: the transport, and the packets. See dtls_srtp.h; the handshakes are in dtls_handshake.c.
 *
 * Locks: that of the handshake guards all that callbacks share. Threads: SDP operations with `ops` of the RTP transport held; packets in a media
 * worker or (ICE) in the worker. Lifetime: the group lock of the transport below.
 */
#include "dtls_srtp.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>
#include <pjlib.h>

#include "dtls_handshake.h"
#include "engine.h"
#include "mixer.h"
#include "rtp_transport.h"

#define TLS_ID_SIZE 21                  /* 20 characters, RFC 8842 section 5.1 */
#define PROFILE "UDP/TLS/RTP/SAVP"
#define OPTIONAL_PROFILE "RTP/AVP"      /* RFC 8643 */

typedef struct dtls_srtp {
    pjmedia_transport base;             /* first */
    pj_pool_t *pool;
    pjmedia_transport *member;
    int mandatory;
    char tls_id[TLS_ID_SIZE];           /* ours */
    int attached;                       /* ops: to the member */
    ss_dtls_handshake handshake;        /* its lock guards what follows, too */
    pjmedia_transport_attach_param up;  /* of who is attached to us; zero = nobody */
} dtls_srtp;

/* ---- SDP --------------------------------------------------------------------------------------------------------------- */

/* The role for an answer: the running association's if there may be one, else the client, which saves the offerer a round trip (RFC 5763 section 5). */
static pj_status_t answer_setup(dtls_srtp *self, const pjmedia_sdp_session *remote, unsigned index, ss_dtls_setup *answer)
{
    ss_dtls_setup theirs = ss_dtls_find_setup(remote, index, SS_DTLS_ACTIVE);

    pthread_mutex_lock(&self->handshake.lock);
    if (theirs == SS_DTLS_ACTPASS)
        *answer = self->handshake.phase >= SS_DTLS_WAITING && !self->handshake.agreed.client ? SS_DTLS_PASSIVE : SS_DTLS_ACTIVE;
    else
        *answer = theirs == SS_DTLS_ACTIVE ? SS_DTLS_PASSIVE : SS_DTLS_ACTIVE;
    pthread_mutex_unlock(&self->handshake.lock);
    return theirs == SS_DTLS_NO_SETUP ? PJMEDIA_SRTP_ESDPAMBIGUEANS : PJ_SUCCESS;
}

static pj_status_t dtls_encode_sdp(pjmedia_transport *transport, pj_pool_t *pool, pjmedia_sdp_session *local, const pjmedia_sdp_session *remote,
                                   unsigned index)
{
    dtls_srtp *self = (dtls_srtp *)transport;
    pjmedia_sdp_media *media = local->media[index];
    ss_dtls_fingerprints peer;
    char profile[SS_DTLS_PROFILE_SIZE];
    ss_dtls_setup role = SS_DTLS_ACTPASS;
    pj_status_t status = pjmedia_transport_encode_sdp(self->member, pool, local, remote, index);

    if (status != PJ_SUCCESS)
        return status;
    if (remote) {
        status = ss_dtls_find_fingerprints(remote, index, &peer);
        if (status == PJ_ENOTFOUND)
            return ss_dtls_may_be_plain(self->mandatory, remote->media[index]);
        if (status == PJ_SUCCESS)
            status = answer_setup(self, remote, index, &role);
        if (status != PJ_SUCCESS)
            return status;
        media->desc.transport = remote->media[index]->desc.transport;
    } else {
        pthread_mutex_lock(&self->handshake.lock);
        pj_ansi_strxcpy(profile, self->mandatory ? PROFILE : OPTIONAL_PROFILE, sizeof profile);
        if (self->handshake.phase >= SS_DTLS_WAITING) {
            /* Named, not "actpass": a peer that chose anew could only choose wrong. */
            role = self->handshake.agreed.client ? SS_DTLS_ACTIVE : SS_DTLS_PASSIVE;
            pj_ansi_strxcpy(profile, self->handshake.agreed.profile, sizeof profile);
        }
        pthread_mutex_unlock(&self->handshake.lock);
        media->desc.transport = pj_strdup3(pool, profile);
    }
    ss_dtls_write_sdp(pool, media, role, ss_dtls_identity_fingerprint(self->handshake.identity), self->tls_id);
    return PJ_SUCCESS;
}

void ss_dtls_srtp_path_ready(pjmedia_transport *transport)
{
    ss_dtls_handshake_path_ready(&((dtls_srtp *)transport)->handshake);
}

/* ---- packets ------------------------------------------------------------------------------------------------------------- */

static pj_status_t attach_to_member(dtls_srtp *self, const pj_sockaddr *rtp, const pj_sockaddr *rtcp);

static void receive_dtls(dtls_srtp *self, unsigned index, const void *data, size_t size, const pj_sockaddr *source)
{
    ss_dtls_outcome out;
    pj_sockaddr rtp, rtcp;

    if (ss_dtls_handshake_receive(&self->handshake, index, data, size, source, &out, &rtp, &rtcp))
        attach_to_member(self, &rtp, &rtcp);
    ss_dtls_handshake_finish(&self->handshake, &out);
}

typedef enum verdict { DROP, PASS } verdict;

/* Not locked. Decrypts in place. */
static verdict decrypt(dtls_srtp *self, unsigned index, int is_rtcp, void *packet, pj_ssize_t *size)
{
    verdict result = DROP;
    int length = (int)*size;
    srtp_err_status_t status = srtp_err_status_no_ctx;
    srtp_t session;

    pthread_mutex_lock(&self->handshake.lock);
    session = self->handshake.channels[ss_dtls_handshake_uses(&self->handshake, index) ? index : SS_DTLS_RTP].rx;
    if (self->handshake.phase == SS_DTLS_PLAIN) {
        result = PASS;
    } else if (self->handshake.phase == SS_DTLS_SECURE && session) {
        status = is_rtcp ? srtp_unprotect_rtcp(session, packet, &length) : srtp_unprotect(session, packet, &length);
        if (status == srtp_err_status_ok) {
            *size = length;
            result = PASS;
        }
    }
    pthread_mutex_unlock(&self->handshake.lock);
    if (result == DROP)
        SS_COUNT(rejected_srtp);
    return result;
}

static pjmedia_transport_attach_param upper(dtls_srtp *self)
{
    pjmedia_transport_attach_param up;

    pthread_mutex_lock(&self->handshake.lock);
    up = self->up;
    pthread_mutex_unlock(&self->handshake.lock);
    return up;
}

/* callback: pjmedia_transport rtp | thread: media worker or worker (ICE) | gil: no | locks: none | lifetime: group lock */
static void on_rtp(pjmedia_tp_cb_param *param)
{
    dtls_srtp *self = param->user_data;
    pjmedia_transport_attach_param up;
    pjmedia_tp_cb_param inner = *param;
    pj_sockaddr copy;
    const pj_sockaddr *source = NULL;
    int is_rtcp;

    if (param->src_addr) {
        copy = *(const pj_sockaddr *)param->src_addr;       /* another thread that attaches resets the transport's own under our feet */
        if (copy.addr.sa_family == pj_AF_INET() || copy.addr.sa_family == pj_AF_INET6())
            source = &copy;
    }
    if (param->size > 0) {
        if (ss_dtls_is_record(param->pkt, (size_t)param->size)) {
            receive_dtls(self, SS_DTLS_RTP, param->pkt, (size_t)param->size, source);
            return;
        }
        if (ss_is_keep_alive(param->pkt, (size_t)param->size))
            return;
        is_rtcp = ss_is_rtcp(param->pkt, (size_t)param->size);
        if (decrypt(self, SS_DTLS_RTP, is_rtcp, param->pkt, &inner.size) == DROP)
            return;
    } else {
        is_rtcp = 0;
    }
    up = upper(self);
    inner.user_data = up.user_data;
    if (is_rtcp && up.rtcp_cb) {
        up.rtcp_cb(up.user_data, inner.pkt, inner.size);
    } else if (up.rtp_cb2) {
        up.rtp_cb2(&inner);
        param->rem_switch = inner.rem_switch;
    }
}

/* callback: pjmedia_transport rtcp | thread: media worker or worker (ICE) | gil: no | locks: none | lifetime: group lock */
static void on_rtcp(void *user, void *packet, pj_ssize_t size)
{
    dtls_srtp *self = user;
    pjmedia_transport_attach_param up;

    if (size > 0) {
        if (ss_dtls_is_record(packet, (size_t)size)) {
            receive_dtls(self, SS_DTLS_RTCP, packet, (size_t)size, NULL);
            return;
        }
        if (ss_is_keep_alive(packet, (size_t)size) || decrypt(self, SS_DTLS_RTCP, 1, packet, &size) == DROP)
            return;
    }
    up = upper(self);
    if (up.rtcp_cb)
        up.rtcp_cb(up.user_data, packet, size);
}

/* Into `buffer`, which is of libsrtp's size; 0 = nothing may be sent now. */
static int encrypt(dtls_srtp *self, int is_rtcp, const void *packet, size_t size, void *buffer)
{
    int length = (int)size;
    srtp_err_status_t status = srtp_err_status_no_ctx;

    memcpy(buffer, packet, size);
    pthread_mutex_lock(&self->handshake.lock);
    if (self->handshake.phase == SS_DTLS_PLAIN) {
        status = srtp_err_status_ok;
    } else if (self->handshake.phase == SS_DTLS_SECURE) {
        srtp_t session = self->handshake.channels[is_rtcp && !self->handshake.agreed.mux ? SS_DTLS_RTCP : SS_DTLS_RTP].tx;

        if (session)
            status = is_rtcp ? srtp_protect_rtcp(session, buffer, &length) : srtp_protect(session, buffer, &length);
    }
    pthread_mutex_unlock(&self->handshake.lock);
    return status == srtp_err_status_ok ? length : 0;
}

#define MAX_PACKET (PJMEDIA_MAX_MTU - SRTP_MAX_TRAILER_LEN)

static pj_status_t dtls_send_rtp(pjmedia_transport *transport, const void *packet, pj_size_t size)
{
    dtls_srtp *self = (dtls_srtp *)transport;
    uint32_t buffer[PJMEDIA_MAX_MTU / 4 + 1];
    int length;

    if (size > MAX_PACKET)
        return PJ_ETOOBIG;
    length = encrypt(self, 0, packet, size, buffer);
    return length ? pjmedia_transport_send_rtp(self->member, buffer, (pj_size_t)length) : PJ_SUCCESS;
}

static pj_status_t dtls_send_rtcp2(pjmedia_transport *transport, const pj_sockaddr_t *address, unsigned address_length, const void *packet, pj_size_t size)
{
    dtls_srtp *self = (dtls_srtp *)transport;
    uint32_t buffer[PJMEDIA_MAX_MTU / 4 + 1];
    int length;

    if (size > MAX_PACKET)
        return PJ_ETOOBIG;
    length = encrypt(self, 1, packet, size, buffer);
    return length ? pjmedia_transport_send_rtcp2(self->member, address, address_length, buffer, (pj_size_t)length) : PJ_SUCCESS;
}

static pj_status_t dtls_send_rtcp(pjmedia_transport *transport, const void *packet, pj_size_t size)
{
    return dtls_send_rtcp2(transport, NULL, 0, packet, size);
}

/* ---- the other operations of a transport ------------------------------------------------------------------------------------ */

static pj_status_t attach_to_member(dtls_srtp *self, const pj_sockaddr *rtp, const pj_sockaddr *rtcp)
{
    pjmedia_transport_attach_param param;

    memset(&param, 0, sizeof param);
    param.media_type = PJMEDIA_TYPE_AUDIO;
    param.user_data = self;
    param.rem_addr = *rtp;
    param.rem_rtcp = *rtcp;
    param.addr_len = pj_sockaddr_get_len(rtp);
    param.rtp_cb2 = on_rtp;
    param.rtcp_cb = on_rtcp;
    return pjmedia_transport_attach2(self->member, &param);
}

/* The address that the handshake was made with is known better than the signalled one. */
static pj_status_t dtls_attach2(pjmedia_transport *transport, pjmedia_transport_attach_param *param)
{
    dtls_srtp *self = (dtls_srtp *)transport;
    pj_sockaddr rtp = param->rem_addr, rtcp = param->rem_rtcp;
    pj_status_t status;

    pthread_mutex_lock(&self->handshake.lock);
    self->up = *param;
    if (self->handshake.source.addr.sa_family && pj_sockaddr_cmp(&rtp, &self->handshake.agreed.rtp) == 0) {
        rtp = self->handshake.source;
        if (self->handshake.agreed.mux)
            rtcp = rtp;
    }
    pthread_mutex_unlock(&self->handshake.lock);
    status = attach_to_member(self, &rtp, &rtcp);
    self->attached = status == PJ_SUCCESS;
    if (status != PJ_SUCCESS) {
        pthread_mutex_lock(&self->handshake.lock);
        memset(&self->up, 0, sizeof self->up);
        pthread_mutex_unlock(&self->handshake.lock);
    }
    return status;
}

/* Waits for the callbacks that run, as the member does. */
static void dtls_detach(pjmedia_transport *transport, void *user)
{
    dtls_srtp *self = (dtls_srtp *)transport;

    (void)user;
    pthread_mutex_lock(&self->handshake.lock);
    memset(&self->up, 0, sizeof self->up);
    pthread_mutex_unlock(&self->handshake.lock);
    self->attached = 0;
    pjmedia_transport_detach(self->member, self);
}

static pj_status_t dtls_get_info(pjmedia_transport *transport, pjmedia_transport_info *info)
{
    return pjmedia_transport_get_info(((dtls_srtp *)transport)->member, info);
}

static void make_tls_id(char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    uint8_t random[TLS_ID_SIZE - 1];

    RAND_bytes(random, sizeof random);
    for (unsigned i = 0; i < sizeof random; i++)
        text[i] = letters[random[i] & 63];
    text[TLS_ID_SIZE - 1] = '\0';
}

static pj_status_t dtls_media_create(pjmedia_transport *transport, pj_pool_t *pool, unsigned options, const pjmedia_sdp_session *remote, unsigned index)
{
    dtls_srtp *self = (dtls_srtp *)transport;
    ss_dtls_fingerprints peer;
    pj_status_t status = PJ_SUCCESS;

    if (remote) {
        status = ss_dtls_find_fingerprints(remote, index, &peer);
        if (status == PJ_ENOTFOUND)
            status = ss_dtls_may_be_plain(self->mandatory, remote->media[index]);
        else if (status == PJ_SUCCESS && ss_dtls_find_setup(remote, index, SS_DTLS_ACTIVE) == SS_DTLS_NO_SETUP)
            status = PJMEDIA_SRTP_ESDPAMBIGUEANS;
    }
    if (status != PJ_SUCCESS)
        return status;
    make_tls_id(self->tls_id);
    return pjmedia_transport_media_create(self->member, pool, options | PJMEDIA_TPMED_NO_TRANSPORT_CHECKING, remote, index);
}

static pj_status_t dtls_media_start(pjmedia_transport *transport, pj_pool_t *pool, const pjmedia_sdp_session *local, const pjmedia_sdp_session *remote,
                                    unsigned index)
{
    dtls_srtp *self = (dtls_srtp *)transport;
    ss_dtls_terms agreed;
    pj_status_t status = ss_dtls_agree(self->mandatory, local, remote, index, &agreed);

    if (status != PJ_SUCCESS)
        return status;
    status = ss_dtls_handshake_apply(&self->handshake, &agreed);
    /* First, as the member reads from its start on: a handshake that the peer has begun already would be lost. */
    if (status == PJ_SUCCESS && !self->attached) {
        status = attach_to_member(self, &agreed.rtp, &agreed.rtcp);
        self->attached = status == PJ_SUCCESS;
    }
    if (status == PJ_SUCCESS)
        status = pjmedia_transport_media_start(self->member, pool, local, remote, index);
    return status;
}

static pj_status_t dtls_media_stop(pjmedia_transport *transport)
{
    dtls_srtp *self = (dtls_srtp *)transport;

    if (self->attached)
        dtls_detach(transport, NULL);
    ss_dtls_handshake_stop(&self->handshake);
    return pjmedia_transport_media_stop(self->member);
}

static pj_status_t dtls_simulate_lost(pjmedia_transport *transport, pjmedia_dir direction, unsigned percent)
{
    return pjmedia_transport_simulate_lost(((dtls_srtp *)transport)->member, direction, percent);
}

static pj_status_t dtls_destroy(pjmedia_transport *transport)
{
    dtls_srtp *self = (dtls_srtp *)transport;
    pj_grp_lock_t *group = self->base.grp_lock;

    ss_dtls_handshake_stop(&self->handshake);
    pjmedia_transport_close(self->member);
    pj_grp_lock_dec_ref(group);
    return PJ_SUCCESS;
}

/* callback: pj_grp_lock destroy | thread: any | gil: no | locks: none | lifetime: the last moment */
static void on_destroy(void *user)
{
    dtls_srtp *self = user;

    ss_dtls_handshake_free(&self->handshake);
    pj_pool_release(self->pool);
}

static pjmedia_transport_op operations = {
    .get_info = dtls_get_info,
    .detach = dtls_detach,
    .send_rtp = dtls_send_rtp,
    .send_rtcp = dtls_send_rtcp,
    .send_rtcp2 = dtls_send_rtcp2,
    .media_create = dtls_media_create,
    .encode_sdp = dtls_encode_sdp,
    .media_start = dtls_media_start,
    .media_stop = dtls_media_stop,
    .simulate_lost = dtls_simulate_lost,
    .destroy = dtls_destroy,
    .attach2 = dtls_attach2,
};

pj_status_t ss_dtls_srtp_create(ss_handle rtp, pjmedia_transport *member, int mandatory, unsigned limit_ms, pjmedia_transport **transport)
{
    pj_status_t status = ss_srtp_init();
    pj_pool_t *pool;
    dtls_srtp *self;

    if (status != PJ_SUCCESS)
        return status;
    if (!member->grp_lock)
        return PJ_EINVALIDOP;
    pool = ss_pool_create("dtls", 3000, 500);
    if (!pool)
        return PJ_ENOMEM;
    self = PJ_POOL_ZALLOC_T(pool, dtls_srtp);
    self->pool = pool;
    status = ss_dtls_handshake_init(&self->handshake, rtp, member, limit_ms);
    if (status != PJ_SUCCESS) {
        pj_pool_release(pool);
        return status;
    }
    self->member = member;
    self->mandatory = mandatory;
    self->base.op = &operations;
    self->base.type = PJMEDIA_TRANSPORT_TYPE_SRTP;
    self->base.grp_lock = member->grp_lock;
    pj_ansi_strxcpy(self->base.name, "dtls", sizeof self->base.name);
    pj_grp_lock_add_ref(member->grp_lock);
    pj_grp_lock_add_handler(member->grp_lock, NULL, self, on_destroy);
    *transport = &self->base;
    return PJ_SUCCESS;
}

int ss_dtls_srtp_get_suite(pjmedia_transport *transport, char *buffer, size_t size)
{
    dtls_srtp *self = (dtls_srtp *)transport;
    const char *suite;

    pthread_mutex_lock(&self->handshake.lock);
    suite = self->handshake.phase == SS_DTLS_SECURE ? self->handshake.suite : NULL;
    pthread_mutex_unlock(&self->handshake.lock);
    if (suite)
        pj_ansi_strxcpy(buffer, suite, size);
    return suite != NULL;
}

int ss_dtls_srtp_is_authentic(pjmedia_transport *transport)
{
    dtls_srtp *self = (dtls_srtp *)transport;
    int result;

    pthread_mutex_lock(&self->handshake.lock);
    result = self->handshake.phase != SS_DTLS_PLAIN;
    pthread_mutex_unlock(&self->handshake.lock);
    return result;
}
