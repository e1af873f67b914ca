/*
 * SRTP with keys in the SDP (SDES, RFC 4568), by PJMEDIA's adapter around the UDP or ICE transport.
 *
 * "Mandatory" means: we offer RTP/SAVP, and media without keys do not run. An offer of RTP/AVP with keys is accepted all the same (many
 * peers offer optional encryption that way); so PJMEDIA's own mandatory mode, which refuses it, is used for RTP/SAVP only, and the
 * result is checked here. Never is a mandatory session downgraded.
 */
#include "rtp_transport.h"

#include <string.h>

#include "dtls_srtp.h"
#include "mixer.h"

static const char *const offered[] = { "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32" };
/* Accepted when the peer offers them. Its order decides. */
static const char *const accepted[] = {
    "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32", "AEAD_AES_256_GCM",
    "AEAD_AES_128_GCM" };

/* No keys: PJMEDIA makes random ones when it writes the SDP. */
static void set_suites(pjmedia_srtp_setting *setting, const char *const *names, unsigned count)
{
    pjmedia_srtp_crypto known[PJMEDIA_SRTP_MAX_CRYPTOS];
    unsigned known_count = PJ_ARRAY_SIZE(known);

    setting->crypto_count = 0;
    if (pjmedia_srtp_enum_crypto(&known_count, known) != PJ_SUCCESS)
        return;
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < known_count; k++) {
            if (pj_strcmp2(&known[k].name, names[i]) == 0) {
                pjmedia_srtp_crypto *suite = &setting->crypto[setting->crypto_count++];

                memset(suite, 0, sizeof *suite);
                suite->name = known[k].name;        /* a constant of PJMEDIA */
            }
        }
    }
}

/* callback: pjmedia_srtp rx rejected | thread: media worker or worker (ICE) | gil: no | locks: none | lifetime: no object */
static void on_rejected(pjmedia_transport *transport, pj_bool_t is_rtcp)
{
    (void)transport;
    (void)is_rtcp;
    SS_COUNT(rejected_srtp);
}

static void fill(pjmedia_srtp_setting *setting, pjmedia_srtp_use use, int answering)
{
    pjmedia_srtp_setting_default(setting);
    setting->use = use;
    setting->close_member_tp = PJ_TRUE;
    setting->keying_count = 1;
    setting->keying[0] = PJMEDIA_SRTP_KEYING_SDES;
    setting->cb.on_srtp_rx_rejected = on_rejected;
    if (answering)
        set_suites(setting, accepted, PJ_ARRAY_SIZE(accepted));
    else
        set_suites(setting, offered, PJ_ARRAY_SIZE(offered));
}

pj_status_t ss_srtp_create(ss_rtp *self)
{
    pjmedia_srtp_setting setting;
    pj_status_t status = ss_srtp_init();

    if (status != PJ_SUCCESS)
        return status;
    fill(&setting, PJMEDIA_SRTP_OPTIONAL, 0);
    return pjmedia_transport_srtp_create(ss_media_endpoint(), self->base, &setting, &self->srtp);
}

static int is_savp(const pjmedia_sdp_media *media)
{
    return PJMEDIA_TP_PROTO_HAS_FLAG(pjmedia_sdp_transport_get_proto(&media->desc.transport), PJMEDIA_TP_PROFILE_SRTP);
}

static int has_keys(const pjmedia_sdp_media *media)
{
    return pjmedia_sdp_media_find_attr2(media, "crypto", NULL) != NULL;
}

pj_status_t ss_srtp_prepare(ss_rtp *self, const pjmedia_sdp_media *remote)
{
    pjmedia_srtp_setting setting;
    int mandatory = self->params.encryption == SS_ENC_SDES_MANDATORY;

    if (!self->srtp)
        return PJ_SUCCESS;
    if (mandatory && remote && !has_keys(remote))
        return PJMEDIA_SRTP_ESDPREQCRYPTO;
    fill(&setting, mandatory && (!remote || is_savp(remote)) ? PJMEDIA_SRTP_MANDATORY : PJMEDIA_SRTP_OPTIONAL, remote != NULL);
    return pjmedia_transport_srtp_modify_setting(self->srtp, &setting);
}

pj_status_t ss_srtp_check_answer(const ss_rtp *self, const pjmedia_sdp_media *local)
{
    if (self->params.encryption != SS_ENC_SDES_MANDATORY || has_keys(local))
        return PJ_SUCCESS;
    return PJMEDIA_SRTP_ESDPREQCRYPTO;
}

int ss_srtp_get_suite(const ss_rtp *self, char *buffer, size_t size)
{
    pjmedia_transport_info info;
    const pjmedia_srtp_info *srtp;

    if (self->dtls)
        return ss_dtls_srtp_get_suite(self->dtls, buffer, size);
    if (!self->srtp)
        return 0;
    pjmedia_transport_info_init(&info);
    if (pjmedia_transport_get_info(self->srtp, &info) != PJ_SUCCESS)
        return 0;
    srtp = (const pjmedia_srtp_info *)pjmedia_transport_info_get_spc_info(&info, PJMEDIA_TRANSPORT_TYPE_SRTP);
    if (!srtp || !srtp->active || !srtp->tx_policy.name.slen || pj_strcmp2(&srtp->tx_policy.name, "NULL") == 0)
        return 0;
    pj_ansi_snprintf(buffer, size, "%.*s", (int)srtp->tx_policy.name.slen, srtp->tx_policy.name.ptr);
    return 1;
}

int ss_srtp_is_authentic(const ss_rtp *self)
{
    char suite[40];

    return self->dtls ? ss_dtls_srtp_is_authentic(self->dtls) : ss_srtp_get_suite(self, suite, sizeof suite);
}

pj_status_t ss_srtp_check_started(const ss_rtp *self)
{
    char suite[40];

    if (self->params.encryption != SS_ENC_SDES_MANDATORY || ss_srtp_get_suite(self, suite, sizeof suite))
        return PJ_SUCCESS;
    return PJMEDIA_SRTP_ESDPREQCRYPTO;
}
