/*
 * A NAT and a firewall around one process, without a router: preloaded, it changes what the process is told about its UDP sockets.
 *
 * A socket that the process binds to 127.0.0.1 and a port from NAT_PORTS ("first-last"; port 0 is one as well) is in truth bound to
 * NAT_OUTSIDE and a port that the kernel chooses, while getsockname() goes on to tell the address that was asked for. So the address
 * that the process takes for its own is unreachable for others, and all it sends comes from another one, which it can learn from a
 * STUN server only: a full-cone NAT (RFC 4787: endpoint-independent mapping and filtering).
 *
 * With NAT_BLOCK such a socket may send to that port only ("" = to none): a firewall behind which there is nothing but a relay.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_FDS 65536

static struct sockaddr_in inside[MAX_FDS];      /* what the process believes; family 0 = not ours */

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int is_ours(int fd, const struct sockaddr *address, socklen_t length)
{
    const char *ports = getenv("NAT_PORTS");
    const struct sockaddr_in *in = (const void *)address;
    unsigned first, last, port;
    int type = 0;
    socklen_t size = sizeof type;

    if (fd < 0 || fd >= MAX_FDS || !ports || length < sizeof *in || address->sa_family != AF_INET ||
        in->sin_addr.s_addr != htonl(INADDR_LOOPBACK) || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_DGRAM)
        return 0;
    port = ntohs(in->sin_port);
    return sscanf(ports, "%u-%u", &first, &last) == 2 && first <= port && port <= last;
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    const char *outside = getenv("NAT_OUTSIDE");
    struct sockaddr_in real;
    int result;

    if (!is_ours(fd, address, length))
        return REAL(bind)(fd, address, length);
    memcpy(&real, address, sizeof real);
    if (outside) {
        inet_pton(AF_INET, outside, &real.sin_addr);
        real.sin_port = 0;
    }
    result = REAL(bind)(fd, (const struct sockaddr *)&real, sizeof real);
    if (result == 0) {
        socklen_t size = sizeof real;

        memcpy(&inside[fd], address, sizeof inside[fd]);
        if (!inside[fd].sin_port && REAL(getsockname)(fd, (struct sockaddr *)&real, &size) == 0)
            inside[fd].sin_port = real.sin_port;
    }
    return result;
}

int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    if (fd < 0 || fd >= MAX_FDS || !inside[fd].sin_family || *length < sizeof inside[fd])
        return REAL(getsockname)(fd, address, length);
    memcpy(address, &inside[fd], sizeof inside[fd]);
    *length = sizeof inside[fd];
    return 0;
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length)
{
    const char *open_port = getenv("NAT_BLOCK");

    if (open_port && fd >= 0 && fd < MAX_FDS && inside[fd].sin_family && address && address->sa_family == AF_INET &&
        ntohs(((const struct sockaddr_in *)address)->sin_port) != (unsigned)atoi(open_port))
        return (ssize_t)size;           /* dropped, as a firewall does it */
    return REAL(sendto)(fd, data, size, flags, address, length);
}

int close(int fd)
{
    if (fd >= 0 && fd < MAX_FDS)
        memset(&inside[fd], 0, sizeof inside[fd]);
    return REAL(close)(fd);
}
