/* A name server on the loopback, in the same thread as who asks it, so that every packet is in order. */
#ifndef HARDENING_DNS_SERVER_H
#define HARDENING_DNS_SERVER_H

#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { TYPE_A = PJ_DNS_TYPE_A, TYPE_AAAA = PJ_DNS_TYPE_AAAA, TYPE_SRV = PJ_DNS_TYPE_SRV, NO_SUCH_NAME = 3, REFUSED = 5 };

typedef struct { int length, records; unsigned char data[600]; } answer;

static int dns_socket;
static struct { unsigned char data[300]; int length, type; char name[256]; struct sockaddr_in from; } questions[32];
static int question_count;

static inline pj_uint16_t dns_server_start(void)
{
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof name;
    struct timeval limit = { 10, 0 };

    dns_socket = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(dns_socket, (struct sockaddr *)&name, sizeof name) == 0);
    CHECK(getsockname(dns_socket, (struct sockaddr *)&name, &length) == 0);
    setsockopt(dns_socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return ntohs(name.sin_port);
}

static inline int put_name(unsigned char *p, const char *name)
{
    unsigned char *start = p;

    while (*name) {
        size_t length = strcspn(name, ".");

        *p++ = (unsigned char)length;
        memcpy(p, name, length);
        p += length;
        name += length + (name[length] == '.');
    }
    *p++ = 0;
    return (int)(p - start);
}

/* The answer to a question that nobody asked, for the cache. */
static inline answer answer_about(const char *name, int type)
{
    answer a = { 12, 0, { 0, 7, 0x81, 0x80, 0, 1 } };

    a.length += put_name(a.data + a.length, name);
    memcpy(a.data + a.length, (unsigned char[]){ 0, (unsigned char)type, 0, 1 }, 4);
    a.length += 4;
    return a;
}

static inline void add_record(answer *a, int type, const unsigned char *data, int length)
{
    const unsigned char head[] = { 0xc0, 12, 0, (unsigned char)type, 0, 1, 0, 0, 0, 60, 0, (unsigned char)length };

    memcpy(a->data + a->length, head, sizeof head);
    memcpy(a->data + a->length + sizeof head, data, length);
    a->length += (int)sizeof head + length;
    a->data[7] = (unsigned char)++a->records;
}

/* The address 10.0.0.x or fd00::x. */
static inline void add_address(answer *a, int type, int x)
{
    const unsigned char v4[] = { 10, 0, 0, (unsigned char)x }, v6[16] = { 0xfd, [15] = (unsigned char)x };

    add_record(a, type, type == TYPE_A ? v4 : v6, type == TYPE_A ? 4 : 16);
}

static inline void add_server(answer *a, int priority, const char *host)
{
    unsigned char data[100] = { 0, (unsigned char)priority, 0, 0, 5060 >> 8, 5060 & 255 };

    add_record(a, TYPE_SRV, data, 6 + put_name(data + 6, host));
}

static inline void cache(pj_dns_resolver *resolver, answer a)
{
    pj_pool_t *scratch = pj_pool_create(&caching_pool.factory, "cache", 4000, 4000, NULL);
    pj_dns_parsed_packet *packet;

    CHECK_STATUS(pj_dns_parse_packet(scratch, a.data, a.length, &packet), PJ_SUCCESS);
    CHECK_STATUS(pj_dns_resolver_add_entry(resolver, packet, PJ_TRUE), PJ_SUCCESS);
    pj_pool_release(scratch);
}

static inline void cache_address(pj_dns_resolver *resolver, const char *name, int type, int x)
{
    answer a = answer_about(name, type);

    add_address(&a, type, x);
    cache(resolver, a);
}

/* Wait until this was asked; returns its place in `questions`. */
static inline int asked(const char *name, int type)
{
    for (int i = 0;; i++) {
        if (i == question_count) {
            socklen_t length = sizeof questions[i].from;
            unsigned char *p = questions[i].data + 12;
            char *out = questions[i].name;

            CHECK(question_count < (int)PJ_ARRAY_SIZE(questions));
            questions[i].length = (int)recvfrom(dns_socket, questions[i].data, sizeof questions[i].data, 0, (struct sockaddr *)&questions[i].from, &length);
            CHECK(questions[i].length > 12);
            for (; *p; p += *p + 1)
                out += sprintf(out, "%s%.*s", out == questions[i].name ? "" : ".", *p, p + 1);
            questions[i].type = p[1] << 8 | p[2];
            question_count++;
        }
        if (questions[i].type == type && strcmp(questions[i].name, name) == 0)
            return i;
    }
}

static inline void reply(const char *name, int type, answer a)
{
    int i = asked(name, type);

    memcpy(a.data, questions[i].data, 2);
    CHECK(sendto(dns_socket, a.data, a.length, 0, (struct sockaddr *)&questions[i].from, sizeof questions[i].from) == a.length);
    questions[i].type = 0;
}

static inline void reply_address(const char *name, int type, int x)
{
    answer a = answer_about(name, type);

    add_address(&a, type, x);
    reply(name, type, a);
}

static inline void reply_error(const char *name, int type, int code)
{
    answer a = answer_about(name, type);

    a.data[3] |= (unsigned char)code;
    reply(name, type, a);
}

#endif
