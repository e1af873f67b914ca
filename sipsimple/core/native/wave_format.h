/* The RIFF WAVE container: what a header says. Private to wave.c and its tests. */
#ifndef SS_WAVE_FORMAT_H
#define SS_WAVE_FORMAT_H

#include <stdint.h>
#include <stdio.h>

#include <pj/types.h>

typedef enum ss_wave_coding { SS_WAVE_PCM, SS_WAVE_FLOAT, SS_WAVE_ALAW, SS_WAVE_ULAW } ss_wave_coding;

typedef struct ss_wave_info {
    ss_wave_coding coding;
    unsigned clock_rate, channels, sample_bytes;
    uint64_t data_bytes;                /* whole frames only, and no more than the file has */
} ss_wave_info;

/* Read the header; leaves `file` at the first sample. PJMEDIA_ENOTVALIDWAVE, PJMEDIA_EWAVEUNSUPP, PJMEDIA_EWAVETOOSHORT. */
pj_status_t ss_wave_read_header(FILE *file, ss_wave_info *info);
/* One sample of one channel as 16 bits. */
int16_t ss_wave_sample(const ss_wave_info *info, const unsigned char *bytes);

#define SS_WAVE_HEADER_SIZE 44
/* The header of a 16-bit mono PCM file with that many bytes of samples. */
void ss_wave_write_header(unsigned char header[SS_WAVE_HEADER_SIZE], unsigned clock_rate, uint32_t data_bytes);

#endif
