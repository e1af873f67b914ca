/*
 * What is looked at before a request is processed, in the order of RFC 3261 section 8.2. A check that fails has sent the answer.
 * Thread: worker.
 *
 * Requests outside dialogs are checked when nothing else has taken them, those inside before their dialog sees them: PJSIP checks neither extensions nor
 * bodies there.
 */
#include "engine.h"

#include <pjsip_ua.h>

/* 482: the same request came over another way (section 8.2.2.2). */
static int is_merged(pjsip_rx_data *rdata)
{
    return pjsip_tsx_detect_merged_requests(rdata) != NULL;
}

/* 420, with what we do not support; the requests that PJSIP checks itself have it checked for their first Require header only. */
static int knows_extensions(pjsip_rx_data *rdata)
{
    pjsip_msg *msg = rdata->msg_info.msg;
    const pjsip_require_hdr *require = pjsip_msg_find_hdr(msg, PJSIP_H_REQUIRE, NULL);
    pjsip_unsupported_hdr *unsupported = NULL;
    pjsip_hdr list;

    for (; require; require = pjsip_msg_find_hdr(msg, PJSIP_H_REQUIRE, require->next)) {
        for (unsigned i = 0; i < require->count; i++) {
            if (pjsip_endpt_has_capability(ss_endpoint(), PJSIP_H_SUPPORTED, NULL, &require->values[i]))
                continue;
            if (!unsupported)
                unsupported = pjsip_unsupported_hdr_create(rdata->tp_info.pool);
            if (unsupported->count < PJ_ARRAY_SIZE(unsupported->values))
                unsupported->values[unsupported->count++] = require->values[i];
        }
    }
    if (!unsupported)
        return 1;
    pj_list_init(&list);
    pj_list_push_back(&list, unsupported);
    ss_ua_respond(rdata, PJSIP_SC_BAD_EXTENSION, &list);
    return 0;
}

int ss_admit(pjsip_rx_data *rdata, int detect_loops)
{
    if (detect_loops && is_merged(rdata)) {
        ss_ua_respond(rdata, PJSIP_SC_LOOP_DETECTED, NULL);
        return 0;
    }
    return knows_extensions(rdata);
}

/* ---- the body of an INVITE or UPDATE ------------------------------------------------------------------------------------- */

static const pj_str_t *header_value(const pjsip_msg *msg, const char *long_name, const char *compact)
{
    const pj_str_t name = pj_str((char *)long_name), other = pj_str((char *)(compact ? compact : long_name));
    const pjsip_generic_string_hdr *header = pjsip_msg_find_hdr_by_names(msg, &name, &other, NULL);

    return header ? &header->hvalue : NULL;
}

static void refuse_with(pjsip_rx_data *rdata, int code, const char *header_name, const char *body)
{
    const pj_str_t name = pj_str((char *)header_name), value = pj_str((char *)body);
    pjsip_hdr list;

    pj_list_init(&list);
    pj_list_push_back(&list, pjsip_generic_string_hdr_create(rdata->tp_info.pool, &name, &value));
    ss_ua_respond(rdata, code, &list);
}

/* Whether the caller takes session descriptions; who does not say so does (section 20.1). */
static int accepts_sdp(const pjsip_msg *msg)
{
    static const char *const types[] = { "application/sdp", "application/*", "*/*" };
    const pjsip_accept_hdr *accept = pjsip_msg_find_hdr(msg, PJSIP_H_ACCEPT, NULL);

    if (!accept)
        return 1;
    for (; accept; accept = pjsip_msg_find_hdr(msg, PJSIP_H_ACCEPT, accept->next)) {
        for (unsigned i = 0; i < accept->count; i++) {
            pj_str_t range = accept->values[i];
            const char *parameters = pj_memchr(range.ptr, ';', (pj_size_t)range.slen);

            if (parameters)
                range.slen = parameters - range.ptr;
            pj_strtrim(&range);
            for (unsigned k = 0; k < PJ_ARRAY_SIZE(types); k++) {
                if (pj_stricmp2(&range, types[k]) == 0)
                    return 1;
            }
        }
    }
    return 0;
}

int ss_admit_invite(pjsip_rx_data *rdata)
{
    const pj_str_t identity = { "identity", 8 }, optional = { "handling=optional", 17 };
    pjsip_msg *msg = rdata->msg_info.msg;
    const pj_str_t *value;

    if (!accepts_sdp(msg)) {
        ss_ua_respond(rdata, PJSIP_SC_NOT_ACCEPTABLE, NULL);
        return 0;
    }
    if (!msg->body)
        return 1;
    value = header_value(msg, "Content-Encoding", "e");
    if (value && pj_stricmp(value, &identity) != 0) {
        refuse_with(rdata, PJSIP_SC_UNSUPPORTED_MEDIA_TYPE, "Accept-Encoding", "identity");
        return 0;
    }
    if (!pjsip_rdata_get_sdp_info(rdata)->body.ptr) {
        /* What need not be understood is left alone (section 8.2.3). */
        value = header_value(msg, "Content-Disposition", NULL);
        if (!value || !pj_stristr(value, &optional)) {
            refuse_with(rdata, PJSIP_SC_UNSUPPORTED_MEDIA_TYPE, "Accept", "application/sdp");
            return 0;
        }
        msg->body = NULL;
    }
    return 1;
}

/* ---- requests inside dialogs ----------------------------------------------------------------------------------- */

/*
 * Methods whose extensions are checked there. Not BYE, which nobody should be kept from, nor NOTIFY, whose extensions (RFC 4662) are a matter of its
 * subscription.
 */
static int is_checked(const pjsip_method *method)
{
    static const char *const names[] = { "INVITE", "UPDATE", "REFER", "MESSAGE", "OPTIONS" };

    for (unsigned i = 0; i < PJ_ARRAY_SIZE(names); i++) {
        if (pj_strcmp2(&method->name, names[i]) == 0)
            return 1;
    }
    return 0;
}

/* callback: pjsip module rx | thread: worker | gil: no | locks: none | lifetime: the Engine's */
static pj_bool_t on_rx_request(pjsip_rx_data *rdata)
{
    const pjsip_method *method = &rdata->msg_info.msg->line.req.method;
    const pj_str_t update = { "UPDATE", 6 };

    if (!rdata->msg_info.to->tag.slen || !is_checked(method))
        return PJ_FALSE;
    if (!knows_extensions(rdata))
        return PJ_TRUE;
    return (method->id == PJSIP_INVITE_METHOD || pj_strcmp(&method->name, &update) == 0) && !ss_admit_invite(rdata);
}

static pjsip_module module = {
    .name = { "mod-admission", 13 },
    .id = -1,
    .priority = PJSIP_MOD_PRIORITY_TRANSPORT_LAYER + 2,         /* behind the check for malformed ones */
    .on_rx_request = &on_rx_request,
};

pj_status_t ss_admission_start(void)
{
    module.id = -1;
    return pjsip_endpt_register_module(ss_endpoint(), &module);
}
