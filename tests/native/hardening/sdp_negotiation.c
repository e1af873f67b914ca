/* The SDP negotiator against hostile or odd offers. Arguments: disabled | static FORMAT PREFER_REMOTE | seventeen ALLOW_MEDIA_CHANGE */
#include "common.h"

static pjmedia_sdp_session *parse(const char *text)
{
    pjmedia_sdp_session *sdp;
    char *copy = strdup(text);

    CHECK_STATUS(pjmedia_sdp_parse(pool, copy, strlen(copy), &sdp), PJ_SUCCESS);
    return sdp;
}

#define HEAD "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n"

static const char local[] = HEAD "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\n"
    "a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n";

static void disabled(void)
{
    pjmedia_sdp_neg *neg;
    const pjmedia_sdp_session *active;

    CHECK_STATUS(pjmedia_sdp_neg_create_w_remote_offer(pool, parse(local), parse(HEAD "t=0 0\r\nm=audio 5000 RTP/AVP 0\r\n"
        "c=IN IP4 127.0.0.1\r\nm=video 0 RTP/AVP 34\r\n"), &neg), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_sdp_neg_negotiate(pool, neg, 0), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_sdp_neg_get_active_local(neg, &active), PJ_SUCCESS);
    CHECK(active->media_count == 2 && active->media[0]->desc.port == 4000 && active->media[1]->desc.port == 0);
}

static void static_format(const char *format, int prefer_remote)
{
    pjmedia_sdp_neg *neg;
    const pjmedia_sdp_session *active;
    char offer[300];

    snprintf(offer, sizeof(offer), HEAD "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP %s 101\r\na=rtpmap:101 telephone-event/8000\r\n", format);
    CHECK_STATUS(pjmedia_sdp_neg_create_w_remote_offer(pool, parse(local), parse(offer), &neg), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_sdp_neg_set_prefer_remote_codec_order(neg, prefer_remote), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_sdp_neg_negotiate(pool, neg, 0), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_sdp_neg_get_active_local(neg, &active), PJ_SUCCESS);
    CHECK(active->media_count == 1 && active->media[0]->desc.port == 4000 && active->media[0]->desc.fmt_count == 2);
    CHECK(pj_strtoul(&active->media[0]->desc.fmt[0]) == (unsigned long)atoi(format));
    CHECK(pj_strtoul(&active->media[0]->desc.fmt[1]) == 101);
}

/* The same format twice, in two spellings, all codecs answered: an error or an answer, never an index past the list. */
static void twice(void)
{
    int prefer_remote;

    for (prefer_remote = 0; prefer_remote < 2; ++prefer_remote) {
        pjmedia_sdp_neg *neg;

        CHECK_STATUS(pjmedia_sdp_neg_create_w_remote_offer(pool, parse(local),
            parse(HEAD "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0 00 000 8 08\r\n"), &neg), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_set_prefer_remote_codec_order(neg, prefer_remote), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_set_answer_multiple_codecs(neg, PJ_TRUE), PJ_SUCCESS);
        (void)pjmedia_sdp_neg_negotiate(pool, neg, 0);
    }
}

static char *many(const char *first, unsigned audio)
{
    static char text[8000];
    unsigned i;

    snprintf(text, sizeof(text), HEAD "c=IN IP4 127.0.0.1\r\nt=0 0\r\n%s", first);
    for (i = 0; i < audio; ++i)
        strcat(text, "m=audio 4000 RTP/AVP 0\r\n");
    return text;
}

static void seventeen(unsigned flags)
{
    pjmedia_sdp_neg *neg;
    const pjmedia_sdp_session *before, *after;
    pj_status_t status;

    CHECK_STATUS(pjmedia_sdp_neg_create_w_local_offer(pool, parse(many("", 16)), &neg), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_sdp_neg_set_remote_answer(pool, neg, parse(many("", 16))), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_sdp_neg_negotiate(pool, neg, 0), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_sdp_neg_get_active_local(neg, &before), PJ_SUCCESS);
    status = pjmedia_sdp_neg_modify_local_offer2(pool, neg, flags, parse(many("m=video 4002 RTP/AVP 34\r\n", 15)));
    if (flags) {
        CHECK_STATUS(status, PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_get_neg_local(neg, &after), PJ_SUCCESS);
        CHECK(after->media_count == 16);
    } else {
        CHECK_STATUS(status, PJ_ETOOMANY);
        CHECK(pjmedia_sdp_neg_get_state(neg) == PJMEDIA_SDP_NEG_STATE_DONE);
        CHECK_STATUS(pjmedia_sdp_neg_get_active_local(neg, &after), PJ_SUCCESS);
        CHECK(before == after && after->media_count == 16);
    }
}

int main(int argc, char **argv)
{
    begin();
    CHECK(argc >= 2);
    if (!strcmp(argv[1], "disabled")) disabled();
    else if (!strcmp(argv[1], "static")) static_format(argv[2], atoi(argv[3]));
    else if (!strcmp(argv[1], "twice")) twice();
    else if (!strcmp(argv[1], "seventeen")) seventeen(atoi(argv[2]) ? PJMEDIA_SDP_NEG_ALLOW_MEDIA_CHANGE : 0);
    else CHECK(!"known test");
    puts("ok");
    return 0;
}
