/*
 * What happens to a request outside dialogs: a table of handlers by method, and our own answers.
 * Also here: the User-Agent header, the SIP trace and the PJSIP log.
 */
#include "engine.h"

#include <pthread.h>
#include <string.h>
#include <sys/time.h>

#include <pjsip_ua.h>

#include "event_dialog.h"
#include "events.h"

#define MAX_HANDLERS 16
#define MAX_METHODS 16
#define MAX_METHOD_LENGTH 32
#define MAX_AGENT_LENGTH 256

static struct {
    pthread_mutex_t lock;
    struct { char method[MAX_METHOD_LENGTH]; ss_request_handler *function; } handlers[MAX_HANDLERS];
    unsigned handler_count;
    char incoming[MAX_METHODS][MAX_METHOD_LENGTH];
    unsigned incoming_count;
    char user_agent[MAX_AGENT_LENGTH];
    int detect_loops;
    int trace;
} ua = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- configuration ------------------------------------------------------------------------------------------- */

void ss_ua_set_user_agent(const char *text)
{
    pthread_mutex_lock(&ua.lock);
    strncpy(ua.user_agent, text, sizeof ua.user_agent - 1);
    pthread_mutex_unlock(&ua.lock);
}

void ss_ua_set_loop_detection(int on)
{
    __atomic_store_n(&ua.detect_loops, on, __ATOMIC_RELAXED);
}

void ss_ua_set_incoming_requests(const char *methods)
{
    pthread_mutex_lock(&ua.lock);
    ua.incoming_count = 0;
    while (*methods && ua.incoming_count < MAX_METHODS) {
        size_t length = strcspn(methods, " ");

        if (length && length < MAX_METHOD_LENGTH) {
            memcpy(ua.incoming[ua.incoming_count], methods, length);
            ua.incoming[ua.incoming_count++][length] = '\0';
        }
        methods += length + strspn(methods + length, " ");
    }
    pthread_mutex_unlock(&ua.lock);
}

void ss_ua_set_handler(const char *method, ss_request_handler *handler)
{
    pthread_mutex_lock(&ua.lock);
    for (unsigned i = 0; i < ua.handler_count; i++) {
        if (strcmp(ua.handlers[i].method, method) == 0) {
            ua.handlers[i].function = handler;
            pthread_mutex_unlock(&ua.lock);
            return;
        }
    }
    if (ua.handler_count < MAX_HANDLERS) {
        strncpy(ua.handlers[ua.handler_count].method, method, MAX_METHOD_LENGTH - 1);
        ua.handlers[ua.handler_count++].function = handler;
    }
    pthread_mutex_unlock(&ua.lock);
}

static ss_request_handler *find_handler(const pj_str_t *method, int *wanted)
{
    ss_request_handler *function = NULL;

    *wanted = 0;
    pthread_mutex_lock(&ua.lock);
    for (unsigned i = 0; i < ua.incoming_count && !*wanted; i++)
        *wanted = pj_strcmp2(method, ua.incoming[i]) == 0;
    for (unsigned i = 0; i < ua.handler_count && !function; i++) {
        if (pj_strcmp2(method, ua.handlers[i].method) == 0)
            function = ua.handlers[i].function;
    }
    pthread_mutex_unlock(&ua.lock);
    return function;
}

/* ---- answers of our own -------------------------------------------------------------------------------------- */

void ss_ua_respond(pjsip_rx_data *rdata, int code, const pjsip_hdr *headers)
{
    pjsip_endpt_respond_stateless(ss_endpoint(), rdata, code, NULL, headers, NULL);
}

static pjsip_hdr *add_capability(pj_pool_t *pool, pjsip_hdr *list, int type)
{
    const pjsip_hdr *header = pjsip_endpt_get_capability(ss_endpoint(), type, NULL);
    pjsip_hdr *copy = header ? pjsip_hdr_clone(pool, header) : NULL;

    if (copy)
        pj_list_push_back(list, copy);
    return copy;
}

/* Those that the application takes come and go; the stack's own list can only grow. */
static void add_incoming_methods(pj_pool_t *pool, pjsip_allow_hdr *allow)
{
    pthread_mutex_lock(&ua.lock);
    for (unsigned i = 0; i < ua.incoming_count; i++) {
        unsigned k = 0;

        while (k < allow->count && pj_strcmp2(&allow->values[k], ua.incoming[i]))
            k++;
        if (k == allow->count && k < PJ_ARRAY_SIZE(allow->values))
            pj_strdup2(pool, &allow->values[allow->count++], ua.incoming[i]);
    }
    pthread_mutex_unlock(&ua.lock);
}

void ss_ua_add_capabilities(pj_pool_t *pool, pjsip_hdr *list, int all)
{
    const pj_str_t name = { "Allow-Events", 12 };
    pjsip_hdr *allow = add_capability(pool, list, PJSIP_H_ALLOW);
    pj_str_t events;

    if (allow)
        add_incoming_methods(pool, (pjsip_allow_hdr *)allow);
    if (!all)
        return;
    add_capability(pool, list, PJSIP_H_ACCEPT);
    add_capability(pool, list, PJSIP_H_SUPPORTED);
    events = ss_event_dialog_packages(pool);
    if (events.slen)
        pj_list_push_back(list, pjsip_generic_string_hdr_create(pool, &name, &events));
}

static void answer_options(pjsip_rx_data *rdata)
{
    pjsip_hdr list;

    pj_list_init(&list);
    ss_ua_add_capabilities(rdata->tp_info.pool, &list, 1);
    ss_ua_respond(rdata, 200, &list);
}

static void answer_message(pjsip_rx_data *rdata)
{
    ss_blob raw = ss_raw(rdata);

    if (!ss_has_content_type(rdata)) {
        const pj_str_t name = pj_str("Warning"), text = pj_str("399 local \"Missing Content-Type header\"");
        pjsip_hdr list;

        pj_list_init(&list);
        pj_list_push_back(&list, pjsip_generic_string_hdr_create(rdata->tp_info.pool, &name, &text));
        pjsip_endpt_respond(ss_endpoint(), NULL, rdata, 400, NULL, &list, NULL, NULL);
        return;
    }
    /* By a transaction, so that a retransmission is not a second message. */
    if (pjsip_endpt_respond(ss_endpoint(), NULL, rdata, 200, NULL, NULL, NULL, NULL) == PJ_SUCCESS)
        ss_post(SS_EV_MESSAGE, 0, NULL, 0, &raw, 1);
}

static void answer_no_dialog(pjsip_rx_data *rdata)
{
    ss_ua_respond(rdata, 481, NULL);
}

static void answer_unknown(pjsip_rx_data *rdata)
{
    pjsip_hdr list;

    pj_list_init(&list);
    ss_ua_add_capabilities(rdata->tp_info.pool, &list, 0);
    ss_ua_respond(rdata, 405, &list);
}

/* Did this very endpoint send the request? Then one of its Vias belongs to a client transaction that is alive here. */
static int is_loop(pjsip_rx_data *rdata)
{
    pjsip_via_hdr *top = rdata->msg_info.via;
    pjsip_via_hdr *via = top;
    pjsip_method method = rdata->msg_info.msg->line.req.method;
    int found = 0;

    while (via && !found) {
        pj_str_t key;

        if (via->branch_param.slen) {
            rdata->msg_info.via = via;
            if (pjsip_tsx_create_key(rdata->tp_info.pool, &key, PJSIP_ROLE_UAC, &method, rdata) == PJ_SUCCESS)
                found = pjsip_tsx_layer_find_tsx2(&key, PJ_FALSE) != NULL;
        }
        via = via->next == (void *)&rdata->msg_info.msg->hdr ? NULL
              : pjsip_msg_find_hdr(rdata->msg_info.msg, PJSIP_H_VIA, via->next);
    }
    rdata->msg_info.via = top;
    return found;
}

static pj_bool_t on_rx_request(pjsip_rx_data *rdata)
{
    const pjsip_method *method = &rdata->msg_info.msg->line.req.method;
    ss_request_handler *handler;
    int wanted;

    if (method->id == PJSIP_ACK_METHOD)
        return PJ_TRUE;
    if (method->id == PJSIP_CANCEL_METHOD) {
        ss_ua_respond(rdata, 481, NULL);        /* the transaction layer takes those that match */
        return PJ_TRUE;
    }
    if (!PJSIP_URI_SCHEME_IS_SIP(rdata->msg_info.msg->line.req.uri) && !PJSIP_URI_SCHEME_IS_SIPS(rdata->msg_info.msg->line.req.uri)) {
        ss_ua_respond(rdata, 416, NULL);        /* tel: and the like: nothing here could route them */
        return PJ_TRUE;
    }
    if (__atomic_load_n(&ua.detect_loops, __ATOMIC_RELAXED) && is_loop(rdata)) {
        ss_ua_respond(rdata, 482, NULL);
        return PJ_TRUE;
    }
    handler = find_handler(&method->name, &wanted);
    if (wanted)
        ss_request_received(rdata);
    else if (handler == &answer_no_dialog || (handler && ss_admit(rdata, __atomic_load_n(&ua.detect_loops, __ATOMIC_RELAXED))))
        handler(rdata);
    else if (handler)
        return PJ_TRUE;
    else
        answer_unknown(rdata);
    return PJ_TRUE;
}

/* A response no transaction waits for: a 2xx of a fork that came late, or noise. */
static pj_bool_t on_rx_response(pjsip_rx_data *rdata)
{
    (void)rdata;
    return PJ_TRUE;
}

extern void ss_request_on_tsx_state(pjsip_transaction *tsx, pjsip_event *event);

pjsip_module ss_ua_module = {
    .name = { "mod-sipsimple", 13 },
    .id = -1,
    .priority = PJSIP_MOD_PRIORITY_APPLICATION,
    .on_rx_request = &on_rx_request,
    .on_rx_response = &on_rx_response,
    .on_tsx_state = &ss_request_on_tsx_state,
};

/* ---- User-Agent ---------------------------------------------------------------------------------------------- */

static void add_agent(pjsip_tx_data *tdata, const char *header_name)
{
    const pj_str_t name = pj_str((char *)header_name);
    pj_str_t value;
    char text[MAX_AGENT_LENGTH];

    if (pjsip_msg_find_hdr_by_name(tdata->msg, &name, NULL))
        return;
    pthread_mutex_lock(&ua.lock);
    strcpy(text, ua.user_agent);
    pthread_mutex_unlock(&ua.lock);
    if (!*text)
        return;
    value = pj_str(text);
    pj_list_insert_before(&tdata->msg->hdr, pjsip_generic_string_hdr_create(tdata->pool, &name, &value));
    pjsip_tx_data_invalidate_msg(tdata);
}

static pj_status_t agent_on_tx_request(pjsip_tx_data *tdata)
{
    add_agent(tdata, "User-Agent");
    return PJ_SUCCESS;
}

static pj_status_t agent_on_tx_response(pjsip_tx_data *tdata)
{
    add_agent(tdata, "Server");
    return PJ_SUCCESS;
}

static pjsip_module agent_module = {
    .name = { "mod-agent", 9 },
    .id = -1,
    .priority = PJSIP_MOD_PRIORITY_APPLICATION + 1,
    .on_tx_request = &agent_on_tx_request,
    .on_tx_response = &agent_on_tx_response,
};

/* ---- trace --------------------------------------------------------------------------------------------------- */

static void trace(int received, const char *source, int source_port, const char *target, int target_port,
                  const char *transport, ss_blob raw)
{
    struct timeval now;
    int64_t nums[4];
    ss_blob blobs[4] = { { source, strlen(source) }, { target, strlen(target) }, { transport, strlen(transport) }, raw };

    gettimeofday(&now, NULL);
    nums[0] = received;
    nums[1] = source_port;
    nums[2] = target_port;
    nums[3] = now.tv_sec * 1000000LL + now.tv_usec;
    ss_post_droppable(SS_EV_SIP_TRACE, nums, 4, blobs, 4);
}

static void local_address(pjsip_transport *transport, char *buffer, size_t size, int *port)
{
    pj_sockaddr_print(&transport->local_addr, buffer, (int)size, 0);
    if (pj_sockaddr_has_addr(&transport->local_addr)) {
        *port = pj_sockaddr_get_port(&transport->local_addr);
    } else {
        pj_ansi_snprintf(buffer, size, "%.*s", (int)transport->local_name.host.slen, transport->local_name.host.ptr);
        *port = transport->local_name.port;
    }
}

static pj_bool_t trace_on_rx(pjsip_rx_data *rdata)
{
    char local[PJ_INET6_ADDRSTRLEN + 10];
    int port;

    if (ua.trace) {
        local_address(rdata->tp_info.transport, local, sizeof local, &port);
        trace(1, rdata->pkt_info.src_name, rdata->pkt_info.src_port, local, port,
              rdata->tp_info.transport->type_name, ss_raw(rdata));
    }
    return PJ_FALSE;
}

static pj_status_t trace_on_tx(pjsip_tx_data *tdata)
{
    char local[PJ_INET6_ADDRSTRLEN + 10];
    int port;

    if (tdata->msg->type == PJSIP_REQUEST_MSG)
        ss_request_was_sent(tdata);
    if (ua.trace) {
        local_address(tdata->tp_info.transport, local, sizeof local, &port);
        trace(0, local, port, tdata->tp_info.dst_name, tdata->tp_info.dst_port, tdata->tp_info.transport->type_name,
              ss_raw_sent(tdata));
    }
    return PJ_SUCCESS;
}

static pjsip_module trace_module = {
    .name = { "mod-trace", 9 },
    .id = -1,
    .priority = PJSIP_MOD_PRIORITY_TRANSPORT_LAYER - 1,     /* behind the printer on the way out, first on the way in */
    .on_rx_request = &trace_on_rx,
    .on_rx_response = &trace_on_rx,
    .on_tx_request = &trace_on_tx,
    .on_tx_response = &trace_on_tx,
};

void ss_trace_enable(int on)
{
    __atomic_store_n(&ua.trace, on, __ATOMIC_RELAXED);
}

/* ---- log ----------------------------------------------------------------------------------------------------- */

static void on_log(int level, const char *text, int length)
{
    int64_t nums[1] = { level };
    ss_blob blob = { text, (size_t)length };

    ss_post_droppable(SS_EV_LOG, nums, 1, &blob, 1);
}

void ss_log_start(int level)
{
    pj_log_set_log_func(&on_log);
    pj_log_set_decor(PJ_LOG_HAS_SENDER | PJ_LOG_HAS_INDENT);
    pj_log_set_level(level);
}

void ss_log_set_level(int level)
{
    pj_log_set_level(level);
}

/* ---- start --------------------------------------------------------------------------------------------------- */

pj_status_t ss_ua_start(void)
{
    pjsip_endpoint *endpoint = ss_endpoint();
    const pj_str_t methods[] = { pj_str("MESSAGE"), pj_str("OPTIONS") };
    const pj_str_t extensions[] = { pj_str("norefersub"), pj_str("gruu") };
    pjsip_module *modules[] = { &ss_ua_module, &agent_module, &trace_module };
    pj_status_t status = PJ_SUCCESS;

    for (unsigned i = 0; i < PJ_ARRAY_SIZE(modules) && status == PJ_SUCCESS; i++) {
        modules[i]->id = -1;
        status = pjsip_endpt_register_module(endpoint, modules[i]);
    }
    if (status != PJ_SUCCESS)
        return status;
    ss_ua_set_handler("OPTIONS", &answer_options);
    ss_ua_set_handler("MESSAGE", &answer_message);
    ss_ua_set_handler("NOTIFY", &answer_no_dialog);
    ss_ua_set_handler("BYE", &answer_no_dialog);
    ss_ua_set_handler("UPDATE", &answer_no_dialog);
    ss_ua_set_handler("PRACK", &answer_no_dialog);
    status = pjsip_endpt_add_capability(endpoint, NULL, PJSIP_H_SUPPORTED, NULL, PJ_ARRAY_SIZE(extensions), extensions);
    if (status == PJ_SUCCESS)
        status = pjsip_endpt_add_capability(endpoint, NULL, PJSIP_H_ALLOW, NULL, PJ_ARRAY_SIZE(methods), methods);
    return status;
}
