/* An SDES answerer and offerer. Arguments: answer LINES SUPPORTED_LAST MANDATORY | full */
#include "common.h"

static pjmedia_sdp_session *parse(const char *text)
{
    pjmedia_sdp_session *sdp;
    char *copy = strdup(text);

    CHECK_STATUS(pjmedia_sdp_parse(pool, copy, strlen(copy), &sdp), PJ_SUCCESS);
    return sdp;
}

#define HEAD "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
#define KEY "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"

static pjmedia_transport *transport(pjmedia_srtp_use use)
{
    static pjmedia_endpt *endpt;
    pjmedia_transport *loop, *srtp;
    pjmedia_srtp_setting setting;

    CHECK_STATUS(pjmedia_endpt_create(&caching_pool.factory, NULL, 0, &endpt), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_transport_loop_create(endpt, &loop), PJ_SUCCESS);
    pjmedia_srtp_setting_default(&setting);
    setting.use = use;
    setting.keying_count = 1;
    setting.keying[0] = PJMEDIA_SRTP_KEYING_SDES;
    CHECK_STATUS(pjmedia_transport_srtp_create(endpt, loop, &setting, &srtp), PJ_SUCCESS);
    return srtp;
}

static void answer(int lines, int supported_last, int mandatory)
{
    static char text[20000];
    pjmedia_transport *srtp = transport(mandatory ? PJMEDIA_SRTP_MANDATORY : PJMEDIA_SRTP_OPTIONAL);
    pjmedia_sdp_session *offer, *reply;
    pj_status_t status;
    int i;

    snprintf(text, sizeof(text), HEAD "m=audio 5000 RTP/%s 0\r\n", mandatory ? "SAVP" : "AVP");
    for (i = 0; i < lines; ++i) {
        pj_bool_t supported = i == (supported_last ? lines - 1 : 0);
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "a=crypto:%d %s " KEY "\r\n", 1000 + i,
                 supported ? "AES_CM_128_HMAC_SHA1_80" : "NOBODYS_SUITE");
    }
    offer = parse(text);
    CHECK(lines > PJMEDIA_MAX_SDP_ATTR || offer->media[0]->attr_count == (unsigned)lines);
    reply = parse(HEAD "m=audio 4000 RTP/AVP 0\r\n");
    status = pjmedia_transport_media_create(srtp, pool, 0, offer, 0);
    if (status == PJ_SUCCESS)
        status = pjmedia_transport_encode_sdp(srtp, pool, reply, offer, 0);
    if (lines <= 64) {
        CHECK_STATUS(status, PJ_SUCCESS);
        CHECK(pjmedia_sdp_media_find_attr2(reply->media[0], "crypto", NULL) != NULL);
    } else {
        CHECK_STATUS(status, PJMEDIA_SRTP_ESDPINCRYPTO);
    }
}

/* Local media with no room for another attribute. */
static void full(void)
{
    static char text[20000];
    pjmedia_transport *srtp = transport(PJMEDIA_SRTP_OPTIONAL);
    /* the session is the last thing on an exact allocation: one pointer more is outside */
    pjmedia_sdp_session *mine = parse(HEAD "m=audio 4000 RTP/AVP 0\r\n");
    pjmedia_sdp_media *media = malloc(sizeof(pjmedia_sdp_media));
    pjmedia_sdp_session *offer;
    int as_answer;

    snprintf(text, sizeof(text), HEAD "m=audio 5000 RTP/AVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 " KEY "\r\n");
    offer = parse(text);
    for (as_answer = 0; as_answer < 2; ++as_answer) {
        unsigned i;

        srtp = transport(PJMEDIA_SRTP_OPTIONAL);
        memcpy(media, mine->media[0], sizeof(*media));
        for (i = media->attr_count; i < PJMEDIA_MAX_SDP_ATTR; ++i)
            media->attr[media->attr_count++] = pjmedia_sdp_attr_create(pool, "x", NULL);
        mine->media[0] = media;
        CHECK_STATUS(pjmedia_transport_media_create(srtp, pool, 0, as_answer ? offer : NULL, 0), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_transport_encode_sdp(srtp, pool, mine, as_answer ? offer : NULL, 0), PJ_ETOOMANY);
        CHECK(media->attr_count <= PJMEDIA_MAX_SDP_ATTR);
    }
}

int main(int argc, char **argv)
{
    begin();
    CHECK(argc >= 2);
    if (!strcmp(argv[1], "answer")) answer(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
    else if (!strcmp(argv[1], "full")) full();
    else CHECK(!"known test");
    puts("ok");
    return 0;
}
