/* Playing and recording of .wav files. For _wave.pyx. */
#ifndef SS_WAVE_H
#define SS_WAVE_H

#include <pj/types.h>

#include "core.h"

/*
 * Play a file once. A player ends with ss_object_close(): at the end of the file (the player only reports it, from the clock
 * thread) or before. SS_EV_WAVE_FINISHED comes exactly once.
 * `path` is in the file system's encoding. Errors: the system's, PJMEDIA_ENOTVALIDWAVE, PJMEDIA_EWAVEUNSUPP, those of the mixer.
 */
pj_status_t ss_wave_player_start(ss_handle mixer, const char *path, unsigned volume_percent, ss_handle *handle, unsigned *slot);
pj_status_t ss_wave_player_set_volume(ss_handle player, unsigned volume_percent);

/*
 * Record what the slot is given, as 16-bit mono PCM at the mixer's rate. Ends with ss_object_close(); the file is complete when
 * ss_wave_recorder_finish() returns. While recording the header is brought up to date every second, so that a file cut short by
 * the death of the process plays up to there.
 */
pj_status_t ss_wave_recorder_start(ss_handle mixer, const char *path, ss_handle *handle, unsigned *slot);
/* Close the recorder and its file, whatever the bridge still has to do; the first write error, if there was one. */
pj_status_t ss_wave_recorder_finish(ss_handle recorder);

#endif
