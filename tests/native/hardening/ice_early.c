/* A packet for an ICE session comes before a candidate of its transport is added, and after. */
#include "common.h"

enum { COMPONENT = 1, TRANSPORT = 9 };

static int passed_on;

static void on_valid_pair(pj_ice_sess *ice)
{
    (void)ice;
}

static void on_complete(pj_ice_sess *ice, pj_status_t status)
{
    (void)ice, (void)status;
}

static pj_status_t on_send(pj_ice_sess *ice, unsigned component, unsigned transport, const void *packet, pj_size_t size, const pj_sockaddr_t *to, unsigned length)
{
    (void)ice, (void)component, (void)transport, (void)packet, (void)size, (void)to, (void)length;
    return PJ_SUCCESS;
}

static void on_data(pj_ice_sess *ice, unsigned component, unsigned transport, void *packet, pj_size_t size, const pj_sockaddr_t *from, unsigned length)
{
    (void)ice, (void)component, (void)transport, (void)packet, (void)size, (void)from, (void)length;
    passed_on++;
}

int main(void)
{
    const pj_ice_sess_cb callbacks = { .on_valid_pair = &on_valid_pair, .on_ice_complete = &on_complete, .on_tx_pkt = &on_send, .on_rx_data = &on_data };
    pj_str_t loopback = pj_str((char *)"127.0.0.1"), foundation = pj_str((char *)"f");
    char packet[20] = { (char)0x80 };
    pj_stun_config config;
    pj_timer_heap_t *heap;
    pj_ioqueue_t *ioqueue;
    pj_ice_sess_options options;
    pj_ice_sess *ice;
    pj_sockaddr address;
    unsigned id;

    begin();
    CHECK_STATUS(pj_timer_heap_create(pool, 64, &heap), PJ_SUCCESS);
    CHECK_STATUS(pj_ioqueue_create(pool, 16, &ioqueue), PJ_SUCCESS);
    pj_stun_config_init(&config, &caching_pool.factory, 0, ioqueue, heap);
    CHECK_STATUS(pj_sockaddr_init(pj_AF_INET(), &address, &loopback, 5000), PJ_SUCCESS);
    CHECK_STATUS(pj_ice_sess_create(&config, "ice", PJ_ICE_SESS_ROLE_CONTROLLED, 1, &callbacks, NULL, NULL, NULL, &ice), PJ_SUCCESS);
    CHECK_STATUS(pj_ice_sess_get_options(ice, &options), PJ_SUCCESS);
    options.check_src_addr = PJ_FALSE;
    CHECK_STATUS(pj_ice_sess_set_options(ice, &options), PJ_SUCCESS);
    CHECK(pj_ice_sess_on_rx_pkt(ice, COMPONENT, TRANSPORT, packet, sizeof packet, &address, sizeof address.ipv4) != PJ_SUCCESS);
    CHECK(passed_on == 0);
    CHECK_STATUS(pj_ice_sess_add_cand(ice, COMPONENT, TRANSPORT, PJ_ICE_CAND_TYPE_HOST, 65535, &foundation, &address, &address, NULL,
                                      sizeof address.ipv4, &id), PJ_SUCCESS);
    CHECK_STATUS(pj_ice_sess_on_rx_pkt(ice, COMPONENT, TRANSPORT, packet, sizeof packet, &address, sizeof address.ipv4), PJ_SUCCESS);
    CHECK(passed_on == 1);
    CHECK_STATUS(pj_ice_sess_destroy(ice), PJ_SUCCESS);
    puts("ok");
    return 0;
}
