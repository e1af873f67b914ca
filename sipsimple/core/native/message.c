/* Small helpers on SIP messages. */
#include "engine.h"

#include <string.h>

static int is_typed(const pj_str_t *name)
{
    /* Headers whose PJSIP type other parts of PJSIP look for in a message we made. */
    static const char *const names[] = {
        "Require", "Supported", "Unsupported", "Allow", "Accept", "Route", "Record-Route", "Contact", "Expires",
        "Session-Expires", "Min-SE", "Replaces", "Event", "Max-Forwards", "Min-Expires", "Retry-After", "Content-Type",
        "RSeq", "RAck", "Refer-To", "Refer-Sub", "Referred-By",
    };

    for (unsigned i = 0; i < PJ_ARRAY_SIZE(names); i++) {
        if (pj_stricmp2(name, names[i]) == 0)
            return 1;
    }
    return 0;
}

pj_status_t ss_add_fields_to_list(pj_pool_t *pool, pjsip_hdr *list, const ss_field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        pjsip_hdr *header = NULL;

        if (is_typed(&fields[i].name)) {
            pj_str_t name, body;

            /* The parser wants NUL-ended input. */
            pj_strdup_with_null(pool, &name, &fields[i].name);
            pj_strdup_with_null(pool, &body, &fields[i].body);
            header = pjsip_parse_hdr(pool, &name, body.ptr, body.slen, NULL);
            if (!header)
                return PJSIP_EINVALIDHDR;
        } else {
            header = (pjsip_hdr *)pjsip_generic_string_hdr_create(pool, &fields[i].name, &fields[i].body);
        }
        pj_list_push_back(list, header);
    }
    return PJ_SUCCESS;
}

pj_status_t ss_add_fields(pj_pool_t *pool, pjsip_msg *msg, const ss_field *fields, unsigned count)
{
    return ss_add_fields_to_list(pool, &msg->hdr, fields, count);
}

int ss_has_content_type(const pjsip_rx_data *rdata)
{
    const pjsip_msg_body *body = rdata->msg_info.msg->body;     /* PJSIP makes none when the type is missing */

    return !rdata->msg_info.clen || rdata->msg_info.clen->len <= 0 || (body && body->content_type.type.slen);
}

ss_blob ss_raw(const pjsip_rx_data *rdata)
{
    ss_blob blob = { NULL, 0 };

    if (rdata && rdata->msg_info.msg_buf) {
        blob.ptr = rdata->msg_info.msg_buf;
        blob.len = rdata->msg_info.len;
    }
    return blob;
}

ss_blob ss_raw_sent(const pjsip_tx_data *tdata)
{
    ss_blob blob = { NULL, 0 };

    if (tdata && tdata->buf.start && tdata->buf.cur > tdata->buf.start) {
        blob.ptr = tdata->buf.start;
        blob.len = tdata->buf.cur - tdata->buf.start;
    }
    return blob;
}

pj_status_t ss_add_parameters(pj_pool_t *pool, pjsip_fromto_hdr *header, pj_str_t parameters)
{
    const pj_str_t name = { "From", 4 }, address = { "<sip:host>", 10 };
    pjsip_fromto_hdr *parsed;
    pj_str_t text;

    if (!parameters.slen)
        return PJ_SUCCESS;
    text.ptr = pj_pool_alloc(pool, address.slen + parameters.slen + 1);
    text.slen = 0;
    pj_strcat(&text, &address);
    pj_strcat(&text, &parameters);
    text.ptr[text.slen] = '\0';
    parsed = pjsip_parse_hdr(pool, &name, text.ptr, text.slen, NULL);
    if (!parsed)
        return PJSIP_EINVALIDHDR;
    if (!pj_list_empty(&parsed->other_param))
        pj_list_merge_last(&header->other_param, &parsed->other_param);
    return PJ_SUCCESS;
}

pj_status_t ss_set_route(pj_pool_t *pool, pjsip_hdr *list, pj_str_t uri, pj_str_t *server_name)
{
    const pj_str_t name = { "Route", 5 }, tls_name = { "tls_name", 8 };
    pj_str_t copy;
    pjsip_route_hdr *header;
    pjsip_sip_uri *target;
    pjsip_param *parameter;

    *server_name = (pj_str_t){ NULL, 0 };
    if (!uri.slen)
        return PJ_SUCCESS;
    pj_strdup_with_null(pool, &copy, &uri);
    header = pjsip_parse_hdr(pool, &name, copy.ptr, copy.slen, NULL);
    if (!header)
        return PJSIP_EINVALIDURI;
    target = pjsip_uri_get_uri(header->name_addr.uri);
    if (PJSIP_URI_SCHEME_IS_SIP(target) || PJSIP_URI_SCHEME_IS_SIPS(target)) {
        parameter = pjsip_param_find(&target->other_param, &tls_name);
        if (parameter) {
            *server_name = parameter->value;
            pj_list_erase(parameter);
        }
    }
    pj_list_push_back(list, header);
    return PJ_SUCCESS;
}

pjsip_msg_body *ss_body(pj_pool_t *pool, pj_str_t content_type, pj_str_t content)
{
    const pj_str_t name = { "Content-Type", 12 };
    pj_str_t copy;
    pjsip_ctype_hdr *type;
    pjsip_msg_body *body;

    pj_strdup_with_null(pool, &copy, &content_type);
    type = pjsip_parse_hdr(pool, &name, copy.ptr, copy.slen, NULL);
    if (!type)
        return NULL;
    body = pjsip_msg_body_create(pool, &type->media.type, &type->media.subtype, &content);
    if (body)
        pjsip_media_type_cp(pool, &body->content_type, &type->media);
    return body;
}

pj_status_t ss_set_credentials(pjsip_auth_clt_sess *session, const ss_credentials *credentials)
{
    pjsip_cred_info info;

    if (!credentials->username.slen)
        return PJ_SUCCESS;
    pj_bzero(&info, sizeof info);
    info.realm = credentials->realm;
    info.scheme = pj_str("digest");
    info.username = credentials->username;
    info.data_type = credentials->is_digest ? PJSIP_CRED_DATA_DIGEST : PJSIP_CRED_DATA_PLAIN_PASSWD;
    info.data = credentials->password;
    if (credentials->is_digest && credentials->password.slen == 64)
        info.algorithm_type = PJSIP_AUTH_ALGORITHM_SHA256;
    return pjsip_auth_clt_set_credentials(session, 1, &info);
}
