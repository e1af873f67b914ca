/*
 * The end of a resolver and of its queries: each callback is called once, without the lock; nothing is left in the heap of timers, which others use too;
 * and who is late is told so.
 */
#include "dns_server.h"

static pj_dns_resolver *resolver;
static pj_timer_heap_t *heap;
static pj_ioqueue_t *ioqueue;
static int calls, last_status;

static void poll_all(void)
{
    pj_time_val wait = { 0, 20 };

    pj_timer_heap_poll(heap, NULL);
    pj_ioqueue_poll(ioqueue, &wait);
}

static void on_answer(void *user_data, pj_status_t status, pj_dns_parsed_packet *packet)
{
    (void)user_data, (void)packet;
    calls++;
    last_status = status;
}

static pj_status_t try_to_ask(const char *host, pj_dns_callback *callback, void *user_data, pj_dns_async_query **query)
{
    pj_str_t name = pj_str((char *)host);

    return pj_dns_resolver_start_query(resolver, &name, TYPE_A, 0, callback, user_data, query);
}

static pj_dns_async_query *ask(const char *host, pj_dns_callback *callback)
{
    pj_dns_async_query *query = NULL;

    CHECK_STATUS(try_to_ask(host, callback, &query, &query), PJ_SUCCESS);
    CHECK(query != NULL);
    return query;
}

/* Timers of pending queries would fire on closed sockets. */
static void destroyed(void)
{
    pj_time_val now, end;

    ask("one.example", &on_answer);
    ask("one.example", &on_answer);         /* waits for the same answer */
    CHECK_STATUS(pj_dns_resolver_destroy(resolver, PJ_TRUE), PJ_SUCCESS);
    CHECK(calls == 2 && last_status == PJ_ECANCELLED);
    CHECK(pj_timer_heap_count(heap) == 0);
    pj_gettickcount(&end);
    end.msec += 100;                        /* two retransmissions */
    pj_time_val_normalize(&end);
    do {
        poll_all();
        pj_gettickcount(&now);
    } while (PJ_TIME_VAL_LT(now, end));
    CHECK(calls == 2);
}

static pj_status_t asked_in_callback, cached_in_callback;

static void on_answer_ask(void *user_data, pj_status_t status, pj_dns_parsed_packet *packet)
{
    answer a = answer_about("cached.example", TYPE_A);
    pj_pool_t *scratch = pj_pool_create(&caching_pool.factory, "cache", 4000, 4000, NULL);
    pj_dns_parsed_packet *parsed;

    on_answer(user_data, status, packet);
    asked_in_callback = try_to_ask("other.example", &on_answer, NULL, NULL);
    add_address(&a, TYPE_A, 1);
    CHECK_STATUS(pj_dns_parse_packet(scratch, a.data, a.length, &parsed), PJ_SUCCESS);
    cached_in_callback = pj_dns_resolver_add_entry(resolver, parsed, PJ_TRUE);
    pj_pool_release(scratch);
}

static void refused(void)
{
    ask("one.example", &on_answer_ask);
    CHECK_STATUS(pj_dns_resolver_destroy(resolver, PJ_TRUE), PJ_SUCCESS);
    CHECK(calls == 1 && last_status == PJ_ECANCELLED);
    CHECK_STATUS(asked_in_callback, PJ_EGONE);
    CHECK_STATUS(cached_in_callback, PJ_EGONE);
}

static void on_answer_destroy(void *user_data, pj_status_t status, pj_dns_parsed_packet *packet)
{
    on_answer(user_data, status, packet);
    CHECK_STATUS(pj_dns_resolver_destroy(resolver, PJ_FALSE), PJ_SUCCESS);
}

/* What is answered in that moment goes to no cache, where nobody would free it. */
static void destroyed_in_callback(void)
{
    ask("one.example", &on_answer_destroy);
    reply_address("one.example", TYPE_A, 1);
    poll_all();
    CHECK(calls == 1 && last_status == PJ_SUCCESS);
    poll_all();
}

static pj_dns_async_query *answered;

static void on_answer_cancel(void *user_data, pj_status_t status, pj_dns_parsed_packet *packet)
{
    on_answer(user_data, status, packet);
    if (calls < 5)
        pj_dns_resolver_cancel_query(answered, PJ_TRUE);
}

/* A cancellation that comes while the answer is being told changes nothing. */
static void cancelled_in_callback(void)
{
    answered = ask("one.example", &on_answer_cancel);
    reply_address("one.example", TYPE_A, 1);
    poll_all();
    CHECK(calls == 1 && last_status == PJ_SUCCESS);
    CHECK_STATUS(pj_dns_resolver_destroy(resolver, PJ_FALSE), PJ_SUCCESS);
}

static int other_thread_passed;

static int use_resolver(void *argument)
{
    (void)argument;
    pj_dns_resolver_get_cached_count(resolver);
    __atomic_store_n(&other_thread_passed, 1, __ATOMIC_RELEASE);
    return 0;
}

static pj_thread_t *other_thread;

static void on_cancelled_wait(void *user_data, pj_status_t status, pj_dns_parsed_packet *packet)
{
    on_answer(user_data, status, packet);
    CHECK_STATUS(pj_thread_create(pool, "other", &use_resolver, NULL, 0, 0, &other_thread), PJ_SUCCESS);
    for (int i = 0; i < 1000 && !__atomic_load_n(&other_thread_passed, __ATOMIC_ACQUIRE); i++)
        pj_thread_sleep(10);
    CHECK(__atomic_load_n(&other_thread_passed, __ATOMIC_ACQUIRE));
    pj_thread_join(other_thread);
    pj_thread_destroy(other_thread);
}

/* Who is called back may wait for a thread that uses the resolver. */
static void cancelled_without_lock(void)
{
    CHECK_STATUS(pj_dns_resolver_cancel_query(ask("one.example", &on_cancelled_wait), PJ_TRUE), PJ_SUCCESS);
    CHECK(calls == 1 && last_status == PJ_ECANCELLED);
    CHECK_STATUS(pj_dns_resolver_destroy(resolver, PJ_FALSE), PJ_SUCCESS);
}

static const struct { const char *name; void (*function)(void); } cases[] = {
    { "destroyed", &destroyed }, { "refused", &refused }, { "destroyed_in_callback", &destroyed_in_callback },
    { "cancelled_in_callback", &cancelled_in_callback }, { "cancelled_without_lock", &cancelled_without_lock },
};

int main(int argc, char **argv)
{
    pj_str_t loopback = pj_str((char *)"127.0.0.1");
    pj_dns_settings settings;
    pj_uint16_t port;
    pj_size_t before;
    unsigned i = 0;

    begin();
    CHECK(argc == 2);
    CHECK_STATUS(pj_timer_heap_create(pool, 64, &heap), PJ_SUCCESS);
    CHECK_STATUS(pj_ioqueue_create(pool, 16, &ioqueue), PJ_SUCCESS);
    port = dns_server_start();
    before = caching_pool.used_count;
    CHECK_STATUS(pj_dns_resolver_create(&caching_pool.factory, "dns", 0, heap, ioqueue, &resolver), PJ_SUCCESS);
    CHECK_STATUS(pj_dns_resolver_set_ns(resolver, 1, &loopback, &port), PJ_SUCCESS);
    CHECK_STATUS(pj_dns_resolver_get_settings(resolver, &settings), PJ_SUCCESS);
    if (!strcmp(argv[1], "destroyed"))
        settings.qretr_delay = 40;
    CHECK_STATUS(pj_dns_resolver_set_settings(resolver, &settings), PJ_SUCCESS);
    while (i < PJ_ARRAY_SIZE(cases) && strcmp(cases[i].name, argv[1]))
        i++;
    CHECK(i < PJ_ARRAY_SIZE(cases));
    cases[i].function();
    CHECK(caching_pool.used_count == before);       /* all memory came back */
    puts("ok");
    return 0;
}
