/*
 * A leg: the transport that a PJMEDIA stream sees, between it and the RTP transport; one per stream.
 *
 * It is where a stream can be cut off at once, though its end must wait until the bridge has let go of its port; so the RTP transport
 * can serve the next stream in the meantime. It also knows where packets come from and how many, and can change the remote address.
 */
#ifndef SS_LEG_H
#define SS_LEG_H

#include <pjmedia.h>

#include "core.h"
#include "rtp_guard.h"
#include "rtp_transport.h"

/* A telephone-event: what all its packets have in common. As they come. */
typedef struct ss_pressed {
    int known;
    uint32_t ssrc, timestamp;
} ss_pressed;

struct ss_leg {
    pjmedia_transport base;             /* first */
    pj_pool_t *pool;
    ss_rtp *rtp;                        /* a reference */
    ss_handle mixer;
    unsigned slot;
    pjmedia_stream *stream;
    pjmedia_transport *top;             /* what we are attached to ... */
    pj_grp_lock_t *top_lock;            /* ... and a reference to its lock, which keeps its memory */
    int active;                         /* atomic */
    int sending;                        /* atomic: threads inside a send */
    unsigned packets;                   /* atomic */
    unsigned sent, sent_before;         /* RTP packets: atomic, and those of them that the last keep-alive knew of */
    pj_timer_entry keep_alive;          /* holds the group lock of the stream while it runs */
    pjmedia_transport_attach_param attached;    /* callbacks and signalled addresses */
    pj_sockaddr source;                 /* receiving thread only, as what follows */
    ss_rtp_guard guard, rtcp_guard;
    uint32_t ssrc;                      /* of the last packet, as it comes, when ... */
    int has_ssrc;                       /* ... there was one */
    ss_pressed pressed, told;           /* the last digit that came, and the last that came to the stream before this one */
    pj_sockaddr sent_to;                /* where the transport sends to, by the last change of source */
    int authenticated;                  /* atomic; SRTP: who has the key is the peer, wherever it is */
    int rebound;                        /* atomic: what the receiving thread must begin anew, for another remote address */
    int event_pt, sent_event_pt;        /* payload types of telephone-events, -1 without: those that come, and ours */
    unsigned digits_begun;              /* atomic: those of ours that the peer has at least a packet of */
    pthread_mutex_t lock;               /* the next one; nothing is called under it */
    pj_sockaddr rtcp_to;                /* where RTCP goes, when that is not the signalled address; family 0 = that one */
};

/*
 * A stream with these parameters, attached to the RTP transport, whose `ops` is held; not in a bridge yet. Its DTMF events carry `owner`.
 */
pj_status_t ss_leg_start(ss_rtp *rtp, ss_handle mixer, const pjmedia_stream_info *info, ss_handle owner, ss_leg **leg);
/* ops not held: the bridge may make us wait for a tick. On failure the leg is gone. */
pj_status_t ss_leg_enter_bridge(ss_leg *leg, unsigned volume_percent);
/* Tell the peer, cut off. ops held. */
void ss_leg_cut(ss_leg *leg);
/* A leg that was cut off gives way to another of the same stream: a digit that is under way is not told once more. */
void ss_leg_succeed(const ss_leg *old, ss_leg *fresh);
/* A leg that was cut off leaves the bridge, and then ends. ops not held; does not wait. */
void ss_leg_leave_bridge(ss_leg *leg);
/* New SDPs hold: they may have brought encryption, or taken it away. ops held. */
void ss_leg_media_changed(ss_leg *leg);
/* No packet goes in or out from here on. Idempotent; ops held. */
void ss_leg_detach(ss_leg *leg);
/* Send to these addresses, keep everything else; no-op when they are the signalled ones already. ops held. */
void ss_leg_rebind(ss_leg *leg, const pj_sockaddr *rtp, const pj_sockaddr *rtcp);
/* The same with the addresses of an SDP. */
pj_status_t ss_leg_rebind_sdp(ss_leg *leg, const pjmedia_sdp_session *remote, unsigned index);

#endif
