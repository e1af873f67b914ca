# C declarations of the media part: native/mixer.h, sound_devices.h, wave.h, tone.h. No logic.
from libc.stdint cimport uint32_t, uint64_t

from sipsimple.core._core cimport pj_status_t, ss_handle

cdef extern from "native/mixer.h" nogil:
    ctypedef struct ss_mixer_params:
        const char *input
        const char *output
        unsigned sample_rate, ec_tail_ms, slot_count

    pj_status_t ss_mixer_create(const ss_mixer_params *params, ss_handle *handle)
    pj_status_t ss_mixer_set_devices(ss_handle mixer, const char *input, const char *output, unsigned ec_tail_ms)
    pj_status_t ss_mixer_adjust_slot(ss_handle mixer, unsigned slot, int tx_percent, int rx_percent)
    pj_status_t ss_mixer_connect(ss_handle mixer, unsigned source, unsigned sink)
    pj_status_t ss_mixer_disconnect(ss_handle mixer, unsigned source, unsigned sink)
    unsigned ss_mixer_connections(ss_handle mixer, uint32_t *pairs, unsigned max)
    pj_status_t ss_mixer_signal_level(ss_handle mixer, unsigned slot, unsigned *tx, unsigned *rx)
    void ss_mixer_reset_ec(ss_handle mixer)
    unsigned ss_mixer_directions(ss_handle mixer)
    unsigned ss_mixer_used_slots(ss_handle mixer)
    uint64_t ss_mixer_ticks(ss_handle mixer)
    pj_status_t ss_mixer_port_start(ss_handle mixer, ss_handle *handle, unsigned *slot)

    unsigned ss_media_generation()
    size_t ss_codecs_list(int enabled_only, char *buffer, size_t size)
    pj_status_t ss_codecs_set(const char *const *names, unsigned count)
    void ss_rtp_ports_set(unsigned first, unsigned pairs)

cdef extern from "native/sound_devices.h" nogil:
    enum:
        SS_DEVICE_NAME_SIZE
        SS_INPUT
        SS_OUTPUT

    size_t ss_sound_list(int direction, char *buffer, size_t size)
    pj_status_t ss_sound_resolve(int direction, const char *name, char *real, size_t size)
    pj_status_t ss_sound_refresh()

cdef extern from "native/wave.h" nogil:
    pj_status_t ss_wave_player_start(ss_handle mixer, const char *path, unsigned volume_percent, ss_handle *handle, unsigned *slot)
    pj_status_t ss_wave_player_set_volume(ss_handle player, unsigned volume_percent)
    pj_status_t ss_wave_recorder_start(ss_handle mixer, const char *path, ss_handle *handle, unsigned *slot)
    pj_status_t ss_wave_recorder_finish(ss_handle recorder)

cdef extern from "native/tone.h" nogil:
    enum:
        SS_TONE_MAX_COUNT
        SS_TONE_MAX_MS

    ctypedef struct ss_tone_spec:
        unsigned freq1, freq2, on_ms, off_ms

    pj_status_t ss_tone_start(ss_handle mixer, unsigned volume_percent, ss_handle *handle, unsigned *slot)
    pj_status_t ss_tone_play(ss_handle tone, const ss_tone_spec *tones, unsigned count)
    pj_status_t ss_tone_play_digit(ss_handle tone, char digit, unsigned on_ms, unsigned off_ms)
    pj_status_t ss_tone_set_volume(ss_handle tone, unsigned volume_percent)
    int ss_tone_is_busy(ss_handle tone)

cdef extern from "native/events.h":
    enum:
        SS_EV_WAVE_FINISHED
        SS_EV_TONE_FINISHED
        SS_EV_AUDIO_DEVICES
