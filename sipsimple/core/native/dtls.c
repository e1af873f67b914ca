/* DTLS for SRTP keys, by OpenSSL. See dtls.h. */
#include "dtls.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define FIRST_TIMEOUT_US 250000u        /* RFC 6347 section 4.2.4.1 has a second, for who knows nothing of the path; somebody waits to be heard here */
#define LONGEST_TIMEOUT_US 2000000u

/* ---- fingerprints ---------------------------------------------------------------------------------------------------- */

/* The names of RFC 8122 section 5, by strength. MD5 and MD2 are forbidden there. */
static const struct { const char *name; const EVP_MD *(*digest)(void); } hashes[] = {
    { "sha-1", EVP_sha1 }, { "sha-224", EVP_sha224 }, { "sha-256", EVP_sha256 }, { "sha-384", EVP_sha384 }, { "sha-512", EVP_sha512 } };
#define HASHES (sizeof hashes / sizeof *hashes)

static const EVP_MD *hash_of(const ss_dtls_fingerprints *self)
{
    return self->strength ? hashes[self->strength - 1].digest() : NULL;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* "4A:AD:...", exactly `size` octets. */
static int parse_digest(const char *text, size_t length, uint8_t *digest, size_t size)
{
    if (length != size * 3 - 1)
        return 0;
    for (size_t i = 0; i < size; i++, text += 3) {
        int high = hex_value(text[0]), low = hex_value(text[1]);

        if (high < 0 || low < 0 || (i + 1 < size && text[2] != ':'))
            return 0;
        digest[i] = (uint8_t)(high << 4 | low);
    }
    return 1;
}

int ss_dtls_add_fingerprint(ss_dtls_fingerprints *self, const char *value, size_t length)
{
    const char *space;
    uint8_t digest[SS_DTLS_DIGEST] = { 0 };
    size_t name;

    while (length && value[length - 1] == ' ')
        length--;
    space = memchr(value, ' ', length);
    if (!space)
        return 0;
    name = (size_t)(space - value);
    for (unsigned i = 0; i < HASHES; i++) {
        if (strlen(hashes[i].name) != name || strncasecmp(hashes[i].name, value, name) != 0)
            continue;
        if (!parse_digest(space + 1, length - name - 1, digest, (size_t)EVP_MD_get_size(hashes[i].digest())))
            return 0;
        if (i + 1 < self->strength)
            return 1;
        if (i + 1 > self->strength)
            memset(self, 0, sizeof *self);
        self->strength = i + 1;
        if (self->count < SS_DTLS_FINGERPRINTS)
            memcpy(self->digest[self->count++], digest, sizeof digest);
        return 1;
    }
    return 1;                           /* a hash of the future */
}

static int matches(const ss_dtls_fingerprints *self, X509 *certificate)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size;

    if (!hash_of(self) || X509_digest(certificate, hash_of(self), digest, &size) != 1)
        return 0;
    for (unsigned i = 0; i < self->count; i++) {
        if (memcmp(self->digest[i], digest, size) == 0)
            return 1;
    }
    return 0;
}

/* ---- our certificate --------------------------------------------------------------------------------------------------- */

struct ss_dtls_identity {
    EVP_PKEY *key;
    X509 *certificate;
    char fingerprint[8 + 32 * 3];       /* "sha-256 " and pairs of digits */
};

/* A name that tells nothing; the certificate is valid from yesterday, as clocks differ, and longer than any call. */
static int sign_own(ss_dtls_identity *self)
{
    X509 *certificate = self->certificate;
    X509_NAME *name = X509_get_subject_name(certificate);
    uint8_t serial[8], digest[EVP_MAX_MD_SIZE];
    uint64_t number;
    unsigned size;
    char *at = self->fingerprint;

    if (RAND_bytes(serial, sizeof serial) != 1)
        return 0;
    memcpy(&number, serial, sizeof number);
    if (!X509_set_version(certificate, 2) || !ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), number >> 1)
        || !X509_gmtime_adj(X509_getm_notBefore(certificate), -24L * 3600) || !X509_gmtime_adj(X509_getm_notAfter(certificate), 30L * 24 * 3600)
        || !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"media", -1, -1, 0)
        || !X509_set_issuer_name(certificate, name) || !X509_set_pubkey(certificate, self->key)
        || !X509_sign(certificate, self->key, EVP_sha256()) || !X509_digest(certificate, EVP_sha256(), digest, &size))
        return 0;
    at += sprintf(at, "sha-256 ");
    for (unsigned i = 0; i < size; i++)
        at += sprintf(at, i ? ":%02X" : "%02X", digest[i]);
    return 1;
}

ss_dtls_identity *ss_dtls_identity_create(void)
{
    ss_dtls_identity *self = calloc(1, sizeof *self);

    if (!self)
        return NULL;
    self->key = EVP_EC_gen("P-256");
    self->certificate = X509_new();
    if (self->key && self->certificate && sign_own(self))
        return self;
    ss_dtls_identity_free(self);
    return NULL;
}

void ss_dtls_identity_free(ss_dtls_identity *self)
{
    if (!self)
        return;
    X509_free(self->certificate);
    EVP_PKEY_free(self->key);
    free(self);
}

const char *ss_dtls_identity_fingerprint(const ss_dtls_identity *self)
{
    return self->fingerprint;
}

/* ---- the way of datagrams ------------------------------------------------------------------------------------------------ */

struct ss_dtls {
    SSL *ssl;
    const ss_dtls_identity *identity;
    ss_dtls_fingerprints peer;
    const uint8_t *input;               /* the datagram being received */
    size_t input_size;
    ss_dtls_datagram *output, **output_end;
    int verified, mismatch, complete;
    char error[160];
};

static int bio_read(BIO *bio, char *buffer, int size)
{
    ss_dtls *self = BIO_get_data(bio);
    size_t taken = self->input_size;

    BIO_clear_retry_flags(bio);
    if (!taken) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (taken > (size_t)size)
        taken = (size_t)size;           /* as a socket does: what is too long is lost */
    memcpy(buffer, self->input, taken);
    self->input_size = 0;
    return (int)taken;
}

/* OpenSSL flushes before a datagram would be longer than the MTU: what is written at once is one datagram. */
static int bio_write(BIO *bio, const char *data, int size)
{
    ss_dtls *self = BIO_get_data(bio);
    ss_dtls_datagram *made = malloc(sizeof *made + (size_t)size);

    BIO_clear_retry_flags(bio);
    if (!made)
        return size;                    /* as if lost on the way */
    made->next = NULL;
    made->size = (size_t)size;
    memcpy(made->data, data, (size_t)size);
    *self->output_end = made;
    self->output_end = &made->next;
    return size;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

/* ---- the context, one for all ---------------------------------------------------------------------------------------------- */

static SSL_CTX *context;
static BIO_METHOD *bio_method;

/* The only check of a certificate: that it is the one that the SDP told. Nobody has signed it. */
static int verify(X509_STORE_CTX *store, void *argument)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    ss_dtls *self = SSL_get_app_data(ssl);
    X509 *certificate = X509_STORE_CTX_get0_cert(store);

    (void)argument;
    self->verified = certificate && matches(&self->peer, certificate);
    self->mismatch = !self->verified;
    X509_STORE_CTX_set_error(store, self->verified ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
    return self->verified;
}

/* Best first. AES_CM_128_HMAC_SHA1_80 is what RFC 5764 section 4.1.2 and everybody has. */
static const struct { const char *ossl, *suite; size_t key_length, salt_length; } profiles[] = {
    { "SRTP_AEAD_AES_128_GCM", "AEAD_AES_128_GCM", 16, 12 },
    { "SRTP_AEAD_AES_256_GCM", "AEAD_AES_256_GCM", 32, 12 },
    { "SRTP_AES128_CM_SHA1_80", "AES_CM_128_HMAC_SHA1_80", 16, 14 },
    { "SRTP_AES128_CM_SHA1_32", "AES_CM_128_HMAC_SHA1_32", 16, 14 } };
#define PROFILES (sizeof profiles / sizeof *profiles)

static void make_context(void)
{
    char names[PROFILES * 32] = "";
    SSL_CTX *made = SSL_CTX_new(DTLS_method());
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "media transport");

    for (size_t i = 0; i < PROFILES; i++) {
        strcat(names, i ? ":" : "");
        strcat(names, profiles[i].ossl);
    }
    if (!made || !method || !BIO_meth_set_read(method, bio_read) || !BIO_meth_set_write(method, bio_write)
        || !BIO_meth_set_ctrl(method, bio_control) || !BIO_meth_set_create(method, bio_create)
        || !SSL_CTX_set_min_proto_version(made, DTLS1_2_VERSION) || !SSL_CTX_set_cipher_list(made, "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES")
        || SSL_CTX_set_tlsext_use_srtp(made, names) != 0) {
        SSL_CTX_free(made);
        BIO_meth_free(method);
        return;
    }
    /* Signatures of others do not matter here, so neither does what they were made with. */
    SSL_CTX_set_security_level(made, 1);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(made, SSL_OP_NO_TICKET | SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(made, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(made, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(made, verify, NULL);
    context = made;
    bio_method = method;
}

static SSL_CTX *get_context(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_context);
    return context;
}

static unsigned next_timeout(SSL *ssl, unsigned before_us)
{
    (void)ssl;
    if (!before_us)
        return FIRST_TIMEOUT_US;
    return before_us * 2 < LONGEST_TIMEOUT_US ? before_us * 2 : LONGEST_TIMEOUT_US;
}

/* ---- associations ------------------------------------------------------------------------------------------------------------ */

ss_dtls *ss_dtls_create(const ss_dtls_identity *identity, int client, const ss_dtls_fingerprints *peer, unsigned mtu)
{
    ss_dtls *self = get_context() ? calloc(1, sizeof *self) : NULL;
    BIO *bio;

    if (!self)
        return NULL;
    self->identity = identity;
    self->peer = *peer;
    self->output_end = &self->output;
    self->ssl = SSL_new(context);
    bio = self->ssl ? BIO_new(bio_method) : NULL;
    if (!bio) {
        ss_dtls_free(self);
        return NULL;
    }
    BIO_set_data(bio, self);
    SSL_set_bio(self->ssl, bio, bio);
    SSL_set_app_data(self->ssl, self);
    if (SSL_use_certificate(self->ssl, identity->certificate) != 1 || SSL_use_PrivateKey(self->ssl, identity->key) != 1) {
        ss_dtls_free(self);
        return NULL;
    }
    SSL_set_mtu(self->ssl, mtu);
    DTLS_set_timer_cb(self->ssl, next_timeout);
    if (client)
        SSL_set_connect_state(self->ssl);
    else
        SSL_set_accept_state(self->ssl);
    return self;
}

void ss_dtls_free(ss_dtls *self)
{
    ss_dtls_datagram *datagram;

    if (!self)
        return;
    SSL_free(self->ssl);
    while ((datagram = self->output)) {
        self->output = datagram->next;
        free(datagram);
    }
    free(self);
}

static ss_dtls_result fail(ss_dtls *self)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = ERR_reason_error_string(code);
    int alert = ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET;

    if (self->mismatch)
        snprintf(self->error, sizeof self->error, "the certificate is not the one of the fingerprint in the SDP");
    else
        snprintf(self->error, sizeof self->error, "DTLS handshake failed: %s", text ? text : "unknown error");
    ERR_clear_error();
    return self->mismatch || alert ? SS_DTLS_REFUSED : SS_DTLS_BROKEN;
}

/* Go on with what there is. After the handshake this repeats its last flight when the peer has not got it, and drops everything else. */
static ss_dtls_result go_on(ss_dtls *self)
{
    char ignored[512];
    int done, error;

    ERR_clear_error();
    if (self->complete) {
        while (SSL_read(self->ssl, ignored, sizeof ignored) > 0) {
        }
        ERR_clear_error();
        return SS_DTLS_GOES_ON;
    }
    done = SSL_do_handshake(self->ssl);
    if (done == 1) {
        if (!self->verified) {          /* never: there is no way around verify() */
            self->mismatch = 1;
            return fail(self);
        }
        self->complete = 1;
        return SS_DTLS_DONE;
    }
    error = SSL_get_error(self->ssl, done);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? SS_DTLS_GOES_ON : fail(self);
}

ss_dtls_result ss_dtls_start(ss_dtls *self)
{
    return go_on(self);
}

ss_dtls_result ss_dtls_receive(ss_dtls *self, const void *data, size_t size)
{
    ss_dtls_result result;

    self->input = data;
    self->input_size = size;
    result = go_on(self);
    self->input = NULL;
    self->input_size = 0;
    return result;
}

int ss_dtls_next_timeout(ss_dtls *self)
{
    struct timeval left;

    if (self->complete || DTLSv1_get_timeout(self->ssl, &left) != 1)
        return -1;
    return (int)(left.tv_sec * 1000 + (left.tv_usec + 999) / 1000);
}

ss_dtls_result ss_dtls_timeout(ss_dtls *self)
{
    ERR_clear_error();
    return self->complete || DTLSv1_handle_timeout(self->ssl) >= 0 ? SS_DTLS_GOES_ON : fail(self);
}

ss_dtls_datagram *ss_dtls_take_output(ss_dtls *self)
{
    ss_dtls_datagram *first = self->output;

    self->output = NULL;
    self->output_end = &self->output;
    return first;
}

int ss_dtls_get_keys(ss_dtls *self, ss_dtls_keys *keys)
{
    static const char label[] = "EXTRACTOR-dtls_srtp";
    const SRTP_PROTECTION_PROFILE *chosen = self->complete ? SSL_get_selected_srtp_profile(self->ssl) : NULL;
    uint8_t material[2 * SS_DTLS_MAX_KEY];

    for (size_t i = 0; chosen && i < PROFILES; i++) {
        size_t key = profiles[i].key_length, salt = profiles[i].salt_length;
        /* RFC 5764 section 4.2: client key, server key, client salt, server salt */
        uint8_t *client = SSL_is_server(self->ssl) ? keys->rx : keys->tx, *server = SSL_is_server(self->ssl) ? keys->tx : keys->rx;

        if (strcmp(chosen->name, profiles[i].ossl) != 0)
            continue;
        if (SSL_export_keying_material(self->ssl, material, 2 * (key + salt), label, sizeof label - 1, NULL, 0, 0) != 1)
            break;
        memcpy(client, material, key);
        memcpy(server, material + key, key);
        memcpy(client + key, material + 2 * key, salt);
        memcpy(server + key, material + 2 * key + salt, salt);
        OPENSSL_cleanse(material, sizeof material);
        keys->suite = profiles[i].suite;
        keys->key_length = key;
        keys->salt_length = salt;
        return 1;
    }
    snprintf(self->error, sizeof self->error, "the peer's DTLS does not do SRTP");
    return 0;
}

const char *ss_dtls_error(const ss_dtls *self)
{
    return self->error;
}

int ss_dtls_is_record(const void *data, size_t size)
{
    const uint8_t *bytes = data;

    return size >= 13 && bytes[0] >= 20 && bytes[0] <= 63;
}
