/*
 * Wave files as ports of the bridge.
 *
 * Both ports are our own, not PJMEDIA's: its player reports the end of the file through its event manager, from an event that may
 * outlive the player, and believes the header; its recorder leaves a file without a length when the process dies, and skips the
 * silence while nobody speaks, so that the recording is shorter than the conversation.
 *
 * An object is one play or one recording. It is in the bridge from start to kill(); its memory lives until the bridge has let go.
 * The object and the bridge hold one reference each (`ss_object` counts them).
 */
#include "wave.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pjlib.h>
#include <pjmedia.h>

#include "events.h"
#include "mixer.h"
#include "wave_format.h"

#define SIGNATURE_PLAYER PJMEDIA_SIG_CLASS_PORT_AUD('S', 'P')
#define SIGNATURE_RECORDER PJMEDIA_SIG_CLASS_PORT_AUD('S', 'R')
#define FRAMES_PER_SECOND 50
#define READ_BUFFER (32 * 1024)

/* Regular files only: opening a FIFO or a device would block, perhaps for ever. */
static FILE *open_regular(const char *path, int flags, const char *mode, pj_status_t *status)
{
    struct stat info;
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0666);
    FILE *file;

    if (fd < 0) {
        *status = PJ_STATUS_FROM_OS(errno);
        return NULL;
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        *status = PJ_STATUS_FROM_OS((S_ISDIR(info.st_mode) ? EISDIR : EINVAL));
        close(fd);
        return NULL;
    }
    file = fdopen(fd, mode);
    if (!file) {
        *status = PJ_STATUS_FROM_OS(errno);
        close(fd);
    }
    return file;
}

/* The Engine may have stopped while the port was on its way into the bridge: then nobody else takes it out again. */
static void settle(ss_object *object)
{
    void *alive = ss_object_acquire(object->handle, object->type);

    if (alive)
        ss_object_release(alive);
    else
        object->kill(object);
}

/* ---- player --------------------------------------------------------------------------------------------------- */

typedef struct player {
    ss_object object;
    pjmedia_port port;
    pj_pool_t *pool;
    ss_handle mixer;
    unsigned slot;
    int in_bridge;                      /* atomic: its removal is claimed by who clears it */
    int reported;                       /* atomic */
    FILE *file;
    ss_wave_info info;
    uint64_t bytes_left;
    unsigned char *bytes;               /* one frame as in the file */
    unsigned samples_per_frame;
} player;

static void report_end(player *self)
{
    if (!__atomic_exchange_n(&self->reported, 1, __ATOMIC_ACQ_REL))
        ss_post_num(SS_EV_WAVE_FINISHED, self->object.handle, 0, 0);
}

/* callback: pjmedia_port get_frame | thread: clock | gil: no | locks: none | lifetime: the bridge's reference */
static pj_status_t player_get_frame(pjmedia_port *port, pjmedia_frame *frame)
{
    player *self = port->port_data.pdata;
    unsigned frame_bytes = self->info.sample_bytes * self->info.channels;
    uint64_t wanted = (uint64_t)self->samples_per_frame * frame_bytes;
    int16_t *samples = frame->buf;
    size_t got = 0;
    unsigned count;

    if (wanted > self->bytes_left)
        wanted = self->bytes_left;
    if (wanted)
        got = fread(self->bytes, 1, (size_t)wanted, self->file);
    self->bytes_left = got == wanted ? self->bytes_left - got : 0;
    count = (unsigned)(got / frame_bytes);
    if (!count) {
        report_end(self);
        frame->type = PJMEDIA_FRAME_TYPE_NONE;
        frame->size = 0;
        return PJ_SUCCESS;
    }
    for (unsigned i = 0; i < count; i++) {
        const unsigned char *sample = self->bytes + i * frame_bytes;
        int sum = 0;

        for (unsigned channel = 0; channel < self->info.channels; channel++)
            sum += ss_wave_sample(&self->info, sample + channel * self->info.sample_bytes);
        samples[i] = (int16_t)(sum / (int)self->info.channels);
    }
    memset(samples + count, 0, (self->samples_per_frame - count) * sizeof *samples);
    frame->type = PJMEDIA_FRAME_TYPE_AUDIO;
    frame->size = self->samples_per_frame * sizeof *samples;
    return PJ_SUCCESS;
}

/* callback: ss_mixer unheard | thread: clock | gil: no | locks: none | lifetime: the bridge's reference */
static void player_skip(void *user)
{
    player *self = user;
    uint64_t bytes = (uint64_t)self->samples_per_frame * self->info.sample_bytes * self->info.channels;

    if (!self->bytes_left)
        report_end(self);
    if (bytes > self->bytes_left)
        bytes = self->bytes_left;
    if (bytes && fseek(self->file, (long)bytes, SEEK_CUR) != 0)
        bytes = self->bytes_left;
    self->bytes_left -= bytes;
}

static pj_status_t player_on_destroy(pjmedia_port *port)
{
    player *self = port->port_data.pdata;
    pj_pool_t *pool = self->pool;

    if (self->file)
        fclose(self->file);
    pj_pool_release(pool);              /* and `self` with it */
    return PJ_SUCCESS;
}

static void player_destroy(ss_object *object)
{
    pjmedia_port_destroy(&((player *)object)->port);
}

static void player_kill(ss_object *object)
{
    player *self = (player *)object;

    if (__atomic_exchange_n(&self->in_bridge, 0, __ATOMIC_ACQ_REL))
        ss_mixer_remove_port(self->mixer, self->slot, ss_object_release, self);
    report_end(self);
}

static pj_status_t open_player(player *self, const char *path)
{
    pj_str_t name = { "player", 6 };
    pj_status_t status;

    self->file = open_regular(path, O_RDONLY, "rb", &status);
    if (!self->file)
        return status;
    setvbuf(self->file, NULL, _IOFBF, READ_BUFFER);
    status = ss_wave_read_header(self->file, &self->info);
    if (status != PJ_SUCCESS)
        return status;
    self->bytes_left = self->info.data_bytes;
    self->samples_per_frame = self->info.clock_rate / FRAMES_PER_SECOND;
    self->bytes = pj_pool_alloc(self->pool, (size_t)self->samples_per_frame * self->info.channels * self->info.sample_bytes);
    status = pjmedia_port_info_init(&self->port.info, &name, SIGNATURE_PLAYER, self->info.clock_rate, 1, 16, self->samples_per_frame);
    self->port.get_frame = player_get_frame;
    return status;
}

pj_status_t ss_wave_player_start(ss_handle mixer, const char *path, unsigned volume_percent, ss_handle *handle, unsigned *slot)
{
    pj_pool_t *pool = ss_pool_create("player", 2000, 2000);
    player *self;
    pj_status_t status;

    if (!pool)
        return PJ_ENOMEM;
    self = PJ_POOL_ZALLOC_T(pool, player);
    self->pool = pool;
    self->mixer = mixer;
    self->port.port_data.pdata = self;
    self->port.on_destroy = player_on_destroy;
    self->object.kill = player_kill;
    self->object.destroy = player_destroy;
    status = open_player(self, path);
    if (status != PJ_SUCCESS) {
        pjmedia_port_destroy(&self->port);
        return status;
    }
    *handle = ss_object_register(&self->object, SS_T_WAVE_PLAYER);
    if (!*handle) {
        pjmedia_port_destroy(&self->port);
        return PJ_ETOOMANY;
    }
    ss_object_acquire(*handle, SS_T_WAVE_PLAYER);       /* the bridge's */
    status = ss_mixer_add_port(mixer, pool, &self->port, "player", &self->slot);
    if (status != PJ_SUCCESS) {
        self->reported = 1;
        ss_object_release(self);
        ss_object_close(*handle);
        *handle = 0;
        return status;
    }
    *slot = self->slot;
    ss_mixer_adjust_slot(mixer, self->slot, -1, (int)volume_percent);
    ss_mixer_on_unheard(mixer, self->slot, player_skip, self);
    __atomic_store_n(&self->in_bridge, 1, __ATOMIC_SEQ_CST);
    settle(&self->object);
    return PJ_SUCCESS;
}

pj_status_t ss_wave_player_set_volume(ss_handle handle, unsigned volume_percent)
{
    player *self = ss_object_acquire(handle, SS_T_WAVE_PLAYER);
    pj_status_t status;

    if (!self)
        return PJ_EGONE;
    status = ss_mixer_adjust_slot(self->mixer, self->slot, -1, (int)volume_percent);
    ss_object_release(self);
    return status;
}

/* ---- recorder ------------------------------------------------------------------------------------------------- */

typedef struct recorder {
    ss_object object;
    pjmedia_port port;
    pj_pool_t *pool;
    ss_handle mixer;
    unsigned slot;
    int in_bridge;                      /* atomic, as the player's */
    const int *sources;                 /* atomic counter of the mixer; NULL until known */
    pthread_mutex_t lock;               /* the file: closed by finish() while the clock may write */
    FILE *file;
    unsigned clock_rate, samples_per_frame;
    unsigned frames;                    /* since the header was brought up to date */
    uint64_t data_bytes;
    pj_status_t status;                 /* the first write error */
    int16_t *silence;
} recorder;

/* Locked. The samples first: the header never promises more than there is. */
static void update_header(recorder *self)
{
    unsigned char header[SS_WAVE_HEADER_SIZE];
    uint32_t length = self->data_bytes > UINT32_MAX - SS_WAVE_HEADER_SIZE ? UINT32_MAX - SS_WAVE_HEADER_SIZE : (uint32_t)self->data_bytes;
    ssize_t written;

    self->frames = 0;
    if (fflush(self->file) != 0) {
        if (self->status == PJ_SUCCESS)
            self->status = PJ_STATUS_FROM_OS(errno);
        return;
    }
    ss_wave_write_header(header, self->clock_rate, length);
    written = pwrite(fileno(self->file), header, sizeof header, 0);
    if (written != (ssize_t)sizeof header && self->status == PJ_SUCCESS)
        self->status = PJ_STATUS_FROM_OS(errno);
}

/* callback: pjmedia_port put_frame | thread: clock | gil: no | locks: recorder | lifetime: the bridge's reference */
static pj_status_t recorder_put_frame(pjmedia_port *port, pjmedia_frame *frame)
{
    recorder *self = port->port_data.pdata;
    const int *sources = __atomic_load_n(&self->sources, __ATOMIC_ACQUIRE);
    size_t size = self->samples_per_frame * sizeof(int16_t);
    const void *samples = frame->buf;

    if (frame->type != PJMEDIA_FRAME_TYPE_AUDIO || frame->size != size) {
        /* Sources that are silent: their silence counts. No sources: nothing to record. */
        if (!sources || __atomic_load_n(sources, __ATOMIC_RELAXED) == 0)
            return PJ_SUCCESS;
        samples = self->silence;
    }
    pthread_mutex_lock(&self->lock);
    if (self->file && self->status == PJ_SUCCESS) {
        if (fwrite(samples, 1, size, self->file) == size)
            self->data_bytes += size;
        else
            self->status = PJ_STATUS_FROM_OS(errno);
        if (++self->frames >= FRAMES_PER_SECOND)
            update_header(self);
    }
    pthread_mutex_unlock(&self->lock);
    return PJ_SUCCESS;
}

static pj_status_t close_file(recorder *self)
{
    pj_status_t status;

    pthread_mutex_lock(&self->lock);
    if (self->file) {
        update_header(self);
        if (fclose(self->file) != 0 && self->status == PJ_SUCCESS)
            self->status = PJ_STATUS_FROM_OS(errno);
        self->file = NULL;
    }
    status = self->status;
    pthread_mutex_unlock(&self->lock);
    return status;
}

static pj_status_t recorder_on_destroy(pjmedia_port *port)
{
    recorder *self = port->port_data.pdata;
    pj_pool_t *pool = self->pool;

    close_file(self);
    pthread_mutex_destroy(&self->lock);
    pj_pool_release(pool);
    return PJ_SUCCESS;
}

static void recorder_destroy(ss_object *object)
{
    pjmedia_port_destroy(&((recorder *)object)->port);
}

static void recorder_kill(ss_object *object)
{
    recorder *self = (recorder *)object;

    close_file(self);
    if (__atomic_exchange_n(&self->in_bridge, 0, __ATOMIC_ACQ_REL))
        ss_mixer_remove_port(self->mixer, self->slot, ss_object_release, self);
}

static pj_status_t open_recorder(recorder *self, const char *path)
{
    pj_str_t name = { "recorder", 8 };
    pj_status_t status;

    self->file = open_regular(path, O_RDWR | O_CREAT | O_TRUNC, "w+b", &status);
    if (!self->file)
        return status;
    self->silence = pj_pool_calloc(self->pool, self->samples_per_frame, sizeof *self->silence);
    status = pjmedia_port_info_init(&self->port.info, &name, SIGNATURE_RECORDER, self->clock_rate, 1, 16, self->samples_per_frame);
    if (status != PJ_SUCCESS)
        return status;
    self->port.put_frame = recorder_put_frame;
    update_header(self);
    if (fseek(self->file, SS_WAVE_HEADER_SIZE, SEEK_SET) != 0)
        return PJ_STATUS_FROM_OS(errno);
    return self->status;
}

pj_status_t ss_wave_recorder_start(ss_handle mixer, const char *path, ss_handle *handle, unsigned *slot)
{
    unsigned clock_rate, samples_per_frame;
    pj_pool_t *pool;
    recorder *self;
    pj_status_t status = ss_mixer_format(mixer, &clock_rate, &samples_per_frame);

    if (status != PJ_SUCCESS)
        return status;
    pool = ss_pool_create("recorder", 2000, 2000);
    if (!pool)
        return PJ_ENOMEM;
    self = PJ_POOL_ZALLOC_T(pool, recorder);
    self->pool = pool;
    self->mixer = mixer;
    self->clock_rate = clock_rate;
    self->samples_per_frame = samples_per_frame;
    self->port.port_data.pdata = self;
    self->port.on_destroy = recorder_on_destroy;
    self->object.kill = recorder_kill;
    self->object.destroy = recorder_destroy;
    pthread_mutex_init(&self->lock, NULL);
    status = open_recorder(self, path);
    if (status != PJ_SUCCESS) {
        pjmedia_port_destroy(&self->port);
        return status;
    }
    *handle = ss_object_register(&self->object, SS_T_WAVE_RECORDER);
    if (!*handle) {
        pjmedia_port_destroy(&self->port);
        return PJ_ETOOMANY;
    }
    ss_object_acquire(*handle, SS_T_WAVE_RECORDER);     /* the bridge's */
    status = ss_mixer_add_port(mixer, pool, &self->port, "recorder", &self->slot);
    if (status != PJ_SUCCESS) {
        ss_object_release(self);
        ss_object_close(*handle);
        *handle = 0;
        return status;
    }
    *slot = self->slot;
    __atomic_store_n(&self->sources, ss_mixer_source_counter(mixer, self->slot), __ATOMIC_RELEASE);
    __atomic_store_n(&self->in_bridge, 1, __ATOMIC_SEQ_CST);
    settle(&self->object);
    return PJ_SUCCESS;
}

pj_status_t ss_wave_recorder_finish(ss_handle handle)
{
    recorder *self = ss_object_acquire(handle, SS_T_WAVE_RECORDER);
    pj_status_t status;

    if (!self)
        return PJ_SUCCESS;              /* closed with the Engine, and so was its file */
    status = close_file(self);
    ss_object_close(handle);
    ss_object_release(self);
    return status;
}
