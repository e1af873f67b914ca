/*
 * The handshakes of a DTLS-SRTP transport and the keys they give: what happens when, until there are keys or none will be. The associations are
 * in dtls.c, what both sides agreed on comes from dtls_sdp.c, packets and the operations of the transport are in dtls_srtp.c.
 *
 * With a=rtcp-mux there is one association, else one for RTP and one for RTCP (RFC 5764 section 4.1), of which that for RTP decides: without the
 * other there are no reports.
 *
 * Locks: `lock` guards all that callbacks, the timer and the callers of the RTP transport share, what the transport itself has of that included.
 * Nothing of PJSIP but the timer heap is called under it; datagrams and events of a step are collected in an `ss_dtls_outcome`, and sent behind it.
 * Threads: a handshake goes on in who receives (a media worker, or the worker with ICE), in the timer (worker), and in who starts media or finds a path.
 * Lifetime: the group lock of the transport below, which the timer holds as well while it runs.
 */
#ifndef SS_DTLS_HANDSHAKE_H
#define SS_DTLS_HANDSHAKE_H

#include <pthread.h>

#include <pjmedia.h>
#include <srtp2/srtp.h>

#include "core.h"
#include "dtls.h"
#include "dtls_sdp.h"
#include "rtp_guard.h"

enum { SS_DTLS_RTP, SS_DTLS_RTCP, SS_DTLS_CHANNELS };

typedef enum ss_dtls_phase {
    SS_DTLS_IDLE,                       /* no media */
    SS_DTLS_PLAIN,                      /* the peer does not encrypt, and need not */
    SS_DTLS_WAITING,                    /* for a way to the peer */
    SS_DTLS_HANDSHAKE,
    SS_DTLS_SECURE,
    SS_DTLS_FAILED,
    SS_DTLS_PHASES
} ss_dtls_phase;

typedef struct ss_dtls_channel {
    ss_dtls *dtls;
    srtp_t tx, rx;                      /* NULL: no keys (yet) */
    unsigned tries;
    int64_t retry_ns;                   /* when a client begins anew; 0 = it need not */
} ss_dtls_channel;

typedef struct ss_dtls_handshake {
    pjmedia_transport *member;          /* these five do not change */
    pj_grp_lock_t *group;               /* the member's */
    ss_handle rtp;
    unsigned limit_ms;
    ss_dtls_identity *identity;
    pthread_mutex_t lock;               /* what follows */
    ss_dtls_phase phase;
    ss_dtls_terms agreed;
    ss_dtls_channel channels[SS_DTLS_CHANNELS];
    const char *suite;                  /* a constant; NULL = none */
    char reason[200];                   /* of the last association that broke */
    int64_t deadline_ns;
    pj_timer_entry timer;
    ss_rtp_guard guard;                 /* of the handshake, without ICE */
    pj_sockaddr source;                 /* where the handshake came from, when that is not the signalled address */
} ss_dtls_handshake;

/* What a step leaves to be done when the lock is released. */
typedef struct ss_dtls_outcome {
    ss_dtls_datagram *output[SS_DTLS_CHANNELS];
    pj_status_t status;                 /* PJ_EPENDING: nothing to tell */
    const char *suite;
    char reason[200];
} ss_dtls_outcome;

/* `rtp` gets SS_EV_RTP_SECURE. PJ_ENOMEM: there is nothing to be freed. */
pj_status_t ss_dtls_handshake_init(ss_dtls_handshake *self, ss_handle rtp, pjmedia_transport *member, unsigned limit_ms);
/* Nobody uses it any more. */
void ss_dtls_handshake_free(ss_dtls_handshake *self);

/* Media begin or go on with these terms: the associations are theirs, or none for plain media. */
pj_status_t ss_dtls_handshake_apply(ss_dtls_handshake *self, const ss_dtls_terms *agreed);
/* There is a way to the peer. Idempotent. */
void ss_dtls_handshake_path_ready(ss_dtls_handshake *self);
/* Media end. */
void ss_dtls_handshake_stop(ss_dtls_handshake *self);

/*
 * A datagram of DTLS has come. 1 = from another address than before, and it is to be answered there: attach the transport to `rtp` and `rtcp` before
 * ss_dtls_handshake_finish() sends the answer.
 */
int ss_dtls_handshake_receive(ss_dtls_handshake *self, unsigned index, const void *data, size_t size, const pj_sockaddr *source,
                              ss_dtls_outcome *outcome, pj_sockaddr *rtp, pj_sockaddr *rtcp);
/* Not locked. Sends and tells what a step left, and sets the timer. */
void ss_dtls_handshake_finish(ss_dtls_handshake *self, ss_dtls_outcome *outcome);
/* Locked. Whether there is an association for this: for RTCP only without a=rtcp-mux. */
int ss_dtls_handshake_uses(const ss_dtls_handshake *self, unsigned index);

#endif
