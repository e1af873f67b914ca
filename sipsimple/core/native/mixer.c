/*
 * The audio mixer: a PJMEDIA conference bridge with its clock.
 *
 * Bridge operations (add, remove, connect, disconnect) are queued by PJMEDIA and run at the end of the next frame, by the thread
 * that asks the bridge for frames. So a bridge needs a clock even to forget a port. Here every mixer has one thread:
 *  - while no slot is used it sleeps on a condition, the sound device is closed, nothing runs;
 *  - while slots are used it opens the device, whose playback thread is the clock; without a playback device, or when the device
 *    stalls, the thread itself asks for a frame every 20 ms;
 *  - it goes on until the last removal is complete, then it closes the device and sleeps again;
 *  - when the mixer is killed it destroys the bridge, completes what waits, and ends. kill() does not wait for that.
 *
 * A port is removed only after its add is complete. PJMEDIA would remove such a port at once in the calling thread, running bridge
 * operations beside the clock. So all callbacks come inside tick() or teardown(), and `current` says whose they are: PJMEDIA's
 * callback does not name the bridge for queued operations.
 *
 * Locks: registry, then mixer, then PJMEDIA's bridge mutex. None is held while ports run or while done() is called.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pjlib.h>
#include <pjmedia.h>

#include "mixer.h"
#include "sound_devices.h"

#define FRAMES_PER_SECOND 50
#define TICK_NS (1000000000LL / FRAMES_PER_SECOND)
#define STALL_NS (10 * TICK_NS)         /* a device that asks for no frame that long is not trusted with the clock */
#define CATCH_UP_NS (25 * TICK_NS)      /* a clock that is later than that starts anew instead of catching up */
#define FULL_WAIT_NS 500000000LL
#define FULL_WAITS 3                    /* of that length: one may go by while the whole process stands still, its clock as well */
#define DEVICE_WAIT_NS 30000000000LL
#define NORMAL_LEVEL 128                /* the bridge's 100 % */
#define MAX_PERCENT 10000               /* beyond it the bridge's 32-bit products overflow */

typedef enum slot_state { SLOT_FREE, SLOT_ADDING, SLOT_LIVE, SLOT_REMOVING } slot_state;

typedef struct completion {
    void (*done)(void *user);
    void *user;
} completion;                           /* a call to make later */

typedef struct removal {
    struct removal *next;
    completion completion;              /* without `done` until the removal is asked for */
} removal;

typedef struct mixer_slot {
    slot_state state;
    int remove_wanted;                  /* while SLOT_ADDING: remove as soon as it is added */
    int sources;                        /* atomic: slots that feed this one */
    int sinks;                          /* slots that hear this one */
    removal *removal;                   /* made when the slot is taken, so that there is one in time */
    completion skip;                    /* for each frame that nobody hears */
    completion heard;                   /* when the first one begins to hear */
} mixer_slot;

typedef struct ss_mixer {
    ss_object object;
    struct ss_mixer *next;              /* registry */
    pthread_mutex_t lock;
    pthread_cond_t wake;                /* the mixer's thread sleeps here */
    pthread_cond_t changed;             /* callers sleep here: a frame was mixed, a device was opened */
    pj_pool_t *pool;
    pjmedia_conf *bridge;
    pjmedia_port *master;
    unsigned sample_rate, samples_per_frame, slot_count;    /* slot_count without slot 0 */
    mixer_slot *slots;                  /* slot_count + 1 */
    unsigned char *connected;           /* a bit for each sink in a row for each source; half a MB, little of it ever touched */
    size_t row;                         /* bytes of a row */
    unsigned used;                      /* slots held by users */
    unsigned busy;                      /* slots not SLOT_FREE */
    unsigned top;                       /* highest slot that was ever used: loops end there, a large mixer is mostly empty */
    int device_listeners;               /* atomic: slots fed by slot 0 */
    int quit, closing;

    removal *finished;                  /* of this frame; more than there are slots if others take and leave them meanwhile */
    completion *unheard;                /* of this frame; at most one for each slot */
    unsigned skippers;                  /* slots that have a `skip` */

    int ticking;                        /* atomic: one thread at a time mixes */
    uint64_t ticks;                     /* atomic */
    int64_t device_tick_ns;             /* atomic: when the device last asked for a frame */
    pj_uint64_t timestamp;              /* of the thread that mixes */
    int16_t *buffer, *silence;

    int has_input, has_output;
    char input[SS_DEVICE_NAME_SIZE], output[SS_DEVICE_NAME_SIZE];
    unsigned ec_tail_ms;
    unsigned wanted, applied;           /* numbers of device settings */
    pj_status_t device_status;
    ss_sound *sound;
    int device_tried;                   /* since the mixer is in use */
    int directions;                     /* open ones */
} ss_mixer;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    ss_mixer *first;
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static __thread ss_mixer *current;      /* whose frame this thread is mixing */

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static struct timespec as_timespec(int64_t ns)
{
    return (struct timespec){ ns / 1000000000LL, ns % 1000000000LL };
}

static int is_connected(const ss_mixer *mixer, unsigned source, unsigned sink)
{
    return mixer->connected[source * mixer->row + sink / 8] >> sink % 8 & 1;
}

static void set_connected(ss_mixer *mixer, unsigned source, unsigned sink, int value)
{
    unsigned char *byte = &mixer->connected[source * mixer->row + sink / 8];
    const unsigned char bit = (unsigned char)(1u << sink % 8);
    const int change = (value != 0) - is_connected(mixer, source, sink);

    *byte = value ? *byte | bit : *byte & (unsigned char)~bit;
    __atomic_add_fetch(&mixer->slots[sink].sources, change, __ATOMIC_RELAXED);
    mixer->slots[source].sinks += change;
    if (source == 0)
        __atomic_add_fetch(&mixer->device_listeners, change, __ATOMIC_RELAXED);
}

/* A slot that its user holds; mixer locked. */
static int is_usable(const ss_mixer *mixer, unsigned slot)
{
    return slot <= mixer->slot_count &&
           (mixer->slots[slot].state == SLOT_LIVE ||
            (mixer->slots[slot].state == SLOT_ADDING && !mixer->slots[slot].remove_wanted));
}

/* ---- mixing --------------------------------------------------------------------------------------------------- */

static void start_removal(ss_mixer *mixer, unsigned slot)
{
    mixer->slots[slot].state = SLOT_REMOVING;
    /* Fails without memory only: then the port stays, disconnected, until the bridge is destroyed. */
    if (pjmedia_conf_remove_port(mixer->bridge, slot) != PJ_SUCCESS)
        SS_COUNT(out_of_memory);
}

/* callback: pjmedia_conf op | thread: clock (or teardown) | gil: no | locks: none | lifetime: `current` */
static void on_bridge_operation(const pjmedia_conf_op_info *info)
{
    ss_mixer *mixer = current;
    mixer_slot *slot;

    if (!mixer)
        return;
    pthread_mutex_lock(&mixer->lock);
    if (info->op_type == PJMEDIA_CONF_OP_ADD_PORT) {
        slot = &mixer->slots[info->op_param.add_port.port];
        if (slot->state == SLOT_ADDING) {
            slot->state = SLOT_LIVE;
            if (slot->remove_wanted)
                start_removal(mixer, info->op_param.add_port.port);
        }
    } else if (info->op_type == PJMEDIA_CONF_OP_REMOVE_PORT && !mixer->closing) {
        slot = &mixer->slots[info->op_param.remove_port.port];
        if (slot->state == SLOT_REMOVING) {
            slot->removal->next = mixer->finished;
            mixer->finished = slot->removal;
            if (slot->skip.done)
                mixer->skippers--;
            memset(slot, 0, sizeof *slot);
            mixer->busy--;
        }
    }
    pthread_mutex_unlock(&mixer->lock);
}

/* Let the ports that nobody hears pass the time. Their memory is safe: removals are completed after this, by this thread. */
static void skip_unheard(ss_mixer *mixer)
{
    unsigned count = 0;

    pthread_mutex_lock(&mixer->lock);
    if (mixer->skippers) {
        for (unsigned i = 1; i <= mixer->top; i++) {
            if (mixer->slots[i].skip.done && mixer->slots[i].state == SLOT_LIVE && mixer->slots[i].sinks == 0)
                mixer->unheard[count++] = mixer->slots[i].skip;
        }
    }
    pthread_mutex_unlock(&mixer->lock);
    for (unsigned i = 0; i < count; i++)
        mixer->unheard[i].done(mixer->unheard[i].user);
}

/* Tell those whose ports are removed. */
static void complete(removal *list)
{
    while (list) {
        removal *next = list->next;

        list->completion.done(list->completion.user);
        free(list);
        list = next;
    }
}

/* One frame into `samples`. Does nothing (silence) while another thread is at it. */
static void tick(ss_mixer *mixer, int16_t *samples)
{
    size_t size = mixer->samples_per_frame * sizeof *samples;
    pjmedia_frame frame = { .type = PJMEDIA_FRAME_TYPE_NONE, .buf = samples, .size = size };
    removal *finished;

    if (__atomic_exchange_n(&mixer->ticking, 1, __ATOMIC_ACQUIRE)) {
        memset(samples, 0, size);
        return;
    }
    /* Ours, not the device's: the bridge tells frames apart by it, and the clock may change hands. */
    mixer->timestamp += mixer->samples_per_frame;
    frame.timestamp.u64 = mixer->timestamp;
    current = mixer;
    if (pjmedia_port_get_frame(mixer->master, &frame) != PJ_SUCCESS || frame.type != PJMEDIA_FRAME_TYPE_AUDIO)
        memset(samples, 0, size);
    skip_unheard(mixer);

    pthread_mutex_lock(&mixer->lock);
    finished = mixer->finished;
    mixer->finished = NULL;
    pthread_mutex_unlock(&mixer->lock);
    complete(finished);
    current = NULL;
    __atomic_add_fetch(&mixer->ticks, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&mixer->ticking, 0, __ATOMIC_RELEASE);

    pthread_mutex_lock(&mixer->lock);
    pthread_cond_broadcast(&mixer->changed);
    if (mixer->busy == 0)
        pthread_cond_signal(&mixer->wake);
    pthread_mutex_unlock(&mixer->lock);
}

static void capture(ss_mixer *mixer, int16_t *samples)
{
    pjmedia_frame frame = { .type = PJMEDIA_FRAME_TYPE_AUDIO, .buf = samples,
                            .size = mixer->samples_per_frame * sizeof *samples };

    if (__atomic_load_n(&mixer->device_listeners, __ATOMIC_RELAXED))
        pjmedia_port_put_frame(mixer->master, &frame);
}

/* callback: sound device playback | thread: device | gil: no | locks: none | lifetime: ss_sound_close() waits for it */
static void on_device_play(void *user, int16_t *samples)
{
    ss_mixer *mixer = user;

    __atomic_store_n(&mixer->device_tick_ns, now_ns(), __ATOMIC_RELAXED);
    tick(mixer, samples);
}

/* callback: sound device capture | thread: device | gil: no | locks: none | lifetime: ss_sound_close() waits for it */
static void on_device_capture(void *user, int16_t *samples)
{
    capture(user, samples);
}

/* ---- the mixer's thread --------------------------------------------------------------------------------------- */

/* Bring the device to what is wanted now. Called and returns locked. */
static void apply_device(ss_mixer *mixer)
{
    static const ss_sound_callbacks callbacks = { on_device_play, on_device_capture };
    char input[SS_DEVICE_NAME_SIZE], output[SS_DEVICE_NAME_SIZE];
    int has_input = mixer->has_input, has_output = mixer->has_output, needed = mixer->busy > 0, directions = 0;
    unsigned number = mixer->wanted, tail = mixer->ec_tail_ms;
    ss_sound *sound = mixer->sound;
    pj_status_t status = PJ_SUCCESS;

    memcpy(input, mixer->input, sizeof input);
    memcpy(output, mixer->output, sizeof output);
    mixer->sound = NULL;
    mixer->directions = 0;
    pthread_mutex_unlock(&mixer->lock);

    if (sound)
        ss_sound_close(sound);
    sound = NULL;
    if (needed && (has_input || has_output)) {
        __atomic_store_n(&mixer->device_tick_ns, now_ns(), __ATOMIC_RELAXED);
        status = ss_sound_open(has_input ? input : NULL, has_output ? output : NULL, mixer->sample_rate,
                               mixer->samples_per_frame, tail, &callbacks, mixer, &sound, &directions);
        if (status != PJ_SUCCESS)
            PJ_PERROR(2, ("mixer", status, "Cannot open the sound devices, going on without"));
    }

    pthread_mutex_lock(&mixer->lock);
    mixer->sound = sound;
    mixer->directions = directions;
    mixer->device_status = status;
    mixer->device_tried = needed;
    mixer->applied = number;
    pthread_cond_broadcast(&mixer->changed);
}

/* The thread's last act. Called locked; afterwards the mixer is gone. */
static void teardown(ss_mixer *mixer)
{
    ss_sound *sound = mixer->sound;
    ss_mixer **link;

    mixer->sound = NULL;
    mixer->closing = 1;                 /* no new bridge operations from now on */
    pthread_cond_broadcast(&mixer->changed);
    pthread_mutex_unlock(&mixer->lock);
    if (sound)
        ss_sound_close(sound);
    current = mixer;
    pjmedia_conf_destroy(mixer->bridge);
    current = NULL;

    /* Out of the registry first: who asks for a removal from now on finds nothing and completes it by itself. */
    pthread_mutex_lock(&registry.lock);
    for (link = &registry.first; *link; link = &(*link)->next) {
        if (*link == mixer) {
            *link = mixer->next;
            break;
        }
    }
    pthread_mutex_unlock(&registry.lock);
    complete(mixer->finished);
    for (unsigned i = 0; i <= mixer->top; i++) {
        removal *removal = mixer->slots[i].removal;

        if (removal && removal->completion.done)
            complete(removal);
        else
            free(removal);
    }
    ss_object_release(mixer);
}

static void *run(void *argument)
{
    ss_mixer *mixer = argument;
    int64_t next = 0;
    int running = 0;

    ss_ensure_thread();
    pthread_setname_np(pthread_self(), "mixer");
    (void)ss_prefer_thread();
    pthread_mutex_lock(&mixer->lock);
    while (!mixer->quit) {
        int64_t now, due;

        if (mixer->wanted != mixer->applied || (mixer->busy > 0 ? !mixer->device_tried : mixer->sound != NULL)) {
            apply_device(mixer);
            running = 0;
            continue;
        }
        if (mixer->busy == 0) {
            mixer->device_tried = 0;
            running = 0;
            pthread_cond_wait(&mixer->wake, &mixer->lock);
            continue;
        }
        now = now_ns();
        if (!running) {
            running = 1;
            next = now;
        }
        due = next;
        if (mixer->directions & SS_OUTPUT) {
            int64_t stall = __atomic_load_n(&mixer->device_tick_ns, __ATOMIC_RELAXED) + STALL_NS;

            if (stall > now) {          /* the device is the clock */
                due = stall;
                next = stall;
            }
        }
        if (due > now) {
            struct timespec deadline = as_timespec(due);

            pthread_cond_timedwait(&mixer->wake, &mixer->lock, &deadline);
            continue;
        }
        next = now - next > CATCH_UP_NS ? now + TICK_NS : next + TICK_NS;
        pthread_mutex_unlock(&mixer->lock);
        if (!(__atomic_load_n(&mixer->directions, __ATOMIC_RELAXED) & SS_INPUT))
            capture(mixer, mixer->silence);
        tick(mixer, mixer->buffer);
        pthread_mutex_lock(&mixer->lock);
    }
    teardown(mixer);
    ss_media_release();
    return NULL;
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

static void kill_mixer(ss_object *object)
{
    ss_mixer *mixer = (ss_mixer *)object;

    pthread_mutex_lock(&mixer->lock);
    mixer->quit = 1;
    pthread_cond_signal(&mixer->wake);
    pthread_mutex_unlock(&mixer->lock);
}

static void destroy_mixer(ss_object *object)
{
    ss_mixer *mixer = (ss_mixer *)object;

    pthread_mutex_destroy(&mixer->lock);
    pthread_cond_destroy(&mixer->wake);
    pthread_cond_destroy(&mixer->changed);
    if (mixer->pool)
        pj_pool_release(mixer->pool);
    free(mixer->slots);
    ss_pages_give(mixer->connected, mixer->row * (mixer->slot_count + 1));
    free(mixer->unheard);
    free(mixer->buffer);
    free(mixer->silence);
    free(mixer);
}

static void set_device_names(ss_mixer *mixer, const char *input, const char *output, unsigned ec_tail_ms)
{
    mixer->has_input = input != NULL;
    mixer->has_output = output != NULL;
    pj_ansi_strxcpy(mixer->input, input ? input : "", sizeof mixer->input);
    pj_ansi_strxcpy(mixer->output, output ? output : "", sizeof mixer->output);
    mixer->ec_tail_ms = ec_tail_ms;
}

static pj_status_t create_bridge(ss_mixer *mixer)
{
    pjmedia_conf_param param;
    pj_status_t status;

    mixer->pool = ss_pool_create("mixer", 1000, 1000);
    if (!mixer->pool)
        return PJ_ENOMEM;
    pjmedia_conf_param_default(&param);
    param.max_slots = mixer->slot_count + 1;
    param.sampling_rate = mixer->sample_rate;
    param.channel_count = 1;
    param.samples_per_frame = mixer->samples_per_frame;
    param.bits_per_sample = 16;
    param.options = PJMEDIA_CONF_NO_DEVICE | PJMEDIA_CONF_SMALL_FILTER;
    param.worker_threads = 0;
    status = pjmedia_conf_create2(mixer->pool, &param, &mixer->bridge);
    if (status != PJ_SUCCESS)
        return status;
    mixer->master = pjmedia_conf_get_master_port(mixer->bridge);
    pjmedia_conf_set_op_cb(mixer->bridge, on_bridge_operation);
    return PJ_SUCCESS;
}

static pj_status_t start_thread(ss_mixer *mixer)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int error;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    ss_media_hold();
    error = pthread_create(&thread, &attributes, run, mixer);
    if (error)
        ss_media_release();
    pthread_attr_destroy(&attributes);
    return error ? PJ_STATUS_FROM_OS(error) : PJ_SUCCESS;
}

pj_status_t ss_mixer_create(const ss_mixer_params *params, ss_handle *handle)
{
    pthread_condattr_t monotonic;
    unsigned slots = params->slot_count + 1;
    ss_mixer *mixer;
    pj_status_t status;

    if (!ss_media_endpoint())
        return PJ_EGONE;
    mixer = calloc(1, sizeof *mixer);
    if (!mixer)
        return PJ_ENOMEM;
    pthread_mutex_init(&mixer->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&mixer->wake, &monotonic);
    pthread_cond_init(&mixer->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    mixer->sample_rate = params->sample_rate;
    mixer->samples_per_frame = params->sample_rate / FRAMES_PER_SECOND;
    mixer->slot_count = params->slot_count;
    mixer->object.kill = kill_mixer;
    mixer->object.destroy = destroy_mixer;
    mixer->slots = calloc(slots, sizeof *mixer->slots);
    mixer->row = (slots + 7) / 8;
    mixer->connected = ss_pages_take(mixer->row * slots);
    mixer->unheard = calloc(slots, sizeof *mixer->unheard);
    mixer->buffer = calloc(mixer->samples_per_frame, sizeof *mixer->buffer);
    mixer->silence = calloc(mixer->samples_per_frame, sizeof *mixer->silence);
    status = PJ_ENOMEM;
    if (!mixer->slots || !mixer->connected || !mixer->unheard || !mixer->buffer || !mixer->silence)
        goto failed;
    mixer->slots[0].state = SLOT_LIVE;
    set_device_names(mixer, params->input, params->output, params->ec_tail_ms);
    status = create_bridge(mixer);
    if (status != PJ_SUCCESS)
        goto failed;
    *handle = ss_object_register(&mixer->object, SS_T_MIXER);
    if (!*handle) {
        pjmedia_conf_destroy(mixer->bridge);
        status = PJ_ETOOMANY;
        goto failed;
    }
    ss_object_acquire(*handle, SS_T_MIXER);     /* the thread's own */
    pthread_mutex_lock(&registry.lock);
    mixer->next = registry.first;
    registry.first = mixer;
    pthread_mutex_unlock(&registry.lock);
    status = start_thread(mixer);
    if (status == PJ_SUCCESS)
        return PJ_SUCCESS;
    ss_object_close(*handle);
    *handle = 0;
    pthread_mutex_lock(&mixer->lock);
    teardown(mixer);
    return status;
failed:
    destroy_mixer(&mixer->object);
    return status;
}

/* A live mixer, locked; NULL when it is dead or dying. */
static ss_mixer *enter(ss_handle handle)
{
    ss_mixer *mixer = ss_object_acquire(handle, SS_T_MIXER);

    if (!mixer)
        return NULL;
    pthread_mutex_lock(&mixer->lock);
    if (!mixer->quit && !mixer->closing)
        return mixer;
    pthread_mutex_unlock(&mixer->lock);
    ss_object_release(mixer);
    return NULL;
}

static void leave(ss_mixer *mixer)
{
    pthread_mutex_unlock(&mixer->lock);
    ss_object_release(mixer);
}

/* ---- ports ---------------------------------------------------------------------------------------------------- */

pj_status_t ss_mixer_add_port(ss_handle handle, pj_pool_t *pool, pjmedia_port *port, const char *name, unsigned *slot)
{
    ss_mixer *mixer = enter(handle);
    pj_str_t label = { (char *)name, (pj_ssize_t)strlen(name) };
    struct timespec deadline = as_timespec(now_ns() + FULL_WAIT_NS);
    removal *removal;
    pj_status_t status;
    int waits = 0;

    if (!mixer)
        return PJ_EGONE;
    removal = calloc(1, sizeof *removal);
    if (!removal) {
        SS_COUNT(out_of_memory);
        leave(mixer);
        return PJ_ENOMEM;
    }
    for (;;) {
        if (mixer->quit || mixer->closing) {
            status = PJ_EGONE;
            break;
        }
        status = mixer->busy < mixer->slot_count ? pjmedia_conf_add_port(mixer->bridge, pool, port, &label, slot)
                                                 : PJ_ETOOMANY;
        if (status != PJ_ETOOMANY)
            break;
        /* Slots that wait for their removal are free in a frame or two; that wait is not for the clock itself. */
        if (mixer->used >= mixer->slot_count || current == mixer || waits == FULL_WAITS)
            break;
        if (pthread_cond_timedwait(&mixer->changed, &mixer->lock, &deadline) == ETIMEDOUT) {
            waits++;
            deadline = as_timespec(now_ns() + FULL_WAIT_NS);
        }
    }
    if (status == PJ_SUCCESS) {
        memset(&mixer->slots[*slot], 0, sizeof mixer->slots[*slot]);
        mixer->slots[*slot].state = SLOT_ADDING;
        mixer->slots[*slot].removal = removal;
        mixer->used++;
        if (*slot > mixer->top)
            mixer->top = *slot;
        if (mixer->busy++ == 0)
            pthread_cond_signal(&mixer->wake);
    } else
        free(removal);
    leave(mixer);
    return status;
}

void ss_mixer_remove_port(ss_handle handle, unsigned slot, void (*done)(void *user), void *user)
{
    ss_mixer *mixer;
    int waits = 0;

    /* By the registry, not the object table: a dying mixer is out of the table while its clock may still run the port. */
    pthread_mutex_lock(&registry.lock);
    for (mixer = registry.first; mixer && mixer->object.handle != handle; mixer = mixer->next)
        ;
    if (mixer) {
        pthread_mutex_lock(&mixer->lock);
        if (slot > 0 && slot <= mixer->slot_count && mixer->slots[slot].state != SLOT_FREE && !mixer->slots[slot].removal->completion.done) {
            mixer_slot *entry = &mixer->slots[slot];

            waits = 1;
            entry->removal->completion = (completion){ done, user };
            mixer->used--;
            for (unsigned other = 0; other <= mixer->top; other++) {
                if (is_connected(mixer, slot, other))
                    set_connected(mixer, slot, other, 0);
                if (is_connected(mixer, other, slot))
                    set_connected(mixer, other, slot, 0);
            }
            if (mixer->closing)
                ;                       /* teardown() completes it */
            else if (entry->state == SLOT_ADDING)
                entry->remove_wanted = 1;
            else
                start_removal(mixer, slot);
        }
        pthread_mutex_unlock(&mixer->lock);
    }
    pthread_mutex_unlock(&registry.lock);
    if (!waits)
        done(user);
}

static pj_status_t set_level(ss_mixer *mixer, unsigned slot, int percent,
                             pj_status_t (*adjust)(pjmedia_conf *, unsigned, int))
{
    if (percent < 0)
        return PJ_SUCCESS;
    if (percent > MAX_PERCENT)
        percent = MAX_PERCENT;
    return adjust(mixer->bridge, slot, (percent * NORMAL_LEVEL + 50) / 100 - NORMAL_LEVEL);
}

pj_status_t ss_mixer_adjust_slot(ss_handle handle, unsigned slot, int tx_percent, int rx_percent)
{
    ss_mixer *mixer = enter(handle);
    pj_status_t status = PJ_EINVAL;

    if (!mixer)
        return PJ_EGONE;
    if (is_usable(mixer, slot)) {
        status = set_level(mixer, slot, tx_percent, pjmedia_conf_adjust_tx_level);
        if (status == PJ_SUCCESS)
            status = set_level(mixer, slot, rx_percent, pjmedia_conf_adjust_rx_level);
    }
    leave(mixer);
    return status;
}

pj_status_t ss_mixer_format(ss_handle handle, unsigned *clock_rate, unsigned *samples_per_frame)
{
    ss_mixer *mixer = enter(handle);

    if (!mixer)
        return PJ_EGONE;
    *clock_rate = mixer->sample_rate;
    *samples_per_frame = mixer->samples_per_frame;
    leave(mixer);
    return PJ_SUCCESS;
}

const int *ss_mixer_source_counter(ss_handle handle, unsigned slot)
{
    ss_mixer *mixer = enter(handle);
    const int *counter;

    if (!mixer)
        return NULL;
    counter = is_usable(mixer, slot) ? &mixer->slots[slot].sources : NULL;
    leave(mixer);
    return counter;
}

pj_status_t ss_mixer_on_unheard(ss_handle handle, unsigned slot, void (*skip)(void *user), void *user)
{
    ss_mixer *mixer = enter(handle);
    pj_status_t status = PJ_EINVAL;

    if (!mixer)
        return PJ_EGONE;
    if (is_usable(mixer, slot) && !mixer->slots[slot].skip.done) {
        mixer->slots[slot].skip = (completion){ skip, user };
        mixer->skippers++;
        status = PJ_SUCCESS;
    }
    leave(mixer);
    return status;
}

pj_status_t ss_mixer_on_heard(ss_handle handle, unsigned slot, void (*heard)(void *user), void *user)
{
    ss_mixer *mixer = enter(handle);
    pj_status_t status = PJ_EINVAL;

    if (!mixer)
        return PJ_EGONE;
    if (is_usable(mixer, slot)) {
        mixer->slots[slot].heard = (completion){ heard, user };
        status = PJ_SUCCESS;
    }
    leave(mixer);
    return status;
}

/* ---- connections and levels ------------------------------------------------------------------------------------ */

static pj_status_t change_connection(ss_handle handle, unsigned source, unsigned sink, int connect)
{
    ss_mixer *mixer = enter(handle);
    pj_status_t status = PJ_SUCCESS;

    if (!mixer)
        return PJ_EGONE;
    if (!is_usable(mixer, source) || !is_usable(mixer, sink)) {
        status = PJ_EINVAL;
    } else if (is_connected(mixer, source, sink) != connect) {
        if (connect && mixer->slots[source].sinks == 0 && mixer->slots[source].heard.done)
            mixer->slots[source].heard.done(mixer->slots[source].heard.user);
        status = connect ? pjmedia_conf_connect_port(mixer->bridge, source, sink, 0)
                         : pjmedia_conf_disconnect_port(mixer->bridge, source, sink);
        if (status == PJ_SUCCESS)
            set_connected(mixer, source, sink, connect);
    }
    leave(mixer);
    return status;
}

pj_status_t ss_mixer_connect(ss_handle handle, unsigned source, unsigned sink)
{
    return change_connection(handle, source, sink, 1);
}

pj_status_t ss_mixer_disconnect(ss_handle handle, unsigned source, unsigned sink)
{
    return change_connection(handle, source, sink, 0);
}

unsigned ss_mixer_connections(ss_handle handle, uint32_t *pairs, unsigned max)
{
    ss_mixer *mixer = enter(handle);
    unsigned count = 0;

    if (!mixer)
        return 0;
    for (unsigned source = 0; source <= mixer->top; source++) {
        if (mixer->slots[source].state == SLOT_FREE)
            continue;
        for (unsigned sink = 0; sink <= mixer->top; sink++) {
            if (is_connected(mixer, source, sink) && count++ < max)
                pairs[count - 1] = source << 16 | sink;
        }
    }
    leave(mixer);
    return count;
}

pj_status_t ss_mixer_signal_level(ss_handle handle, unsigned slot, unsigned *tx, unsigned *rx)
{
    ss_mixer *mixer = enter(handle);
    pj_status_t status = PJ_EINVAL;

    if (!mixer)
        return PJ_EGONE;
    if (is_usable(mixer, slot))
        status = pjmedia_conf_get_signal_level(mixer->bridge, slot, tx, rx);
    leave(mixer);
    return status;
}

/* ---- devices --------------------------------------------------------------------------------------------------- */

pj_status_t ss_mixer_set_devices(ss_handle handle, const char *input, const char *output, unsigned ec_tail_ms)
{
    ss_mixer *mixer = enter(handle);
    struct timespec deadline = as_timespec(now_ns() + DEVICE_WAIT_NS);
    pj_status_t status = PJ_SUCCESS;
    unsigned number;

    if (!mixer)
        return PJ_EGONE;
    set_device_names(mixer, input, output, ec_tail_ms);
    number = ++mixer->wanted;
    pthread_cond_signal(&mixer->wake);
    if (current != mixer) {
        while ((int)(mixer->applied - number) < 0 && status == PJ_SUCCESS) {
            if (mixer->quit || mixer->closing)
                status = PJ_EGONE;
            else if (pthread_cond_timedwait(&mixer->changed, &mixer->lock, &deadline) == ETIMEDOUT)
                status = PJ_ETIMEDOUT;
        }
        if (status == PJ_SUCCESS)
            status = mixer->device_status;
    }
    leave(mixer);
    return status;
}

void ss_mixer_reset_ec(ss_handle handle)
{
    ss_mixer *mixer = enter(handle);

    if (!mixer)
        return;
    if (mixer->sound)
        ss_sound_reset_ec(mixer->sound);
    leave(mixer);
}

unsigned ss_mixer_directions(ss_handle handle)
{
    ss_mixer *mixer = enter(handle);
    unsigned directions;

    if (!mixer)
        return 0;
    if (mixer->device_tried)
        directions = (unsigned)mixer->directions;
    else
        directions = (mixer->has_input ? SS_INPUT : 0) | (mixer->has_output ? SS_OUTPUT : 0);
    leave(mixer);
    return directions;
}

unsigned ss_mixer_used_slots(ss_handle handle)
{
    ss_mixer *mixer = enter(handle);
    unsigned used;

    if (!mixer)
        return 0;
    used = mixer->used;
    leave(mixer);
    return used;
}

uint64_t ss_mixer_ticks(ss_handle handle)
{
    ss_mixer *mixer = enter(handle);
    uint64_t ticks;

    if (!mixer)
        return 0;
    ticks = __atomic_load_n(&mixer->ticks, __ATOMIC_RELAXED);
    leave(mixer);
    return ticks;
}
