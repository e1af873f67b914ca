/* SDP of media streams: text to PJMEDIA's structures and back, and the m= line of an audio stream. */
#include <stdlib.h>
#include <string.h>

#include <pjlib.h>
#include <pjmedia.h>

#include "mixer.h"
#include "rtp_transport.h"

#define PRINT_SIZE 8192
#define PRINT_LIMIT (128 * 1024)
#define MAX_CODECS PJMEDIA_CODEC_MGR_MAX_CODECS
#define FMTP_SIZE 256
#define EVENT_PT PJMEDIA_RTP_PT_TELEPHONE_EVENTS
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

pj_status_t ss_sdp_parse(pj_pool_t *pool, const char *text, size_t length, unsigned index, pjmedia_sdp_session **sdp)
{
    char *copy = pj_pool_alloc(pool, length + 1);
    pj_status_t status;

    memcpy(copy, text, length);
    copy[length] = '\0';
    status = pjmedia_sdp_parse(pool, copy, length, sdp);
    if (status == PJ_SUCCESS && index >= (*sdp)->media_count)
        status = PJMEDIA_SDP_EINMEDIA;
    return status;
}

pj_status_t ss_sdp_print(const pjmedia_sdp_session *sdp, char **text, size_t *length)
{
    for (size_t size = PRINT_SIZE; size <= PRINT_LIMIT; size *= 2) {
        char *buffer = malloc(size);
        int printed;

        if (!buffer)
            return PJ_ENOMEM;
        printed = pjmedia_sdp_print(sdp, buffer, size);
        if (printed > 0) {
            *text = buffer;
            *length = (size_t)printed;
            return PJ_SUCCESS;
        }
        free(buffer);
    }
    return PJ_ETOOBIG;
}

pjmedia_sdp_session *ss_sdp_wrap(pj_pool_t *pool, pjmedia_sdp_media *media, unsigned index)
{
    pjmedia_sdp_session *sdp = PJ_POOL_ZALLOC_T(pool, pjmedia_sdp_session);
    pjmedia_sdp_media *rejected = PJ_POOL_ZALLOC_T(pool, pjmedia_sdp_media);

    rejected->desc.media = media->desc.media;
    rejected->desc.port_count = 1;
    rejected->desc.transport = pj_str("RTP/AVP");
    rejected->desc.fmt_count = 1;
    rejected->desc.fmt[0] = pj_str("0");
    sdp->origin.user = pj_str("-");
    sdp->origin.net_type = pj_str("IN");
    sdp->origin.addr_type = media->conn->addr_type;
    sdp->origin.addr = media->conn->addr;
    sdp->name = pj_str(" ");
    sdp->conn = media->conn;
    for (unsigned i = 0; i < index; i++)
        sdp->media[i] = rejected;
    sdp->media[index] = media;
    sdp->media_count = index + 1;
    return sdp;
}

pj_status_t ss_sdp_remote_addresses(const pjmedia_sdp_session *remote, unsigned index, int mux, pj_sockaddr *rtp, pj_sockaddr *rtcp)
{
    const pjmedia_sdp_media *media = remote->media[index];
    const pjmedia_sdp_conn *connection = media->conn ? media->conn : remote->conn;
    const pjmedia_sdp_attr *attribute = pjmedia_sdp_media_find_attr2(media, "rtcp", NULL);
    pjmedia_sdp_rtcp_attr told;
    int family;

    if (!connection)
        return PJMEDIA_SDP_EMISSINGCONN;
    family = pj_stricmp2(&connection->addr_type, "IP6") == 0 ? pj_AF_INET6() : pj_AF_INET();
    if (pj_sockaddr_init(family, rtp, &connection->addr, media->desc.port) != PJ_SUCCESS)
        return PJMEDIA_EINVALIDIP;
    *rtcp = *rtp;
    if (mux)
        return PJ_SUCCESS;
    pj_sockaddr_set_port(rtcp, (pj_uint16_t)(media->desc.port + 1));
    if (attribute && pjmedia_sdp_attr_get_rtcp(attribute, &told) == PJ_SUCCESS) {
        if (told.addr.slen && pj_sockaddr_init(family, rtcp, &told.addr, 0) != PJ_SUCCESS)
            return PJMEDIA_EINVALIDIP;
        pj_sockaddr_set_port(rtcp, (pj_uint16_t)told.port);
    }
    return PJ_SUCCESS;
}

void ss_sdp_set_transport(pj_pool_t *pool, pjmedia_sdp_media *media, const pjmedia_sock_info *info)
{
    static const char *const ours[] = {
        "rtcp", "rtcp-mux", "candidate", "remote-candidates", "ice-ufrag", "ice-pwd", "ice-mismatch", "ice-options", "crypto",
        "setup", "fingerprint", "tls-id" };
    const pj_sockaddr *address = &info->rtp_addr_name;
    char text[SS_ADDRESS_SIZE];
    pjmedia_sdp_attr *attribute;

    for (unsigned i = 0; i < PJ_ARRAY_SIZE(ours); i++)
        pjmedia_sdp_attr_remove_all(&media->attr_count, media->attr, ours[i]);
    media->conn = PJ_POOL_ZALLOC_T(pool, pjmedia_sdp_conn);
    media->conn->net_type = pj_str("IN");
    media->conn->addr_type = pj_str(address->addr.sa_family == pj_AF_INET6() ? "IP6" : "IP4");
    pj_strdup2(pool, &media->conn->addr, pj_sockaddr_print(address, text, sizeof text, 0));
    media->desc.port = pj_sockaddr_get_port(address);
    media->desc.port_count = 1;
    if (pj_sockaddr_has_addr(&info->rtcp_addr_name)) {
        attribute = pjmedia_sdp_attr_create_rtcp(pool, &info->rtcp_addr_name);
        if (attribute)
            pjmedia_sdp_attr_add(&media->attr_count, media->attr, attribute);
    }
}

/* ---- codecs --------------------------------------------------------------------------------------------------- */

/* The bridge is mono; Opus says two channels whatever it sends (RFC 7587 section 7). */
static int is_usable(const pjmedia_codec_info *info)
{
    return info->channel_cnt == 1 || pj_stricmp2(&info->encoding_name, "opus") == 0;
}

static unsigned enabled_codecs(const pjmedia_codec_info *infos, const unsigned *priorities, unsigned count, unsigned *order)
{
    unsigned chosen = 0;

    for (unsigned i = 0; i < count; i++) {
        if (priorities[i] != PJMEDIA_CODEC_PRIO_DISABLED && is_usable(&infos[i]))
            order[chosen++] = i;
    }
    return chosen;
}

/* Of the variants of one codec the higher clock rate comes first, as in ss_codecs_set(). */
static pj_status_t named_codecs(const pjmedia_codec_info *infos, unsigned count, const char *names, unsigned *order, unsigned *chosen)
{
    *chosen = 0;
    while (*names) {
        pj_str_t name = { (char *)names, (pj_ssize_t)strcspn(names, "\n") };
        unsigned first = *chosen;

        names += name.slen;
        names += *names == '\n';
        for (unsigned i = 0; i < count; i++) {
            unsigned place;
            int taken = 0;

            for (unsigned k = 0; k < *chosen; k++)
                taken |= order[k] == i;
            if (taken || !is_usable(&infos[i]) || pj_stricmp(&infos[i].encoding_name, &name) != 0)
                continue;
            for (place = *chosen; place > first && infos[order[place - 1]].clock_rate < infos[i].clock_rate; place--)
                order[place] = order[place - 1];
            order[place] = i;
            ++*chosen;
        }
        if (*chosen == first)
            return PJ_ENOTFOUND;
    }
    return PJ_SUCCESS;
}

static void add_attribute(pj_pool_t *pool, pjmedia_sdp_media *media, const char *name, const char *value)
{
    pj_str_t text = pj_str((char *)value);

    pjmedia_sdp_attr_add(&media->attr_count, media->attr, pjmedia_sdp_attr_create(pool, name, value ? &text : NULL));
}

static pj_status_t add_codec(pj_pool_t *pool, pjmedia_sdp_media *media, const pjmedia_codec_info *info, unsigned pt)
{
    pjmedia_codec_param param;
    pj_str_t *format = &media->desc.fmt[media->desc.fmt_count++];
    char text[FMTP_SIZE];
    /* RFC 3551 section 4.5.2: G722 says 8000 though it samples at 16000. */
    unsigned rate = info->pt == PJMEDIA_RTP_PT_G722 ? 8000 : info->clock_rate;
    int length = 0;
    pj_status_t status = pjmedia_codec_mgr_get_default_param(pjmedia_endpt_get_codec_mgr(ss_media_endpoint()), info, &param);

    if (status != PJ_SUCCESS)
        return status;
    format->ptr = pj_pool_alloc(pool, 8);
    format->slen = pj_utoa(pt, format->ptr);
    pj_ansi_snprintf(text, sizeof text, "%u %.*s/%u%s", pt, (int)info->encoding_name.slen, info->encoding_name.ptr, rate,
                     info->channel_cnt == 2 ? "/2" : "");
    add_attribute(pool, media, "rtpmap", text);
    for (unsigned i = 0; i < param.setting.dec_fmtp.cnt && length >= 0 && length < FMTP_SIZE; i++) {
        const pj_str_t *name = &param.setting.dec_fmtp.param[i].name, *value = &param.setting.dec_fmtp.param[i].val;

        if (i == 0)
            length = pj_ansi_snprintf(text, sizeof text, "%u ", pt);
        length += pj_ansi_snprintf(text + length, sizeof text - (size_t)length, "%s%.*s%s%.*s", i ? ";" : "", (int)name->slen, name->ptr,
                                   name->slen ? "=" : "", (int)value->slen, value->ptr);
    }
    if (length < 0 || length >= FMTP_SIZE)
        return PJ_ETOOBIG;
    if (length)
        add_attribute(pool, media, "fmtp", text);
    return PJ_SUCCESS;
}

pj_status_t ss_sdp_audio_media(pj_pool_t *pool, const char *codecs, const char *direction, const pjmedia_sock_info *info,
                               pjmedia_sdp_media **result)
{
    pjmedia_codec_info infos[MAX_CODECS];
    unsigned priorities[MAX_CODECS], order[MAX_CODECS], count = MAX_CODECS, chosen, next_pt = 96;
    pjmedia_sdp_media *media = PJ_POOL_ZALLOC_T(pool, pjmedia_sdp_media);
    pj_status_t status = pjmedia_codec_mgr_enum_codecs(pjmedia_endpt_get_codec_mgr(ss_media_endpoint()), &count, infos, priorities);

    if (status != PJ_SUCCESS)
        return status;
    if (codecs) {
        status = named_codecs(infos, count, codecs, order, &chosen);
        if (status != PJ_SUCCESS)
            return status;
    } else {
        chosen = enabled_codecs(infos, priorities, count, order);
    }
    if (!chosen)
        return PJ_ENOTFOUND;
    media->desc.media = pj_str("audio");
    media->desc.transport = pj_str("RTP/AVP");
    ss_sdp_set_transport(pool, media, info);
    for (unsigned i = 0; i < chosen && media->desc.fmt_count < PJMEDIA_MAX_SDP_FMT - 1; i++) {
        unsigned pt = infos[order[i]].pt;

        if (pt >= 96) {
            pt = next_pt++;
            if (pt == EVENT_PT)
                pt = next_pt++;
            if (pt > 127)
                break;
        }
        status = add_codec(pool, media, &infos[order[i]], pt);
        if (status != PJ_SUCCESS)
            return status;
    }
    media->desc.fmt[media->desc.fmt_count++] = pj_str(TEXT(EVENT_PT));
    add_attribute(pool, media, "rtpmap", TEXT(EVENT_PT) " telephone-event/8000");
    add_attribute(pool, media, "fmtp", TEXT(EVENT_PT) " 0-15");
    add_attribute(pool, media, direction, NULL);
    *result = media;
    return PJ_SUCCESS;
}

void ss_sdp_narrow(pj_pool_t *pool, pjmedia_sdp_media *local, const pjmedia_sdp_media *remote)
{
    unsigned first, kept = 0;

    for (first = 0; first < local->desc.fmt_count; first++) {
        pj_str_t *name = &local->desc.fmt[first];
        pjmedia_sdp_attr *attribute = pjmedia_sdp_media_find_attr2(local, "rtpmap", name);
        pjmedia_sdp_rtpmap map;
        int matches = 0;

        if (attribute && pjmedia_sdp_attr_get_rtpmap(attribute, &map) == PJ_SUCCESS &&
            pj_stricmp2(&map.enc_name, "telephone-event") == 0)
            continue;
        for (unsigned i = 0; i < remote->desc.fmt_count && !matches; i++)
            matches = pjmedia_sdp_neg_fmt_match(pool, local, first, (pjmedia_sdp_media *)remote, i, 0) == PJ_SUCCESS;
        if (matches)
            break;
    }
    if (first == local->desc.fmt_count)
        return;                         /* nothing in common: PJMEDIA tells the error */
    for (unsigned i = first; i < local->desc.fmt_count; i++)
        local->desc.fmt[kept++] = local->desc.fmt[i];
    local->desc.fmt_count = kept;
}
