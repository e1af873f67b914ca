/*
 * Host names in the peer's session description: none is looked up. PJMEDIA would have the system's resolver do it, and the calling thread
 * wait for as long as that takes. So it gets a description that has addresses only, made here; docs/decisions.md says which.
 */
#include <pjlib.h>
#include <pjmedia.h>

#include "engine.h"
#include "rtp_transport.h"

#define DISCARD_PORT 9
#define RTP_COMPONENT 1
#define RTCP_COMPONENT 2

/* The words of a=candidate that count here, RFC 8839 section 5.1. */
enum { FOUNDATION, COMPONENT, TRANSPORT, PRIORITY, ADDRESS, PORT, WORDS };

static int is_null_address(const pj_str_t *host)
{
    return pj_strcmp2(host, "0.0.0.0") == 0 || pj_strcmp2(host, "::") == 0;
}

static const char *address_type(const pj_str_t *address)
{
    return pj_strchr(address, ':') ? "IP6" : "IP4";
}

/* Parted as by PJMEDIA, at spaces. Without a port it is no candidate. */
static int split(const pj_str_t *value, pj_str_t words[WORDS])
{
    pj_str_t space = pj_str(" ");
    pj_ssize_t at = 0;

    for (unsigned i = 0; i < WORDS; i++) {
        at = pj_strtok(value, &space, &words[i], (pj_size_t)at);
        if (at == value->slen)
            return 0;
        at += words[i].slen;
    }
    return 1;
}

/* Candidates with names are to be ignored, RFC 8839 section 5.1. Whether there were any candidates. */
static int drop_names(pjmedia_sdp_media *media)
{
    unsigned kept = 0;
    int had = 0;

    for (unsigned i = 0; i < media->attr_count; i++) {
        pjmedia_sdp_attr *attribute = media->attr[i];
        pj_str_t words[WORDS];
        int is_candidate = pj_strcmp2(&attribute->name, "candidate") == 0;

        had |= is_candidate;
        if (!is_candidate || (split(&attribute->value, words) && ss_is_address(&words[ADDRESS])))
            media->attr[kept++] = attribute;
    }
    media->attr_count = kept;
    return had;
}

/*
 * What the peer could have named as the default destination of a component: the candidate of the lowest priority, a relay if there is one, is the most
 * likely to be reached (RFC 5245 section 4.1.4). Addresses of the `type` of the line in question come before others. 0 = there is none for UDP.
 */
static int find_default(const pjmedia_sdp_media *media, unsigned component, const pj_str_t *type, pj_str_t found[WORDS])
{
    unsigned long lowest = 0;
    int have = 0, best = 0;

    for (unsigned i = 0; i < media->attr_count; i++) {
        pj_str_t words[WORDS];
        unsigned long priority;
        int fits;

        if (pj_strcmp2(&media->attr[i]->name, "candidate") != 0 || !split(&media->attr[i]->value, words)
            || pj_strtoul(&words[COMPONENT]) != component || pj_stricmp2(&words[TRANSPORT], "UDP") != 0)
            continue;
        priority = pj_strtoul(&words[PRIORITY]);
        fits = pj_stricmp2(type, address_type(&words[ADDRESS])) == 0;
        if (have && (fits < best || (fits == best && priority >= lowest)))
            continue;
        pj_memcpy(found, words, sizeof words);
        lowest = priority;
        best = fits;
        have = 1;
    }
    return have;
}

static pj_uint16_t port_of(const pj_str_t words[WORDS])
{
    return (pj_uint16_t)pj_strtoul(&words[PORT]);
}

static void set_connection(pj_pool_t *pool, pjmedia_sdp_media *media, const pj_str_t *address)
{
    media->conn = PJ_POOL_ZALLOC_T(pool, pjmedia_sdp_conn);
    media->conn->net_type = pj_str("IN");
    media->conn->addr_type = pj_str((char *)address_type(address));
    media->conn->addr = *address;
}

/* a=rtcp (RFC 3605); `address` NULL = that of the connection. */
static void set_rtcp(pj_pool_t *pool, pjmedia_sdp_media *media, unsigned port, const pj_str_t *address)
{
    char text[PJ_INET6_ADDRSTRLEN + 32];
    pj_str_t value = { text, 0 };

    pjmedia_sdp_attr_remove_all(&media->attr_count, media->attr, "rtcp");
    if (media->attr_count == PJMEDIA_MAX_SDP_ATTR)
        return;
    value.slen = pj_ansi_snprintf(text, sizeof text, "%u", port);
    if (address)
        value.slen += pj_ansi_snprintf(text + value.slen, sizeof text - (size_t)value.slen, " IN %s %.*s", address_type(address),
                                       (int)address->slen, address->ptr);
    pjmedia_sdp_attr_add(&media->attr_count, media->attr, pjmedia_sdp_attr_create(pool, "rtcp", &value));
}

static int has_credentials(const pjmedia_sdp_session *sdp, const pjmedia_sdp_media *media)
{
    static const char *const names[] = { "ice-ufrag", "ice-pwd" };

    for (unsigned i = 0; i < PJ_ARRAY_SIZE(names); i++) {
        if (!pjmedia_sdp_attr_find2(media->attr_count, media->attr, names[i], NULL)
            && !pjmedia_sdp_attr_find2(sdp->attr_count, sdp->attr, names[i], NULL))
            return 0;
    }
    return 1;
}

/* For us the peer has no ICE. */
static void forget_ice(pjmedia_sdp_session *sdp, pjmedia_sdp_media *media)
{
    pjmedia_sdp_attr_remove_all(&media->attr_count, media->attr, "ice-ufrag");
    pjmedia_sdp_attr_remove_all(&sdp->attr_count, sdp->attr, "ice-ufrag");
}

/* The candidate `words` for RTP becomes the default destination, and one for RTCP if there is any. */
static void use_default(pj_pool_t *pool, pjmedia_sdp_media *media, const pj_str_t words[WORDS])
{
    pj_str_t rtcp[WORDS];

    set_connection(pool, media, &words[ADDRESS]);
    media->desc.port = port_of(words);
    if (find_default(media, RTCP_COMPONENT, &media->conn->addr_type, rtcp))
        set_rtcp(pool, media, port_of(rtcp), &rtcp[ADDRESS]);
    else
        pjmedia_sdp_attr_remove_all(&media->attr_count, media->attr, "rtcp");
}

/* `type` is that of the connection; `with_ice` = there are candidates that count. */
static void replace_rtcp_name(pj_pool_t *pool, pjmedia_sdp_media *media, const pj_str_t *type, int with_ice)
{
    const pjmedia_sdp_attr *attribute = pjmedia_sdp_media_find_attr2(media, "rtcp", NULL);
    pjmedia_sdp_rtcp_attr told;
    pj_str_t words[WORDS];

    /* In one that is damaged PJMEDIA finds no name, either. */
    if (!attribute || pjmedia_sdp_attr_get_rtcp(attribute, &told) != PJ_SUCCESS || !told.addr.slen || ss_is_address(&told.addr))
        return;
    if (with_ice && find_default(media, RTCP_COMPONENT, type, words))
        set_rtcp(pool, media, port_of(words), &words[ADDRESS]);
    else
        set_rtcp(pool, media, told.port, NULL);
}

int ss_sdp_has_ice(const pjmedia_sdp_session *remote, unsigned index)
{
    const pj_str_t any = { NULL, 0 };
    pj_str_t words[WORDS];

    return has_credentials(remote, remote->media[index]) && find_default(remote->media[index], RTP_COMPONENT, &any, words);
}

pj_status_t ss_sdp_parse_remote(pj_pool_t *pool, const char *text, size_t length, unsigned index, int use_ice, pjmedia_sdp_session **result)
{
    pj_status_t status = ss_sdp_parse(pool, text, length, index, result);
    pjmedia_sdp_media *media;
    const pjmedia_sdp_conn *connection;
    pj_str_t words[WORDS];
    int is_name, is_nowhere, with_ice;

    if (status != PJ_SUCCESS)
        return status;
    media = (*result)->media[index];
    connection = media->conn ? media->conn : (*result)->conn;
    if (!connection)
        return PJ_SUCCESS;              /* PJMEDIA tells the error, where it matters */
    is_name = !ss_is_address(&connection->addr);
    /* Nothing is to be sent: the line is rejected, or its addresses are to come (RFC 8840). */
    is_nowhere = !media->desc.port || (media->desc.port == DISCARD_PORT && (is_name || is_null_address(&connection->addr)));
    if (drop_names(media) && !find_default(media, RTP_COMPONENT, &connection->addr_type, words))
        forget_ice(*result, media);
    with_ice = use_ice && has_credentials(*result, media) && find_default(media, RTP_COMPONENT, &connection->addr_type, words);
    if (with_ice && media->desc.port && (is_name || is_nowhere)) {
        /* RFC 8839 section 4.2.5: ICE goes on. For PJMEDIA it is a mismatch when the default destination is not among the candidates. */
        use_default(pool, media, words);
        return PJ_SUCCESS;
    }
    if (is_name && !is_nowhere) {
        PJ_LOG(3, ("sdp", "No media to %.*s: host names of peers are not looked up", (int)connection->addr.slen, connection->addr.ptr));
        return PJMEDIA_EINVALIDIP;
    }
    if (is_name) {
        pj_str_t nowhere = pj_str(pj_stricmp2(&connection->addr_type, "IP6") == 0 ? "::" : "0.0.0.0");

        set_connection(pool, media, &nowhere);
    }
    replace_rtcp_name(pool, media, &connection->addr_type, with_ice);
    return PJ_SUCCESS;
}
