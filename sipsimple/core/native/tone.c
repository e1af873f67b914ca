/*
 * The tone generator: PJMEDIA's, inside a port of ours that notices when the tones are over. An object is what lives between start
 * and stop; references and lifetime as in wave.c.
 */
#include "tone.h"

#include <pthread.h>
#include <string.h>

#include <pjlib.h>
#include <pjmedia.h>

#include "events.h"
#include "mixer.h"

#define SIGNATURE PJMEDIA_SIG_CLASS_PORT_AUD('S', 'T')

typedef struct tone {
    ss_object object;
    pjmedia_port port;
    pj_pool_t *pool;
    pjmedia_port *generator;
    ss_handle mixer;
    unsigned slot;
    int in_bridge;                      /* atomic: its removal is claimed by who clears it */
    pthread_mutex_t lock;
    int playing;                        /* tones were given and their end is not reported */
    int closed;
    size_t frame_bytes;
    int16_t *scratch;                   /* for frames that nobody hears */
} tone;

/* Locked. `last`: no further event follows. */
static void report_end(tone *self, int last)
{
    if (self->playing || last)
        ss_post_num(SS_EV_TONE_FINISHED, self->object.handle, self->playing, last);
    self->playing = 0;
}

/* callback: pjmedia_port get_frame | thread: clock | gil: no | locks: tone | lifetime: the bridge's reference */
static pj_status_t tone_get_frame(pjmedia_port *port, pjmedia_frame *frame)
{
    tone *self = port->port_data.pdata;
    pj_status_t status;

    pthread_mutex_lock(&self->lock);
    status = pjmedia_port_get_frame(self->generator, frame);
    if (!pjmedia_tonegen_is_busy(self->generator))
        report_end(self, 0);
    pthread_mutex_unlock(&self->lock);
    return status;
}

/* callback: ss_mixer unheard | thread: clock | gil: no | locks: tone | lifetime: the bridge's reference */
static void tone_skip(void *user)
{
    tone *self = user;
    pjmedia_frame frame = { .buf = self->scratch, .size = self->frame_bytes };

    tone_get_frame(&self->port, &frame);
}

static pj_status_t tone_on_destroy(pjmedia_port *port)
{
    tone *self = port->port_data.pdata;
    pj_pool_t *pool = self->pool;

    if (self->generator)
        pjmedia_port_destroy(self->generator);
    pthread_mutex_destroy(&self->lock);
    pj_pool_release(pool);
    return PJ_SUCCESS;
}

static void tone_destroy(ss_object *object)
{
    pjmedia_port_destroy(&((tone *)object)->port);
}

static void tone_kill(ss_object *object)
{
    tone *self = (tone *)object;

    pthread_mutex_lock(&self->lock);
    if (!self->closed) {
        self->closed = 1;
        pjmedia_tonegen_stop(self->generator);
        report_end(self, 1);
    }
    pthread_mutex_unlock(&self->lock);
    if (__atomic_exchange_n(&self->in_bridge, 0, __ATOMIC_ACQ_REL))
        ss_mixer_remove_port(self->mixer, self->slot, ss_object_release, self);
}

pj_status_t ss_tone_start(ss_handle mixer, unsigned volume_percent, ss_handle *handle, unsigned *slot)
{
    pj_str_t name = { "tone", 4 };
    unsigned clock_rate, samples_per_frame;
    pj_pool_t *pool;
    tone *self;
    void *alive;
    pj_status_t status = ss_mixer_format(mixer, &clock_rate, &samples_per_frame);

    if (status != PJ_SUCCESS)
        return status;
    pool = ss_pool_create("tone", 2000, 2000);
    if (!pool)
        return PJ_ENOMEM;
    self = PJ_POOL_ZALLOC_T(pool, tone);
    self->pool = pool;
    self->mixer = mixer;
    self->port.port_data.pdata = self;
    self->port.get_frame = tone_get_frame;
    self->port.on_destroy = tone_on_destroy;
    self->object.kill = tone_kill;
    self->object.destroy = tone_destroy;
    self->frame_bytes = samples_per_frame * sizeof *self->scratch;
    self->scratch = pj_pool_calloc(pool, samples_per_frame, sizeof *self->scratch);
    pthread_mutex_init(&self->lock, NULL);
    status = pjmedia_port_info_init(&self->port.info, &name, SIGNATURE, clock_rate, 1, 16, samples_per_frame);
    if (status == PJ_SUCCESS)
        status = pjmedia_tonegen_create(pool, clock_rate, 1, samples_per_frame, 16, 0, &self->generator);
    if (status == PJ_SUCCESS) {
        *handle = ss_object_register(&self->object, SS_T_TONE);
        if (!*handle)
            status = PJ_ETOOMANY;
    }
    if (status != PJ_SUCCESS) {
        pjmedia_port_destroy(&self->port);
        return status;
    }
    ss_object_acquire(*handle, SS_T_TONE);      /* the bridge's */
    status = ss_mixer_add_port(mixer, pool, &self->port, "tone", &self->slot);
    if (status != PJ_SUCCESS) {
        self->closed = 1;               /* nobody waits for its events */
        ss_object_release(self);
        ss_object_close(*handle);
        *handle = 0;
        return status;
    }
    *slot = self->slot;
    ss_mixer_adjust_slot(mixer, self->slot, -1, (int)volume_percent);
    ss_mixer_on_unheard(mixer, self->slot, tone_skip, self);
    __atomic_store_n(&self->in_bridge, 1, __ATOMIC_SEQ_CST);
    /* The Engine may have stopped while the port was on its way into the bridge. */
    alive = ss_object_acquire(*handle, SS_T_TONE);
    if (alive)
        ss_object_release(alive);
    else
        tone_kill(&self->object);
    return PJ_SUCCESS;
}

pj_status_t ss_tone_play(ss_handle handle, const ss_tone_spec *tones, unsigned count)
{
    pjmedia_tone_desc descriptions[SS_TONE_MAX_COUNT];
    tone *self;
    pj_status_t status;

    if (count == 0)
        return PJ_SUCCESS;
    if (count > SS_TONE_MAX_COUNT)
        return PJ_ETOOMANY;
    memset(descriptions, 0, sizeof descriptions);
    for (unsigned i = 0; i < count; i++) {
        if (tones[i].on_ms > SS_TONE_MAX_MS || tones[i].off_ms > SS_TONE_MAX_MS || tones[i].freq1 > INT16_MAX ||
            tones[i].freq2 > INT16_MAX || tones[i].on_ms + tones[i].off_ms == 0)
            return PJ_EINVAL;
        descriptions[i].freq1 = (short)tones[i].freq1;
        descriptions[i].freq2 = (short)tones[i].freq2;
        descriptions[i].on_msec = (short)tones[i].on_ms;
        descriptions[i].off_msec = (short)tones[i].off_ms;
    }
    self = ss_object_acquire(handle, SS_T_TONE);
    if (!self)
        return PJ_EGONE;
    pthread_mutex_lock(&self->lock);
    status = self->closed ? PJ_EGONE : pjmedia_tonegen_play(self->generator, count, descriptions, 0);
    if (status == PJ_SUCCESS)
        self->playing = 1;
    pthread_mutex_unlock(&self->lock);
    ss_object_release(self);
    return status;
}

pj_status_t ss_tone_play_digit(ss_handle handle, char digit, unsigned on_ms, unsigned off_ms)
{
    /* ITU-T Q.23 */
    static const char digits[] = "123A456B789C*0#D";
    static const unsigned low[] = { 697, 770, 852, 941 }, high[] = { 1209, 1336, 1477, 1633 };
    const char *place = digit ? strchr(digits, digit) : NULL;
    ss_tone_spec spec = { .on_ms = on_ms, .off_ms = off_ms };

    if (!place)
        return PJMEDIA_RTP_EINDTMF;
    spec.freq1 = low[(place - digits) / 4];
    spec.freq2 = high[(place - digits) % 4];
    return ss_tone_play(handle, &spec, 1);
}

pj_status_t ss_tone_set_volume(ss_handle handle, unsigned volume_percent)
{
    tone *self = ss_object_acquire(handle, SS_T_TONE);
    pj_status_t status;

    if (!self)
        return PJ_EGONE;
    status = ss_mixer_adjust_slot(self->mixer, self->slot, -1, (int)volume_percent);
    ss_object_release(self);
    return status;
}

int ss_tone_is_busy(ss_handle handle)
{
    tone *self = ss_object_acquire(handle, SS_T_TONE);
    int busy;

    if (!self)
        return 0;
    pthread_mutex_lock(&self->lock);
    busy = self->playing;
    pthread_mutex_unlock(&self->lock);
    ss_object_release(self);
    return busy;
}
