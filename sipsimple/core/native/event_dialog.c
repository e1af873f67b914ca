/* See event_dialog.h. */
#include "event_dialog.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pjlib.h>
#include <pjsip_simple.h>

#include "events.h"

#define BUCKETS 1024
#define MAX_PACKAGES 64
#define MAX_PACKAGE_LENGTH 64
#define MAX_REQUESTS 64                 /* of one dialog that wait for their answer */
#define MAX_ID 512                      /* longest Call-ID or tag of a dialog that a peer begins */

/* A request that Python has to answer. */
typedef struct incoming {
    struct incoming *next;
    unsigned number;
    int is_first;                       /* it began the dialog */
    pjsip_transaction *tsx;             /* group lock reference held */
    pjsip_tx_data *response;
} incoming;

typedef struct event_dialog {
    ss_object base;
    struct event_dialog *next;          /* in its bucket; under the table's lock */
    unsigned bucket;
    pthread_mutex_t lock;               /* what follows; never held across a PJSIP call */
    incoming *requests;
    unsigned last_number, waiting;
    int killed;
    size_t call_id_length, tag_length;  /* never changed */
    char ids[];                         /* Call-ID, then the local tag */
} event_dialog;

static struct {
    pthread_mutex_t lock;
    event_dialog *buckets[BUCKETS];
    char packages[MAX_PACKAGES][MAX_PACKAGE_LENGTH];
    unsigned package_count;
} table = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- the table ----------------------------------------------------------------------------------------------- */

static unsigned bucket_of(const pj_str_t *tag)
{
    return pj_hash_calc(0, tag->ptr, (unsigned)tag->slen) % BUCKETS;
}

static int is_of(const event_dialog *self, const pj_str_t *call_id, const pj_str_t *tag)
{
    return self->call_id_length == (size_t)call_id->slen && self->tag_length == (size_t)tag->slen
           && !memcmp(self->ids, call_id->ptr, self->call_id_length) && !memcmp(self->ids + self->call_id_length, tag->ptr, self->tag_length);
}

/* A reference to the dialog that a request belongs to, or NULL. */
static event_dialog *find(const pj_str_t *call_id, const pj_str_t *tag)
{
    event_dialog *self;
    ss_handle handle = 0;
    ss_type type = 0;

    pthread_mutex_lock(&table.lock);
    for (self = table.buckets[bucket_of(tag)]; self && !handle; self = self->next) {
        if (is_of(self, call_id, tag)) {
            handle = self->base.handle;
            type = self->base.type;
        }
    }
    pthread_mutex_unlock(&table.lock);
    return handle ? ss_object_acquire(handle, type) : NULL;
}

static void leave_table(event_dialog *self)
{
    pthread_mutex_lock(&table.lock);
    for (event_dialog **link = &table.buckets[self->bucket]; *link; link = &(*link)->next) {
        if (*link == self) {
            *link = self->next;
            break;
        }
    }
    pthread_mutex_unlock(&table.lock);
}

/* ---- requests that wait for Python ---------------------------------------------------------------------------- */

static pj_status_t finish(incoming *request, int code, const ss_field *fields, unsigned count, ss_handle handle)
{
    pjsip_tx_data *response = request->response;
    pjsip_transaction *tsx = request->tsx;
    int64_t nums[2] = { code, request->number };
    pj_status_t status;

    if (!ss_endpoint()) {               /* and with it the transaction and the message */
        free(request);
        return PJ_EGONE;
    }
    status = ss_add_fields(response->pool, response->msg, fields, count);
    if (status != PJ_SUCCESS)
        code = PJSIP_SC_INTERNAL_SERVER_ERROR;
    response->msg->line.status.code = code;
    response->msg->line.status.reason = *pjsip_get_status_text(code);
    pjsip_tx_data_add_ref(response);    /* to read the printed text afterwards */
    if (pjsip_tsx_send_msg(tsx, response) != PJ_SUCCESS) {
        pjsip_tx_data_dec_ref(response);
    } else if (handle) {
        ss_blob raw = ss_raw_sent(response);

        ss_post(SS_EV_DIALOG_ANSWERED, handle, nums, 2, &raw, 1);
    }
    pjsip_tx_data_dec_ref(response);
    pj_grp_lock_dec_ref(tsx->grp_lock);
    free(request);
    return status;
}

/* Make a transaction for the request and tell Python. */
static void hand_over(event_dialog *self, pjsip_rx_data *rdata, int is_first)
{
    incoming *request = calloc(1, sizeof *request);
    char contact_text[PJSIP_MAX_URL_SIZE + 16];
    const char *transport = rdata->tp_info.transport->type_name;
    pj_str_t contact = { NULL, 0 };
    unsigned number = 0;
    int refused;

    if (!request || pjsip_endpt_create_response(ss_endpoint(), rdata, 200, NULL, &request->response) != PJ_SUCCESS) {
        free(request);
        ss_ua_respond(rdata, 500, NULL);
        return;
    }
    if (pjsip_tsx_create_uas2(&ss_ua_module, rdata, NULL, &request->tsx) != PJ_SUCCESS) {
        pjsip_tx_data_dec_ref(request->response);
        free(request);
        ss_ua_respond(rdata, 500, NULL);
        return;
    }
    pj_grp_lock_add_ref(request->tsx->grp_lock);
    pjsip_tsx_recv_msg(request->tsx, rdata);
    if (is_first) {
        pj_str_t tag = { self->ids + self->call_id_length, (pj_ssize_t)self->tag_length };

        pj_strdup(request->response->pool, &PJSIP_MSG_TO_HDR(request->response->msg)->tag, &tag);
        contact = ss_default_contact(rdata, contact_text, sizeof contact_text);
    }
    pthread_mutex_lock(&self->lock);
    refused = self->killed ? PJSIP_SC_CALL_TSX_DOES_NOT_EXIST : self->waiting >= MAX_REQUESTS ? PJSIP_SC_INTERNAL_SERVER_ERROR : 0;
    if (!refused) {
        number = request->number = ++self->last_number;
        request->is_first = is_first;
        request->next = self->requests;
        self->requests = request;
        self->waiting++;
    }
    pthread_mutex_unlock(&self->lock);
    if (refused) {
        finish(request, refused, NULL, 0, 0);
    } else {
        /* `request` is the dialog's now, which may be killed at any time. */
        int64_t nums[3] = { rdata->pkt_info.src_port, number, self->base.type };
        ss_blob blobs[5] = { ss_raw(rdata), { rdata->pkt_info.src_name, strlen(rdata->pkt_info.src_name) }, { transport, strlen(transport) },
                             { self->ids + self->call_id_length, self->tag_length }, { contact.ptr, (size_t)contact.slen } };

        ss_post(is_first ? SS_EV_DIALOG_INCOMING : SS_EV_DIALOG_REQUEST, self->base.handle, nums, 3, blobs, is_first ? 5 : 2);
    }
}

pj_status_t ss_event_dialog_answer(ss_handle handle, ss_type type, unsigned number, int code, const ss_field *fields, unsigned count)
{
    event_dialog *self = ss_object_acquire(handle, type);
    incoming *request = NULL;
    pj_status_t status;

    if (!self)
        return PJ_EGONE;
    pthread_mutex_lock(&self->lock);
    for (incoming **link = &self->requests; *link; link = &(*link)->next) {
        if ((*link)->number == number) {
            request = *link;
            *link = request->next;
            self->waiting--;
            break;
        }
    }
    pthread_mutex_unlock(&self->lock);
    status = request ? finish(request, code, fields, count, handle) : PJ_ENOTFOUND;
    ss_object_release(self);
    return status;
}

void ss_event_dialog_call(ss_handle handle)
{
    ss_post_num(SS_EV_DIALOG_CALL, handle, 0, 0);
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

static void kill_dialog(ss_object *object)
{
    event_dialog *self = (event_dialog *)object;
    incoming *request;

    leave_table(self);
    pthread_mutex_lock(&self->lock);
    self->killed = 1;
    request = self->requests;
    self->requests = NULL;
    self->waiting = 0;
    pthread_mutex_unlock(&self->lock);
    while (request) {
        incoming *next = request->next;

        finish(request, request->is_first ? PJSIP_SC_INTERNAL_SERVER_ERROR : PJSIP_SC_CALL_TSX_DOES_NOT_EXIST, NULL, 0, 0);
        request = next;
    }
}

static void destroy_dialog(ss_object *object)
{
    event_dialog *self = (event_dialog *)object;

    pthread_mutex_destroy(&self->lock);
    free(self);
}

ss_handle ss_event_dialog_new(ss_type type, pj_str_t call_id, pj_str_t local_tag)
{
    event_dialog *self = calloc(1, sizeof *self + call_id.slen + local_tag.slen);

    if (!self)
        return 0;
    self->base.kill = &kill_dialog;
    self->base.destroy = &destroy_dialog;
    pthread_mutex_init(&self->lock, NULL);
    self->call_id_length = call_id.slen;
    self->tag_length = local_tag.slen;
    memcpy(self->ids, call_id.ptr, call_id.slen);
    memcpy(self->ids + call_id.slen, local_tag.ptr, local_tag.slen);
    self->bucket = bucket_of(&local_tag);
    if (!ss_object_register(&self->base, type)) {
        destroy_dialog(&self->base);
        return 0;
    }
    pthread_mutex_lock(&table.lock);
    self->next = table.buckets[self->bucket];
    table.buckets[self->bucket] = self;
    pthread_mutex_unlock(&table.lock);
    return self->base.handle;
}

/* ---- receiving ----------------------------------------------------------------------------------------------- */

static int is_ours(const pjsip_method *method)
{
    return pj_strcmp2(&method->name, "NOTIFY") == 0 || pj_strcmp2(&method->name, "SUBSCRIBE") == 0 || pj_strcmp2(&method->name, "REFER") == 0;
}

/* callback: pjsip_module on_rx_request | thread: worker | gil: no | locks: none | lifetime: handle */
static pj_bool_t on_rx_request(pjsip_rx_data *rdata)
{
    const pj_str_t *tag = &rdata->msg_info.to->tag;
    event_dialog *self;

    if (!tag->slen || !is_ours(&rdata->msg_info.msg->line.req.method))
        return PJ_FALSE;
    self = find(&rdata->msg_info.cid->id, tag);
    if (!self)
        return PJ_FALSE;                /* of an INVITE dialog, or of none: then the user agent layer answers 481 */
    hand_over(self, rdata, 0);
    ss_object_release(self);
    return PJ_TRUE;
}

/* Before the user agent layer, which refuses what is in none of its dialogs. */
static pjsip_module dialog_module = {
    .name = { "mod-event-dialog", 16 },
    .id = -1,
    .priority = PJSIP_MOD_PRIORITY_UA_PROXY_LAYER - 1,
    .on_rx_request = &on_rx_request,
};

static void begin(pjsip_rx_data *rdata, ss_type type)
{
    event_dialog *self = NULL;
    pj_str_t tag;
    ss_handle handle;

    if (rdata->msg_info.cid->id.slen > MAX_ID || rdata->msg_info.from->tag.slen > MAX_ID
        || !pjsip_msg_find_hdr(rdata->msg_info.msg, PJSIP_H_CONTACT, NULL)) {
        ss_ua_respond(rdata, 400, NULL);
        return;
    }
    pj_create_unique_string(rdata->tp_info.pool, &tag);
    handle = ss_event_dialog_new(type, rdata->msg_info.cid->id, tag);
    if (handle)
        self = ss_object_acquire(handle, type);
    if (!self) {
        ss_ua_respond(rdata, 500, NULL);
        return;
    }
    hand_over(self, rdata, 1);
    ss_object_release(self);
}

static int is_wanted(const pj_str_t *package)
{
    int found = 0;

    pthread_mutex_lock(&table.lock);
    for (unsigned i = 0; i < table.package_count && !found; i++)
        found = pj_strcmp2(package, table.packages[i]) == 0;
    pthread_mutex_unlock(&table.lock);
    return found;
}

pj_str_t ss_event_dialog_packages(pj_pool_t *pool)
{
    char text[MAX_PACKAGES * (MAX_PACKAGE_LENGTH + 2)];
    size_t length = 0;
    pj_str_t value, copy;

    pthread_mutex_lock(&table.lock);
    for (unsigned i = 0; i < table.package_count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", i ? ", " : "", table.packages[i]);
    pthread_mutex_unlock(&table.lock);
    value.ptr = text;
    value.slen = (pj_ssize_t)length;
    pj_strdup(pool, &copy, &value);
    return copy;
}

/* RFC 6665 section 7.3.2: what could be asked for. */
static void refuse_package(pjsip_rx_data *rdata)
{
    const pj_str_t name = { "Allow-Events", 12 };
    pj_str_t value = ss_event_dialog_packages(rdata->tp_info.pool);
    pjsip_hdr list;

    pj_list_init(&list);
    pj_list_push_back(&list, pjsip_generic_string_hdr_create(rdata->tp_info.pool, &name, &value));
    ss_ua_respond(rdata, PJSIP_SC_BAD_EVENT, &list);
}

/* handler of SUBSCRIBE outside dialogs | thread: worker */
static void on_subscribe(pjsip_rx_data *rdata)
{
    const pj_str_t name = { "Event", 5 }, compact = { "o", 1 };
    pjsip_event_hdr *event = pjsip_msg_find_hdr_by_names(rdata->msg_info.msg, &name, &compact, NULL);

    if (rdata->msg_info.to->tag.slen)
        ss_ua_respond(rdata, PJSIP_SC_CALL_TSX_DOES_NOT_EXIST, NULL);
    else if (!event || !is_wanted(&event->event_type))
        refuse_package(rdata);
    else
        begin(rdata, SS_T_INCOMING_SUBSCRIPTION);
}

/* handler of REFER outside dialogs | thread: worker */
static void on_refer(pjsip_rx_data *rdata)
{
    if (rdata->msg_info.to->tag.slen)
        ss_ua_respond(rdata, PJSIP_SC_CALL_TSX_DOES_NOT_EXIST, NULL);
    else
        begin(rdata, SS_T_INCOMING_REFERRAL);
}

void ss_event_dialog_set_packages(const char *packages)
{
    pthread_mutex_lock(&table.lock);
    table.package_count = 0;
    while (*packages && table.package_count < MAX_PACKAGES) {
        size_t length = strcspn(packages, " ");

        if (length && length < MAX_PACKAGE_LENGTH) {
            memcpy(table.packages[table.package_count], packages, length);
            table.packages[table.package_count++][length] = '\0';
        }
        packages += length + strspn(packages + length, " ");
    }
    pthread_mutex_unlock(&table.lock);
}

pj_status_t ss_event_dialog_init(pjsip_endpoint *endpoint)
{
    dialog_module.id = -1;
    ss_ua_set_handler("SUBSCRIBE", &on_subscribe);
    ss_ua_set_handler("REFER", &on_refer);
    return pjsip_endpt_register_module(endpoint, &dialog_module);
}
