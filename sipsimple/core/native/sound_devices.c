/*
 * Sound hardware: enumeration and streams, on PJMEDIA's audio device layer.
 *
 * PJMEDIA's device list is not protected against a refresh while somebody reads it or opens a device: `lock` serialises them.
 * The echo canceller is ours, not the stream's: so it can be reset, and fail, without touching the device.
 */
#include "sound_devices.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <pjlib.h>
#include <pjmedia.h>
#include <pjmedia_audiodev.h>

#include "events.h"

#if defined(__linux__)                  /* PJMEDIA tells its choice of sound back end to its own makefiles only */
#include <alsa/asoundlib.h>
#endif

#define MAX_DEVICES 256
#define LIST_SIZE (MAX_DEVICES * 64)

static struct {
    pthread_mutex_t lock;
    int ready;
    int streams;                        /* open ones */
    char *names[3];                     /* index 0: all; SS_INPUT, SS_OUTPUT: the default device; for ss_sound_refresh */
} sound = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- enumeration ---------------------------------------------------------------------------------------------- */

typedef struct device {
    pjmedia_aud_dev_index index;
    int directions;
    char name[SS_DEVICE_NAME_SIZE];
} device;

/* ALSA's plug-ins and channel layouts: not devices anybody would choose, and some of them block when opened. */
static int is_plugin(const char *name)
{
    static const char *const prefixes[] = { "null", "samplerate", "lavrate", "speexrate", "speex", "upmix", "vdownmix", "dmix",
                                            "dsnoop", "surround", "oss", "iec958", "spdif", "usbstream" };

    for (size_t i = 0; i < PJ_ARRAY_SIZE(prefixes); i++) {
        size_t length = strlen(prefixes[i]);

        if (strncmp(name, prefixes[i], length) == 0 && (name[length] == '\0' || name[length] == ':' || pj_isdigit(name[length])))
            return 1;
    }
    return 0;
}

/* Locked. A name that occurs again gets " (2)", " (3)"..., so that each device can be chosen. */
static unsigned enumerate(device *devices, unsigned max)
{
    unsigned total = sound.ready ? pjmedia_aud_dev_count() : 0, count = 0;

    for (unsigned i = 0; i < total && count < max; i++) {
        pjmedia_aud_dev_info info;
        device *entry = &devices[count];
        int twins = 1;

        if (pjmedia_aud_dev_get_info((pjmedia_aud_dev_index)i, &info) != PJ_SUCCESS || strcmp(info.driver, "null") == 0 ||
            is_plugin(info.name))
            continue;
        entry->directions = (info.input_count ? SS_INPUT : 0) | (info.output_count ? SS_OUTPUT : 0);
        if (!entry->directions)
            continue;
        entry->index = (pjmedia_aud_dev_index)i;
        pj_ansi_strxcpy(entry->name, info.name, sizeof entry->name);
        for (char *c = entry->name; *c; c++) {
            if (*c == '\n' || *c == '\r')
                *c = ' ';
        }
        for (unsigned k = 0; k < count; k++) {
            pjmedia_aud_dev_info other;

            if (pjmedia_aud_dev_get_info(devices[k].index, &other) == PJ_SUCCESS && strcmp(other.name, info.name) == 0)
                twins++;
        }
        if (twins > 1) {
            size_t length = strlen(entry->name);

            pj_ansi_snprintf(entry->name + length, sizeof entry->name - length, " (%d)", twins);
        }
        count++;
    }
    return count;
}

static device *enumerate_all(unsigned *count)
{
    device *devices = malloc(MAX_DEVICES * sizeof *devices);

    *count = devices ? enumerate(devices, MAX_DEVICES) : 0;
    return devices;
}

/*
 * Locked. The device for a direction: by name, else the default: what the system calls "default" (ALSA: as the user configured it),
 * else PJMEDIA's choice (the first one) if it is listed, else the first that fits.
 */
static const device *choose(const device *devices, unsigned count, int direction, const char *name)
{
    pjmedia_aud_dev_info info;
    pjmedia_aud_dev_index preferred = direction == SS_INPUT ? PJMEDIA_AUD_DEFAULT_CAPTURE_DEV : PJMEDIA_AUD_DEFAULT_PLAYBACK_DEV;
    const device *first = NULL;

    for (unsigned i = 0; i < count; i++) {
        if ((devices[i].directions & direction) && strcmp(devices[i].name, name) == 0)
            return &devices[i];
    }
    for (unsigned i = 0; i < count; i++) {
        if ((devices[i].directions & direction) && strcmp(devices[i].name, "default") == 0)
            return &devices[i];
    }
    if (pjmedia_aud_dev_get_info(preferred, &info) != PJ_SUCCESS)
        info.name[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        if (!(devices[i].directions & direction))
            continue;
        if (strcmp(devices[i].name, info.name) == 0)
            return &devices[i];
        if (!first)
            first = &devices[i];
    }
    return first;
}

static size_t join(const device *devices, unsigned count, int direction, char *buffer, size_t size)
{
    size_t length = 0;

    for (unsigned i = 0; i < count; i++) {
        size_t add = strlen(devices[i].name);

        if (!(devices[i].directions & direction) || length + add + 1 > size)
            continue;
        if (length)
            buffer[length++] = '\n';
        memcpy(buffer + length, devices[i].name, add);
        length += add;
    }
    return length;
}

size_t ss_sound_list(int direction, char *buffer, size_t size)
{
    unsigned count;
    size_t length;
    device *devices;

    pthread_mutex_lock(&sound.lock);
    devices = enumerate_all(&count);
    pthread_mutex_unlock(&sound.lock);
    length = join(devices, count, direction, buffer, size);
    free(devices);
    return length;
}

pj_status_t ss_sound_resolve(int direction, const char *name, char *real, size_t size)
{
    unsigned count;
    const device *found;
    device *devices;

    pthread_mutex_lock(&sound.lock);
    devices = enumerate_all(&count);
    found = choose(devices, count, direction, name);
    if (found)
        pj_ansi_strxcpy(real, found->name, size);
    pthread_mutex_unlock(&sound.lock);
    free(devices);
    return found ? PJ_SUCCESS : PJMEDIA_EAUD_NODEFDEV;
}

/* Locked. Remember what is there now; text[0] all names, text[1], text[2] the defaults. */
static void snapshot(char *text[3])
{
    unsigned count;
    device *devices = enumerate_all(&count);

    text[0] = calloc(1, LIST_SIZE);
    if (text[0])
        join(devices, count, SS_INPUT | SS_OUTPUT, text[0], LIST_SIZE - 1);
    for (int direction = SS_INPUT; direction <= SS_OUTPUT; direction++) {
        const device *found = choose(devices, count, direction, SS_DEFAULT_DEVICE);

        text[direction] = strdup(found ? found->name : "");
    }
    free(devices);
}

static int differs(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") != 0;
}

pj_status_t ss_sound_refresh(void)
{
    char *before[3], *after[3];
    pj_status_t status = PJ_EGONE;
    int64_t changed[2];
    ss_blob lists[2];

    pthread_mutex_lock(&sound.lock);
    if (!sound.ready) {
        pthread_mutex_unlock(&sound.lock);
        return status;
    }
#if defined(__linux__)
    if (!sound.streams)
        snd_config_update_free_global();        /* ALSA caches the cards; open streams need the cache */
#endif
    status = pjmedia_aud_dev_refresh();
    memcpy(before, sound.names, sizeof before);
    snapshot(sound.names);
    for (int i = 0; i < 3; i++)
        after[i] = sound.names[i] ? strdup(sound.names[i]) : NULL;
    pthread_mutex_unlock(&sound.lock);

    changed[0] = differs(before[SS_INPUT], after[SS_INPUT]);
    changed[1] = differs(before[SS_OUTPUT], after[SS_OUTPUT]);
    lists[0] = (ss_blob){ before[0], before[0] ? strlen(before[0]) : 0 };
    lists[1] = (ss_blob){ after[0], after[0] ? strlen(after[0]) : 0 };
    ss_post(SS_EV_AUDIO_DEVICES, 0, changed, 2, lists, 2);
    for (int i = 0; i < 3; i++) {
        free(before[i]);
        free(after[i]);
    }
    return status;
}

pj_status_t ss_sound_init(void)
{
    pj_status_t status;

    pthread_mutex_lock(&sound.lock);
    /* Without any sound driver this still succeeds: PJMEDIA then has its null device. */
    status = pjmedia_aud_subsys_init(ss_pool_factory());
    if (status == PJ_SUCCESS) {
        sound.ready = 1;
        snapshot(sound.names);
    }
    pthread_mutex_unlock(&sound.lock);
    return status;
}

void ss_sound_shutdown(void)
{
    pthread_mutex_lock(&sound.lock);
    if (sound.ready) {
        sound.ready = 0;
        pjmedia_aud_subsys_shutdown();
        for (int i = 0; i < 3; i++) {
            free(sound.names[i]);
            sound.names[i] = NULL;
        }
    }
    pthread_mutex_unlock(&sound.lock);
}

/* ---- streams -------------------------------------------------------------------------------------------------- */

struct ss_sound {
    pj_pool_t *pool;
    pjmedia_aud_stream *stream;
    pjmedia_echo_state *echo;           /* NULL: no echo cancelling */
    int reset_echo;                     /* atomic: asked for, done by the capture thread */
    size_t frame_bytes;
    ss_sound_callbacks callbacks;
    void *user;
};

/* callback: pjmedia_aud_stream play | thread: device | gil: no | locks: none | lifetime: stream is stopped before it is freed */
static pj_status_t on_play(void *user, pjmedia_frame *frame)
{
    ss_sound *self = user;

    frame->type = PJMEDIA_FRAME_TYPE_AUDIO;
    if (frame->size != self->frame_bytes) {
        memset(frame->buf, 0, frame->size);
        return PJ_SUCCESS;
    }
    self->callbacks.play(self->user, frame->buf);
    if (self->echo)
        pjmedia_echo_playback(self->echo, frame->buf);
    return PJ_SUCCESS;
}

/* callback: pjmedia_aud_stream capture | thread: device | gil: no | locks: none | lifetime: as on_play */
static pj_status_t on_capture(void *user, pjmedia_frame *frame)
{
    ss_sound *self = user;

    if (frame->size != self->frame_bytes || !frame->buf)
        return PJ_SUCCESS;
    if (self->echo) {
        if (__atomic_exchange_n(&self->reset_echo, 0, __ATOMIC_RELAXED))
            pjmedia_echo_reset(self->echo);
        pjmedia_echo_capture(self->echo, frame->buf, 0);
    }
    self->callbacks.capture(self->user, frame->buf);
    return PJ_SUCCESS;
}

/* Locked. */
static pj_status_t open_stream(ss_sound *self, const device *input, const device *output, unsigned clock_rate,
                               unsigned samples_per_frame)
{
    pjmedia_aud_param param;
    pj_status_t status = pjmedia_aud_dev_default_param(input ? input->index : output->index, &param);

    if (status != PJ_SUCCESS)
        return status;
    param.dir = (input ? PJMEDIA_DIR_CAPTURE : 0) | (output ? PJMEDIA_DIR_PLAYBACK : 0);
    param.rec_id = input ? input->index : PJMEDIA_AUD_INVALID_DEV;
    param.play_id = output ? output->index : PJMEDIA_AUD_INVALID_DEV;
    param.clock_rate = clock_rate;
    param.channel_count = 1;
    param.samples_per_frame = samples_per_frame;
    param.bits_per_sample = 16;
    param.flags = PJMEDIA_AUD_DEV_CAP_INPUT_LATENCY | PJMEDIA_AUD_DEV_CAP_OUTPUT_LATENCY;
    param.input_latency_ms = PJMEDIA_SND_DEFAULT_REC_LATENCY;
    param.output_latency_ms = PJMEDIA_SND_DEFAULT_PLAY_LATENCY;
    status = pjmedia_aud_stream_create(&param, on_capture, on_play, self, &self->stream);
    if (status != PJ_SUCCESS) {
        self->stream = NULL;
        return status;
    }
    status = pjmedia_aud_stream_start(self->stream);
    if (status != PJ_SUCCESS) {
        pjmedia_aud_stream_destroy(self->stream);
        self->stream = NULL;
    }
    return status;
}

/* Before the stream starts, so that its threads never see it change. */
static void create_echo_canceller(ss_sound *self, unsigned clock_rate, unsigned samples_per_frame, unsigned tail_ms)
{
    pj_status_t status = pjmedia_echo_create2(self->pool, clock_rate, 1, samples_per_frame, tail_ms,
                                              PJMEDIA_SND_DEFAULT_PLAY_LATENCY * 3 / 4, 0, &self->echo);

    if (status != PJ_SUCCESS) {
        self->echo = NULL;              /* the call goes on with its echo */
        PJ_PERROR(2, ("sound", status, "No echo canceller"));
    }
}

static void free_sound(ss_sound *self)
{
    if (self->echo)
        pjmedia_echo_destroy(self->echo);
    pj_pool_release(self->pool);
}

pj_status_t ss_sound_open(const char *input_name, const char *output_name, unsigned clock_rate, unsigned samples_per_frame,
                          unsigned ec_tail_ms, const ss_sound_callbacks *callbacks, void *user, ss_sound **result, int *opened)
{
    unsigned count;
    device *devices;
    const device *input, *output;
    pj_pool_t *pool;
    ss_sound *self;
    pj_status_t status = PJ_SUCCESS;

    *result = NULL;
    *opened = 0;
    pool = ss_pool_create("sound", 4000, 4000);
    if (!pool)
        return PJ_ENOMEM;
    self = PJ_POOL_ZALLOC_T(pool, ss_sound);
    self->pool = pool;
    self->callbacks = *callbacks;
    self->user = user;
    self->frame_bytes = samples_per_frame * sizeof(int16_t);

    pthread_mutex_lock(&sound.lock);
    devices = enumerate_all(&count);
    input = input_name ? choose(devices, count, SS_INPUT, input_name) : NULL;
    output = output_name ? choose(devices, count, SS_OUTPUT, output_name) : NULL;
    if (input && output && ec_tail_ms)
        create_echo_canceller(self, clock_rate, samples_per_frame, ec_tail_ms);
    if (input && output) {
        status = open_stream(self, input, output, clock_rate, samples_per_frame);
        *opened = SS_INPUT | SS_OUTPUT;
    }
    if (!self->stream && self->echo) {
        pjmedia_echo_destroy(self->echo);
        self->echo = NULL;
    }
    if (!self->stream && input) {
        status = open_stream(self, input, NULL, clock_rate, samples_per_frame);
        *opened = SS_INPUT;
    }
    if (!self->stream && output) {
        status = open_stream(self, NULL, output, clock_rate, samples_per_frame);
        *opened = SS_OUTPUT;
    }
    if (self->stream)
        sound.streams++;
    pthread_mutex_unlock(&sound.lock);
    free(devices);

    if (!self->stream) {
        *opened = 0;
        free_sound(self);
        return status;
    }
    *result = self;
    return PJ_SUCCESS;
}

void ss_sound_close(ss_sound *self)
{
    pjmedia_aud_stream_stop(self->stream);
    pthread_mutex_lock(&sound.lock);
    pjmedia_aud_stream_destroy(self->stream);
    sound.streams--;
    pthread_mutex_unlock(&sound.lock);
    free_sound(self);
}

void ss_sound_reset_ec(ss_sound *self)
{
    __atomic_store_n(&self->reset_echo, 1, __ATOMIC_RELAXED);
}
