/* Parse Opus packets of code 3 with many empty frames, each on an exact allocation. */
#include "common.h"

int main(void)
{
    pjmedia_endpt *endpt;
    pjmedia_codec_mgr *mgr;
    const pjmedia_codec_info *info;
    pjmedia_codec_param param;
    pjmedia_codec *codec;
    pj_str_t id = pj_str((char*)"opus");
    unsigned found = 1;
    int count, toc;

    begin();
    CHECK_STATUS(pjmedia_endpt_create(&caching_pool.factory, NULL, 0, &endpt), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_codec_opus_init(endpt), PJ_SUCCESS);
    mgr = pjmedia_endpt_get_codec_mgr(endpt);
    CHECK_STATUS(pjmedia_codec_mgr_find_codecs_by_id(mgr, &id, &found, &info, NULL), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_codec_mgr_get_default_param(mgr, info, &param), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_codec_mgr_alloc_codec(mgr, info, &codec), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_codec_init(codec, pool), PJ_SUCCESS);
    CHECK_STATUS(pjmedia_codec_open(codec, &param), PJ_SUCCESS);
    for (toc = 0; toc < 256; toc += 8) {
        for (count = 1; count <= 48; ++count) {
            unsigned char *packet = malloc(2);
            pjmedia_frame frames[16];
            pj_timestamp ts = {{0}};
            unsigned frame_count = 16, i;
            pj_status_t status;

            packet[0] = (unsigned char)(toc | 3);
            packet[1] = (unsigned char)count;
            status = codec->op->parse(codec, packet, 2, &ts, &frame_count, frames);
            CHECK(packet[0] == (toc | 3) && packet[1] == count);
            if (status == PJ_SUCCESS) {
                CHECK(frame_count >= 1 && frame_count <= 16);
                for (i = 0; i < frame_count; ++i)
                    CHECK(frames[i].size >= 1 && (((unsigned char*)frames[i].buf)[0] & 0xf8) == toc);
            }
            free(packet);
        }
    }
    {   /* the largest packet, two frames of equal size */
        unsigned char *packet = calloc(1, 1279);
        pjmedia_frame frames[16];
        pj_timestamp ts = {{0}};
        unsigned frame_count = 16;

        packet[0] = 0x79;
        CHECK_STATUS(codec->op->parse(codec, packet, 1279, &ts, &frame_count, frames), PJ_SUCCESS);
        CHECK(frame_count == 2 && frames[1].size == 640);
        free(packet);
    }
    puts("ok");
    return 0;
}
