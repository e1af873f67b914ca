/*
 * A TURN client over TCP to 127.0.0.1:PORT. Arguments: PORT [peer-tcp]
 * Ends when the allocation is gone, or, with connections to the peer (RFC 6062), when the first of them failed or brought data; prints which.
 */
#include "common.h"

static pj_turn_state_t state;
static int received, failed, last_status;
static char text[100];

static void on_state(pj_turn_sock *sock, pj_turn_state_t old_state, pj_turn_state_t new_state)
{
    pj_turn_session_info info;

    (void)old_state;
    state = new_state;
    if (new_state >= PJ_TURN_STATE_DEALLOCATED && pj_turn_sock_get_info(sock, &info) == PJ_SUCCESS && info.last_status)
        last_status = info.last_status;
    if (new_state == PJ_TURN_STATE_DESTROYING)
        pj_turn_sock_set_user_data(sock, NULL);
}

static void on_rx_data(pj_turn_sock *sock, void *data, unsigned length, const pj_sockaddr_t *peer, unsigned peer_length)
{
    (void)sock; (void)peer; (void)peer_length;
    CHECK(length < sizeof(text) - strlen(text));
    strncat(text, data, length);
    received += length;
}

static void on_connection_status(pj_turn_sock *sock, pj_status_t status, pj_uint32_t id, const pj_sockaddr_t *peer, unsigned peer_length)
{
    (void)sock; (void)id; (void)peer; (void)peer_length;
    failed += status != PJ_SUCCESS;
}

int main(int argc, char **argv)
{
    pj_stun_config config;
    pj_ioqueue_t *ioqueue;
    pj_timer_heap_t *heap;
    pj_turn_sock *sock;
    pj_turn_sock_cb callbacks = {0};
    pj_turn_sock_cfg setting;
    pj_turn_alloc_param param;
    pj_stun_auth_cred cred = {0};
    pj_str_t server = pj_str((char*)"127.0.0.1");
    int i, to_peers;

    begin();
    CHECK(argc >= 2);
    to_peers = argc > 2;
    CHECK_STATUS(pj_ioqueue_create(pool, 16, &ioqueue), PJ_SUCCESS);
    CHECK_STATUS(pj_timer_heap_create(pool, 100, &heap), PJ_SUCCESS);
    pj_stun_config_init(&config, &caching_pool.factory, 0, ioqueue, heap);
    callbacks.on_state = &on_state;
    callbacks.on_rx_data = &on_rx_data;
    callbacks.on_connection_status = &on_connection_status;
    pj_turn_sock_cfg_default(&setting);
    CHECK_STATUS(pj_turn_sock_create(&config, pj_AF_INET(), PJ_TURN_TP_TCP, &callbacks, &setting, NULL, &sock), PJ_SUCCESS);
    cred.type = PJ_STUN_AUTH_CRED_STATIC;
    cred.data.static_cred.username = pj_str((char*)"u");
    cred.data.static_cred.data = pj_str((char*)"p");
    pj_turn_alloc_param_default(&param);
    param.peer_conn_type = to_peers ? PJ_TURN_TP_TCP : PJ_TURN_TP_UDP;
    CHECK_STATUS(pj_turn_sock_alloc(sock, &server, atoi(argv[1]), NULL, &cred, &param), PJ_SUCCESS);
    for (i = 0; i < 2000 && state < PJ_TURN_STATE_DEALLOCATED && !failed && received < 5; ++i) {
        pj_time_val wait = {0, 10};
        pj_ioqueue_poll(ioqueue, &wait);
        pj_timer_heap_poll(heap, NULL);
    }
    CHECK(to_peers || received == 0);
    if (received)
        puts(text);
    else if (failed)
        puts("failed");
    else
        printf("%s %d\n", state >= PJ_TURN_STATE_DEALLOCATED ? "ended" : pj_turn_state_name(state), last_status);
    return 0;
}
