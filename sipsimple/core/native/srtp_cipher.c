/*
 * The ciphers of SRTP by OpenSSL, in the place of libsrtp's own: AES in counter mode and HMAC-SHA1 (RFC 3711 sections 4.1.1 and 4.2.1),
 * and AES-GCM (RFC 7714).
 *
 * Debian's libsrtp has them from NSS, which makes a context for every packet: some 25 us and, for the keys of a call, 42 KB. Here the
 * key schedule is made once and a packet takes well under a microsecond. libsrtp tests what it is given before it uses it.
 */
#include "rtp_transport.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <srtp2/auth.h>
#include <srtp2/cipher.h>
#include <srtp2/srtp.h>

#include "mixer.h"

enum { SALT = 14, GCM_SALT = 12, BLOCK = 16, MAX_TAG = 16, SHA1 = 20 };

typedef struct state {
    EVP_CIPHER_CTX *context;
    uint8_t salt[BLOCK];                /* counter mode: the last two bytes are zero, they count blocks */
    int tag_length;                     /* GCM */
    int decrypts;
} state;

static srtp_err_status_t allocate(srtp_cipher_pointer_t *cipher, const srtp_cipher_type_t *type, int key_length, int expected, int tag_length)
{
    srtp_cipher_t *made;
    state *self;

    if (key_length != expected)
        return srtp_err_status_bad_param;
    made = calloc(1, sizeof *made);
    self = calloc(1, sizeof *self);
    if (self)
        self->context = EVP_CIPHER_CTX_new();
    if (!made || !self || !self->context) {
        free(made);
        free(self);
        return srtp_err_status_alloc_fail;
    }
    self->tag_length = tag_length;
    made->type = type;
    made->state = self;
    made->key_len = key_length;
    made->algorithm = (int)type->id;
    *cipher = made;
    return srtp_err_status_ok;
}

static srtp_err_status_t deallocate(srtp_cipher_pointer_t cipher)
{
    if (cipher) {
        state *self = cipher->state;

        if (self) {
            EVP_CIPHER_CTX_free(self->context);         /* wipes the key */
            OPENSSL_cleanse(self, sizeof *self);
            free(self);
        }
        free(cipher);
    }
    return srtp_err_status_ok;
}

/* ---- counter mode -------------------------------------------------------------------------------------------------- */

static srtp_err_status_t icm_key(void *object, const uint8_t *key, const EVP_CIPHER *algorithm)
{
    state *self = object;

    memcpy(self->salt, key + EVP_CIPHER_key_length(algorithm), SALT);
    return EVP_EncryptInit_ex(self->context, algorithm, NULL, key, NULL) == 1 ? srtp_err_status_ok : srtp_err_status_init_fail;
}

/* The counter is the IV of the packet, combined with the salt of the session. */
static srtp_err_status_t icm_set_iv(void *object, uint8_t *iv, srtp_cipher_direction_t direction)
{
    state *self = object;
    uint8_t counter[BLOCK];

    (void)direction;                    /* the key stream is the same for both */
    for (int i = 0; i < BLOCK; i++)
        counter[i] = iv[i] ^ self->salt[i];
    return EVP_EncryptInit_ex(self->context, NULL, NULL, NULL, counter) == 1 ? srtp_err_status_ok : srtp_err_status_cipher_fail;
}

static srtp_err_status_t icm_encrypt(void *object, uint8_t *buffer, unsigned int *size)
{
    state *self = object;
    int written = 0;

    if (EVP_EncryptUpdate(self->context, buffer, &written, buffer, (int)*size) != 1)
        return srtp_err_status_cipher_fail;
    *size = (unsigned int)written;
    return srtp_err_status_ok;
}

/* ---- Galois/counter mode --------------------------------------------------------------------------------------------- */

/* The salt behind the key is libsrtp's: it makes the IV of it. */
static srtp_err_status_t gcm_key(void *object, const uint8_t *key, const EVP_CIPHER *algorithm)
{
    state *self = object;

    return EVP_CipherInit_ex(self->context, algorithm, NULL, key, NULL, 1) == 1 ? srtp_err_status_ok : srtp_err_status_init_fail;
}

static srtp_err_status_t gcm_set_iv(void *object, uint8_t *iv, srtp_cipher_direction_t direction)
{
    state *self = object;

    self->decrypts = direction == srtp_direction_decrypt;
    return EVP_CipherInit_ex(self->context, NULL, NULL, NULL, iv, !self->decrypts) == 1 ? srtp_err_status_ok : srtp_err_status_cipher_fail;
}

static srtp_err_status_t gcm_set_aad(void *object, const uint8_t *aad, uint32_t length)
{
    state *self = object;
    int ignored;

    return EVP_CipherUpdate(self->context, NULL, &ignored, aad, (int)length) == 1 ? srtp_err_status_ok : srtp_err_status_cipher_fail;
}

static srtp_err_status_t gcm_encrypt(void *object, uint8_t *buffer, unsigned int *size)
{
    state *self = object;
    int written = 0;

    if (self->decrypts || EVP_CipherUpdate(self->context, buffer, &written, buffer, (int)*size) != 1)
        return srtp_err_status_cipher_fail;
    *size = (unsigned int)written;
    return srtp_err_status_ok;
}

static srtp_err_status_t gcm_get_tag(void *object, uint8_t *tag, uint32_t *length)
{
    state *self = object;
    uint8_t none[BLOCK];
    int written;

    if (EVP_CipherFinal_ex(self->context, none, &written) != 1
        || EVP_CIPHER_CTX_ctrl(self->context, EVP_CTRL_GCM_GET_TAG, self->tag_length, tag) != 1)
        return srtp_err_status_cipher_fail;
    *length = (uint32_t)self->tag_length;
    return srtp_err_status_ok;
}

/* The tag is at the end of what comes. */
static srtp_err_status_t gcm_decrypt(void *object, uint8_t *buffer, unsigned int *size)
{
    state *self = object;
    uint8_t none[BLOCK];
    int length = (int)*size - self->tag_length, written = 0, rest;

    if (!self->decrypts || length < 0)
        return srtp_err_status_bad_param;
    if (EVP_CIPHER_CTX_ctrl(self->context, EVP_CTRL_GCM_SET_TAG, self->tag_length, buffer + length) != 1
        || EVP_CipherUpdate(self->context, buffer, &written, buffer, length) != 1)
        return srtp_err_status_cipher_fail;
    if (EVP_CipherFinal_ex(self->context, none, &rest) != 1)
        return srtp_err_status_auth_fail;
    *size = (unsigned int)written;
    return srtp_err_status_ok;
}

/* ---- types --------------------------------------------------------------------------------------------------------- */

/*
 * libsrtp wants a type to bring a test of its own, beside those of the type it replaces. Here: a block of zeros under a key, salt and
 * IV of zeros. In counter mode that is AES of the zero block; for GCM, cases 2 and 14 of its authors' document.
 */
static const uint8_t zeros[32 + SALT];
static uint8_t zero_index[BLOCK];
static const uint8_t icm_128_text[] = { 0x66, 0xe9, 0x4b, 0xd4, 0xef, 0x8a, 0x2c, 0x3b, 0x88, 0x4c, 0xfa, 0x59, 0xca, 0x34, 0x2b, 0x2e };
static const uint8_t icm_192_text[] = { 0xaa, 0xe0, 0x69, 0x92, 0xac, 0xbf, 0x52, 0xa3, 0xe8, 0xf4, 0xa9, 0x6e, 0xc9, 0x30, 0x0b, 0xd7 };
static const uint8_t icm_256_text[] = { 0xdc, 0x95, 0xc0, 0x78, 0xa2, 0x40, 0x89, 0x89, 0xad, 0x48, 0xa2, 0x14, 0x92, 0x84, 0x20, 0x87 };
static const uint8_t gcm_128_text[] = { 0x03, 0x88, 0xda, 0xce, 0x60, 0xb6, 0xa3, 0x92, 0xf3, 0x28, 0xc2, 0xb9, 0x71, 0xb2, 0xfe, 0x78,
                                        0xab, 0x6e, 0x47, 0xd4, 0x2c, 0xec, 0x13, 0xbd, 0xf5, 0x3a, 0x67, 0xb2, 0x12, 0x57, 0xbd, 0xdf };
static const uint8_t gcm_256_text[] = { 0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18,
                                        0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19 };

/* A type for each length of key, as libsrtp asks by type what to make, and tells `init` nothing but the key. */
#define TYPE(mode, bits, salt, valid_tag, test_tag, ...)                                                                  \
    static const srtp_cipher_type_t mode##_##bits;                                                                        \
    static srtp_err_status_t mode##_##bits##_alloc(srtp_cipher_pointer_t *cipher, int key_length, int tag_length)         \
    {                                                                                                                     \
        if (!(valid_tag))                                                                                                 \
            return srtp_err_status_bad_param;                                                                             \
        return allocate(cipher, &mode##_##bits, key_length, bits / 8 + salt, tag_length);                                 \
    }                                                                                                                     \
    static const srtp_cipher_test_case_t mode##_##bits##_test = {                                                         \
        .key_length_octets = bits / 8 + salt, .key = zeros, .idx = zero_index, .plaintext_length_octets = BLOCK,          \
        .plaintext = zeros, .ciphertext_length_octets = sizeof mode##_##bits##_text, .ciphertext = mode##_##bits##_text,  \
        .aad = zeros, .tag_length_octets = test_tag,                                                                      \
    };                                                                                                                    \
    static const srtp_cipher_type_t mode##_##bits = {                                                                     \
        .alloc = mode##_##bits##_alloc, .dealloc = deallocate, .init = mode##_##bits##_init, .set_iv = mode##_set_iv,     \
        .encrypt = mode##_encrypt, .test_data = &mode##_##bits##_test, __VA_ARGS__                                        \
    }
#define ICM(bits)                                                                                                         \
    static srtp_err_status_t icm_##bits##_init(void *object, const uint8_t *key)                                          \
    {                                                                                                                     \
        return icm_key(object, key, EVP_aes_##bits##_ctr());                                                              \
    }                                                                                                                     \
    TYPE(icm, bits, SALT, 1 || tag_length, 0, .decrypt = icm_encrypt, .description = "AES-" #bits " counter mode",        \
         .id = SRTP_AES_ICM_##bits)
#define GCM(bits)                                                                                                         \
    static srtp_err_status_t gcm_##bits##_init(void *object, const uint8_t *key)                                          \
    {                                                                                                                     \
        return gcm_key(object, key, EVP_aes_##bits##_gcm());                                                              \
    }                                                                                                                     \
    TYPE(gcm, bits, GCM_SALT, tag_length == 8 || tag_length == MAX_TAG, MAX_TAG, .decrypt = gcm_decrypt,                  \
         .set_aad = gcm_set_aad, .get_tag = gcm_get_tag, .description = "AES-" #bits " GCM", .id = SRTP_AES_GCM_##bits)

ICM(128);
ICM(192);
ICM(256);
GCM(128);
GCM(256);

static const srtp_cipher_type_t *const types[] = { &icm_128, &icm_192, &icm_256, &gcm_128, &gcm_256 };

/* ---- authentication ------------------------------------------------------------------------------------------------ */

static srtp_err_status_t hmac_dealloc(srtp_auth_pointer_t auth)
{
    if (auth)
        EVP_MAC_CTX_free(auth->state);          /* wipes the key */
    free(auth);
    return srtp_err_status_ok;
}

static const srtp_auth_type_t hmac_sha1;

static srtp_err_status_t hmac_alloc(srtp_auth_pointer_t *auth, int key_length, int tag_length)
{
    EVP_MAC *mac;
    srtp_auth_t *made;

    if (key_length > SHA1 || tag_length > SHA1)
        return srtp_err_status_bad_param;
    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    made = calloc(1, sizeof *made);
    if (made && mac)
        made->state = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    if (!made || !made->state) {
        free(made);
        return srtp_err_status_alloc_fail;
    }
    made->type = &hmac_sha1;
    made->key_len = key_length;
    made->out_len = tag_length;
    *auth = made;
    return srtp_err_status_ok;
}

static srtp_err_status_t hmac_init(void *object, const uint8_t *key, int key_length)
{
    char name[] = "SHA1";
    const OSSL_PARAM digest[] = { OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, name, sizeof name - 1), OSSL_PARAM_END };

    return EVP_MAC_init(object, key, (size_t)key_length, digest) == 1 ? srtp_err_status_ok : srtp_err_status_init_fail;
}

/* Once more with the same key. */
static srtp_err_status_t hmac_start(void *object)
{
    return EVP_MAC_init(object, NULL, 0, NULL) == 1 ? srtp_err_status_ok : srtp_err_status_auth_fail;
}

static srtp_err_status_t hmac_update(void *object, const uint8_t *data, int size)
{
    return EVP_MAC_update(object, data, (size_t)size) == 1 ? srtp_err_status_ok : srtp_err_status_auth_fail;
}

static srtp_err_status_t hmac_compute(void *object, const uint8_t *data, int size, int tag_length, uint8_t *tag)
{
    uint8_t whole[SHA1];
    size_t written;

    if (tag_length > SHA1)
        return srtp_err_status_bad_param;
    if (EVP_MAC_update(object, data, (size_t)size) != 1 || EVP_MAC_final(object, whole, &written, sizeof whole) != 1)
        return srtp_err_status_auth_fail;
    memcpy(tag, whole, (size_t)tag_length);
    return srtp_err_status_ok;
}

/* RFC 2202 section 3, the first case. */
static const uint8_t hmac_key[SHA1] = { 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
                                        0x0b, 0x0b, 0x0b, 0x0b };
static const uint8_t hmac_data[] = { 'H', 'i', ' ', 'T', 'h', 'e', 'r', 'e' };
static const uint8_t hmac_tag[SHA1] = { 0xb6, 0x17, 0x31, 0x86, 0x55, 0x05, 0x72, 0x64, 0xe2, 0x8b, 0xc0, 0xb6, 0xfb, 0x37, 0x8c, 0x8e,
                                        0xf1, 0x46, 0xbe, 0x00 };
static const srtp_auth_test_case_t hmac_test = {
    .key_length_octets = sizeof hmac_key, .key = hmac_key, .data_length_octets = sizeof hmac_data, .data = hmac_data,
    .tag_length_octets = sizeof hmac_tag, .tag = hmac_tag,
};
static const srtp_auth_type_t hmac_sha1 = {
    .alloc = hmac_alloc, .dealloc = hmac_dealloc, .init = hmac_init, .compute = hmac_compute, .update = hmac_update, .start = hmac_start,
    .description = "HMAC-SHA1", .test_data = &hmac_test, .id = SRTP_HMAC_SHA1,
};

/* libsrtp starts with each run of the media endpoint, with its own ciphers; its tables are taken by the first transport. */
pj_status_t ss_srtp_init(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static unsigned prepared;
    const unsigned run = ss_media_generation();
    pj_status_t status = PJ_SUCCESS;

    pthread_mutex_lock(&lock);
    if (prepared != run) {
        status = pjmedia_srtp_init_lib(ss_media_endpoint());
        for (unsigned i = 0; status == PJ_SUCCESS && i < PJ_ARRAY_SIZE(types); i++) {
            if (srtp_replace_cipher_type(types[i], types[i]->id) != srtp_err_status_ok)
                status = PJ_EUNKNOWN;
        }
        if (status == PJ_SUCCESS && srtp_replace_auth_type(&hmac_sha1, SRTP_HMAC_SHA1) != srtp_err_status_ok)
            status = PJ_EUNKNOWN;
        if (status == PJ_SUCCESS)
            prepared = run;
    }
    pthread_mutex_unlock(&lock);
    return status;
}
