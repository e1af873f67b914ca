/* The tone generator, as a port of the bridge. For _tone.pyx. */
#ifndef SS_TONE_H
#define SS_TONE_H

#include <pj/types.h>

#include "core.h"

typedef struct ss_tone_spec {
    unsigned freq1, freq2;              /* Hz; both 0 = silence, freq2 0 = one frequency */
    unsigned on_ms, off_ms;             /* each at most SS_TONE_MAX_MS */
} ss_tone_spec;

#define SS_TONE_MAX_COUNT 32
#define SS_TONE_MAX_MS 32767

pj_status_t ss_tone_start(ss_handle mixer, unsigned volume_percent, ss_handle *handle, unsigned *slot);
/*
 * Play after what is playing already. PJ_ETOOMANY when more than SS_TONE_MAX_COUNT tones would wait. SS_EV_TONE_FINISHED (1 =
 * tones were playing, 1 = generator closed, no further event) follows when all are played, and when the generator is closed.
 */
pj_status_t ss_tone_play(ss_handle tone, const ss_tone_spec *tones, unsigned count);
pj_status_t ss_tone_play_digit(ss_handle tone, char digit, unsigned on_ms, unsigned off_ms);
pj_status_t ss_tone_set_volume(ss_handle tone, unsigned volume_percent);
int ss_tone_is_busy(ss_handle tone);

#endif
