/*
 * Flows: the ways by which who registered is reached, kept open and watched (RFC 5626 section 4.4).
 *
 * Over a connection two line breaks are the ping, and one is the answer (section 4.4.1); over UDP it is a binding request of STUN, from the socket of
 * SIP, to where the registration went (section 4.4.2). The first goes out at once: whoever never answers does not know of pings, and its silence means
 * nothing. Of a server that has answered, silence for the time limit means that it is not there, as the answer over UDP does that tells of another address
 * of ours: a NAT on the way has forgotten the old one. Whatever else comes over a connection is as good as an answer.
 *
 * A connection that is dead is closed, which tells everybody who uses it; a flow of UDP that has failed is told of by the same event.
 *
 * The timer has a reference of its own. The lock is held while the timer heap is asked for something, and across no other call of PJSIP that locks.
 */
#include "engine.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include <pjlib.h>

#include "events.h"

enum { BINDING_REQUEST = 0x0001, BINDING_SUCCESS = 0x0101, BINDING_ERROR = 0x0111, XOR_MAPPED_ADDRESS = 0x0020 };
enum { STUN_HEADER = 20, STUN_ID = 12 };
enum { FIRST_LOOK = 500 };              /* ms after a ping; then after twice as long each time, and over UDP the ping goes out again */

static const unsigned char cookie[4] = { 0x21, 0x12, 0xa4, 0x42 };

typedef struct flow {
    ss_object base;
    struct flow *next;
    pj_pool_t *pool;
    pjsip_transport *transport;         /* the connection, a reference is held; NULL over UDP, where the socket may be another one tomorrow */
    pjsip_transport_type_e type;
    pj_sockaddr remote;
    unsigned least, most, limit;        /* ms: between pings, and for an answer */
    pj_timer_entry timer;
    int over;                           /* failed, or closed */
    int answered;                       /* once at least: it knows of pings */
    int waiting, heard;                 /* for an answer to the last ping; it has come */
    unsigned interval, waited, look;    /* ms: until the next ping, since the last one, until the next look */
    pj_timestamp sent;                  /* the last ping */
    unsigned char id[STUN_ID];
    pj_sockaddr seen;                   /* our address, as the answers have it */
    int has_seen;
} flow;

static struct {
    pthread_mutex_t lock;
    flow *first;
} flows = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- what to do, and when: with the lock held ------------------------------------------------------------------------ */

enum step { REST, PING, FAIL };

static unsigned pick(unsigned least, unsigned most)
{
    unsigned number = 0;

    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number)
        number = (unsigned)pj_rand();
    return least + (most > least ? number % (most - least + 1) : 0);
}

static void begin(flow *self)
{
    self->interval = pick(self->least, self->most);
    self->waited = 0;
    self->look = FIRST_LOOK;
    self->waiting = 1;
    self->heard = 0;
    pj_get_timestamp(&self->sent);
    if (getrandom(self->id, sizeof self->id, GRND_NONBLOCK) != (ssize_t)sizeof self->id) {
        for (unsigned i = 0; i < sizeof self->id; i++)
            self->id[i] = (unsigned char)pj_rand();
    }
}

static enum step next_step(flow *self, unsigned *delay)
{
    int begins = !self->waiting;

    if (begins)
        begin(self);
    else if (self->transport && self->transport->last_recv_ts.u64 > self->sent.u64)
        self->heard = 1;
    if (self->heard || self->waited >= self->limit) {
        if (!self->heard && self->answered)
            return FAIL;
        self->waiting = 0;
        *delay = self->interval > self->waited ? self->interval - self->waited : 0;
        return REST;
    }
    *delay = PJ_MIN(self->look, self->limit - self->waited);
    self->waited += *delay;
    self->look *= 2;
    return begins || !self->transport ? PING : REST;
}

/* The timer's reference goes along. False: there is no timer. */
static int schedule(flow *self, unsigned delay_ms)
{
    pj_time_val delay = { delay_ms / 1000, delay_ms % 1000 };

    return !self->over && pjsip_endpt_schedule_timer(ss_endpoint(), &self->timer, &delay) == PJ_SUCCESS;
}

/* Take it out of what is looked at. True: the timer was running, and its reference is the caller's. */
static int end(flow *self)
{
    flow **link;

    for (link = &flows.first; *link && *link != self;)
        link = &(*link)->next;
    if (*link)
        *link = self->next;
    self->over = 1;
    return ss_endpoint() && pj_timer_entry_running(&self->timer)
           && pj_timer_heap_cancel(pjsip_endpt_get_timer_heap(ss_endpoint()), &self->timer) > 0;
}

/* ---- pings ------------------------------------------------------------------------------------------------------------- */

static void ping_connection(pjsip_transport *transport)
{
    pjsip_tpselector selector;

    pj_bzero(&selector, sizeof selector);
    selector.type = PJSIP_TPSELECTOR_TRANSPORT;
    selector.u.transport = transport;
    /* A connection that is gone tells so by itself. */
    pjsip_endpt_send_raw(ss_endpoint(), (pjsip_transport_type_e)transport->key.type, &selector, "\r\n\r\n", 4, &transport->key.rem_addr,
                         transport->addr_len, NULL, NULL);
}

static void ping_server(pjsip_transport_type_e type, const pj_sockaddr *remote, const unsigned char *id)
{
    unsigned char request[STUN_HEADER] = { 0, BINDING_REQUEST };

    memcpy(request + 4, cookie, sizeof cookie);
    memcpy(request + 8, id, STUN_ID);
    pjsip_endpt_send_raw(ss_endpoint(), type, NULL, request, sizeof request, remote, pj_sockaddr_get_len(remote), NULL, NULL);
}

/* callback: timer heap | thread: worker | gil: no | locks: none | lifetime: the timer's reference */
static void on_timer(pj_timer_heap_t *heap, pj_timer_entry *entry)
{
    flow *self = (flow *)((char *)entry - offsetof(flow, timer));
    pjsip_transport *transport = NULL;
    pjsip_transport_type_e type = PJSIP_TRANSPORT_UNSPECIFIED;
    pj_sockaddr remote;
    unsigned char id[STUN_ID];
    enum step step = REST;
    unsigned delay = 0;
    int again = 0;

    (void)heap;
    pthread_mutex_lock(&flows.lock);
    if (!self->over) {
        step = next_step(self, &delay);
        transport = self->transport;
        if (transport)
            pjsip_transport_add_ref(transport);         /* the first reference is ours: this takes no lock */
        type = self->type;
        remote = self->remote;          /* copies: once there is a timer again, it may go at any moment */
        memcpy(id, self->id, sizeof id);
        if (step == FAIL)
            end(self);
        else
            again = schedule(self, delay);
    }
    pthread_mutex_unlock(&flows.lock);
    if (step == PING && transport)
        ping_connection(transport);
    else if (step == PING)
        ping_server(type, &remote, id);
    else if (step == FAIL && transport)
        ss_connection_dead(transport);
    else if (step == FAIL)
        ss_datagrams_lost(&remote, "No answer to a keep-alive");
    if (transport)
        pjsip_transport_dec_ref(transport);
    if (!again)
        ss_object_release(self);
}

/* ---- answers ----------------------------------------------------------------------------------------------------------- */

static unsigned read_16(const unsigned char *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

/* The address in an answer (RFC 8489 section 14.2); 0: there is none. */
static int read_address(const unsigned char *answer, size_t size, pj_sockaddr *address)
{
    for (size_t at = STUN_HEADER, length; at + 4 <= size; at += 4 + ((length + 3) & ~(size_t)3)) {
        const unsigned char *value = answer + at + 4;
        size_t count;
        unsigned char *bytes;

        length = read_16(answer + at + 2);
        if (at + 4 + length > size)
            return 0;
        if (read_16(answer + at) != XOR_MAPPED_ADDRESS || length < 8)
            continue;
        if ((value[1] != 1 || length != 8) && (value[1] != 2 || length != 20))
            return 0;
        count = length - 4;
        pj_sockaddr_init(value[1] == 2 ? pj_AF_INET6() : pj_AF_INET(), address, NULL, (pj_uint16_t)(read_16(value + 2) ^ read_16(cookie)));
        bytes = pj_sockaddr_get_addr(address);
        for (size_t i = 0; i < count; i++)
            bytes[i] = value[4 + i] ^ answer[4 + i];        /* cookie and transaction are side by side there, too */
        return 1;
    }
    return 0;
}

int ss_flow_heard(const void *data, size_t size, const pj_sockaddr *source)
{
    const unsigned char *answer = data;
    pj_sockaddr address, remote;
    int failed = 0, was_running = 0;
    flow *one;

    if (size < STUN_HEADER || (read_16(answer) != BINDING_SUCCESS && read_16(answer) != BINDING_ERROR) || memcmp(answer + 4, cookie, sizeof cookie) != 0
        || STUN_HEADER + read_16(answer + 2) != size)
        return 0;
    pthread_mutex_lock(&flows.lock);
    for (one = flows.first; one; one = one->next) {
        if (!one->transport && one->waiting && !memcmp(one->id, answer + 8, STUN_ID) && !pj_sockaddr_cmp(&one->remote, source))
            break;
    }
    if (one) {
        one->heard = one->answered = 1;
        if (read_16(answer) == BINDING_SUCCESS && read_address(answer, size, &address)) {
            failed = one->has_seen && pj_sockaddr_cmp(&one->seen, &address) != 0;
            one->seen = address;
            one->has_seen = 1;
        }
        if (failed) {
            remote = one->remote;
            was_running = end(one);
        }
    }
    pthread_mutex_unlock(&flows.lock);
    if (failed)
        ss_datagrams_lost(&remote, "The server sees another address of ours");
    if (was_running)
        ss_object_release(one);         /* the timer's reference: until here it was there for sure */
    return 1;
}

void ss_flow_ponged(const pjsip_transport *transport)
{
    pthread_mutex_lock(&flows.lock);
    for (flow *one = flows.first; one; one = one->next) {
        if (one->transport == transport && one->waiting)
            one->answered = 1;
    }
    pthread_mutex_unlock(&flows.lock);
}

/* ---- life -------------------------------------------------------------------------------------------------------------- */

static void kill_flow(ss_object *object)
{
    flow *self = (flow *)object;
    pjsip_transport *transport;
    int was_running;

    pthread_mutex_lock(&flows.lock);
    was_running = end(self);
    transport = self->transport;
    self->transport = NULL;
    pthread_mutex_unlock(&flows.lock);
    if (transport)
        pjsip_transport_dec_ref(transport);
    if (was_running)
        ss_object_release(self);
}

static void destroy_flow(ss_object *object)
{
    pj_pool_release(((flow *)object)->pool);
}

ss_handle ss_flow_new(ss_handle registration, unsigned least_ms, unsigned most_ms, unsigned limit_ms)
{
    pj_pool_t *pool = ss_pool_create("flow", 512, 512);
    int is_running;
    flow *self;

    if (!pool)
        return 0;
    self = PJ_POOL_ZALLOC_T(pool, flow);
    self->pool = pool;
    self->base.kill = &kill_flow;
    self->base.destroy = &destroy_flow;
    self->least = least_ms;
    self->most = most_ms;
    self->limit = limit_ms;
    pj_timer_entry_init(&self->timer, 0, NULL, &on_timer);
    if (!ss_request_way(registration, &self->transport, &self->type, &self->remote) || !ss_object_register(&self->base, SS_T_FLOW)) {
        kill_flow(&self->base);
        destroy_flow(&self->base);
        return 0;
    }
    ss_object_acquire(self->base.handle, SS_T_FLOW);        /* the timer's reference; nobody else knows the handle yet */
    pthread_mutex_lock(&flows.lock);
    self->next = flows.first;
    flows.first = self;
    is_running = schedule(self, 0);
    pthread_mutex_unlock(&flows.lock);
    if (!is_running)
        ss_object_release(self);
    ss_worker_wake();
    return self->base.handle;
}
