/* The handshakes of a DTLS-SRTP transport. See dtls_handshake.h. */
#include "dtls_handshake.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pjlib.h>
#include <pjsip.h>

#include "engine.h"
#include "events.h"
#include "rtp_transport.h"

#define MAX_TRIES 5                     /* associations that something has broken, before the handshake counts as failed */
#define RETRY_MS 500                    /* until a client tries again */
#define MAX_SEND_TRIES 200
#define MTU 1200                        /* of datagrams of the handshake: for tunnels on the way, and relays */
#define WINDOW 1024                     /* packets: how late one may come */

/* ---- phases ------------------------------------------------------------------------------------------------------------ */

typedef enum input { IN_PLAIN, IN_BEGIN, IN_PATH, IN_KEYS, IN_FAIL, IN_STOP, INPUTS } input;

#define X (-1)

static const signed char transitions[SS_DTLS_PHASES][INPUTS] = {
    /*                       PLAIN          BEGIN            PATH               KEYS            FAIL            STOP */
    [SS_DTLS_IDLE]      = {  SS_DTLS_PLAIN, SS_DTLS_WAITING, X,                 X,              X,              SS_DTLS_IDLE },
    [SS_DTLS_PLAIN]     = {  SS_DTLS_PLAIN, SS_DTLS_WAITING, X,                 X,              X,              SS_DTLS_IDLE },
    /* KEYS: a client may be faster than our ICE */
    [SS_DTLS_WAITING]   = {  SS_DTLS_PLAIN, SS_DTLS_WAITING, SS_DTLS_HANDSHAKE, SS_DTLS_SECURE, SS_DTLS_FAILED, SS_DTLS_IDLE },
    [SS_DTLS_HANDSHAKE] = {  SS_DTLS_PLAIN, SS_DTLS_WAITING, X,                 SS_DTLS_SECURE, SS_DTLS_FAILED, SS_DTLS_IDLE },
    [SS_DTLS_SECURE]    = {  SS_DTLS_PLAIN, SS_DTLS_WAITING, X,                 X,              X,              SS_DTLS_IDLE },
    [SS_DTLS_FAILED]    = {  SS_DTLS_PLAIN, SS_DTLS_WAITING, X,                 X,              X,              SS_DTLS_IDLE },
};

#undef X

/* Locked. The only writer of `phase`. 0 = the input is not for this phase. */
static int fire(ss_dtls_handshake *self, input in)
{
    int next = transitions[self->phase][in];

    if (next < 0)
        return 0;
    self->phase = (ss_dtls_phase)next;
    return 1;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
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

static void drop_keys(ss_dtls_channel *of)
{
    if (of->tx)
        srtp_dealloc(of->tx);
    if (of->rx)
        srtp_dealloc(of->rx);
    of->tx = of->rx = NULL;
}

/* Locked. */
static void drop_associations(ss_dtls_handshake *self)
{
    for (unsigned i = 0; i < SS_DTLS_CHANNELS; i++) {
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

static void init_outcome(ss_dtls_outcome *out)
{
    memset(out, 0, sizeof *out);
    out->status = PJ_EPENDING;
}

int ss_dtls_handshake_uses(const ss_dtls_handshake *self, unsigned index)
{
    return index == SS_DTLS_RTP || !self->agreed.mux;
}

/* Locked. A handshake that has come to nothing: no media will pass. */
static void give_up(ss_dtls_handshake *self, const char *reason, ss_dtls_outcome *out)
{
    if (!fire(self, IN_FAIL))
        return;
    for (unsigned i = 0; i < SS_DTLS_CHANNELS; i++)
        drop_keys(&self->channels[i]);
    self->suite = NULL;
    out->status = PJMEDIA_SRTP_DTLS_EFPNOTMATCH;
    pj_ansi_strxcpy(out->reason, reason, sizeof out->reason);
}

/* Locked. */
static pj_status_t take_keys(ss_dtls_handshake *self, ss_dtls_channel *of, const char **suite)
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
static void conclude(ss_dtls_handshake *self, unsigned index, ss_dtls_result result, ss_dtls_outcome *out)
{
    ss_dtls_channel *of = &self->channels[index];
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
        } else if (index == SS_DTLS_RTP && fire(self, IN_KEYS)) {
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
        if (++of->tries >= MAX_TRIES && index == SS_DTLS_RTP) {
            give_up(self, self->reason, out);
        } else {
            of->dtls = ss_dtls_create(self->identity, self->agreed.client, &self->agreed.peer, MTU);
            of->retry_ns = self->agreed.client ? now_ns() + RETRY_MS * 1000000LL : 0;
        }
        return;
    }
}

/* Locked. Milliseconds until the timer must run, -1 = it need not. */
static int next_timeout(ss_dtls_handshake *self)
{
    int64_t now = now_ns(), left = -1;

    if (self->phase != SS_DTLS_WAITING && self->phase != SS_DTLS_HANDSHAKE && self->phase != SS_DTLS_SECURE)
        return -1;
    if (self->phase == SS_DTLS_HANDSHAKE)
        left = (self->deadline_ns - now) / 1000000;
    for (unsigned i = 0; i < SS_DTLS_CHANNELS; i++) {
        ss_dtls_channel *of = &self->channels[i];
        int64_t wait = of->retry_ns ? (of->retry_ns - now) / 1000000 : of->dtls && !of->tx ? ss_dtls_next_timeout(of->dtls) : -1;

        if (of->retry_ns && wait < 0)
            wait = 0;
        if (wait >= 0 && (left < 0 || wait < left))
            left = wait;
    }
    return left < 0 ? (self->phase == SS_DTLS_HANDSHAKE ? 0 : -1) : (int)left;
}

static void on_timer(pj_timer_heap_t *heap, pj_timer_entry *entry);

/* Not locked. The timer is set to what the associations want now. The heap calls nobody under its own lock, so it may be used under ours. */
static void set_timer(ss_dtls_handshake *self)
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
        pj_timer_heap_schedule_w_grp_lock(heap, &self->timer, &delay, 1, self->group);
    }
    pthread_mutex_unlock(&self->lock);
}

/* To 0.0.0.0, which the kernel would take for this host, nothing is sent (RFC 3264 section 8.4); ICE has addresses of its own. */
static void send_datagram(ss_dtls_handshake *self, unsigned index, const ss_dtls_datagram *datagram)
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
        if (index == SS_DTLS_RTP)
            status = pjmedia_transport_send_rtp(self->member, datagram->data, datagram->size);
        else
            status = pjmedia_transport_send_rtcp(self->member, datagram->data, datagram->size);
    }
}

void ss_dtls_handshake_finish(ss_dtls_handshake *self, ss_dtls_outcome *out)
{
    for (unsigned i = 0; i < SS_DTLS_CHANNELS; i++) {
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
    ss_dtls_handshake *self = entry->user_data;
    ss_dtls_outcome out;

    (void)heap;
    init_outcome(&out);
    pthread_mutex_lock(&self->lock);
    if (self->phase == SS_DTLS_HANDSHAKE && now_ns() >= self->deadline_ns) {
        give_up(self, self->reason[0] ? self->reason : "no DTLS handshake in time", &out);
    } else if (self->phase == SS_DTLS_WAITING || self->phase == SS_DTLS_HANDSHAKE || self->phase == SS_DTLS_SECURE) {
        for (unsigned i = 0; i < SS_DTLS_CHANNELS; i++) {
            ss_dtls_channel *of = &self->channels[i];

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
    ss_dtls_handshake_finish(self, &out);
}

void ss_dtls_handshake_path_ready(ss_dtls_handshake *self)
{
    ss_dtls_outcome out;

    init_outcome(&out);
    pthread_mutex_lock(&self->lock);
    if (fire(self, IN_PATH)) {
        self->deadline_ns = now_ns() + self->limit_ms * 1000000LL;
        for (unsigned i = 0; self->agreed.client && i < SS_DTLS_CHANNELS; i++) {
            if (self->channels[i].dtls)
                conclude(self, i, ss_dtls_start(self->channels[i].dtls), &out);
        }
    }
    pthread_mutex_unlock(&self->lock);
    ss_dtls_handshake_finish(self, &out);
}

/* Locked. Whether a datagram of a handshake may be the peer's; without ICE it may come from another address than the signalled one, to be answered there. */
static int is_peers(ss_dtls_handshake *self, unsigned index, const pj_sockaddr *source, int *moved)
{
    *moved = 0;
    if (index != SS_DTLS_RTP || !source || self->phase == SS_DTLS_SECURE)
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

int ss_dtls_handshake_receive(ss_dtls_handshake *self, unsigned index, const void *data, size_t size, const pj_sockaddr *source,
                              ss_dtls_outcome *out, pj_sockaddr *rtp, pj_sockaddr *rtcp)
{
    ss_dtls_channel *of = &self->channels[index];
    int moved = 0;

    init_outcome(out);
    pthread_mutex_lock(&self->lock);
    if (of->dtls && self->phase >= SS_DTLS_WAITING && self->phase != SS_DTLS_FAILED && ss_dtls_handshake_uses(self, index)
        && is_peers(self, index, source, &moved)) {
        conclude(self, index, ss_dtls_receive(of->dtls, data, size), out);
        *rtp = self->source;
        *rtcp = self->agreed.mux ? self->source : self->agreed.rtcp;
    } else {
        moved = 0;
    }
    pthread_mutex_unlock(&self->lock);
    return moved;
}

/* ---- begin and end ------------------------------------------------------------------------------------------------------- */

/* Locked. */
static pj_status_t begin_associations(ss_dtls_handshake *self)
{
    drop_associations(self);
    for (unsigned i = 0; i < SS_DTLS_CHANNELS; i++) {
        if (!ss_dtls_handshake_uses(self, i))
            continue;
        self->channels[i].dtls = ss_dtls_create(self->identity, self->agreed.client, &self->agreed.peer, MTU);
        if (!self->channels[i].dtls)
            return PJ_ENOMEM;
    }
    return PJ_SUCCESS;
}

/* Locked. The associations are those of `agreed`, or none for plain media. */
static pj_status_t apply(ss_dtls_handshake *self, const ss_dtls_terms *agreed)
{
    int same = self->phase >= SS_DTLS_WAITING && self->phase != SS_DTLS_FAILED && ss_dtls_is_same_association(&self->agreed, agreed);

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

pj_status_t ss_dtls_handshake_apply(ss_dtls_handshake *self, const ss_dtls_terms *agreed)
{
    pj_status_t status;

    pthread_mutex_lock(&self->lock);
    status = apply(self, agreed);
    pthread_mutex_unlock(&self->lock);
    set_timer(self);
    return status;
}

void ss_dtls_handshake_stop(ss_dtls_handshake *self)
{
    pthread_mutex_lock(&self->lock);
    drop_associations(self);
    memset(&self->agreed, 0, sizeof self->agreed);
    fire(self, IN_STOP);
    pthread_mutex_unlock(&self->lock);
    set_timer(self);
}

pj_status_t ss_dtls_handshake_init(ss_dtls_handshake *self, ss_handle rtp, pjmedia_transport *member, unsigned limit_ms)
{
    self->identity = ss_dtls_identity_create();
    if (!self->identity)
        return PJ_ENOMEM;
    self->member = member;
    self->group = member->grp_lock;
    self->rtp = rtp;
    self->limit_ms = limit_ms;
    pthread_mutex_init(&self->lock, NULL);
    pj_timer_entry_init(&self->timer, 0, self, on_timer);
    return PJ_SUCCESS;
}

void ss_dtls_handshake_free(ss_dtls_handshake *self)
{
    drop_associations(self);
    ss_dtls_identity_free(self->identity);
    pthread_mutex_destroy(&self->lock);
}
