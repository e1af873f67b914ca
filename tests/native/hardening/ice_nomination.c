/*
 * ICE with aggressive nomination, where checks of the peer come between the moments at which the controlling side knows the peer's candidates and at which
 * it begins to check: two calls of the application, in which its thread may have to wait. The checks that they trigger must nominate like all others, or the
 * pairs are valid, and never in use. Two sessions in one thread; packets wait in a queue until the program hands them over.
 */
#include "common.h"

enum { COMPONENTS = 2, ROOM = 64 };

typedef struct side {
    pj_ice_sess *session;
    pj_sockaddr addresses[COMPONENTS];
    pj_ice_sess_cand candidates[COMPONENTS];
    int done;
    pj_status_t status;
} side;

typedef struct packet {
    side *to;
    unsigned component;
    pj_sockaddr from;
    pj_size_t size;
    char data[PJ_STUN_MAX_PKT_LEN];
} packet;

static side sides[2];
static packet queue[ROOM];
static unsigned first, count;
static pj_timer_heap_t *heap;

static void on_complete(pj_ice_sess *session, pj_status_t status)
{
    side *self = session->user_data;

    self->done = 1;
    self->status = status;
}

static pj_status_t on_send(pj_ice_sess *session, unsigned component, unsigned transport, const void *data, pj_size_t size, const pj_sockaddr_t *to, unsigned length)
{
    side *self = session->user_data;
    packet *next = &queue[(first + count) % ROOM];

    (void)transport;
    (void)length;
    CHECK(count < ROOM && size <= sizeof next->data);
    next->to = self == &sides[0] ? &sides[1] : &sides[0];
    CHECK(pj_sockaddr_cmp(to, &next->to->addresses[component - 1]) == 0);
    next->component = component;
    next->from = self->addresses[component - 1];
    next->size = size;
    memcpy(next->data, data, size);
    count++;
    return PJ_SUCCESS;
}

static void on_data(pj_ice_sess *session, unsigned component, unsigned transport, void *data, pj_size_t size, const pj_sockaddr_t *from, unsigned length)
{
    CHECK(!"no data here");
}

/* Hand over the oldest packet; whether it was a check of the answerer. */
static int deliver(void)
{
    packet now = queue[first];

    first = (first + 1) % ROOM;
    count--;
    pj_ice_sess_on_rx_pkt(now.to->session, now.component, now.component, now.data, now.size, &now.from, pj_sockaddr_get_len(&now.from));
    return now.to == &sides[0] && now.data[0] == 0 && now.data[1] == 1;
}

/* Let time go by until the offerer has got so many checks, or both are done. */
static void run(unsigned checks)
{
    for (unsigned i = 0; i < 20000 && checks && !(sides[0].done && sides[1].done); i++) {
        pj_timer_heap_poll(heap, NULL);
        while (count && checks)
            checks -= deliver();
        pj_thread_sleep(1);
    }
}

static void make(side *self, pj_stun_config *config, pj_ice_sess_role role, unsigned port)
{
    static const pj_ice_sess_cb callbacks = { .on_ice_complete = on_complete, .on_tx_pkt = on_send, .on_rx_data = on_data };
    pj_ice_sess_options options;
    pj_str_t loopback = pj_str("127.0.0.1"), foundation = pj_str("H1");

    CHECK_STATUS(pj_ice_sess_create(config, role == PJ_ICE_SESS_ROLE_CONTROLLING ? "offerer" : "answerer", role, COMPONENTS, &callbacks, NULL, NULL, NULL,
                                    &self->session), PJ_SUCCESS);
    self->session->user_data = self;
    CHECK_STATUS(pj_ice_sess_get_options(self->session, &options), PJ_SUCCESS);
    options.aggressive = PJ_TRUE;
    CHECK_STATUS(pj_ice_sess_set_options(self->session, &options), PJ_SUCCESS);
    for (unsigned i = 0; i < COMPONENTS; i++) {
        CHECK_STATUS(pj_sockaddr_init(pj_AF_INET(), &self->addresses[i], &loopback, (pj_uint16_t)(port + i)), PJ_SUCCESS);
        CHECK_STATUS(pj_ice_sess_add_cand(self->session, i + 1, i + 1, PJ_ICE_CAND_TYPE_HOST, 65535, &foundation, &self->addresses[i], &self->addresses[i], NULL,
                                          pj_sockaddr_get_len(&self->addresses[i]), NULL), PJ_SUCCESS);
        self->candidates[i] = self->session->lcand[i];
    }
}

static void know(side *self, side *peer)
{
    CHECK_STATUS(pj_ice_sess_create_check_list(self->session, &peer->session->rx_ufrag, &peer->session->rx_pass, COMPONENTS, peer->candidates), PJ_SUCCESS);
}

int main(int argc, char *argv[])
{
    unsigned checks = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
    pj_stun_config config;
    pj_ioqueue_t *ioqueue;

    begin();
    CHECK_STATUS(pj_timer_heap_create(pool, 100, &heap), PJ_SUCCESS);
    CHECK_STATUS(pj_ioqueue_create(pool, 4, &ioqueue), PJ_SUCCESS);
    pj_stun_config_init(&config, &caching_pool.factory, 0, ioqueue, heap);
    make(&sides[0], &config, PJ_ICE_SESS_ROLE_CONTROLLING, 4000);
    make(&sides[1], &config, PJ_ICE_SESS_ROLE_CONTROLLED, 5000);
    know(&sides[1], &sides[0]);
    CHECK_STATUS(pj_ice_sess_start_check(sides[1].session), PJ_SUCCESS);
    know(&sides[0], &sides[1]);
    run(checks);
    CHECK_STATUS(pj_ice_sess_start_check(sides[0].session), PJ_SUCCESS);
    run(1000000);
    CHECK(sides[0].done && sides[1].done);
    CHECK_STATUS(sides[0].status, PJ_SUCCESS);
    CHECK_STATUS(sides[1].status, PJ_SUCCESS);
    for (unsigned i = 0; i < COMPONENTS; i++)
        CHECK(sides[0].session->comp[i].nominated_check && sides[1].session->comp[i].nominated_check);
    printf("ok\n");
    return 0;
}
