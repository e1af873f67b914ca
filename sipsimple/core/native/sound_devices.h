/* Sound hardware: enumeration and streams. Private to the media part of the native core. */
#ifndef SS_SOUND_DEVICES_H
#define SS_SOUND_DEVICES_H

#include <pj/types.h>

#include "core.h"

#define SS_DEVICE_NAME_SIZE 256
#define SS_DEFAULT_DEVICE "system_default"

enum { SS_INPUT = 1, SS_OUTPUT = 2 };

pj_status_t ss_sound_init(void);
void ss_sound_shutdown(void);

/* Names of the devices with that direction (SS_INPUT, SS_OUTPUT or both bits = either), newline-separated. Returns the length. */
size_t ss_sound_list(int direction, char *buffer, size_t size);
/*
 * The name of the device that `name` stands for: itself, or the default's when it is SS_DEFAULT_DEVICE or unknown.
 * PJMEDIA_EAUD_NODEFDEV when the machine has none.
 */
pj_status_t ss_sound_resolve(int direction, const char *name, char *real, size_t size);
/* Enumerate anew and post SS_EV_AUDIO_DEVICES (default input changed, default output changed | old names, new names). */
pj_status_t ss_sound_refresh(void);

typedef struct ss_sound ss_sound;
typedef struct ss_sound_callbacks {
    void (*play)(void *user, int16_t *samples);             /* fill one frame */
    void (*capture)(void *user, int16_t *samples);          /* take one frame */
} ss_sound_callbacks;

/*
 * Open and start the devices (NULL = none in that direction). When one direction fails the other is used alone. `opened` gets the
 * directions that run; with none, *sound is NULL. A machine without devices is no error. Fails when devices were asked for, exist,
 * and none could be opened.
 */
pj_status_t ss_sound_open(const char *input, const char *output, unsigned clock_rate, unsigned samples_per_frame,
                          unsigned ec_tail_ms, const ss_sound_callbacks *callbacks, void *user, ss_sound **sound, int *opened);
void ss_sound_close(ss_sound *sound);       /* the callbacks do not run any more when it returns */
void ss_sound_reset_ec(ss_sound *sound);    /* does not touch the stream */

#endif
