/* Bounds of media packets, and their sources. See rtp_guard.h. */
#include "rtp_guard.h"

#include <string.h>

#define RTP_HEADER 12
#define RTCP_HEADER 4
#define STUN_HEADER 20
#define MAX_KEEP_ALIVE 4                /* bytes; an empty packet or a few of them */

static unsigned read16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

int ss_rtp_is_valid(const void *packet, size_t size)
{
    const uint8_t *bytes = packet;
    size_t header;

    if (size < RTP_HEADER || bytes[0] >> 6 != 2)
        return 0;
    header = RTP_HEADER + 4 * (size_t)(bytes[0] & 0x0f);
    if (bytes[0] & 0x10) {              /* an extension */
        if (header + 4 > size)
            return 0;
        header += 4 + 4 * (size_t)read16(bytes + header + 2);
    }
    if (header > size)
        return 0;
    if (bytes[0] & 0x20)                /* padding, its length in the last byte */
        return size > header && bytes[size - 1] && bytes[size - 1] <= size - header;
    return 1;
}

int ss_rtcp_is_valid(const void *packet, size_t size)
{
    const uint8_t *bytes = packet;
    size_t at = 0;

    if (size < RTCP_HEADER)
        return 0;
    while (at < size) {
        size_t length;

        if (size - at < RTCP_HEADER || bytes[at] >> 6 != 2 || bytes[at + 1] < 192 || bytes[at + 1] > 223)
            return 0;
        length = 4 * ((size_t)read16(bytes + at + 2) + 1);
        if (length > size - at || ((bytes[at] & 0x20) && length < size - at))
            return 0;                   /* only the last one may be padded */
        at += length;
    }
    return 1;
}

int ss_is_rtcp(const void *packet, size_t size)
{
    const uint8_t *bytes = packet;

    return size >= 2 && bytes[0] >> 6 == 2 && bytes[1] >= 192 && bytes[1] <= 223;
}

int ss_is_keep_alive(const void *packet, size_t size)
{
    static const uint8_t cookie[] = { 0x21, 0x12, 0xa4, 0x42 };
    const uint8_t *bytes = packet;

    return size <= MAX_KEEP_ALIVE || (size >= STUN_HEADER && bytes[0] < 4 && memcmp(bytes + 4, cookie, sizeof cookie) == 0);
}

static ss_rtp_source change(ss_rtp_guard *guard, const pj_sockaddr *source, int64_t now_ns)
{
    guard->current = *source;
    guard->heard_ns = now_ns;
    return SS_SOURCE_CHANGED;
}

int ss_is_same_host(const pj_sockaddr *one, const pj_sockaddr *other)
{
    return one->addr.sa_family && one->addr.sa_family == other->addr.sa_family
           && memcmp(pj_sockaddr_get_addr(one), pj_sockaddr_get_addr(other), pj_sockaddr_get_addr_len(one)) == 0;
}

ss_rtp_source ss_rtp_guard_judge(ss_rtp_guard *guard, const pj_sockaddr *signalled, const pj_sockaddr *source, int64_t now_ns,
                                 int64_t silence_ns)
{
    if (!guard->owner.addr.sa_family) {
        guard->owner = *source;
        return change(guard, source, now_ns);
    }
    if (pj_sockaddr_cmp(source, &guard->current) == 0) {
        guard->heard_ns = now_ns;
        return SS_SOURCE_CURRENT;
    }
    if (pj_sockaddr_cmp(source, signalled) == 0 || pj_sockaddr_cmp(source, &guard->owner) == 0 || now_ns - guard->heard_ns > silence_ns)
        return change(guard, source, now_ns);
    return SS_SOURCE_STRANGER;
}
