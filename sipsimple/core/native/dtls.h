/*
 * DTLS for SRTP keys (RFC 5764): one association, without sockets, timers or threads of its own. Datagrams go in and out by calls; whoever
 * owns the association lets one thread at a time use it.
 *
 * Who the peer is says the fingerprint of its certificate in the SDP (RFC 8122), nothing else. There is no association without one: a certificate
 * that does not match ends the handshake, and keys are given out only when it did match.
 */
#ifndef SS_DTLS_H
#define SS_DTLS_H

#include <stddef.h>
#include <stdint.h>

/* ---- certificates and their fingerprints -------------------------------------------------------------------------- */

#define SS_DTLS_DIGEST 64               /* SHA-512 */
#define SS_DTLS_FINGERPRINTS 8

/* What the certificate of the peer must match: one of these digests, all by one hash. All zero = none. */
typedef struct ss_dtls_fingerprints {
    unsigned strength;                  /* of the hash; 0 = there is none */
    unsigned count;
    uint8_t digest[SS_DTLS_FINGERPRINTS][SS_DTLS_DIGEST];
} ss_dtls_fingerprints;

/*
 * Add the value of an a=fingerprint line. Those of the strongest hash count, others are dropped; so are those we cannot check. 0 = what was to be
 * added is no fingerprint at all.
 */
int ss_dtls_add_fingerprint(ss_dtls_fingerprints *self, const char *value, size_t length);

/* A self-signed certificate (P-256) with its key. */
typedef struct ss_dtls_identity ss_dtls_identity;
ss_dtls_identity *ss_dtls_identity_create(void);        /* NULL: OpenSSL failed */
void ss_dtls_identity_free(ss_dtls_identity *self);     /* NULL is harmless */
const char *ss_dtls_identity_fingerprint(const ss_dtls_identity *self);         /* the value of a=fingerprint */

/* ---- associations ------------------------------------------------------------------------------------------------- */

typedef struct ss_dtls_datagram {
    struct ss_dtls_datagram *next;
    size_t size;
    uint8_t data[];
} ss_dtls_datagram;

typedef enum ss_dtls_result {
    SS_DTLS_GOES_ON,
    SS_DTLS_DONE,                       /* the handshake is complete, and the certificate is the peer's */
    SS_DTLS_BROKEN,                     /* by something that need not have come from the peer; a new association may succeed */
    SS_DTLS_REFUSED                     /* by the peer, or by us for its certificate */
} ss_dtls_result;

#define SS_DTLS_MAX_KEY 46              /* AES-256 and a salt of 14 */

typedef struct ss_dtls_keys {
    const char *suite;                  /* its name of RFC 4568 or 7714; a constant */
    size_t key_length, salt_length;
    uint8_t tx[SS_DTLS_MAX_KEY], rx[SS_DTLS_MAX_KEY];           /* key, then salt */
} ss_dtls_keys;

typedef struct ss_dtls ss_dtls;

/* `identity` must live longer. NULL: out of memory. */
ss_dtls *ss_dtls_create(const ss_dtls_identity *identity, int client, const ss_dtls_fingerprints *peer, unsigned mtu);
void ss_dtls_free(ss_dtls *self);       /* NULL is harmless */
/* The client's first flight. A server starts by receiving. */
ss_dtls_result ss_dtls_start(ss_dtls *self);
ss_dtls_result ss_dtls_receive(ss_dtls *self, const void *data, size_t size);
/* Milliseconds until ss_dtls_timeout() must be called; -1 = never. */
int ss_dtls_next_timeout(ss_dtls *self);
ss_dtls_result ss_dtls_timeout(ss_dtls *self);
/* What is to be sent now, in this order; free() each. */
ss_dtls_datagram *ss_dtls_take_output(ss_dtls *self);
/* After DONE. 0 = the peer does not do SRTP (RFC 5764 section 4.1.1). */
int ss_dtls_get_keys(ss_dtls *self, ss_dtls_keys *keys);
/* Why it was BROKEN or REFUSED. */
const char *ss_dtls_error(const ss_dtls *self);
/* Whether a datagram on a media port is DTLS (RFC 7983). */
int ss_dtls_is_record(const void *data, size_t size);

#endif
