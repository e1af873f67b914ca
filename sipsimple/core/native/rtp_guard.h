/*
 * What a received media packet must be before a stream sees it, and whom it may come from.
 *
 * Plain RTP has nothing but addresses to tell the peer from a stranger, and a peer behind a NAT does not even send from the address it
 * signalled. So the first source that is heard counts, the signalled one always does, and another one only when the one that was heard
 * last has been silent for a while. A stranger who floods the port is not heard at all, and above all does not get our media.
 *
 * RTCP is judged alike. But its first packet comes seconds after the first of RTP, and a stranger might be faster: so it must come from the host of one
 * of the addresses that are known to be the peer's.
 */
#ifndef SS_RTP_GUARD_H
#define SS_RTP_GUARD_H

#include <stddef.h>
#include <stdint.h>

#include <pj/sock.h>

/* Whether it is an RTP packet (RFC 3550 sections 5.1 and A.1), as far as its own bytes tell. */
int ss_rtp_is_valid(const void *packet, size_t size);
/* Whether it is a compound of RTCP packets whose lengths add up (RFC 3550 section A.2; RFC 5506: any packet may be first). */
int ss_rtcp_is_valid(const void *packet, size_t size);
/* By its second byte RTCP, when both come to one port (RFC 5761 section 4). */
int ss_is_rtcp(const void *packet, size_t size);
/* Something that may come to a media port without being an error: a keep-alive (RFC 6263 section 4) or STUN (RFC 8489). */
int ss_is_keep_alive(const void *packet, size_t size);

/* One thread at a time: the one that receives. All zero is its initial state. */
typedef struct ss_rtp_guard {
    pj_sockaddr owner;                  /* the first source; it may come back at any time */
    pj_sockaddr current;                /* the source of the media now */
    int64_t heard_ns;                   /* when it was heard last */
} ss_rtp_guard;

typedef enum ss_rtp_source { SS_SOURCE_STRANGER, SS_SOURCE_CURRENT, SS_SOURCE_CHANGED } ss_rtp_source;

/* How long the current source must be silent before another one may take its place: longer than a jitter buffer bridges ... */
#define SS_RTP_SILENCE_NS 500000000LL
/* ... and five reports of RTCP (RFC 3550 section 6.3.5). */
#define SS_RTCP_SILENCE_NS 25000000000LL

/* Judge the source of a valid packet; CHANGED makes it the current one. `now_ns` is of a clock that never goes back. */
ss_rtp_source ss_rtp_guard_judge(ss_rtp_guard *guard, const pj_sockaddr *signalled, const pj_sockaddr *source, int64_t now_ns,
                                 int64_t silence_ns);
int ss_is_same_host(const pj_sockaddr *one, const pj_sockaddr *other);

#endif
