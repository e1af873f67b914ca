/* The resolver against forged answers. Server and forger are sockets of this program, so every packet is in order. */
#include "common.h"
#include <arpa/inet.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

static pj_dns_resolver *resolver;
static int server, stranger;
static unsigned char query[512];
static int query_length;
static struct sockaddr_in client;
static int calls, last_status;
static unsigned last_address;

static void on_answer(void *user_data, pj_status_t status, pj_dns_parsed_packet *packet)
{
    pj_dns_a_record record;

    (void)user_data;
    ++calls;
    last_status = status;
    last_address = 0;
    if (status == PJ_SUCCESS && pj_dns_parse_a_response(packet, &record) == PJ_SUCCESS && record.addr_count)
        last_address = ntohl(record.addr[0].s_addr);
}

static int udp(struct sockaddr_in *name)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t len = sizeof(*name);
    struct timeval limit = {5, 0};

    memset(name, 0, sizeof(*name));
    name->sin_family = AF_INET;
    name->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (struct sockaddr*)name, sizeof(*name)) == 0);
    CHECK(getsockname(fd, (struct sockaddr*)name, &len) == 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static void poll_resolver(void)
{
    pj_time_val wait = {0, 20};
    pj_dns_resolver_handle_events(resolver, &wait);
}

static pj_dns_async_query *ask(const char *host)
{
    pj_str_t name = pj_str((char*)host);
    pj_dns_async_query *q = NULL;
    socklen_t len = sizeof(client);

    CHECK_STATUS(pj_dns_resolver_start_query(resolver, &name, PJ_DNS_TYPE_A, 0, &on_answer, NULL, &q), PJ_SUCCESS);
    query_length = recvfrom(server, query, sizeof(query), 0, (struct sockaddr*)&client, &len);
    CHECK(query_length > 12);
    return q;
}

enum { FORGED_ID = 1, FORGED_NAME = 2, FORGED_TYPE = 4, NO_QR = 8, NO_QUESTION = 16, REFUSED = 32, FORGED_CLASS = 64 };

/* Answer the last query with address 10.0.0.x */
static void reply(int from, int x, int faults)
{
    unsigned char p[600];
    int n = query_length;
    const unsigned char record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, (unsigned char)x};

    memcpy(p, query, n);
    p[2] = 0x81; p[3] = 0x80;
    p[7] = 1;
    if (faults & FORGED_ID) p[1] ^= 0x55;
    if (faults & FORGED_NAME) p[13] ^= 1;
    if (faults & FORGED_TYPE) p[n - 3] = 28;
    if (faults & FORGED_CLASS) p[n - 1] = 3;
    if (faults & NO_QR) p[2] &= 0x7f;
    if (faults & REFUSED) { p[3] |= 5; p[7] = 0; }
    if (faults & NO_QUESTION) { p[5] = 0; n = 12; }
    if (!(faults & REFUSED)) {
        memcpy(p + n, record, sizeof(record));
        if (faults & NO_QUESTION) { memcpy(p + n, query + 12, query_length - 12); memcpy(p + n + query_length - 12, record + 6, 10); n += query_length - 22; }
        n += sizeof(record);
    }
    CHECK(sendto(from, p, n, 0, (struct sockaddr*)&client, sizeof(client)) == n);
    poll_resolver();
}

static void forged(void)
{
    const int faults[] = {FORGED_ID, FORGED_NAME, FORGED_TYPE, FORGED_CLASS, NO_QR, NO_QUESTION};    /* the last one ends with a bad server */
    unsigned i;

    for (i = 0; i < PJ_ARRAY_SIZE(faults); ++i) {
        char host[30];

        snprintf(host, sizeof(host), "host%u.example", i);
        calls = 0;
        ask(host);
        reply(stranger, 66, 0);                 /* right in all but the port it comes from */
        CHECK(calls == 0);
        reply(stranger, 66, REFUSED | NO_QUESTION);
        CHECK(calls == 0);
        reply(server, 66, faults[i]);
        CHECK(calls == 0);
        /* a forger who knows the server's address cannot have it marked bad: with one server, the next question would fail */
        reply(server, 0, faults[i] | REFUSED);
        CHECK(calls == (faults[i] == NO_QUESTION));
        if (faults[i] == NO_QUESTION)
            continue;                           /* an error needs no question: that one was an answer */
        CHECK(sendto(server, "junk", 4, 0, (struct sockaddr*)&client, sizeof(client)) == 4);
        poll_resolver();
        CHECK(calls == 0);
        reply(server, 1, 0);
        CHECK(calls == 1 && last_status == PJ_SUCCESS && last_address == 0x0a000001);
    }
    CHECK(last_status != PJ_SUCCESS);
    {   /* the server is known to be bad now, so nothing is asked; an answer nobody asked for does not change that */
        pj_str_t name = pj_str((char*)"bad.example");
        const pj_status_t refused = pj_dns_resolver_start_query(resolver, &name, PJ_DNS_TYPE_A, 0, &on_answer, NULL, NULL);

        CHECK(refused != PJ_SUCCESS);
        reply(server, 66, 0);
        CHECK_STATUS(pj_dns_resolver_start_query(resolver, &name, PJ_DNS_TYPE_A, 0, &on_answer, NULL, NULL), refused);
    }
}

static void ids(void)
{
    static unsigned char seen[65536];
    unsigned i, successors = 0, previous = 0;

    for (i = 0; i < 1000; ++i) {
        char host[30];
        unsigned id;

        snprintf(host, sizeof(host), "n%u.example", i);
        ask(host);
        id = query[0] << 8 | query[1];
        CHECK(id != 0 && !seen[id]);            /* all stay pending */
        seen[id] = 1;
        successors += id == previous + 1;
        previous = id;
    }
    CHECK(successors < 50);
}

static void cancelled(void)
{
    pj_dns_async_query *q = ask("gone.example");

    CHECK_STATUS(pj_dns_resolver_cancel_query(q, PJ_TRUE), PJ_SUCCESS);
    CHECK(calls == 1 && last_status == PJ_ECANCELLED);
    reply(server, 1, 0);
    CHECK(calls == 1);
    /* asked again, it is a query of its own */
    calls = 0;
    ask("gone.example");
    reply(server, 2, 0);
    CHECK(calls == 1 && last_address == 0x0a000002);
    /* a second caller still gets the answer when the first one cancels */
    calls = 0;
    q = ask("two.example");
    {
        pj_str_t name = pj_str((char*)"two.example");
        CHECK_STATUS(pj_dns_resolver_start_query(resolver, &name, PJ_DNS_TYPE_A, 0, &on_answer, NULL, NULL), PJ_SUCCESS);
    }
    CHECK_STATUS(pj_dns_resolver_cancel_query(q, PJ_FALSE), PJ_SUCCESS);
    reply(server, 3, 0);
    CHECK(calls == 1 && last_address == 0x0a000003);
}

int main(int argc, char **argv)
{
    struct sockaddr_in name, other;
    pj_str_t loopback = pj_str((char*)"127.0.0.1");
    pj_uint16_t port;

    begin();
    server = udp(&name);
    stranger = udp(&other);
    port = ntohs(name.sin_port);
    CHECK_STATUS(pj_dns_resolver_create(&caching_pool.factory, "dns", 0, NULL, NULL, &resolver), PJ_SUCCESS);
    CHECK_STATUS(pj_dns_resolver_set_ns(resolver, 1, &loopback, &port), PJ_SUCCESS);
    CHECK(argc == 2);
    if (!strcmp(argv[1], "forged")) forged();
    else if (!strcmp(argv[1], "ids")) ids();
    else if (!strcmp(argv[1], "cancelled")) cancelled();
    else CHECK(!"known test");
    puts("ok");
    return 0;
}
