/*
 * Received SIP messages that are not what they should be. What PJSIP drops is counted; what it would let pass is answered or dropped
 * here, before a transaction or a dialog acts on it.
 */
#define _GNU_SOURCE
#include "invitation.h"

#include <string.h>
#include <strings.h>

#include <pj/ctype.h>
#include <pjmedia.h>
#include <pjsip_ua.h>

#define MAX_URI_SIZE 4096                        /* MAX_URI_LENGTH of values.py */
#define MAX_SDP_SIZE (SS_INV_SDP_SIZE - 1024)    /* printed anew it may be longer: lines that say what was understood without them */

/* Nobody knows where the next message on this connection begins. */
static void end_stream(pjsip_rx_data *rdata)
{
    if (!(rdata->tp_info.transport->flag & PJSIP_TRANSPORT_DATAGRAM))
        pjsip_transport_shutdown(rdata->tp_info.transport);
}

/* callback: pjsip_tpmgr dropped data | thread: worker | gil: no | locks: none | lifetime: the Engine's */
static void on_dropped(pjsip_tp_dropped_data *dropped)
{
    pjsip_rx_data *rdata = dropped->rdata;

    if (rdata && (rdata->tp_info.transport->flag & PJSIP_TRANSPORT_DATAGRAM) && ss_flow_heard(dropped->data, dropped->len, &rdata->pkt_info.src_addr))
        return;
    if (dropped->status == PJ_EIGNORED) {       /* line breaks that keep a connection alive: a ping has four bytes, its answer two */
        if (dropped->len == 2 && !(dropped->tp->flag & PJSIP_TRANSPORT_DATAGRAM))
            ss_flow_ponged(dropped->tp);
        return;
    }
    SS_COUNT(malformed);
    if (!rdata || dropped->status == PJSIP_ERXOVERFLOW || dropped->status == PJSIP_EINVALIDSTATUS)
        return;
    ss_unparsed_answer(rdata, dropped->data, dropped->len);
    if (dropped->status != PJSIP_EINVALIDMSG && !rdata->msg_info.msg)
        end_stream(rdata);
}

/* Where the body begins in a message of `size` bytes; NULL when its header does not end. */
static const char *find_body(const char *message, size_t size)
{
    const char *found = memmem(message, size, "\r\n\r\n", 4), *bare = memmem(message, size, "\n\n", 2);

    if (found && (!bare || found < bare))
        return found + 4;
    return bare ? bare + 2 : NULL;
}

/*
 * A datagram that ends before its message does is an error, bytes after the message are not part of it (RFC 3261 section 18.3). Streams
 * are divided by Content-Length already.
 */
static int is_whole(pjsip_rx_data *rdata)
{
    pjsip_msg_body *body = rdata->msg_info.msg->body;
    const char *message = rdata->msg_info.msg_buf, *begin;
    size_t size = (size_t)rdata->msg_info.len, there, length;

    if (!(rdata->tp_info.transport->flag & PJSIP_TRANSPORT_DATAGRAM))
        return 1;
    begin = find_body(message, size);
    if (!begin)
        return 0;
    if (!rdata->msg_info.clen)
        return 1;
    there = size - (size_t)(begin - message);
    length = rdata->msg_info.clen->len < 0 ? 0 : (size_t)rdata->msg_info.clen->len;
    if (length > there)
        return 0;
    if (length < there) {
        rdata->msg_info.len = (int)(size - (there - length));
        if (body && body->data == begin && body->len == there) {
            body->len = (unsigned)length;
            ((char *)body->data)[length] = '\0';        /* parsers stop there */
            if (!length)
                rdata->msg_info.msg->body = NULL;
        }
    }
    return 1;
}

/* The next word of a line of which `*left` bytes are left; what follows a word is a blank or nothing. */
static const char *next_word(const char **line, size_t *left, size_t *length)
{
    const char *word;

    while (*left && (**line == ' ' || **line == '\t'))
        (*line)++, (*left)--;
    word = *line;
    while (*left && **line != ' ' && **line != '\t')
        (*line)++, (*left)--;
    *length = (size_t)(*line - word);
    return word;
}

static int is_version(const char *word, size_t length)
{
    return length == 7 && strncasecmp(word, "SIP/2.0", 7) == 0;
}

static int is_status_line(const char *line, size_t left)
{
    size_t length;
    const char *word = next_word(&line, &left, &length);

    if (!is_version(word, length))
        return 0;
    word = next_word(&line, &left, &length);
    return length == 3 && pj_isdigit(word[0]) && pj_isdigit(word[1]) && pj_isdigit(word[2]);
}

static int is_request_line(const char *line, size_t left, pj_str_t *uri)
{
    size_t length;
    const char *word;

    for (size_t i = 0; i < left; i++) {
        unsigned char byte = (unsigned char)line[i];

        if ((byte < ' ' && byte != '\t') || byte == 0x7f)
            return 0;
    }
    next_word(&line, &left, &length);                   /* the method; PJSIP has seen that it is a token */
    uri->ptr = (char *)next_word(&line, &left, &length);
    uri->slen = (pj_ssize_t)length;
    word = next_word(&line, &left, &length);
    return is_version(word, length) && (next_word(&line, &left, &length), length == 0);
}

/* RFC 3261 sections 7.1 and 7.2. PJSIP's scanner needs no blanks between the parts of the first line; everybody else, and our Python, does. */
static int has_right_line(const pjsip_rx_data *rdata, pj_str_t *uri)
{
    const char *line = rdata->msg_info.msg_buf, *stop;
    size_t left = (size_t)rdata->msg_info.len;

    pj_strset(uri, NULL, 0);
    while (left && (*line == '\r' || *line == '\n'))    /* section 7.5 */
        line++, left--;
    stop = memchr(line, '\n', left);
    if (!stop)
        return 0;
    left = (size_t)(stop - line);
    if (left && line[left - 1] == '\r')
        left--;
    return rdata->msg_info.msg->type == PJSIP_REQUEST_MSG ? is_request_line(line, left, uri) : is_status_line(line, left);
}

/* RFC 3261 section 8.1.1.5: the CSeq names the method of the request. */
static int has_right_cseq(const pjsip_rx_data *rdata)
{
    return rdata->msg_info.msg->type != PJSIP_REQUEST_MSG
           || pjsip_method_cmp(&rdata->msg_info.msg->line.req.method, &rdata->msg_info.cseq->method) == 0;
}

/* RFC 3261 section 7.3.1: these have one value. `framing`: whether one of those that come again tells the size. */
static int has_single_headers(const pjsip_rx_data *rdata, int *framing)
{
    static const pjsip_hdr_e single[] = { PJSIP_H_CALL_ID, PJSIP_H_CONTENT_LENGTH, PJSIP_H_CONTENT_TYPE, PJSIP_H_CSEQ, PJSIP_H_FROM, PJSIP_H_MAX_FORWARDS, PJSIP_H_TO };
    const pjsip_msg *msg = rdata->msg_info.msg;
    unsigned counts[PJ_ARRAY_SIZE(single)] = { 0 };
    int good = 1;

    *framing = 0;
    for (const pjsip_hdr *header = msg->hdr.next; header != &msg->hdr; header = header->next) {
        for (unsigned i = 0; i < PJ_ARRAY_SIZE(single); i++) {
            if (header->type != single[i] || ++counts[i] == 1)
                continue;
            good = 0;
            *framing |= single[i] == PJSIP_H_CONTENT_LENGTH;
        }
    }
    return good || msg->type != PJSIP_REQUEST_MSG;
}

/* What stands in brackets. With three colons in a row it is written by an old grammar (RFC 5118 section 4.10). */
static int is_ipv6(const char *text, size_t length)
{
    char copy[PJ_INET6_ADDRSTRLEN];
    pj_in6_addr address;
    pj_str_t string;
    char *colons;

    if (!length || length >= sizeof copy)       /* pj_inet_pton() takes no others */
        return 0;
    memcpy(copy, text, length);
    copy[length] = '\0';
    colons = strstr(copy, ":::");
    if (colons)
        memmove(colons, colons + 1, strlen(colons));
    pj_cstr(&string, copy);
    return pj_inet_pton(pj_AF_INET6(), &string, &address) == PJ_SUCCESS;
}

/* `text`: from the host on. PJSIP takes anything in brackets for an IPv6 address, and any port. */
static int has_right_host(const char *text, size_t left)
{
    size_t length = 0;
    const char *host = text, *colon;
    unsigned long port = 0;

    while (length < left && text[length] != ';' && text[length] != '?')
        length++;

    if (length && *text == '[') {
        host = memchr(text, ']', length);
        if (!host || !is_ipv6(text + 1, (size_t)(host - text) - 1))
            return 0;
    }
    colon = memchr(host, ':', (size_t)(text + length - host));
    if (!colon)
        return 1;
    for (const char *digit = colon + 1; digit < text + length && port <= 65535; digit++) {
        if (!pj_isdigit(*digit))
            return 0;
        port = port * 10 + (unsigned long)(*digit - '0');
    }
    return port > 0 && port <= 65535;
}

/* RFC 3261 section 19.1.1; the address of a request has no headers of its own. `text`: as it was received. */
static int has_right_address(const pjsip_rx_data *rdata, const pj_str_t *text)
{
    const pjsip_msg *msg = rdata->msg_info.msg;
    const pjsip_sip_uri *uri;
    const char *host;

    if (msg->type != PJSIP_REQUEST_MSG || (!PJSIP_URI_SCHEME_IS_SIP(msg->line.req.uri) && !PJSIP_URI_SCHEME_IS_SIPS(msg->line.req.uri)))
        return 1;
    uri = (const pjsip_sip_uri *)pjsip_uri_get_uri(msg->line.req.uri);
    host = pj_strchr(text, uri->user.slen ? '@' : ':');
    return host && has_right_host(host + 1, (size_t)(text->ptr + text->slen - host - 1)) && pj_list_empty(&uri->header_param);
}

/* How many there are; `longest`: the length of the longest one. */
static unsigned count_words(const char *text, size_t length, size_t *longest)
{
    unsigned count = 0;
    size_t word;

    for (*longest = 0; next_word(&text, &length, &word), word; count++)
        *longest = word > *longest ? word : *longest;
    return count;
}

static int begins_with(const char *line, size_t length, const char *text)
{
    return length >= strlen(text) && memcmp(line, text, strlen(text)) == 0;
}

/* `line` is without line break. */
static int is_sdp_line(const char *line, size_t length)
{
    size_t longest;
    unsigned words;

    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)line[i];

        if ((byte < ' ' && byte != '\t') || byte == 0x7f)
            return 0;
    }
    if (length == 0)
        return 1;
    if (length < 2 || line[1] != '=')
        return 0;
    words = count_words(line + 2, length - 2, &longest);
    switch (line[0]) {
    case 'o': return words == 6;
    case 'c': return words == 3 && longest < PJ_MAX_HOSTNAME;
    case 't': return words == 2;
    case 'm': return words >= 3;
    case 'b': return memchr(line, ':', length) != NULL;
    case 'a': return longest < PJ_MAX_HOSTNAME || !(begins_with(line, length, "a=rtcp:") || begins_with(line, length, "a=candidate:"));
    default: return 1;
    }
}

/* PJMEDIA's parser lets NUL and other control characters pass, and looks for what a line lacks in the lines behind it. */
static int is_sdp_text(const char *text, size_t size)
{
    while (size) {
        const char *stop = memchr(text, '\n', size);
        size_t whole = stop ? (size_t)(stop - text) + 1 : size, length = stop ? whole - 1 : whole;

        if (length && text[length - 1] == '\r')
            length--;
        if (!is_sdp_line(text, length))
            return 0;
        text += whole;
        size -= whole;
    }
    return 1;
}

/*
 * Who acts on the SDP refuses it; it is parsed once for all who ask. What is right but more than there is room for is an error of its
 * own: PJ_ETOOMANY or PJ_ETOOBIG.
 */
static int has_bad_sdp(pjsip_rx_data *rdata)
{
    pjsip_rdata_sdp_info *info;

    if (!rdata->msg_info.msg->body)
        return 0;
    info = pjsip_rdata_get_sdp_info(rdata);
    if (info->sdp && !is_sdp_text(info->body.ptr, (size_t)info->body.slen)) {
        info->sdp = NULL;
        info->sdp_err = PJMEDIA_SDP_EINSDP;
    } else if (info->sdp && info->body.slen > MAX_SDP_SIZE) {
        info->sdp = NULL;
        info->sdp_err = PJ_ETOOBIG;
    }
    return info->sdp_err != PJ_SUCCESS;
}

/*
 * An offer that is too much for us: 488 says that another one may do, where a bad one has 400. An answer that is too much comes in a
 * response or an ACK, and ends the call as one that does not fit.
 */
static int refuse_offer(pjsip_rx_data *rdata)
{
    static const char *const methods[] = { "INVITE", "UPDATE", "PRACK" };
    const pj_str_t name = pj_str("Warning"), *method = &rdata->msg_info.msg->line.req.method.name;
    char text[96];
    pj_status_t error;
    pj_str_t value;
    pjsip_hdr list;

    if (rdata->msg_info.msg->type != PJSIP_REQUEST_MSG)
        return 0;
    error = pjsip_rdata_get_sdp_info(rdata)->sdp_err;
    if (error != PJ_ETOOMANY && error != PJ_ETOOBIG)
        return 0;
    for (unsigned i = 0; i < PJ_ARRAY_SIZE(methods); i++) {
        if (pj_strcmp2(method, methods[i]) != 0)
            continue;
        pj_ansi_snprintf(text, sizeof text, "399 local \"Session description of more than %d %s\"",
                         error == PJ_ETOOMANY ? PJMEDIA_MAX_SDP_MEDIA : MAX_SDP_SIZE, error == PJ_ETOOMANY ? "media lines" : "bytes");
        pj_list_init(&list);
        pj_cstr(&value, text);
        pj_list_push_back(&list, pjsip_generic_string_hdr_create(rdata->tp_info.pool, &name, &value));
        ss_ua_respond(rdata, 488, &list);
        return 1;
    }
    return 0;
}

/* callback: pjsip module rx | thread: worker | gil: no | locks: none | lifetime: the Engine's */
static pj_bool_t on_rx(pjsip_rx_data *rdata)
{
    const pjsip_msg *msg = rdata->msg_info.msg;
    pj_str_t uri;
    int framing = 0;

    if (has_right_line(rdata, &uri) && is_whole(rdata) && has_right_cseq(rdata) && uri.slen <= MAX_URI_SIZE && has_right_address(rdata, &uri)
        && has_single_headers(rdata, &framing)) {
        if (has_bad_sdp(rdata)) {
            SS_COUNT(malformed_sdp);
            if (refuse_offer(rdata))
                return PJ_TRUE;
        }
        return PJ_FALSE;
    }
    SS_COUNT(malformed);
    if (msg->type == PJSIP_REQUEST_MSG && msg->line.req.method.id != PJSIP_ACK_METHOD)
        ss_ua_respond(rdata, uri.slen > MAX_URI_SIZE ? PJSIP_SC_REQUEST_URI_TOO_LONG : PJSIP_SC_BAD_REQUEST, NULL);
    if (framing)
        end_stream(rdata);
    return PJ_TRUE;
}

static pjsip_module module = {
    .name = { "mod-malformed", 13 },
    .id = -1,
    .priority = PJSIP_MOD_PRIORITY_TRANSPORT_LAYER + 1,
    .on_rx_request = &on_rx,
    .on_rx_response = &on_rx,
};

pj_status_t ss_malformed_start(void)
{
    module.id = -1;
    pjsip_tpmgr_set_drop_data_cb(pjsip_endpt_get_tpmgr(ss_endpoint()), &on_dropped);
    return pjsip_endpt_register_module(ss_endpoint(), &module);
}
