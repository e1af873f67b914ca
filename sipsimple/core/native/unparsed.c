/*
 * Requests that PJSIP's parser gives up on, answered from their text: 400, 505 when they are of another version of SIP, 416 when their address is of
 * another kind (RFC 3261 sections 8.2.2.1, 21.4.1 and 21.5.6). Who sent one by mistake learns of it at once, and does not try for half a minute.
 */
#include "engine.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include <pj/hash.h>

#include "diagnostics.h"

#define VERSION "SIP/2.0"
#define MAX_VIAS 64

enum { VIA, FROM, TO, CALL_ID, CSEQ, FIELDS };

static const struct { const char *name; char letter; } fields[FIELDS] = {
    [VIA] = { "Via", 'v' }, [FROM] = { "From", 'f' }, [TO] = { "To", 't' }, [CALL_ID] = { "Call-ID", 'i' }, [CSEQ] = { "CSeq", 0 },
};

/* What an answer repeats, as it was written. */
typedef struct request {
    int code;                           /* of the answer, 0 for none */
    pj_str_t vias[MAX_VIAS], values[FIELDS];
    unsigned via_count;
} request;

static pj_str_t strip(const char *begin, const char *end)
{
    pj_str_t text;

    while (begin < end && isspace((unsigned char)*begin))
        begin++;
    while (end > begin && isspace((unsigned char)end[-1]))
        end--;
    text.ptr = (char *)begin;
    text.slen = end - begin;
    return text;
}

/* The end of the line that begins there, with the lines that continue it; behind its line break. */
static const char *line_end(const char *begin, const char *end)
{
    for (;;) {
        const char *stop = memchr(begin, '\n', (size_t)(end - begin));

        if (!stop)
            return end;
        begin = stop + 1;
        if (begin == end || (*begin != ' ' && *begin != '\t'))
            return begin;
    }
}

/* False for an address of another kind than those of SIP. */
static int is_known_scheme(pj_str_t uri)
{
    static const char *const known[] = { "sip", "sips", "tel" };
    size_t length = 0;

    while (length < (size_t)uri.slen && (isalnum((unsigned char)uri.ptr[length]) || (length && strchr("+-.", uri.ptr[length]))))
        length++;
    if (length == (size_t)uri.slen || uri.ptr[length] != ':')
        return 1;                       /* no address at all */
    for (unsigned i = 0; i < PJ_ARRAY_SIZE(known); i++) {
        if (strlen(known[i]) == length && strncasecmp(uri.ptr, known[i], length) == 0)
            return 1;
    }
    return 0;
}

/* The code to answer a line with, if it is the first one of a request that gets an answer. */
static int code_for(pj_str_t line)
{
    const char *word = line.ptr + line.slen, *method = memchr(line.ptr, ' ', (size_t)line.slen);
    size_t length;

    while (word > line.ptr && !isspace((unsigned char)word[-1]))
        word--;
    length = (size_t)(line.ptr + line.slen - word);
    if (!method || word <= method || length < 5 || strncasecmp(word, "SIP/", 4) != 0)
        return 0;
    if ((method - line.ptr == 3 && strncasecmp(line.ptr, "ACK", 3) == 0) || strncasecmp(line.ptr, "SIP/", 4) == 0)
        return 0;                       /* PJSIP does not look at the case of methods, and has no answer for one that it takes for ACK */
    if (length != sizeof VERSION - 1 || strncasecmp(word, VERSION, length) != 0)
        return 505;
    return is_known_scheme(strip(method, word)) ? 400 : 416;
}

static void read_field(request *self, pj_str_t name, pj_str_t value)
{
    for (unsigned i = 0; i < FIELDS; i++) {
        if (pj_stricmp2(&name, fields[i].name) != 0 && (name.slen != 1 || !fields[i].letter || tolower((unsigned char)*name.ptr) != fields[i].letter))
            continue;
        if (i == VIA && self->via_count < MAX_VIAS)
            self->vias[self->via_count++] = value;
        else if (i != VIA && !self->values[i].slen)
            self->values[i] = value;
        return;
    }
}

static void read_request(request *self, const char *text, size_t size)
{
    const char *end = text + size, *stop;

    memset(self, 0, sizeof *self);
    stop = memchr(text, '\n', size);
    if (!stop)
        return;
    self->code = code_for(strip(text, stop));
    for (text = stop + 1; self->code && text < end; text = stop) {
        const char *colon;

        stop = line_end(text, end);
        if (!strip(text, stop).slen)
            break;                      /* the empty line before the body */
        colon = memchr(text, ':', (size_t)(stop - text));
        if (colon)
            read_field(self, strip(text, colon), strip(colon + 1, stop));
    }
    if (!self->via_count)
        self->code = 0;                 /* nobody would know what the answer belongs to */
}

/* A copy without the line breaks of a folded value, and without other control characters. */
static pj_str_t one_line(pj_pool_t *pool, pj_str_t value)
{
    pj_str_t copy;

    pj_strdup(pool, &copy, &value);
    for (pj_ssize_t i = 0; i < copy.slen; i++) {
        if ((unsigned char)copy.ptr[i] < ' ' || copy.ptr[i] == 0x7f)
            copy.ptr[i] = ' ';
    }
    return copy;
}

static int has_tag(pj_str_t value)
{
    for (pj_ssize_t i = 0; i + 3 < value.slen; i++) {
        if (value.ptr[i] == ';' || isspace((unsigned char)value.ptr[i])) {
            pj_str_t rest = strip(value.ptr + i + 1, value.ptr + value.slen);

            if (rest.slen > 4 && strncasecmp(rest.ptr, "tag", 3) == 0 && *strip(rest.ptr + 3, rest.ptr + rest.slen).ptr == '=')
                return 1;
        }
    }
    return 0;
}

static void add(pj_pool_t *pool, pjsip_msg *msg, unsigned field, pj_str_t value)
{
    const pj_str_t name = pj_str((char *)fields[field].name);

    value = one_line(pool, value);
    pjsip_msg_add_hdr(msg, (pjsip_hdr *)pjsip_generic_string_hdr_create(pool, &name, &value));
}

/* RFC 3261 section 8.2.6.2. The tag is the same for the same request, as there is no transaction to remember it. */
static void add_fields(pj_pool_t *pool, pjsip_msg *msg, const request *self)
{
    for (unsigned i = 0; i < self->via_count; i++)
        add(pool, msg, VIA, self->vias[i]);
    for (unsigned i = FROM; i < FIELDS; i++) {
        pj_str_t value = self->values[i];

        if (!value.slen)
            continue;
        if (i == TO && !has_tag(value)) {
            pj_str_t tagged = { pj_pool_alloc(pool, (size_t)value.slen + 16), 0 };
            pj_uint32_t hash = pj_hash_calc(pj_hash_calc(0, self->vias[0].ptr, (unsigned)self->vias[0].slen), self->values[CALL_ID].ptr,
                                            (unsigned)self->values[CALL_ID].slen);

            tagged.slen = pj_ansi_snprintf(tagged.ptr, (size_t)value.slen + 16, "%.*s;tag=%08x", (int)value.slen, value.ptr, hash);
            value = tagged;
        }
        add(pool, msg, i, value);
    }
}

/* Where the answer goes: on the connection; else to the port that the Via names, or that the request came from (RFC 3261 section 18.2.2, RFC 3581). */
static void find_address(pjsip_rx_data *rdata, const request *self, pj_pool_t *pool, pjsip_response_addr *address)
{
    const pjsip_via_hdr *via = rdata->msg_info.via;

    if (!via) {
        const pj_str_t name = pj_str("Via");
        pj_str_t line = one_line(pool, self->vias[0]), value;

        pj_strdup_with_null(pool, &value, &line);
        via = pjsip_parse_hdr(pool, &name, value.ptr, (pj_size_t)value.slen, NULL);
    }
    pj_bzero(address, sizeof *address);
    address->transport = rdata->tp_info.transport;
    pj_memcpy(&address->addr, &rdata->pkt_info.src_addr, (size_t)rdata->pkt_info.src_addr_len);
    address->addr_len = rdata->pkt_info.src_addr_len;
    address->dst_host.type = (pjsip_transport_type_e)rdata->tp_info.transport->key.type;
    address->dst_host.flag = rdata->tp_info.transport->flag;
    if (via && via->rport_param < 0 && !PJSIP_TRANSPORT_IS_RELIABLE(rdata->tp_info.transport))
        pj_sockaddr_set_port(&address->addr, (pj_uint16_t)(via->sent_by.port ? via->sent_by.port : 5060));
}

static void answer_text(pjsip_rx_data *rdata, const request *self)
{
    pjsip_response_addr address;
    pjsip_tx_data *tdata;

    if (pjsip_endpt_create_tdata(ss_endpoint(), &tdata) != PJ_SUCCESS)
        return;
    pjsip_tx_data_add_ref(tdata);
    tdata->msg = pjsip_msg_create(tdata->pool, PJSIP_RESPONSE_MSG);
    tdata->msg->line.status.code = self->code;
    tdata->msg->line.status.reason = *pjsip_get_status_text(self->code);
    add_fields(tdata->pool, tdata->msg, self);
    find_address(rdata, self, tdata->pool, &address);
    if (pjsip_endpt_send_response(ss_endpoint(), &address, tdata, NULL, NULL) != PJ_SUCCESS)
        pjsip_tx_data_dec_ref(tdata);
}

/* Is it understood but for headers that an answer does not repeat? */
static int is_understood(const pjsip_rx_data *rdata)
{
    return rdata->msg_info.msg && rdata->msg_info.msg->type == PJSIP_REQUEST_MSG && rdata->msg_info.via && rdata->msg_info.from && rdata->msg_info.to
           && rdata->msg_info.cseq && rdata->msg_info.cid && rdata->msg_info.cid->id.slen;
}

void ss_unparsed_answer(pjsip_rx_data *rdata, const char *text, size_t size)
{
    pjsip_via_hdr *via = rdata->msg_info.via;
    request found;

    read_request(&found, text, size);
    if (!found.code)
        return;
    if (!is_understood(rdata)) {
        answer_text(rdata, &found);
        return;
    }
    pj_strdup2(rdata->tp_info.pool, &via->recvd_param, rdata->pkt_info.src_name);       /* what PJSIP does for a message that is good */
    if (via->rport_param == 0)
        via->rport_param = rdata->pkt_info.src_port;
    ss_ua_respond(rdata, found.code, NULL);
}
