/*
 * Where a request goes, resolved by A, AAAA and SRV: the result is told once, whatever was in the cache or could not be asked, and is touched by nobody after:
 * who is told frees the memory of the question.
 */
#include "dns_server.h"

static pjsip_endpoint *endpoint;
static pj_dns_resolver *resolver;
static pj_pool_t *question_pool;
static pjsip_server_addresses found;
static int calls, last_status, keep_pool;

static void on_resolved(pj_status_t status, void *token, const pjsip_server_addresses *addresses)
{
    CHECK(token == &found);
    calls++;
    last_status = status;
    memset(&found, 0, sizeof found);
    if (status == PJ_SUCCESS)
        found = *addresses;
    if (question_pool && !keep_pool) {
        pj_pool_release(question_pool);
        question_pool = NULL;
    }
}

static void poll_all(void)
{
    pj_time_val wait = { 0, 20 };

    for (int i = 0; i < 3; i++)
        pjsip_endpt_handle_events(endpoint, &wait);
}

static void resolve(const char *host, int port)
{
    pjsip_host_info target = { .type = PJSIP_TRANSPORT_UDP, .addr = { .host = pj_str((char *)host), .port = port } };

    question_pool = pj_pool_create(&caching_pool.factory, "question", 1000, 1000, NULL);
    calls = 0;
    pjsip_endpt_resolve(endpoint, question_pool, &target, &found, &on_resolved);
}

static void start_query(const char *host, int type)
{
    pj_str_t name = pj_str((char *)host);

    CHECK_STATUS(pj_dns_resolver_start_query(resolver, &name, type, 0, NULL, NULL, NULL), PJ_SUCCESS);
}

/* A server that refused an answer is not asked for a while: no query can be started then. */
static void make_server_bad(void)
{
    start_query("refused.example", TYPE_A);
    reply_error("refused.example", TYPE_A, REFUSED);
    poll_all();
}

static void check_address(unsigned i, int family, int x)
{
    const unsigned char *bytes = pj_sockaddr_get_addr(&found.entry[i].addr);

    CHECK(found.entry[i].addr.addr.sa_family == family);
    CHECK(bytes[family == pj_AF_INET() ? 3 : 15] == x);
    CHECK(found.entry[i].addr_len == (int)pj_sockaddr_get_len(&found.entry[i].addr));
    CHECK(!(found.entry[i].type & PJSIP_TRANSPORT_IPV6) == (family == pj_AF_INET()));
    CHECK(pj_sockaddr_get_port(&found.entry[i].addr) == 5060);
}

/* The first question waits for an answer, the second cannot be asked: the answer still counts, and is told once. */
static void second_fails(void)
{
    start_query("host.example", TYPE_A);
    make_server_bad();
    resolve("host.example", 5060);
    CHECK(calls == 0);
    reply_address("host.example", TYPE_A, 1);
    poll_all();
    CHECK(calls == 1 && last_status == PJ_SUCCESS && found.count == 1);
    check_address(0, pj_AF_INET(), 1);
}

static void none_can_be_asked(void)
{
    make_server_bad();
    resolve("host.example", 5060);
    CHECK(calls == 1 && last_status != PJ_SUCCESS);
    resolve("host.example", 0);
    CHECK(calls == 1 && last_status != PJ_SUCCESS);
    poll_all();
    CHECK(calls == 1);
}

static void no_address(void)
{
    resolve("host.example", 5060);
    reply_error("host.example", TYPE_A, NO_SUCH_NAME);
    poll_all();
    CHECK(calls == 0);
    reply("host.example", TYPE_AAAA, answer_about("host.example", TYPE_AAAA));
    poll_all();
    CHECK(calls == 1 && last_status != PJ_SUCCESS);
}

static void all_cached(void)
{
    cache_address(resolver, "host.example", TYPE_A, 1);
    cache_address(resolver, "host.example", TYPE_AAAA, 2);
    resolve("host.example", 5060);
    CHECK(calls == 1 && last_status == PJ_SUCCESS && found.count == 2);
    check_address(0, pj_AF_INET(), 1);
    check_address(1, pj_AF_INET6(), 2);
}

static void wipe_stack(void)
{
    volatile char bytes[20000];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = 'x';
}

/* The names last as long as the memory of the question. */
static void names(void)
{
    keep_pool = 1;
    resolve("Host.example", 5060);
    reply_address("host.example", TYPE_A, 1);
    reply_address("host.example", TYPE_AAAA, 2);
    poll_all();
    wipe_stack();
    CHECK(calls == 1 && found.count == 2);
    for (int i = 0; i < 2; i++)
        CHECK(pj_stricmp2(&found.entry[i].name, "host.example") == 0);
}

static void cache_servers(const char *first, const char *second)
{
    answer a = answer_about("_sip._udp.domain.example", TYPE_SRV);

    add_server(&a, 1, first);
    if (second)
        add_server(&a, 2, second);
    cache(resolver, a);
}

static void srv_all_cached(void)
{
    cache_servers("one.example", "two.example");
    cache_address(resolver, "one.example", TYPE_A, 1);
    cache_address(resolver, "one.example", TYPE_AAAA, 2);
    cache_address(resolver, "two.example", TYPE_A, 3);
    cache_address(resolver, "two.example", TYPE_AAAA, 4);
    resolve("domain.example", 0);
    CHECK(calls == 1 && last_status == PJ_SUCCESS && found.count == 4);
    check_address(0, pj_AF_INET(), 1);
    check_address(3, pj_AF_INET6(), 4);
}

static void srv_addresses_cached(void)
{
    answer a = answer_about("_sip._udp.domain.example", TYPE_SRV);

    cache_address(resolver, "one.example", TYPE_A, 1);
    cache_address(resolver, "one.example", TYPE_AAAA, 2);
    resolve("domain.example", 0);
    add_server(&a, 1, "one.example");
    reply("_sip._udp.domain.example", TYPE_SRV, a);
    poll_all();
    CHECK(calls == 1 && last_status == PJ_SUCCESS && found.count == 2);
}

/* One AAAA cannot be asked; the addresses of both servers are waited for. */
static void srv_second_fails(void)
{
    cache_servers("one.example", "two.example");
    cache_address(resolver, "two.example", TYPE_AAAA, 4);
    start_query("one.example", TYPE_A);
    start_query("two.example", TYPE_A);
    make_server_bad();
    resolve("domain.example", 0);
    CHECK(calls == 0);
    reply_address("two.example", TYPE_A, 3);
    poll_all();
    CHECK(calls == 0);
    reply_address("one.example", TYPE_A, 1);
    poll_all();
    CHECK(calls == 1 && last_status == PJ_SUCCESS && found.count == 3);
    check_address(0, pj_AF_INET(), 1);
}

static void srv_none_can_be_asked(void)
{
    cache_servers("one.example", NULL);
    make_server_bad();
    resolve("domain.example", 0);
    CHECK(calls == 1 && last_status != PJ_SUCCESS);
}

/* No SRV records: the domain is a host. */
static void srv_fallback(void)
{
    resolve("domain.example", 0);
    reply_error("_sip._udp.domain.example", TYPE_SRV, NO_SUCH_NAME);
    poll_all();
    reply_address("domain.example", TYPE_AAAA, 2);
    poll_all();
    CHECK(calls == 0);
    reply_address("domain.example", TYPE_A, 1);
    poll_all();
    CHECK(calls == 1 && last_status == PJ_SUCCESS && found.count == 2);
}

static void on_srv(void *user_data, pj_status_t status, const pj_dns_srv_record *record)
{
    (void)user_data, (void)record;
    calls++;
    last_status = status;
}

/* A cancelled question is told once, or not at all, and its answers to nobody. */
static void srv_cancelled(void)
{
    const pj_str_t domain = pj_str((char *)"domain.example"), service = pj_str((char *)"_sip._udp.");
    pj_dns_srv_async_query *query = NULL;

    cache_servers("one.example", "two.example");
    cache_address(resolver, "one.example", TYPE_A, 1);
    for (int notify = 0; notify < 2; notify++) {
        pj_pool_t *memory = pj_pool_create(&caching_pool.factory, "question", 1000, 1000, NULL);

        calls = 0;
        CHECK_STATUS(pj_dns_srv_resolve(&domain, &service, 5060, memory, resolver, PJ_DNS_SRV_RESOLVE_AAAA, NULL, &on_srv, &query), PJ_SUCCESS);
        CHECK(query != NULL && calls == 0);
        asked("two.example", TYPE_A);
        CHECK_STATUS(pj_dns_srv_cancel_query(query, notify), PJ_SUCCESS);
        CHECK(calls == notify);
        pj_pool_release(memory);
        reply_address("two.example", TYPE_A, 3);
        poll_all();
        CHECK(calls == notify);
    }
    /* answered at once, there is nothing to cancel */
    cache_servers("one.example", NULL);
    calls = 0;
    CHECK_STATUS(pj_dns_srv_resolve(&domain, &service, 5060, pool, resolver, 0, NULL, &on_srv, &query), PJ_SUCCESS);
    CHECK(query == NULL && calls == 1 && last_status == PJ_SUCCESS);
}

static const struct { const char *name; void (*function)(void); } cases[] = {
    { "second_fails", &second_fails }, { "none_can_be_asked", &none_can_be_asked }, { "no_address", &no_address }, { "all_cached", &all_cached },
    { "names", &names }, { "srv_all_cached", &srv_all_cached }, { "srv_addresses_cached", &srv_addresses_cached },
    { "srv_second_fails", &srv_second_fails }, { "srv_none_can_be_asked", &srv_none_can_be_asked }, { "srv_fallback", &srv_fallback },
    { "srv_cancelled", &srv_cancelled },
};

int main(int argc, char **argv)
{
    pj_str_t loopback = pj_str((char *)"127.0.0.1");
    pj_uint16_t port;
    unsigned i = 0;

    begin();
    CHECK(argc == 2);
    CHECK_STATUS(pjsip_endpt_create(&caching_pool.factory, "test", &endpoint), PJ_SUCCESS);
    CHECK_STATUS(pjsip_endpt_create_resolver(endpoint, &resolver), PJ_SUCCESS);
    CHECK_STATUS(pjsip_endpt_set_resolver(endpoint, resolver), PJ_SUCCESS);
    port = dns_server_start();
    CHECK_STATUS(pj_dns_resolver_set_ns(resolver, 1, &loopback, &port), PJ_SUCCESS);
    while (i < PJ_ARRAY_SIZE(cases) && strcmp(cases[i].name, argv[1]))
        i++;
    CHECK(i < PJ_ARRAY_SIZE(cases));
    cases[i].function();
    puts("ok");
    return 0;
}
