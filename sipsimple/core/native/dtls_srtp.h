/*
 * DTLS-SRTP (RFC 5763, 5764) around the UDP or ICE transport: makes the keys in the way of the media, and encrypts with them.
 *
 * From the moment both SDPs have a fingerprint, nothing passes that is not encrypted with keys of a handshake whose certificate matched it: media
 * that come or go before are dropped, and so are all when the handshake fails. Plain media pass only when encryption is optional and the peer's
 * SDP has no fingerprint.
 *
 * A handshake belongs to both fingerprints, the roles and the tls-ids (RFC 8842 section 4): as long as a new pair of SDPs has the same, the association
 * and its keys stay.
 */
#ifndef SS_DTLS_SRTP_H
#define SS_DTLS_SRTP_H

#include <pjmedia.h>

#include "core.h"

/* `rtp` gets SS_EV_RTP_SECURE, at the latest `limit_ms` after there is a way to the peer. Closing it closes `member`. */
pj_status_t ss_dtls_srtp_create(ss_handle rtp, pjmedia_transport *member, int mandatory, unsigned limit_ms, pjmedia_transport **transport);
/* There is a way to the peer: the handshake of a client may begin, and the time for it runs. Idempotent. */
void ss_dtls_srtp_path_ready(pjmedia_transport *transport);
/* The suite in use; 0 = there are no keys. Takes no lock of PJSIP. */
int ss_dtls_srtp_get_suite(pjmedia_transport *transport, char *buffer, size_t size);
/* Whether what is received is the peer's for certain: not when media are plain. */
int ss_dtls_srtp_is_authentic(pjmedia_transport *transport);

#endif
