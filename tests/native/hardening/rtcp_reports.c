/* What RTCP sessions measure, with a clock of this program. Arguments: jitter | loss */
#include "common.h"

static pj_uint64_t now;                 /* nanoseconds since the machine started */

PJ_DEF(pj_status_t) pj_get_timestamp(pj_timestamp *ts)
{
    ts->u64 = now;
    return PJ_SUCCESS;
}

PJ_DEF(pj_status_t) pj_get_timestamp_freq(pj_timestamp *frequency)
{
    frequency->u64 = 1000000000;
    return PJ_SUCCESS;
}

/* Packets that come in time, on machines that run for an hour to ten years; the product of time and rate passes 2^64 in some of these seconds. */
static void jitter(void)
{
    static const unsigned rates[] = { 8000, 16000, 48000, 90000 };
    unsigned r, multiple;

    for (r = 0; r < PJ_ARRAY_SIZE(rates); ++r) {
        for (multiple = 0; multiple < 50; ++multiple) {
            const unsigned samples = rates[r] / 50;
            pjmedia_rtcp_session session;
            unsigned i;

            now = (pj_uint64_t)(18446744073709551616.0 / rates[r] * multiple);
            now += multiple ? -1000000000 : 3600000000000;      /* two seconds of packets around it */
            pjmedia_rtcp_init(&session, (char*)"rtcp", rates[r], samples, 1);
            for (i = 0; i < 100; ++i) {
                pjmedia_rtcp_rx_rtp(&session, i, i * samples, samples);
                now += 20000000;
            }
            CHECK(session.stat.rx.jitter.n > 50);
            CHECK(session.stat.rx.jitter.max <= 1000);          /* microseconds */
        }
    }
}

static unsigned loss_of(unsigned reported)
{
    pjmedia_rtcp_session session;
    struct { pjmedia_rtcp_common common; pjmedia_rtcp_rr report; } packet;

    now = 1000000000;
    pjmedia_rtcp_init(&session, (char*)"rtcp", 8000, 160, 1);
    memset(&packet, 0, sizeof(packet));
    packet.common.version = 2;
    packet.common.count = 1;
    packet.common.pt = 201;
    packet.common.length = pj_htons(7);
    packet.report.total_lost_2 = reported >> 16;
    packet.report.total_lost_1 = reported >> 8 & 255;
    packet.report.total_lost_0 = reported & 255;
    pjmedia_rtcp_rx_rtcp(&session, &packet, sizeof(packet));
    CHECK(session.stat.tx.loss_period.n == (session.stat.tx.loss ? 1 : 0));
    return session.stat.tx.loss;
}

static void loss(void)
{
    CHECK(loss_of(0) == 0);
    CHECK(loss_of(17) == 17);
    CHECK(loss_of(0x7fffff) == 0x7fffff);
    CHECK(loss_of(0xffffff) == 0);      /* -1: a packet came twice */
    CHECK(loss_of(0x800000) == 0);
}

int main(int argc, char **argv)
{
    begin();
    CHECK(argc == 2);
    if (!strcmp(argv[1], "jitter")) jitter();
    else if (!strcmp(argv[1], "loss")) loss();
    else CHECK(!"known test");
    puts("ok");
    return 0;
}
