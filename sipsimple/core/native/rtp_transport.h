/*
 * RTP transports: a pair of UDP sockets or an ICE transport, with SRTP (by SDES or by DTLS) around it when asked for.
 *
 * Two locks per transport. `ops` makes API calls follow one another and is held while PJMEDIA works; no callback takes it.
 * `lock` guards the few fields that callbacks change (state, ICE results) and is never held across a PJ call.
 */
#ifndef SS_RTP_TRANSPORT_H
#define SS_RTP_TRANSPORT_H

#include <pthread.h>

#include <pjmedia.h>
#include <pjnath.h>

#include "core.h"

typedef enum ss_rtp_state {
    SS_RTP_NULL, SS_RTP_WAIT_STUN, SS_RTP_INIT, SS_RTP_LOCAL, SS_RTP_REMOTE, SS_RTP_ESTABLISHED, SS_RTP_INVALID, SS_RTP_STATES
} ss_rtp_state;

typedef enum ss_rtp_encryption {
    SS_ENC_NONE, SS_ENC_SDES_OPTIONAL, SS_ENC_SDES_MANDATORY, SS_ENC_DTLS_OPTIONAL, SS_ENC_DTLS_MANDATORY
} ss_rtp_encryption;
typedef enum ss_turn_transport { SS_TURN_UDP, SS_TURN_TCP, SS_TURN_TLS } ss_turn_transport;

/* Names in _rtp_transport.pyx. */
typedef enum ss_ice_state {
    SS_ICE_NULL, SS_ICE_GATHERING, SS_ICE_GATHERING_COMPLETE, SS_ICE_NEGOTIATION_START, SS_ICE_NEGOTIATING, SS_ICE_RUNNING,
    SS_ICE_FAILED
} ss_ice_state;

/* Texts are copied. NULL or "" = not given. */
typedef struct ss_rtp_params {
    int encryption, use_ice, ipv6;
    const char *bind_address;           /* NULL = every address */
    unsigned port_first, port_count;    /* for ICE; UDP pairs come from ss_rtp_ports_next() */
    const char *stun_server;
    unsigned stun_port;
    const char *turn_server, *turn_username, *turn_password;
    unsigned turn_port;
    int turn_transport;
    const char *turn_tls_name;          /* whom the certificate of the TURN server must be for */
    const char *turn_ca_file;           /* trusted authorities, for ... */
    int turn_verify;
    unsigned dtls_limit_ms;             /* for a handshake */
    unsigned keep_alive_ms;             /* without RTP of ours, until a keep-alive is sent; 0 = none */
} ss_rtp_params;

#define SS_ADDRESS_SIZE (PJ_INET6_ADDRSTRLEN + 2)

typedef struct ss_rtp_info {
    int state, ice_active, srtp_active, turn_failed;
    char local_address[SS_ADDRESS_SIZE], remote_address[SS_ADDRESS_SIZE];       /* "" = none */
    unsigned local_port, remote_port;
    char srtp_suite[40];                /* "" = none */
} ss_rtp_info;

/* ---- for _rtp_transport.pyx ------------------------------------------------------------------------------------ */

pj_status_t ss_rtp_create(const ss_rtp_params *params, ss_handle *handle);
/* PJ_EINVALIDOP: not from this state. Then SS_EV_RTP_INIT follows, when it came from NULL. */
pj_status_t ss_rtp_set_init(ss_handle handle);
pj_status_t ss_rtp_set_local(ss_handle handle, unsigned index);
pj_status_t ss_rtp_set_remote(ss_handle handle, const char *remote, size_t remote_length, unsigned index);
pj_status_t ss_rtp_set_established(ss_handle handle, const char *local, size_t local_length, const char *remote,
                                   size_t remote_length, unsigned index);
/*
 * Rewrite the transport's lines (connection, port, rtcp, candidate, ICE credentials, crypto, RTP profile) of one stream. `remote`
 * NULL = the SDP is an offer. *text is malloc'ed.
 */
pj_status_t ss_rtp_encode_sdp(ss_handle handle, const char *local, size_t local_length, const char *remote, size_t remote_length,
                              unsigned index, char **text, size_t *length);
pj_status_t ss_rtp_rebind(ss_handle handle, const char *remote, size_t remote_length, unsigned index);
/* Also for a dead handle: state INVALID. `full` = with addresses and SRTP, which may wait for another call to end. */
void ss_rtp_get_info(ss_handle handle, int full, ss_rtp_info *info);

/* ---- inside the core ------------------------------------------------------------------------------------------- */

typedef struct ss_leg ss_leg;           /* leg.h: what is attached to the transport */

typedef struct ss_rtp {
    ss_object object;
    pj_pool_t *pool;
    ss_rtp_params params;
    pthread_mutex_t ops;
    pjmedia_transport *base;            /* ops: UDP or ICE */
    pjmedia_transport *srtp;            /* ops: around base, or NULL; of SDES */
    pjmedia_transport *dtls;            /* ops: the same of DTLS */
    ss_leg *leg;                        /* ops: borrowed, of the media that runs */
    pthread_mutex_t lock;
    ss_rtp_state state;                 /* lock */
    ss_ice_state ice_state;             /* lock */
    pj_timestamp ice_started;           /* lock */
    unsigned gathering;                 /* lock: number of the gathering under way */
    unsigned relayed;                   /* lock: relayed candidates it has found */
    int without_turn;                   /* ops: the TURN server gave no relay in time */
    char ice_ufrag[PJ_ICE_UFRAG_LEN + 1];       /* ops: ours, in the negotiation last begun */
    pj_timer_entry gather_timer;        /* ops; holds a reference while it runs */
    int gather_timer_runs;              /* ops */
    pj_sockaddr local, ice_local, ice_remote;   /* lock; the ICE pair of the RTP component */
    pj_sockaddr source;                 /* lock: where the last accepted packet came from */
} ss_rtp;

static inline pjmedia_transport *ss_rtp_top(const ss_rtp *self)
{
    return self->dtls ? self->dtls : self->srtp ? self->srtp : self->base;
}

/* Parsed SDPs, ops held. `initial` = this is set_ESTABLISHED, else new SDPs for media that run. */
pj_status_t ss_rtp_media_start(ss_rtp *self, pj_pool_t *pool, const pjmedia_sdp_session *local, const pjmedia_sdp_session *remote,
                               unsigned index, int initial);
/* The same as ss_rtp_encode_sdp() with parsed SDPs; ops held. */
pj_status_t ss_rtp_encode(ss_rtp *self, pj_pool_t *pool, pjmedia_sdp_session *local, const pjmedia_sdp_session *remote, unsigned index);
/* Addresses for an m= line; ops held. */
pj_status_t ss_rtp_sock_info(ss_rtp *self, pjmedia_sock_info *info);
/* Media ends: back to INIT. */
void ss_rtp_media_stop(ss_rtp *self);
void ss_rtp_set_source(ss_rtp *self, const pj_sockaddr *source);
int ss_rtp_is_ready(const ss_rtp *self);        /* LOCAL, REMOTE or ESTABLISHED */
/* The base transport works: WAIT_STUN -> INIT, notify. Or it does not: INVALID. ops held. */
void ss_rtp_initialized(ss_rtp *self, pj_status_t status);
void ss_rtp_set_ice_state(ss_rtp *self, ss_ice_state state);

/* Sockets, or the beginning of the gathering; from state WAIT_STUN, ops held. On failure nothing is left open. */
pj_status_t ss_rtp_open(ss_rtp *self);
void ss_rtp_close(ss_rtp *self);                /* ops held */
ss_rtp_state ss_rtp_get_state(const ss_rtp *self);

/* ---- ice.c ------------------------------------------------------------------------------------------------------ */
/* Begin to gather; SS_EV_RTP_INIT follows, at the latest when the servers have had their time. ops held. */
pj_status_t ss_ice_create(ss_rtp *self, pjmedia_transport **transport);
/* The gathering ends. ops held. */
void ss_ice_stop_gathering(ss_rtp *self);
/* Around the start of media with new SDPs: do checks begin? ops held. */
void ss_ice_media_starting(ss_rtp *self);
/* `offered` = the peer has ICE in these. When there is none all the same, that is told as a failed negotiation. */
void ss_ice_media_started(ss_rtp *self, int offered);
int ss_ice_is_negotiating(ss_rtp *self);

/* ---- srtp_cipher.c ---------------------------------------------------------------------------------------------- */
/* libsrtp and its ciphers, once for each run of the media endpoint. Any thread. */
pj_status_t ss_srtp_init(void);

/* ---- srtp.c ----------------------------------------------------------------------------------------------------- */
pj_status_t ss_srtp_create(ss_rtp *self);
/* Fresh keys, and the suites for this role. `remote` NULL = we offer. */
pj_status_t ss_srtp_prepare(ss_rtp *self, const pjmedia_sdp_media *remote);
/* Mandatory: an answer of ours without keys is an error. */
pj_status_t ss_srtp_check_answer(const ss_rtp *self, const pjmedia_sdp_media *local);
/* Mandatory: running media without keys is an error. */
pj_status_t ss_srtp_check_started(const ss_rtp *self);
int ss_srtp_get_suite(const ss_rtp *self, char *buffer, size_t size);      /* 1 = active; for DTLS as well */
/* Whether only the peer can have sent what is received. */
int ss_srtp_is_authentic(const ss_rtp *self);

/* ---- sdp_names.c ------------------------------------------------------------------------------------------------- */
/*
 * What the peer has sent, as ss_sdp_parse(); in the stream `index` no host name is left, as PJMEDIA would have it looked up by the system's resolver.
 * `use_ice` = we do. PJMEDIA_EINVALIDIP: media would have to go to a name.
 */
pj_status_t ss_sdp_parse_remote(pj_pool_t *pool, const char *text, size_t length, unsigned index, int use_ice, pjmedia_sdp_session **sdp);
/* Whether the peer has ICE, with candidates of use. */
int ss_sdp_has_ice(const pjmedia_sdp_session *remote, unsigned index);

/* ---- media_sdp.c ------------------------------------------------------------------------------------------------- */
/* The text is copied. `index` must name a stream: PJMEDIA_SDP_EMISSINGMEDIA. */
pj_status_t ss_sdp_parse(pj_pool_t *pool, const char *text, size_t length, unsigned index, pjmedia_sdp_session **sdp);
/* malloc'ed. */
pj_status_t ss_sdp_print(const pjmedia_sdp_session *sdp, char **text, size_t *length);
/* A session whose stream `index` is `media` and whose others are rejected ones. */
pjmedia_sdp_session *ss_sdp_wrap(pj_pool_t *pool, pjmedia_sdp_media *media, unsigned index);
/* Where the peer wants RTP and RTCP; `mux` = both on one port (RFC 5761). */
pj_status_t ss_sdp_remote_addresses(const pjmedia_sdp_session *remote, unsigned index, int mux, pj_sockaddr *rtp, pj_sockaddr *rtcp);
/* Connection, port and a=rtcp as the transport has them; what the transport wrote there before is removed. */
void ss_sdp_set_transport(pj_pool_t *pool, pjmedia_sdp_media *media, const pjmedia_sock_info *info);
/*
 * An audio stream with its codecs. `codecs`: names separated by newlines, most preferred first; NULL = those enabled in the engine.
 */
pj_status_t ss_sdp_audio_media(pj_pool_t *pool, const char *codecs, const char *direction, const pjmedia_sock_info *info,
                               pjmedia_sdp_media **media);
/* Drop the formats of `local` that stand before the first codec which `remote` has as well. */
void ss_sdp_narrow(pj_pool_t *pool, pjmedia_sdp_media *local, const pjmedia_sdp_media *remote);

#endif
