/* Audio streams: PJMEDIA's stream between an RTP transport and a slot of a mixer. */
#ifndef SS_AUDIO_STREAM_H
#define SS_AUDIO_STREAM_H

#include <pjmedia.h>

#include "core.h"
#include "rtp_transport.h"

/* Numbers of PJMEDIA's statistics: count, max, min, last, mean. */
typedef struct ss_audio_figures {
    int count, max, min, last, mean;
} ss_audio_figures;

typedef struct ss_audio_direction_stat {
    unsigned packets, bytes, discarded, lost, reordered, duplicate;
    int burst_loss, random_loss;
    ss_audio_figures loss_period, jitter;       /* microseconds */
} ss_audio_direction_stat;

typedef struct ss_audio_stat {
    ss_audio_figures rtt;               /* microseconds */
    ss_audio_direction_stat rx, tx;
} ss_audio_stat;

typedef struct ss_audio_info {
    char codec[32];
    unsigned sample_rate, slot;
    int direction;                      /* pjmedia_dir */
} ss_audio_info;

/* ---- for _audio_transport.pyx --------------------------------------------------------------------------------- */

/* `codecs`: names separated by newlines, NULL = the engine's. Both are kept by reference; nothing runs yet. */
pj_status_t ss_audio_create(ss_handle rtp, ss_handle mixer, const char *codecs, int detect_silence, ss_handle *handle);
/* An SDP whose stream `index` is ours; *text is malloc'ed. `direction`: an attribute name. `remote` NULL = an offer. */
pj_status_t ss_audio_local_media(ss_handle handle, const char *remote, size_t remote_length, unsigned index, const char *direction,
                                 char **text, size_t *length);
/* Once. `timeout_ms` 0 = no watch for missing packets, else SS_EV_AUDIO_TIMEOUT per silent period. */
pj_status_t ss_audio_start(ss_handle handle, const char *local, size_t local_length, const char *remote, size_t remote_length,
                           unsigned index, unsigned timeout_ms);
/* Idempotent; returns without waiting for the mixer. */
void ss_audio_stop(ss_handle handle);
/* Whether it was stopped: what it posted before, and is served only now, is not told any more. */
int ss_audio_is_over(ss_handle handle);
/* New SDPs for a running stream. Media go on when codec and payload types are the same, else the slot changes (*rebuilt = 1). */
pj_status_t ss_audio_update(ss_handle handle, const char *local, size_t local_length, const char *remote, size_t remote_length,
                            unsigned index, int *rebuilt);
/* All: PJ_EINVALIDOP while the stream does not run. */
pj_status_t ss_audio_set_direction(ss_handle handle, pjmedia_dir direction);
pj_status_t ss_audio_send_dtmf(ss_handle handle, char digit);
pj_status_t ss_audio_set_volume(ss_handle handle, unsigned percent);    /* also before start */
pj_status_t ss_audio_get_info(ss_handle handle, ss_audio_info *info);
pj_status_t ss_audio_get_stat(ss_handle handle, ss_audio_stat *stat);

#endif
