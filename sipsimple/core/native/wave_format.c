/*
 * RIFF WAVE headers. Files come from anywhere: every length is checked against what the file has, and nothing is believed.
 * Formats: PCM of 8, 16, 24, 32 bits, IEEE float of 32 bits, A-law, u-law; any number of channels up to 8 (mixed down to mono).
 */
#include "wave_format.h"

#include <string.h>

#include <pjlib.h>
#include <pjmedia.h>
#include <pjmedia/alaw_ulaw.h>

#define MAX_CHUNKS 64                   /* before "data"; a real file has a handful */
#define MAX_CHANNELS 8
#define MIN_RATE 4000
#define MAX_RATE 192000

#define TAG_PCM 1
#define TAG_FLOAT 3
#define TAG_ALAW 6
#define TAG_ULAW 7
#define TAG_EXTENSIBLE 0xFFFE           /* the real tag is the start of the sub-format GUID, at offset 24 */

static unsigned le16(const unsigned char *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

static uint32_t le32(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static pj_status_t read_format(const unsigned char *chunk, size_t size, ss_wave_info *info)
{
    unsigned tag, bits, block;

    if (size < 16)
        return PJMEDIA_ENOTVALIDWAVE;
    tag = le16(chunk);
    if (tag == TAG_EXTENSIBLE && size >= 26)
        tag = le16(chunk + 24);
    info->channels = le16(chunk + 2);
    info->clock_rate = le32(chunk + 4);
    block = le16(chunk + 12);
    bits = le16(chunk + 14);
    if (info->channels == 0 || info->clock_rate == 0)
        return PJMEDIA_ENOTVALIDWAVE;
    if (info->channels > MAX_CHANNELS || info->clock_rate < MIN_RATE || info->clock_rate > MAX_RATE)
        return PJMEDIA_EWAVEUNSUPP;
    switch (tag) {
    case TAG_PCM:
        if (bits != 8 && bits != 16 && bits != 24 && bits != 32)
            return PJMEDIA_EWAVEUNSUPP;
        info->coding = SS_WAVE_PCM;
        break;
    case TAG_FLOAT:
        if (bits != 32)
            return PJMEDIA_EWAVEUNSUPP;
        info->coding = SS_WAVE_FLOAT;
        break;
    case TAG_ALAW:
    case TAG_ULAW:
        if (bits != 8)
            return PJMEDIA_EWAVEUNSUPP;
        info->coding = tag == TAG_ALAW ? SS_WAVE_ALAW : SS_WAVE_ULAW;
        break;
    default:
        return PJMEDIA_EWAVEUNSUPP;
    }
    info->sample_bytes = bits / 8;
    return block == info->sample_bytes * info->channels ? PJ_SUCCESS : PJMEDIA_ENOTVALIDWAVE;
}

pj_status_t ss_wave_read_header(FILE *file, ss_wave_info *info)
{
    unsigned char bytes[40];
    int have_format = 0;
    long start, end;

    if (fread(bytes, 1, 12, file) != 12 || memcmp(bytes, "RIFF", 4) != 0 || memcmp(bytes + 8, "WAVE", 4) != 0)
        return PJMEDIA_ENOTVALIDWAVE;
    if (fseek(file, 0, SEEK_END) != 0 || (end = ftell(file)) < 0 || fseek(file, 12, SEEK_SET) != 0)
        return PJMEDIA_ENOTVALIDWAVE;   /* a pipe or a device */
    for (int i = 0; i < MAX_CHUNKS; i++) {
        uint32_t size;

        if (fread(bytes, 1, 8, file) != 8)
            return PJMEDIA_EWAVETOOSHORT;
        size = le32(bytes + 4);
        start = ftell(file);
        if (start < 0)
            return PJMEDIA_ENOTVALIDWAVE;
        if (memcmp(bytes, "data", 4) == 0) {
            unsigned frame;

            if (!have_format)
                return PJMEDIA_ENOTVALIDWAVE;
            /* Writers that died leave 0 or 0xFFFFFFFF here: then everything up to the end. */
            info->data_bytes = (uint64_t)(end - start);
            if (size != 0 && size < info->data_bytes)
                info->data_bytes = size;
            frame = info->sample_bytes * info->channels;
            info->data_bytes -= info->data_bytes % frame;
            return info->data_bytes ? PJ_SUCCESS : PJMEDIA_EWAVETOOSHORT;
        }
        if (memcmp(bytes, "fmt ", 4) == 0) {
            size_t length = size < sizeof bytes ? size : sizeof bytes;
            pj_status_t status;

            if (fread(bytes, 1, length, file) != length)
                return PJMEDIA_EWAVETOOSHORT;
            status = read_format(bytes, length, info);
            if (status != PJ_SUCCESS)
                return status;
            have_format = 1;
        }
        /* Chunks are padded to an even length. */
        if ((uint64_t)start + size + (size & 1) > (uint64_t)end || fseek(file, start + (long)size + (long)(size & 1), SEEK_SET) != 0)
            return PJMEDIA_EWAVETOOSHORT;
    }
    return PJMEDIA_ENOTVALIDWAVE;
}

int16_t ss_wave_sample(const ss_wave_info *info, const unsigned char *bytes)
{
    float value;
    uint32_t raw;

    switch (info->coding) {
    case SS_WAVE_ALAW:
        return (int16_t)pjmedia_alaw2linear(bytes[0]);
    case SS_WAVE_ULAW:
        return (int16_t)pjmedia_ulaw2linear(bytes[0]);
    case SS_WAVE_FLOAT:
        raw = le32(bytes);
        memcpy(&value, &raw, sizeof value);
        if (!(value > -1.0f))           /* NaN too */
            return value == value ? INT16_MIN : 0;
        return value >= 1.0f ? INT16_MAX : (int16_t)(value * 32767.0f);
    case SS_WAVE_PCM:
        break;
    }
    if (info->sample_bytes == 1)        /* unsigned, the only such format */
        return (int16_t)(((int)bytes[0] - 128) * 256);
    return (int16_t)le16(bytes + info->sample_bytes - 2);
}

static void put_le32(unsigned char *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(value >> 8 * i);
}

void ss_wave_write_header(unsigned char header[SS_WAVE_HEADER_SIZE], unsigned clock_rate, uint32_t data_bytes)
{
    memcpy(header, "RIFF....WAVEfmt ", 16);
    put_le32(header + 4, data_bytes > UINT32_MAX - 36 ? UINT32_MAX : data_bytes + 36);
    put_le32(header + 16, 16);
    put_le32(header + 20, 1u << 16 | TAG_PCM);          /* one channel */
    put_le32(header + 24, clock_rate);
    put_le32(header + 28, clock_rate * 2);
    put_le32(header + 32, 16u << 16 | 2);               /* 2 bytes each, 16 bits */
    memcpy(header + 36, "data", 4);
    put_le32(header + 40, data_bytes);
}
