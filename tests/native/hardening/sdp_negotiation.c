/* The SDP negotiator against hostile or odd offers. Arguments: disabled | static FORMAT PREFER_REMOTE | twice | seventeen ALLOW_MEDIA_CHANGE | redundancy |
   payload_type_range */
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

/* RED on both sides beside a payload type that needs no rtpmap; ours has more redundancy, which is cut to theirs. */
static void redundancy(void)
{
    static const char red[] = HEAD "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 121\r\na=rtpmap:121 red/8000\r\na=fmtp:121 0/0/0\r\n";
    int prefer_remote;

    for (prefer_remote = 0; prefer_remote < 2; ++prefer_remote) {
        pjmedia_sdp_neg *neg;
        const pjmedia_sdp_session *active;
        const pjmedia_sdp_attr *fmtp;
        pj_str_t format = pj_str((char*)"121");

        CHECK_STATUS(pjmedia_sdp_neg_create_w_remote_offer(pool, parse(red), parse(HEAD "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0 121\r\n"
            "a=rtpmap:121 red/8000\r\na=fmtp:121 0/0\r\n"), &neg), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_set_prefer_remote_codec_order(neg, prefer_remote), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_negotiate(pool, neg, 0), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_get_active_local(neg, &active), PJ_SUCCESS);
        CHECK(active->media[0]->desc.fmt_count == 2);
        fmtp = pjmedia_sdp_media_find_attr2(active->media[0], "fmtp", &format);
        CHECK(fmtp && pj_strcmp2(&fmtp->value, "121 0/0") == 0);
    }
}

/* Lines about payload types that are in no media line, and cannot be. The tables are on the stack and beside others. */
static void payload_type_range(void)
{
    static const char *const numbers[] = { "128", "159", "200", "999999", "4294967295" };
    unsigned i;

    for (i = 0; i < PJ_ARRAY_SIZE(numbers); ++i) {
        char text[500];
        pjmedia_sdp_neg *neg;
        const pjmedia_sdp_session *active;

        snprintf(text, sizeof(text), "%sa=rtpmap:%s opus/48000/2\r\na=fmtp:%s useinbandfec=1\r\n", local, numbers[i], numbers[i]);
        CHECK_STATUS(pjmedia_sdp_neg_create_w_local_offer(pool, parse(text), &neg), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_set_remote_answer(pool, neg, parse(text)), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_negotiate(pool, neg, 0), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_modify_local_offer2(pool, neg, 0, parse(text)), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_set_remote_answer(pool, neg, parse(text)), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_negotiate(pool, neg, 0), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_create_w_remote_offer(pool, parse(text), parse(text), &neg), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_negotiate(pool, neg, 0), PJ_SUCCESS);
        CHECK_STATUS(pjmedia_sdp_neg_get_active_local(neg, &active), PJ_SUCCESS);
        CHECK(active->media[0]->desc.fmt_count == 2);
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
    else if (!strcmp(argv[1], "redundancy")) redundancy();
    else if (!strcmp(argv[1], "payload_type_range")) payload_type_range();
    else CHECK(!"known test");
    puts("ok");
    return 0;
}
