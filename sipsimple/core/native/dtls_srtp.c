/*
 * DTLS-SRTP. See dtls_srtp.h; the associations are in dtls.c.
 *
 * With a=rtcp-mux there is one association, else one for RTP and one for RTCP (RFC 5764 section 4.1), of which that for RTP decides: without the
 * other there are no reports.
 *
 * Locks: `lock` guards all that callbacks, the timer and the callers of the RTP transport share. Nothing of PJSIP but the timer heap is called under
 * it; datagrams and events of a step are collected, and sent behind it. Threads: SDP operations with `ops` of the RTP transport held; packets in a media worker or
 * (ICE) in the worker; the timer in the worker. Lifetime: the group lock of the transport below, which the timer holds as well while it runs.
 */
#include "dtls_srtp.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>
#include <pjlib.h>
#include <pjsip.h>
#include <srtp2/srtp.h>

#include "dtls.h"
#include "engine.h"
#include "events.h"
#include "mixer.h"
#include "rtp_guard.h"
#include "rtp_transport.h"

enum { RTP, RTCP, CHANNELS };

#define MAX_TRIES 5                     /* associations that something has broken, before the handshake counts as failed */
#define RETRY_MS 500                    /* until a client tries again */
#define MAX_SEND_TRIES 200
#define MTU 1200                        /* of datagrams of the handshake: for tunnels on the way, and relays */
#define WINDOW 1024                     /* packets: how late one may come */
#define TLS_ID_SIZE 21                  /* 20 characters, RFC 8842 section 5.1 */
#define MAX_TLS_ID 256
#define PROFILE "UDP/TLS/RTP/SAVP"
#define OPTIONAL_PROFILE "RTP/AVP"      /* RFC 8643 */
#define PROFILE_SIZE 24

/* ---- phases ------------------------------------------------------------------------------------------------------------ */

typedef enum phase {
    IDLE,                               /* no media */
    PLAIN,                              /* the peer does not encrypt, and need not */
    WAITING,                            /* for a way to the peer */
    HANDSHAKE,
    SECURE,
    FAILED,
    PHASES
} phase;

typedef enum input { IN_PLAIN, IN_BEGIN, IN_PATH, IN_KEYS, IN_FAIL, IN_STOP, INPUTS } input;

#define X (-1)

static const signed char transitions[PHASES][INPUTS] = {
    /*               PLAIN  BEGIN    PATH       KEYS    FAIL    STOP */
    [IDLE]      = {  PLAIN, WAITING, X,         X,      X,      IDLE },
    [PLAIN]     = {  PLAIN, WAITING, X,         X,      X,      IDLE },
    [WAITING]   = {  PLAIN, WAITING, HANDSHAKE, SECURE, FAILED, IDLE },     /* KEYS: a client may be faster than our ICE */
    [HANDSHAKE] = {  PLAIN, WAITING, X,         SECURE, FAILED, IDLE },
    [SECURE]    = {  PLAIN, WAITING, X,         X,      X,      IDLE },
    [FAILED]    = {  PLAIN, WAITING, X,         X,      X,      IDLE },
};

#undef X

typedef struct channel {
    ss_dtls *dtls;
    srtp_t tx, rx;                      /* NULL: no keys (yet) */
    unsigned tries;
    int64_t retry_ns;                   /* when a client begins anew; 0 = it need not */
} channel;

/* What a pair of SDPs agrees on. */
typedef struct terms {
    int plain, client, mux;
    ss_dtls_fingerprints peer;
    char tls_id[MAX_TLS_ID];            /* the peer's, "" = none */
    char profile[PROFILE_SIZE];
    pj_sockaddr rtp, rtcp;              /* the peer's */
} terms;

typedef struct dtls_srtp {
    pjmedia_transport base;             /* first */
    pj_pool_t *pool;
    pjmedia_transport *member;
    ss_handle rtp;
    int mandatory;
    unsigned limit_ms;
    ss_dtls_identity *identity;
    char tls_id[TLS_ID_SIZE];           /* ours */
    int attached;                       /* ops: to the member */
    pthread_mutex_t lock;               /* what follows */
    phase phase;
    terms agreed;
    channel channels[CHANNELS];
    const char *suite;                  /* a constant; NULL = none */
    char reason[200];                   /* of the last association that broke */
    int64_t deadline_ns;
    pj_timer_entry timer;
    ss_rtp_guard guard;                 /* of the handshake, without ICE */
    pj_sockaddr source;                 /* where the handshake came from, when that is not the signalled address */
    pjmedia_transport_attach_param up;  /* of who is attached to us; zero = nobody */
} dtls_srtp;

/* Locked. The only writer of `phase`. 0 = the input is not for this phase. */
static int fire(dtls_srtp *self, input in)
{
    int next = transitions[self->phase][in];

    if (next < 0)
        return 0;
    self->phase = (phase)next;
    return 1;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* ---- SDP --------------------------------------------------------------------------------------------------------------- */

/* The attribute of the stream, else that of the session. */
static const pjmedia_sdp_attr *find(const pjmedia_sdp_session *sdp, unsigned index, const char *name)
{
    const pjmedia_sdp_attr *found = pjmedia_sdp_media_find_attr2(sdp->media[index], name, NULL);

    return found ? found : pjmedia_sdp_attr_find2(sdp->attr_count, sdp->attr, name, NULL);
}

static int add_fingerprints(ss_dtls_fingerprints *found, unsigned count, pjmedia_sdp_attr *const *attributes, int *malformed)
{
    int any = 0;

    for (unsigned i = 0; i < count; i++) {
        if (pj_stricmp2(&attributes[i]->name, "fingerprint") != 0)
            continue;
        any = 1;
        if (!ss_dtls_add_fingerprint(found, attributes[i]->value.ptr, (size_t)attributes[i]->value.slen))
            *malformed = 1;
    }
    return any;
}

/* RFC 8122 section 5: those of the stream replace those of the session. PJ_ENOTFOUND: there are none. */
static pj_status_t find_fingerprints(const pjmedia_sdp_session *sdp, unsigned index, ss_dtls_fingerprints *found)
{
    int malformed = 0;

    memset(found, 0, sizeof *found);
    if (!add_fingerprints(found, sdp->media[index]->attr_count, sdp->media[index]->attr, &malformed)
        && !add_fingerprints(found, sdp->attr_count, sdp->attr, &malformed))
        return PJ_ENOTFOUND;
    if (malformed)
        return PJMEDIA_SDP_EINATTR;
    return found->count ? PJ_SUCCESS : PJMEDIA_SRTP_DTLS_ENOFPRINT;     /* only hashes that we cannot check */
}

static int is_secure(const pjmedia_sdp_media *media)
{
    return PJMEDIA_TP_PROTO_HAS_FLAG(pjmedia_sdp_transport_get_proto(&media->desc.transport), PJMEDIA_TP_PROFILE_SRTP);
}

typedef enum setup { ACTIVE, PASSIVE, ACTPASS, NO_SETUP } setup;

static const char *const setups[] = { "active", "passive", "actpass" };

/* RFC 4145 section 4; `missing` is what holds without the attribute. */
static setup find_setup(const pjmedia_sdp_session *sdp, unsigned index, setup missing)
{
    const pjmedia_sdp_attr *attribute = find(sdp, index, "setup");

    if (!attribute)
        return missing;
    for (unsigned i = 0; i < PJ_ARRAY_SIZE(setups); i++) {
        if (pj_stricmp2(&attribute->value, setups[i]) == 0)
            return (setup)i;
    }
    return NO_SETUP;                    /* holdconn, too: there would be no keys */
}

static void copy_tls_id(const pjmedia_sdp_session *sdp, unsigned index, char *text)
{
    const pjmedia_sdp_attr *attribute = find(sdp, index, "tls-id");

    text[0] = '\0';
    if (attribute && attribute->value.slen < MAX_TLS_ID)
        pj_ansi_snprintf(text, MAX_TLS_ID, "%.*s", (int)attribute->value.slen, attribute->value.ptr);
}

static int has_mux(const pjmedia_sdp_session *sdp, unsigned index)
{
    return pjmedia_sdp_media_find_attr2(sdp->media[index], "rtcp-mux", NULL) != NULL;
}

/* Whether media without encryption are right for what the peer's SDP says. */
static pj_status_t may_be_plain(const dtls_srtp *self, const pjmedia_sdp_media *remote)
{
    if (is_secure(remote))
        return PJMEDIA_SRTP_DTLS_ENOFPRINT;
    return self->mandatory ? PJMEDIA_SRTP_ESDPREQSECTP : PJ_SUCCESS;
}

static pj_status_t agree(const dtls_srtp *self, const pjmedia_sdp_session *local, const pjmedia_sdp_session *remote, unsigned index, terms *agreed)
{
    setup ours = find_setup(local, index, NO_SETUP), theirs = find_setup(remote, index, ours == ACTIVE ? PASSIVE : ACTIVE);
    pj_status_t status;

    memset(agreed, 0, sizeof *agreed);
    agreed->mux = has_mux(local, index) && has_mux(remote, index);
    status = ss_sdp_remote_addresses(remote, index, agreed->mux, &agreed->rtp, &agreed->rtcp);
    if (status != PJ_SUCCESS)
        return status;
    status = find_fingerprints(remote, index, &agreed->peer);
    if (status == PJ_ENOTFOUND) {
        agreed->plain = 1;
        return may_be_plain(self, remote->media[index]);
    }
    if (status != PJ_SUCCESS)
        return status;
    if (ours == NO_SETUP || theirs == NO_SETUP || ours == theirs)
        return PJMEDIA_SRTP_ESDPAMBIGUEANS;
    agreed->client = ours == ACTIVE || theirs == PASSIVE;
    copy_tls_id(remote, index, agreed->tls_id);
    pj_ansi_snprintf(agreed->profile, sizeof agreed->profile, "%.*s", (int)local->media[index]->desc.transport.slen,
                     local->media[index]->desc.transport.ptr);
    return PJ_SUCCESS;
}

/* RFC 8842 section 4. Another address is no reason by itself; a peer that does not keep its association says so by the others. */
static int is_same_association(const terms *one, const terms *other)
{
    return !one->plain && !other->plain && one->client == other->client && one->mux == other->mux
           && memcmp(&one->peer, &other->peer, sizeof one->peer) == 0 && strcmp(one->tls_id, other->tls_id) == 0;
}

static void add(pj_pool_t *pool, pjmedia_sdp_media *media, const char *name, const char *value)
{
    pj_str_t text;
    pjmedia_sdp_attr *attribute = pjmedia_sdp_attr_create(pool, name, value ? pj_cstr(&text, value) : NULL);

    if (attribute)
        pjmedia_sdp_attr_add(&media->attr_count, media->attr, attribute);
}

/* The role for an answer: the running association's if there may be one, else the client, which saves the offerer a round trip (RFC 5763 section 5). */
static pj_status_t answer_setup(dtls_srtp *self, const pjmedia_sdp_session *remote, unsigned index, setup *answer)
{
    setup theirs = find_setup(remote, index, ACTIVE);

    pthread_mutex_lock(&self->lock);
    if (theirs == ACTPASS)
        *answer = self->phase >= WAITING && !self->agreed.client ? PASSIVE : ACTIVE;
    else
        *answer = theirs == ACTIVE ? PASSIVE : ACTIVE;
    pthread_mutex_unlock(&self->lock);
    return theirs == NO_SETUP ? PJMEDIA_SRTP_ESDPAMBIGUEANS : PJ_SUCCESS;
}

static pj_status_t dtls_encode_sdp(pjmedia_transport *transport, pj_pool_t *pool, pjmedia_sdp_session *local, const pjmedia_sdp_session *remote,
                                   unsigned index)
{
    dtls_srtp *self = (dtls_srtp *)transport;
    pjmedia_sdp_media *media = local->media[index];
    ss_dtls_fingerprints peer;
    char profile[PROFILE_SIZE];
    setup role = ACTPASS;
    pj_status_t status = pjmedia_transport_encode_sdp(self->member, pool, local, remote, index);

    if (status != PJ_SUCCESS)
        return status;
    if (remote) {
        status = find_fingerprints(remote, index, &peer);
        if (status == PJ_ENOTFOUND)
            return may_be_plain(self, remote->media[index]);
        if (status == PJ_SUCCESS)
            status = answer_setup(self, remote, index, &role);
        if (status != PJ_SUCCESS)
            return status;
        media->desc.transport = remote->media[index]->desc.transport;
    } else {
        pthread_mutex_lock(&self->lock);
        pj_ansi_strxcpy(profile, self->mandatory ? PROFILE : OPTIONAL_PROFILE, sizeof profile);
        if (self->phase >= WAITING) {
            /* Named, not "actpass": a peer that chose anew could only choose wrong. */
            role = self->agreed.client ? ACTIVE : PASSIVE;
            pj_ansi_strxcpy(profile, self->agreed.profile, sizeof profile);
        }
        pthread_mutex_unlock(&self->lock);
        media->desc.transport = pj_strdup3(pool, profile);
    }
    add(pool, media, "setup", setups[role]);
    add(pool, media, "fingerprint", ss_dtls_identity_fingerprint(self->identity));
    add(pool, media, "tls-id", self->tls_id);
    return PJ_SUCCESS;
}

/* ---- keys ---------------------------------------------------------------------------------------------------------------- */

static pj_status_t make_session(const ss_dtls_keys *keys, const uint8_t *key, srtp_ssrc_type_t direction, srtp_t *session)
{
    srtp_policy_t policy;
    uint8_t copy[SS_DTLS_MAX_KEY];

    memset(&policy, 0, sizeof policy);
    memcpy(copy, key, sizeof copy);
    if (strcmp(keys->suite, "AEAD_AES_128_GCM") == 0) {
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
    } else if (strcmp(keys->suite, "AEAD_AES_256_GCM") == 0) {
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp);
    } else {
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
        if (strcmp(keys->suite, "AES_CM_128_HMAC_SHA1_32") == 0)
            srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&policy.rtp);        /* of RTP only, RFC 5764 section 4.1.2 */
    }
    policy.ssrc.type = direction;
    policy.key = copy;
    policy.window_size = WINDOW;
    return srtp_create(session, &policy) == srtp_err_status_ok ? PJ_SUCCESS : PJ_ENOMEM;
}

static void drop_keys(channel *of)
{
    if (of->tx)
        srtp_dealloc(of->tx);
    if (of->rx)
        srtp_dealloc(of->rx);
    of->tx = of->rx = NULL;
}

/* Locked. */
static void drop_associations(dtls_srtp *self)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        drop_keys(&self->channels[i]);
        ss_dtls_free(self->channels[i].dtls);
        memset(&self->channels[i], 0, sizeof self->channels[i]);
    }
    self->suite = NULL;
    self->reason[0] = '\0';
    memset(&self->guard, 0, sizeof self->guard);
    memset(&self->source, 0, sizeof self->source);
}

/* ---- steps of a handshake ---------------------------------------------------------------------------------------------- */

/* What a step leaves to be done when the lock is released. */
typedef struct outcome {
    ss_dtls_datagram *output[CHANNELS];
    pj_status_t status;                 /* PJ_EPENDING: nothing to tell */
    const char *suite;
    char reason[200];
} outcome;

static void init_outcome(outcome *out)
{
    memset(out, 0, sizeof *out);
    out->status = PJ_EPENDING;
}

static int is_used(const dtls_srtp *self, unsigned index)
{
    return index == RTP || !self->agreed.mux;
}

/* Locked. A handshake that has come to nothing: no media will pass. */
static void give_up(dtls_srtp *self, const char *reason, outcome *out)
{
    if (!fire(self, IN_FAIL))
        return;
    for (unsigned i = 0; i < CHANNELS; i++)
        drop_keys(&self->channels[i]);
    self->suite = NULL;
    out->status = PJMEDIA_SRTP_DTLS_EFPNOTMATCH;
    pj_ansi_strxcpy(out->reason, reason, sizeof out->reason);
}

/* Locked. */
static pj_status_t take_keys(dtls_srtp *self, channel *of, const char **suite)
{
    ss_dtls_keys keys;
    pj_status_t status;

    if (!ss_dtls_get_keys(of->dtls, &keys))
        return PJMEDIA_SRTP_DTLS_ENOCRYPTO;
    status = make_session(&keys, keys.tx, ssrc_any_outbound, &of->tx);
    if (status == PJ_SUCCESS)
        status = make_session(&keys, keys.rx, ssrc_any_inbound, &of->rx);
    memset(&keys.tx, 0, sizeof keys.tx);
    memset(&keys.rx, 0, sizeof keys.rx);
    if (status != PJ_SUCCESS)
        drop_keys(of);
    *suite = keys.suite;
    return status;
}

/* Locked. What became of an association by the step just made. */
static void conclude(dtls_srtp *self, unsigned index, ss_dtls_result result, outcome *out)
{
    channel *of = &self->channels[index];
    ss_dtls_datagram **end = &out->output[index];
    const char *suite;

    while (*end)
        end = &(*end)->next;
    *end = ss_dtls_take_output(of->dtls);
    switch (result) {
    case SS_DTLS_GOES_ON:
        return;
    case SS_DTLS_DONE:
        if (take_keys(self, of, &suite) != PJ_SUCCESS) {
            give_up(self, ss_dtls_error(of->dtls), out);
        } else if (index == RTP && fire(self, IN_KEYS)) {
            self->suite = out->suite = suite;
            out->status = PJ_SUCCESS;
        }
        return;
    case SS_DTLS_REFUSED:
        give_up(self, ss_dtls_error(of->dtls), out);
        return;
    case SS_DTLS_BROKEN:
        /* Garbage, perhaps of a stranger: a handshake may still come. */
        pj_ansi_strxcpy(self->reason, ss_dtls_error(of->dtls), sizeof self->reason);
        ss_dtls_free(of->dtls);
        of->dtls = NULL;
        if (++of->tries >= MAX_TRIES && index == RTP) {
            give_up(self, self->reason, out);
        } else {
            of->dtls = ss_dtls_create(self->identity, self->agreed.client, &self->agreed.peer, MTU);
            of->retry_ns = self->agreed.client ? now_ns() + RETRY_MS * 1000000LL : 0;
        }
        return;
    }
}

/* Locked. Milliseconds until the timer must run, -1 = it need not. */
static int next_timeout(dtls_srtp *self)
{
    int64_t now = now_ns(), left = -1;

    if (self->phase != WAITING && self->phase != HANDSHAKE && self->phase != SECURE)
        return -1;
    if (self->phase == HANDSHAKE)
        left = (self->deadline_ns - now) / 1000000;
    for (unsigned i = 0; i < CHANNELS; i++) {
        channel *of = &self->channels[i];
        int64_t wait = of->retry_ns ? (of->retry_ns - now) / 1000000 : of->dtls && !of->tx ? ss_dtls_next_timeout(of->dtls) : -1;

        if (of->retry_ns && wait < 0)
            wait = 0;
        if (wait >= 0 && (left < 0 || wait < left))
            left = wait;
    }
    return left < 0 ? (self->phase == HANDSHAKE ? 0 : -1) : (int)left;
}

static void on_timer(pj_timer_heap_t *heap, pj_timer_entry *entry);

/* Not locked. The timer is set to what the associations want now. The heap calls nobody under its own lock, so it may be used under ours. */
static void set_timer(dtls_srtp *self)
{
    pj_timer_heap_t *heap = ss_endpoint() ? pjsip_endpt_get_timer_heap(ss_endpoint()) : NULL;
    pj_time_val delay = { 0, 0 };
    int wait;

    if (!heap)
        return;
    pthread_mutex_lock(&self->lock);
    pj_timer_heap_cancel_if_active(heap, &self->timer, 0);
    wait = next_timeout(self);
    if (wait >= 0) {
        delay.msec = wait;
        pj_time_val_normalize(&delay);
        pj_timer_heap_schedule_w_grp_lock(heap, &self->timer, &delay, 1, self->base.grp_lock);
    }
    pthread_mutex_unlock(&self->lock);
}

/* To 0.0.0.0, which the kernel would take for this host, nothing is sent (RFC 3264 section 8.4); ICE has addresses of its own. */
static void send_datagram(dtls_srtp *self, unsigned index, const ss_dtls_datagram *datagram)
{
    pj_status_t status = PJ_EBUSY;
    int known;

    pthread_mutex_lock(&self->lock);
    known = self->member->type != PJMEDIA_TRANSPORT_TYPE_UDP || self->source.addr.sa_family || pj_sockaddr_has_addr(&self->agreed.rtp);
    pthread_mutex_unlock(&self->lock);
    if (!known)
        return;
    /* Busy is a UDP transport in which another thread is sending, for microseconds when it is not interrupted: an alert would not be repeated. */
    for (unsigned tries = 0; status == PJ_EBUSY && tries < MAX_SEND_TRIES; tries++) {
        if (tries)
            pj_thread_sleep(tries > 10);
        if (index == RTP)
            status = pjmedia_transport_send_rtp(self->member, datagram->data, datagram->size);
        else
            status = pjmedia_transport_send_rtcp(self->member, datagram->data, datagram->size);
    }
}

/* Not locked. */
static void finish(dtls_srtp *self, outcome *out)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        ss_dtls_datagram *datagram;

        while ((datagram = out->output[i])) {
            out->output[i] = datagram->next;
            send_datagram(self, i, datagram);
            free(datagram);
        }
    }
    if (out->status != PJ_EPENDING)
        ss_post_text(SS_EV_RTP_SECURE, self->rtp, out->status == PJ_SUCCESS, 0, out->status == PJ_SUCCESS ? out->suite : out->reason);
    set_timer(self);
}

/* callback: pj_timer | thread: worker | gil: no | locks: none | lifetime: group lock, held by the timer */
static void on_timer(pj_timer_heap_t *heap, pj_timer_entry *entry)
{
    dtls_srtp *self = entry->user_data;
    outcome out;

    (void)heap;
    init_outcome(&out);
    pthread_mutex_lock(&self->lock);
    if (self->phase == HANDSHAKE && now_ns() >= self->deadline_ns) {
        give_up(self, self->reason[0] ? self->reason : "no DTLS handshake in time", &out);
    } else if (self->phase == WAITING || self->phase == HANDSHAKE || self->phase == SECURE) {
        for (unsigned i = 0; i < CHANNELS; i++) {
            channel *of = &self->channels[i];

            if (!of->dtls || of->tx)
                continue;
            if (!of->retry_ns) {
                if (ss_dtls_next_timeout(of->dtls) == 0)
                    conclude(self, i, ss_dtls_timeout(of->dtls), &out);
            } else if (now_ns() >= of->retry_ns) {
                of->retry_ns = 0;
                conclude(self, i, ss_dtls_start(of->dtls), &out);
            }
        }
    }
    pthread_mutex_unlock(&self->lock);
    finish(self, &out);
}

void ss_dtls_srtp_path_ready(pjmedia_transport *transport)
{
    dtls_srtp *self = (dtls_srtp *)transport;
    outcome out;

    init_outcome(&out);
    pthread_mutex_lock(&self->lock);
    if (fire(self, IN_PATH)) {
        self->deadline_ns = now_ns() + self->limit_ms * 1000000LL;
        for (unsigned i = 0; self->agreed.client && i < CHANNELS; i++) {
            if (self->channels[i].dtls)
                conclude(self, i, ss_dtls_start(self->channels[i].dtls), &out);
        }
    }
    pthread_mutex_unlock(&self->lock);
    finish(self, &out);
}

/* ---- packets ------------------------------------------------------------------------------------------------------------- */

static pj_status_t attach_to_member(dtls_srtp *self, const pj_sockaddr *rtp, const pj_sockaddr *rtcp);

/* Locked. Whether a datagram of a handshake may be the peer's; without ICE it may come from another address than the signalled one, to be answered there. */
static int is_peers(dtls_srtp *self, unsigned index, const pj_sockaddr *source, int *moved)
{
    *moved = 0;
    if (index != RTP || !source || self->phase == SECURE)
        return 1;
    switch (ss_rtp_guard_judge(&self->guard, &self->agreed.rtp, source, now_ns(), SS_RTP_SILENCE_NS)) {
    case SS_SOURCE_STRANGER:
        SS_COUNT(stranger_rtp);
        return 0;
    case SS_SOURCE_CHANGED:
        *moved = pj_sockaddr_cmp(source, self->source.addr.sa_family ? &self->source : &self->agreed.rtp) != 0;
        self->source = *source;
        break;
    case SS_SOURCE_CURRENT:
        break;
    }
    return 1;
}

static void receive_dtls(dtls_srtp *self, unsigned index, const void *data, size_t size, const pj_sockaddr *source)
{
    pj_sockaddr rtp, rtcp;
    channel *of = &self->channels[index];
    outcome out;
    int moved = 0;

    init_outcome(&out);
    pthread_mutex_lock(&self->lock);
    if (of->dtls && self->phase >= WAITING && self->phase != FAILED && is_used(self, index) && is_peers(self, index, source, &moved)) {
        conclude(self, index, ss_dtls_receive(of->dtls, data, size), &out);
        rtp = self->source;
        rtcp = self->agreed.mux ? self->source : self->agreed.rtcp;
    } else {
        moved = 0;
    }
    pthread_mutex_unlock(&self->lock);
    if (moved)
        attach_to_member(self, &rtp, &rtcp);
    finish(self, &out);
}

typedef enum verdict { DROP, PASS } verdict;

/* Not locked. Decrypts in place. */
static verdict decrypt(dtls_srtp *self, unsigned index, int is_rtcp, void *packet, pj_ssize_t *size)
{
    verdict result = DROP;
    int length = (int)*size;
    srtp_err_status_t status = srtp_err_status_no_ctx;
    srtp_t session;

    pthread_mutex_lock(&self->lock);
    session = self->channels[is_used(self, index) ? index : RTP].rx;
    if (self->phase == PLAIN) {
        result = PASS;
    } else if (self->phase == SECURE && session) {
        status = is_rtcp ? srtp_unprotect_rtcp(session, packet, &length) : srtp_unprotect(session, packet, &length);
        if (status == srtp_err_status_ok) {
            *size = length;
            result = PASS;
        }
    }
    pthread_mutex_unlock(&self->lock);
    if (result == DROP)
        SS_COUNT(rejected_srtp);
    return result;
}

static pjmedia_transport_attach_param upper(dtls_srtp *self)
{
    pjmedia_transport_attach_param up;

    pthread_mutex_lock(&self->lock);
    up = self->up;
    pthread_mutex_unlock(&self->lock);
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
            receive_dtls(self, RTP, param->pkt, (size_t)param->size, source);
            return;
        }
        if (ss_is_keep_alive(param->pkt, (size_t)param->size))
            return;
        is_rtcp = ss_is_rtcp(param->pkt, (size_t)param->size);
        if (decrypt(self, RTP, is_rtcp, param->pkt, &inner.size) == DROP)
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
            receive_dtls(self, RTCP, packet, (size_t)size, NULL);
            return;
        }
        if (ss_is_keep_alive(packet, (size_t)size) || decrypt(self, RTCP, 1, packet, &size) == DROP)
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
    pthread_mutex_lock(&self->lock);
    if (self->phase == PLAIN) {
        status = srtp_err_status_ok;
    } else if (self->phase == SECURE) {
        srtp_t session = self->channels[is_rtcp && !self->agreed.mux ? RTCP : RTP].tx;

        if (session)
            status = is_rtcp ? srtp_protect_rtcp(session, buffer, &length) : srtp_protect(session, buffer, &length);
    }
    pthread_mutex_unlock(&self->lock);
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

    pthread_mutex_lock(&self->lock);
    self->up = *param;
    if (self->source.addr.sa_family && pj_sockaddr_cmp(&rtp, &self->agreed.rtp) == 0) {
        rtp = self->source;
        if (self->agreed.mux)
            rtcp = rtp;
    }
    pthread_mutex_unlock(&self->lock);
    status = attach_to_member(self, &rtp, &rtcp);
    self->attached = status == PJ_SUCCESS;
    if (status != PJ_SUCCESS) {
        pthread_mutex_lock(&self->lock);
        memset(&self->up, 0, sizeof self->up);
        pthread_mutex_unlock(&self->lock);
    }
    return status;
}

/* Waits for the callbacks that run, as the member does. */
static void dtls_detach(pjmedia_transport *transport, void *user)
{
    dtls_srtp *self = (dtls_srtp *)transport;

    (void)user;
    pthread_mutex_lock(&self->lock);
    memset(&self->up, 0, sizeof self->up);
    pthread_mutex_unlock(&self->lock);
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
        status = find_fingerprints(remote, index, &peer);
        if (status == PJ_ENOTFOUND)
            status = may_be_plain(self, remote->media[index]);
        else if (status == PJ_SUCCESS && find_setup(remote, index, ACTIVE) == NO_SETUP)
            status = PJMEDIA_SRTP_ESDPAMBIGUEANS;
    }
    if (status != PJ_SUCCESS)
        return status;
    make_tls_id(self->tls_id);
    return pjmedia_transport_media_create(self->member, pool, options | PJMEDIA_TPMED_NO_TRANSPORT_CHECKING, remote, index);
}

/* Locked. */
static pj_status_t begin_associations(dtls_srtp *self)
{
    drop_associations(self);
    for (unsigned i = 0; i < CHANNELS; i++) {
        if (!is_used(self, i))
            continue;
        self->channels[i].dtls = ss_dtls_create(self->identity, self->agreed.client, &self->agreed.peer, MTU);
        if (!self->channels[i].dtls)
            return PJ_ENOMEM;
    }
    return PJ_SUCCESS;
}

/* Locked. The associations are those of `agreed`, or none for plain media. */
static pj_status_t apply(dtls_srtp *self, const terms *agreed)
{
    int same = self->phase >= WAITING && self->phase != FAILED && is_same_association(&self->agreed, agreed);

    if (pj_sockaddr_cmp(&self->agreed.rtp, &agreed->rtp) != 0)
        memset(&self->source, 0, sizeof self->source);
    self->agreed = *agreed;
    if (same)
        return PJ_SUCCESS;
    if (agreed->plain) {
        drop_associations(self);
        fire(self, IN_PLAIN);
        return PJ_SUCCESS;
    }
    fire(self, IN_BEGIN);
    return begin_associations(self);
}

static pj_status_t dtls_media_start(pjmedia_transport *transport, pj_pool_t *pool, const pjmedia_sdp_session *local, const pjmedia_sdp_session *remote,
                                    unsigned index)
{
    dtls_srtp *self = (dtls_srtp *)transport;
    terms agreed;
    pj_status_t status = agree(self, local, remote, index, &agreed);

    if (status != PJ_SUCCESS)
        return status;
    pthread_mutex_lock(&self->lock);
    status = apply(self, &agreed);
    pthread_mutex_unlock(&self->lock);
    set_timer(self);
    if (status == PJ_SUCCESS)
        status = pjmedia_transport_media_start(self->member, pool, local, remote, index);
    if (status == PJ_SUCCESS && !self->attached) {
        status = attach_to_member(self, &agreed.rtp, &agreed.rtcp);
        self->attached = status == PJ_SUCCESS;
    }
    return status;
}

static pj_status_t dtls_media_stop(pjmedia_transport *transport)
{
    dtls_srtp *self = (dtls_srtp *)transport;

    if (self->attached)
        dtls_detach(transport, NULL);
    pthread_mutex_lock(&self->lock);
    drop_associations(self);
    memset(&self->agreed, 0, sizeof self->agreed);
    fire(self, IN_STOP);
    pthread_mutex_unlock(&self->lock);
    set_timer(self);
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

    pthread_mutex_lock(&self->lock);
    drop_associations(self);
    fire(self, IN_STOP);
    pthread_mutex_unlock(&self->lock);
    set_timer(self);
    pjmedia_transport_close(self->member);
    pj_grp_lock_dec_ref(group);
    return PJ_SUCCESS;
}

/* callback: pj_grp_lock destroy | thread: any | gil: no | locks: none | lifetime: the last moment */
static void on_destroy(void *user)
{
    dtls_srtp *self = user;

    drop_associations(self);
    ss_dtls_identity_free(self->identity);
    pthread_mutex_destroy(&self->lock);
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
    self->identity = ss_dtls_identity_create();
    if (!self->identity) {
        pj_pool_release(pool);
        return PJ_ENOMEM;
    }
    self->member = member;
    self->rtp = rtp;
    self->mandatory = mandatory;
    self->limit_ms = limit_ms;
    pthread_mutex_init(&self->lock, NULL);
    pj_timer_entry_init(&self->timer, 0, self, on_timer);
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

    pthread_mutex_lock(&self->lock);
    suite = self->phase == SECURE ? self->suite : NULL;
    pthread_mutex_unlock(&self->lock);
    if (suite)
        pj_ansi_strxcpy(buffer, suite, size);
    return suite != NULL;
}

int ss_dtls_srtp_is_authentic(pjmedia_transport *transport)
{
    dtls_srtp *self = (dtls_srtp *)transport;
    int result;

    pthread_mutex_lock(&self->lock);
    result = self->phase != PLAIN;
    pthread_mutex_unlock(&self->lock);
    return result;
}
