/* What is told of a TLS connection: cipher, certificate of the peer, and what is wrong with it. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pjlib.h>

#include "events.h"

/* A growing text of fields that end with NUL; what does not fit in memory is left out. */
typedef struct fields {
    char *text;
    size_t used, size;
} fields;

static void add(fields *self, const char *text, size_t length)
{
    if (self->used + length + 1 > self->size) {
        size_t size = (self->used + length + 1) * 2;
        char *grown = realloc(self->text, size);

        if (!grown)
            return;
        self->text = grown;
        self->size = size;
    }
    memcpy(self->text + self->used, text, length);
    self->text[self->used + length] = '\0';
    self->used += length + 1;
}

static void add_str(fields *self, const pj_str_t *text)
{
    add(self, text->slen ? text->ptr : "", (size_t)text->slen);
}

/* PJLIB encodes these times as if they were local ones. */
static void add_validity(fields *self, const pj_str_t *pem)
{
    BIO *bio = pem->slen ? BIO_new_mem_buf(pem->ptr, (int)pem->slen) : NULL;
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

    for (int end = 0; end < 2; end++) {
        const ASN1_TIME *moment = !certificate ? NULL : end ? X509_get0_notAfter(certificate) : X509_get0_notBefore(certificate);
        char text[32] = "";
        struct tm broken_down;

        if (moment && ASN1_TIME_to_tm(moment, &broken_down))
            strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S GMT", &broken_down);
        add(self, text, strlen(text));
    }
    X509_free(certificate);
    BIO_free(bio);
}

static void add_serial(fields *self, const pj_uint8_t *octets, unsigned count)
{
    char text[2 * sizeof(((pj_ssl_cert_info *)0)->serial_no) + 1] = "0";

    while (count > 1 && !*octets) {
        octets++;
        count--;
    }
    for (unsigned i = 0; i < count; i++)
        pj_ansi_snprintf(text + 2 * i, 3, "%02x", octets[i]);
    add(self, text, strlen(text));
}

/* subject name, whole subject, issuer name, whole issuer, serial number in hex, valid from, until, PEM, names ... */
static fields describe(const pj_ssl_cert_info *certificate)
{
    fields self = { NULL, 0, 0 };

    if (!certificate || !certificate->version)
        return self;
    add_str(&self, &certificate->subject.cn);
    add_str(&self, &certificate->subject.info);
    add_str(&self, &certificate->issuer.cn);
    add_str(&self, &certificate->issuer.info);
    add_serial(&self, certificate->serial_no, sizeof certificate->serial_no);
    add_validity(&self, &certificate->raw);
    add_str(&self, &certificate->raw);
    for (unsigned i = 0; i < certificate->subj_alt_name.cnt; i++) {
        if (certificate->subj_alt_name.entry[i].name.slen)
            add_str(&self, &certificate->subj_alt_name.entry[i].name);
    }
    return self;
}

static void post_verified(const pjsip_transport *transport, const pj_ssl_sock_info *ssl, const ss_blob *connection)
{
    const char *cipher = pj_ssl_cipher_name(ssl->cipher);
    fields certificate = describe(ssl->remote_cert_info);
    int64_t nums[3] = { ssl->verify_status, ssl->verify_status == 0 && certificate.text != NULL,
                        certificate.text ? ssl->remote_cert_info->version : 0 };
    ss_blob blobs[6];

    memcpy(blobs, connection, 3 * sizeof *blobs);
    blobs[3] = (ss_blob){ transport->remote_name.host.ptr, (size_t)transport->remote_name.host.slen };
    blobs[4] = (ss_blob){ cipher, cipher ? strlen(cipher) : 0 };
    blobs[5] = (ss_blob){ certificate.text, certificate.used };
    ss_post(SS_EV_TRANSPORT_VERIFIED, 0, nums, 3, blobs, 6);
    free(certificate.text);
}

static void post_refused(const pj_ssl_sock_info *ssl, pj_status_t status, const ss_blob *connection)
{
    const char *errors[32];
    unsigned count = PJ_ARRAY_SIZE(errors);
    char reason[160];
    fields texts = { NULL, 0, 0 };
    int64_t nums[1] = { ssl->verify_status };
    ss_blob blobs[5];

    if (pj_ssl_cert_get_verify_status_strings(ssl->verify_status, errors, &count) == PJ_SUCCESS) {
        for (unsigned i = 0; i < count; i++)
            add(&texts, errors[i], strlen(errors[i]));
    }
    ss_strerror(status, reason, sizeof reason);
    memcpy(blobs, connection, 3 * sizeof *blobs);
    blobs[3] = (ss_blob){ reason, strlen(reason) };
    blobs[4] = (ss_blob){ texts.text, texts.used };
    ss_post(SS_EV_TRANSPORT_CERT_ERROR, 0, nums, 1, blobs, 5);
    free(texts.text);
}

void ss_post_tls(const pjsip_transport *transport, const pjsip_transport_state_info *info, const ss_blob *connection)
{
    const pjsip_tls_state_info *tls = info->ext_info;
    const pj_ssl_sock_info *ssl = tls ? tls->ssl_sock_info : NULL;

    if (!ssl)
        return;
    if (info->status == PJ_SUCCESS)
        post_verified(transport, ssl, connection);
    else if (info->status == PJSIP_TLS_ECERTVERIF)
        post_refused(ssl, info->status, connection);
}
