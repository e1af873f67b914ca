/* What DTLS-SRTP reads from SDP and writes to it. See dtls_sdp.h. */
#include "dtls_sdp.h"

#include <string.h>

#include <pjlib.h>

#include "rtp_transport.h"

/* The attribute of the stream, else that of the session. */
static const pjmedia_sdp_attr *find(const pjmedia_sdp_session *sdp, unsigned index, const char *name)
{
    const pjmedia_sdp_attr *found = pjmedia_sdp_media_find_attr2(sdp->media[index], name, NULL);

    return found ? found : pjmedia_sdp_attr_find2(sdp->attr_count, sdp->attr, name, NULL);
}

static int add_fingerprints(ss_dtls_fingerprints *found, unsigned count, pjmedia_sdp_attr *const *attributes, int *malformed)
{
    int any = 0;

    for (unsigned i = 0; i < count; i++) {
        if (pj_stricmp2(&attributes[i]->name, "fingerprint") != 0)
            continue;
        any = 1;
        if (!ss_dtls_add_fingerprint(found, attributes[i]->value.ptr, (size_t)attributes[i]->value.slen))
            *malformed = 1;
    }
    return any;
}

pj_status_t ss_dtls_find_fingerprints(const pjmedia_sdp_session *sdp, unsigned index, ss_dtls_fingerprints *found)
{
    int malformed = 0;

    memset(found, 0, sizeof *found);
    if (!add_fingerprints(found, sdp->media[index]->attr_count, sdp->media[index]->attr, &malformed)
        && !add_fingerprints(found, sdp->attr_count, sdp->attr, &malformed))
        return PJ_ENOTFOUND;
    if (malformed)
        return PJMEDIA_SDP_EINATTR;
    return found->count ? PJ_SUCCESS : PJMEDIA_SRTP_DTLS_ENOFPRINT;     /* only hashes that we cannot check */
}

static int is_secure(const pjmedia_sdp_media *media)
{
    return PJMEDIA_TP_PROTO_HAS_FLAG(pjmedia_sdp_transport_get_proto(&media->desc.transport), PJMEDIA_TP_PROFILE_SRTP);
}

static const char *const setups[] = { "active", "passive", "actpass" };

ss_dtls_setup ss_dtls_find_setup(const pjmedia_sdp_session *sdp, unsigned index, ss_dtls_setup missing)
{
    const pjmedia_sdp_attr *attribute = find(sdp, index, "setup");

    if (!attribute)
        return missing;
    for (unsigned i = 0; i < PJ_ARRAY_SIZE(setups); i++) {
        if (pj_stricmp2(&attribute->value, setups[i]) == 0)
            return (ss_dtls_setup)i;
    }
    return SS_DTLS_NO_SETUP;            /* holdconn, too: there would be no keys */
}

static void copy_tls_id(const pjmedia_sdp_session *sdp, unsigned index, char *text)
{
    const pjmedia_sdp_attr *attribute = find(sdp, index, "tls-id");

    text[0] = '\0';
    if (attribute && attribute->value.slen < SS_DTLS_MAX_TLS_ID)
        pj_ansi_snprintf(text, SS_DTLS_MAX_TLS_ID, "%.*s", (int)attribute->value.slen, attribute->value.ptr);
}

static int has_mux(const pjmedia_sdp_session *sdp, unsigned index)
{
    return pjmedia_sdp_media_find_attr2(sdp->media[index], "rtcp-mux", NULL) != NULL;
}

pj_status_t ss_dtls_may_be_plain(int mandatory, const pjmedia_sdp_media *remote)
{
    if (is_secure(remote))
        return PJMEDIA_SRTP_DTLS_ENOFPRINT;
    return mandatory ? PJMEDIA_SRTP_ESDPREQSECTP : PJ_SUCCESS;
}

pj_status_t ss_dtls_agree(int mandatory, const pjmedia_sdp_session *local, const pjmedia_sdp_session *remote, unsigned index, ss_dtls_terms *agreed)
{
    ss_dtls_setup ours = ss_dtls_find_setup(local, index, SS_DTLS_NO_SETUP);
    ss_dtls_setup theirs = ss_dtls_find_setup(remote, index, ours == SS_DTLS_ACTIVE ? SS_DTLS_PASSIVE : SS_DTLS_ACTIVE);
    pj_status_t status;

    memset(agreed, 0, sizeof *agreed);
    agreed->mux = has_mux(local, index) && has_mux(remote, index);
    status = ss_sdp_remote_addresses(remote, index, agreed->mux, &agreed->rtp, &agreed->rtcp);
    if (status != PJ_SUCCESS)
        return status;
    status = ss_dtls_find_fingerprints(remote, index, &agreed->peer);
    if (status == PJ_ENOTFOUND) {
        agreed->plain = 1;
        return ss_dtls_may_be_plain(mandatory, remote->media[index]);
    }
    if (status != PJ_SUCCESS)
        return status;
    if (ours == SS_DTLS_NO_SETUP || theirs == SS_DTLS_NO_SETUP || ours == theirs)
        return PJMEDIA_SRTP_ESDPAMBIGUEANS;
    agreed->client = ours == SS_DTLS_ACTIVE || theirs == SS_DTLS_PASSIVE;
    copy_tls_id(remote, index, agreed->tls_id);
    pj_ansi_snprintf(agreed->profile, sizeof agreed->profile, "%.*s", (int)local->media[index]->desc.transport.slen,
                     local->media[index]->desc.transport.ptr);
    return PJ_SUCCESS;
}

int ss_dtls_is_same_association(const ss_dtls_terms *one, const ss_dtls_terms *other)
{
    return !one->plain && !other->plain && one->client == other->client && one->mux == other->mux
           && memcmp(&one->peer, &other->peer, sizeof one->peer) == 0 && strcmp(one->tls_id, other->tls_id) == 0;
}

static void add(pj_pool_t *pool, pjmedia_sdp_media *media, const char *name, const char *value)
{
    pj_str_t text;
    pjmedia_sdp_attr *attribute = pjmedia_sdp_attr_create(pool, name, value ? pj_cstr(&text, value) : NULL);

    if (attribute)
        pjmedia_sdp_attr_add(&media->attr_count, media->attr, attribute);
}

void ss_dtls_write_sdp(pj_pool_t *pool, pjmedia_sdp_media *media, ss_dtls_setup role, const char *fingerprint, const char *tls_id)
{
    add(pool, media, "setup", setups[role]);
    add(pool, media, "fingerprint", fingerprint);
    add(pool, media, "tls-id", tls_id);
}
