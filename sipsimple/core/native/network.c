/* What another address of this host means: its own addresses, and the connections that cannot work any more. */
#include "engine.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <pjlib.h>

/* ---- addresses ------------------------------------------------------------------------------------------------ */

static const unsigned char loopback6[16] = { [15] = 1 };

static int is_loopback(const pj_sockaddr *address)
{
    if (address->addr.sa_family == pj_AF_INET6())
        return memcmp(pj_sockaddr_get_addr(address), loopback6, sizeof loopback6) == 0;
    return (pj_ntohl(address->ipv4.sin_addr.s_addr) >> 24) == 127;
}

static int is_link_local(const pj_sockaddr *address)
{
    const unsigned char *bytes = pj_sockaddr_get_addr(address);

    return address->addr.sa_family == pj_AF_INET6() ? bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80 : bytes[0] == 169 && bytes[1] == 254;
}

/* The address of an interface, on a network that has no way to others. */
static int first_address(int family, pj_sockaddr *address)
{
    pj_sockaddr found[16];
    unsigned count = PJ_ARRAY_SIZE(found);

    if (pj_enum_ip_interface(family, &count, found) != PJ_SUCCESS)
        return 0;
    for (unsigned i = 0; i < count; i++) {
        if (!is_loopback(&found[i]) && !is_link_local(&found[i])) {
            *address = found[i];
            return 1;
        }
    }
    return 0;
}

int ss_own_address(int family, pj_sockaddr *address)
{
    pj_sockaddr own;
    int found = 1;

    if (pj_sockaddr_has_addr(address))
        return 1;
    if ((pj_getdefaultipinterface(family, &own) != PJ_SUCCESS || !pj_sockaddr_has_addr(&own)) && !first_address(family, &own)) {
        found = 0;
        pj_sockaddr_init(family, &own, NULL, 0);
        if (family == pj_AF_INET6())
            memcpy(pj_sockaddr_get_addr(&own), loopback6, sizeof loopback6);
        else
            own.ipv4.sin_addr.s_addr = pj_htonl(0x7f000001);
    }
    pj_sockaddr_copy_addr(address, &own);
    return found;
}

int ss_is_address(const pj_str_t *host)
{
    char address[sizeof(pj_in6_addr)];

    return host->slen > 0 && host->slen < PJ_INET6_ADDRSTRLEN
           && (pj_inet_pton(pj_AF_INET(), host, address) == PJ_SUCCESS || pj_inet_pton(pj_AF_INET6(), host, address) == PJ_SUCCESS);
}

/* Whether a socket can have it: that asks the kernel about this one address, in place of listing them all. */
static int is_gone(const pj_sockaddr *address)
{
    pj_sockaddr probe = *address;
    pj_sock_t fd;
    pj_status_t status;

    pj_sockaddr_set_port(&probe, 0);
    if (pj_sock_socket(probe.addr.sa_family, pj_SOCK_DGRAM() | pj_SOCK_CLOEXEC(), 0, &fd) != PJ_SUCCESS)
        return 0;
    status = pj_sock_bind(fd, &probe, pj_sockaddr_get_len(&probe));
    pj_sock_close(fd);
    return status == PJ_STATUS_FROM_OS(EADDRNOTAVAIL);
}

/* ---- connections ---------------------------------------------------------------------------------------------- */

/*
 * PJSIP does not tell which connections there are. This list has those that are connected. Its lock is taken inside PJSIP's (in the callback
 * that tells of their states), so nothing of PJSIP's is locked while it is held. A connection is in the list only while PJSIP's manager
 * of transports has it and with it a reference to its group lock; another one keeps its memory for whoever takes it from here.
 */
typedef struct connection {
    struct connection *next;
    pjsip_transport *transport;
} connection;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static connection *connections;

void ss_connection_made(pjsip_transport *transport)
{
    connection *made = transport->grp_lock ? malloc(sizeof *made) : NULL;

    if (!made) {
        SS_COUNT(out_of_memory);
        return;
    }
    made->transport = transport;
    pthread_mutex_lock(&lock);
    made->next = connections;
    connections = made;
    pthread_mutex_unlock(&lock);
}

void ss_connection_ended(const pjsip_transport *transport)
{
    connection **link, *found;

    pthread_mutex_lock(&lock);
    for (link = &connections; *link && (*link)->transport != transport;)
        link = &(*link)->next;
    found = *link;
    if (found)
        *link = found->next;
    pthread_mutex_unlock(&lock);
    free(found);
}

void ss_connections_forget(void)
{
    connection *next;

    pthread_mutex_lock(&lock);
    for (; connections; connections = next) {
        next = connections->next;
        free(connections);
    }
    pthread_mutex_unlock(&lock);
}

unsigned ss_connections_close(int every)
{
    pjsip_transport **taken = NULL;
    unsigned count = 0, size = 0, closed = 0;
    connection *one;

    pthread_mutex_lock(&lock);
    for (one = connections; one; one = one->next)
        size++;
    taken = size ? malloc(size * sizeof *taken) : NULL;
    for (one = taken ? connections : NULL; one; one = one->next) {
        pj_grp_lock_add_ref(one->transport->grp_lock);
        taken[count++] = one->transport;
    }
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < count; i++) {
        pjsip_transport *transport = taken[i];
        pj_grp_lock_t *group = transport->grp_lock;

        if (!is_loopback(&transport->local_addr) && (every || is_gone(&transport->local_addr))) {
            /* By force: who waits for an answer over it is told that there will be none. */
            pjsip_transport_shutdown2(transport, PJ_TRUE);
            closed++;
        }
        pj_grp_lock_dec_ref(group);
    }
    free(taken);
    return closed;
}
