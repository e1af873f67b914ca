/*
 * What DTLS-SRTP reads from SDP and writes to it (RFC 5763, 8122, 8842): fingerprints, roles, tls-ids; and what a pair of descriptions agrees on.
 * No state: functions of their arguments only.
 */
#ifndef SS_DTLS_SDP_H
#define SS_DTLS_SDP_H

#include <pjmedia.h>

#include "dtls.h"

#define SS_DTLS_MAX_TLS_ID 256
#define SS_DTLS_PROFILE_SIZE 24

/* RFC 4145 section 4. */
typedef enum ss_dtls_setup { SS_DTLS_ACTIVE, SS_DTLS_PASSIVE, SS_DTLS_ACTPASS, SS_DTLS_NO_SETUP } ss_dtls_setup;

/* What a pair of SDPs agrees on. */
typedef struct ss_dtls_terms {
    int plain, client, mux;
    ss_dtls_fingerprints peer;
    char tls_id[SS_DTLS_MAX_TLS_ID];    /* the peer's, "" = none */
    char profile[SS_DTLS_PROFILE_SIZE];
    pj_sockaddr rtp, rtcp;              /* the peer's */
} ss_dtls_terms;

/* RFC 8122 section 5: those of the stream replace those of the session. PJ_ENOTFOUND: there are none. */
pj_status_t ss_dtls_find_fingerprints(const pjmedia_sdp_session *sdp, unsigned index, ss_dtls_fingerprints *found);
/* `missing` is what holds without the attribute. */
ss_dtls_setup ss_dtls_find_setup(const pjmedia_sdp_session *sdp, unsigned index, ss_dtls_setup missing);
/* Whether media without encryption are right for what the peer's SDP says. */
pj_status_t ss_dtls_may_be_plain(int mandatory, const pjmedia_sdp_media *remote);
pj_status_t ss_dtls_agree(int mandatory, const pjmedia_sdp_session *local, const pjmedia_sdp_session *remote, unsigned index, ss_dtls_terms *agreed);
/* RFC 8842 section 4. Another address is no reason by itself; a peer that does not keep its association says so by the others. */
int ss_dtls_is_same_association(const ss_dtls_terms *one, const ss_dtls_terms *other);
/* Add what we say about ourselves to a media line. */
void ss_dtls_write_sdp(pj_pool_t *pool, pjmedia_sdp_media *media, ss_dtls_setup role, const char *fingerprint, const char *tls_id);

#endif
