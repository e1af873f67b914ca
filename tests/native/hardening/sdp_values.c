/* Numbers in SDP that do not fit, and a codec that nobody knows. Arguments: numbers | unknown_codec */
#include "common.h"

static pjmedia_sdp_attr *attribute(const char *name, const char *value)
{
    pj_str_t text = pj_str(strdup(value));

    return pjmedia_sdp_attr_create(pool, name, &text);
}

static void numbers(void)
{
    static const struct { const char *value; unsigned rate; } rtpmaps[] = {
        { "98 L16/8000/2", 8000 }, { "98 L16/4294967295", 4294967295U }, { "98 L16/4294967296", 0 }, { "98 L16/4294975296", 0 },
        { "98 L16/18446744073709559616", 0 },
    };
    static const struct { const char *value; unsigned port; } ports[] = {
        { "5001", 5001 }, { "65535", 65535 }, { "65536", 0 }, { "4294972297", 0 }, { "18446744073709556617", 0 }, { "x", 0 },
    };
    static const struct { const char *value; unsigned ssrc; } sources[] = {
        { "4294967295 cname:a", 4294967295U }, { "4294967296 cname:a", 0 }, { "18446744073709551617 cname:a", 0 },
    };
    pjmedia_sdp_rtpmap rtpmap;
    pjmedia_sdp_rtcp_attr rtcp;
    pjmedia_sdp_ssrc_attr ssrc;
    unsigned i;

    for (i = 0; i < PJ_ARRAY_SIZE(rtpmaps); ++i) {
        pj_status_t status = pjmedia_sdp_attr_get_rtpmap(attribute("rtpmap", rtpmaps[i].value), &rtpmap);

        CHECK((status == PJ_SUCCESS) == (rtpmaps[i].rate != 0));
        CHECK(status != PJ_SUCCESS || rtpmap.clock_rate == rtpmaps[i].rate);
    }
    for (i = 0; i < PJ_ARRAY_SIZE(ports); ++i) {
        memset(&rtcp, 0x55, sizeof(rtcp));
        CHECK((pjmedia_sdp_attr_get_rtcp(attribute("rtcp", ports[i].value), &rtcp) == PJ_SUCCESS) == (ports[i].port != 0));
        CHECK(rtcp.port == ports[i].port);
    }
    for (i = 0; i < PJ_ARRAY_SIZE(sources); ++i) {
        pj_status_t status = pjmedia_sdp_attr_get_ssrc(attribute("ssrc", sources[i].value), &ssrc);

        CHECK((status == PJ_SUCCESS) == (sources[i].ssrc != 0));
        CHECK(status != PJ_SUCCESS || ssrc.ssrc == sources[i].ssrc);
    }
}

/* Both sides name a static payload type with a codec that is not registered. */
static void unknown_codec(void)
{
    static const char text[] = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 15\r\n"
                               "a=rtpmap:15 G728/8000\r\na=ptime:20\r\n";
    pjmedia_endpt *endpoint;
    pjmedia_sdp_session *sdp;
    char *copy = strdup(text);
    unsigned i;

    CHECK_STATUS(pjmedia_endpt_create2(&caching_pool.factory, NULL, 0, &endpoint), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_sdp_parse(pool, copy, strlen(copy), &sdp), PJ_SUCCESS);
    for (i = 0; i < 2; ++i) {           /* memory that was used before, and that was not */
        pj_pool_t *scratch = pj_pool_create(&caching_pool.factory, "scratch", 20000, 4000, NULL);
        pjmedia_stream_info info;
        void *memory = pj_pool_alloc(scratch, 16000);

        memset(memory, i ? 0x5a : 0, 16000);
        pj_pool_reset(scratch);
        CHECK(pjmedia_stream_info_from_sdp(&info, scratch, endpoint, sdp, sdp, 0) != PJ_SUCCESS);
        pj_pool_release(scratch);
    }
}

int main(int argc, char **argv)
{
    begin();
    CHECK(argc == 2);
    if (!strcmp(argv[1], "numbers")) numbers();
    else if (!strcmp(argv[1], "unknown_codec")) unknown_codec();
    else CHECK(!"known test");
    puts("ok");
    return 0;
}
