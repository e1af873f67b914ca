/*
 * A UDP media transport that gets packets while it starts; prints how many RTP and RTCP packets came after that.
 * The transport's own source is compiled in, with a pause behind each first read: so the packets come in between for sure.
 */
#include "common.h"

static pj_status_t slow_recvfrom(pj_ioqueue_key_t *key, pj_ioqueue_op_key_t *op, void *buffer, pj_ssize_t *length, pj_uint32_t flags,
                                 pj_sockaddr_t *address, int *address_length)
{
    pj_status_t status = pj_ioqueue_recvfrom(key, op, buffer, length, flags, address, address_length);

    if (flags & PJ_IOQUEUE_ALWAYS_ASYNC)
        pj_thread_sleep(300);
    return status;
}

#define pj_ioqueue_recvfrom slow_recvfrom
#include <../src/pjmedia/transport_udp.c>
#undef pj_ioqueue_recvfrom

#define WANTED 10

static volatile int rtp, rtcp;

static void on_rtp(void *user, void *packet, pj_ssize_t size)
{
    (void)user; (void)packet;
    rtp += size > 0;
}

static void on_rtcp(void *user, void *packet, pj_ssize_t size)
{
    (void)user; (void)packet;
    rtcp += size > 0;
}

static void send_to(pj_sock_t sock, const pj_sockaddr *to)
{
    pj_ssize_t size = 4;

    CHECK_STATUS(pj_sock_sendto(sock, "abcd", &size, 0, to, sizeof(pj_sockaddr_in)), PJ_SUCCESS);
}

int main(void)
{
    pjmedia_endpt *endpoint;
    pjmedia_transport *transport;
    pjmedia_transport_info info;
    pj_sockaddr remote;
    pj_str_t host = pj_str((char *)"127.0.0.1");
    pj_sock_t sock;
    int i;

    begin();
    CHECK_STATUS(pjmedia_endpt_create2(&caching_pool.factory, NULL, 1, &endpoint), PJ_SUCCESS);
    for (i = 0; i < 100; i++) {
        if (pjmedia_transport_udp_create2(endpoint, "test", &host, 24000 + 2 * i, 0, &transport) == PJ_SUCCESS)
            break;
    }
    CHECK(i < 100);
    pjmedia_transport_info_init(&info);
    pjmedia_transport_get_info(transport, &info);
    CHECK_STATUS(pj_sock_socket(pj_AF_INET(), pj_SOCK_DGRAM(), 0, &sock), PJ_SUCCESS);
    pj_sockaddr_init(pj_AF_INET(), &remote, &host, 9);
    CHECK_STATUS(pjmedia_transport_attach(transport, NULL, &remote, &remote, sizeof(pj_sockaddr_in), &on_rtp, &on_rtcp), PJ_SUCCESS);
    send_to(sock, &info.sock_info.rtp_addr_name);
    send_to(sock, &info.sock_info.rtcp_addr_name);
    CHECK_STATUS(pjmedia_transport_media_start(transport, pool, NULL, NULL, 0), PJ_SUCCESS);
    for (i = 0; i < 500 && (rtp < WANTED || rtcp < WANTED); i++) {
        send_to(sock, &info.sock_info.rtp_addr_name);
        send_to(sock, &info.sock_info.rtcp_addr_name);
        pj_thread_sleep(10);
    }
    printf("%s %s\n", rtp >= WANTED ? "rtp" : "no rtp", rtcp >= WANTED ? "rtcp" : "no rtcp");
    pjmedia_transport_close(transport);
    pjmedia_endpt_destroy2(endpoint);
    return 0;
}
