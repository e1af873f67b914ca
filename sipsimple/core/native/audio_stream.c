/*
 * Audio streams. PJMEDIA's stream and its way into transport and bridge are in leg.c; here is what Python sees: start and stop, SDP,
 * direction, the watch for missing packets.
 */
#include "audio_stream.h"

#include <stdlib.h>
#include <string.h>

#include <pjsip.h>

#include "engine.h"
#include "events.h"
#include "leg.h"
#include "mixer.h"

#define NAME_SIZE 32
#define MAX_DIGITS 32                   /* as many as PJMEDIA queues */

/* What makes a stream that must be built anew when it changes. */
typedef struct format {
    char name[NAME_SIZE];
    unsigned clock_rate, tx_pt, rx_pt, frames_per_packet;
    int tx_event_pt, rx_event_pt;
} format;

typedef struct ss_audio {
    ss_object object;
    pj_pool_t *pool;
    ss_rtp *rtp;                        /* a reference */
    ss_handle mixer;
    char *codecs;
    int detect_silence;
    pthread_mutex_t lock;               /* what follows */
    int started, ended;
    ss_leg *leg;
    format format;
    pjmedia_dir direction;
    unsigned volume;
    unsigned timeout_ms;
    pj_timer_entry timer;               /* holds a reference while it runs */
    int timer_runs, watched;
    unsigned last_packets;
    int renewed;                        /* the leg is being replaced */
    char digits[MAX_DIGITS];            /* those that the leg was given, or the next one gets, and may not have begun to send */
    unsigned digit_count, digits_begun; /* how many; and how many the leg has begun, by what we know */
} ss_audio;

/* ---- stream parameters ------------------------------------------------------------------------------------------------ */

static pjmedia_dir media_direction(const pjmedia_sdp_session *sdp, unsigned index)
{
    static const struct { const char *name; pjmedia_dir direction; } known[] = {
        { "sendrecv", PJMEDIA_DIR_ENCODING_DECODING }, { "sendonly", PJMEDIA_DIR_ENCODING }, { "recvonly", PJMEDIA_DIR_DECODING },
        { "inactive", PJMEDIA_DIR_NONE } };
    const pjmedia_sdp_media *media = sdp->media[index];

    for (unsigned i = 0; i < PJ_ARRAY_SIZE(known); i++) {
        if (pjmedia_sdp_media_find_attr2(media, known[i].name, NULL))
            return known[i].direction;
    }
    for (unsigned i = 0; i < PJ_ARRAY_SIZE(known); i++) {
        if (pjmedia_sdp_attr_find2(sdp->attr_count, sdp->attr, known[i].name, NULL))
            return known[i].direction;
    }
    return PJMEDIA_DIR_ENCODING_DECODING;
}

static pj_status_t stream_info(const ss_audio *self, pj_pool_t *pool, pjmedia_sdp_session *local, const pjmedia_sdp_session *remote,
                               unsigned index, pjmedia_stream_info *info, format *result)
{
    pj_status_t status;

    if (!local->media[index]->desc.port || !remote->media[index]->desc.port)
        return PJMEDIA_SDPNEG_ENOMEDIA;
    ss_sdp_narrow(pool, local->media[index], remote->media[index]);
    status = pjmedia_stream_info_from_sdp(info, pool, ss_media_endpoint(), local, remote, index);
    if (status != PJ_SUCCESS)
        return status;
    if (!info->param)
        return PJMEDIA_EINVALIMEDIATYPE;
    /* Both directions exist, and are paused as needed: so a change of direction never needs a new stream. */
    info->dir = PJMEDIA_DIR_ENCODING_DECODING;
    info->fmt.channel_cnt = 1;          /* bridge ports are mono */
    info->param->info.channel_cnt = 1;
    info->param->setting.vad = self->detect_silence != 0;
    info->param->setting.plc = 1;
#if defined(PJMEDIA_STREAM_ENABLE_KA) && PJMEDIA_STREAM_ENABLE_KA
    info->use_ka = PJ_FALSE;
    pjmedia_stream_ka_config_default(&info->ka_cfg);        /* from SDP it is all zero: a flood, once switched on */
#endif
    memset(&info->rem_cname, 0, sizeof info->rem_cname);    /* in a pool that ends before the stream */
    memset(result, 0, sizeof *result);
    pj_ansi_snprintf(result->name, sizeof result->name, "%.*s", (int)info->fmt.encoding_name.slen, info->fmt.encoding_name.ptr);
    result->clock_rate = info->fmt.clock_rate;
    result->tx_pt = info->tx_pt;
    result->rx_pt = info->rx_pt;
    result->frames_per_packet = info->param->setting.frm_per_pkt;
    result->tx_event_pt = info->tx_event_pt;
    result->rx_event_pt = info->rx_event_pt;
    return PJ_SUCCESS;
}

/* ---- the watch for missing packets ---------------------------------------------------------------------------------- */

static int schedule(ss_audio *self)
{
    pj_time_val delay = { self->timeout_ms / 1000, self->timeout_ms % 1000 };

    return ss_endpoint() && pjsip_endpt_schedule_timer(ss_endpoint(), &self->timer, &delay) == PJ_SUCCESS;
}

/* callback: pj_timer | thread: worker | gil: no | locks: none | lifetime: the timer's reference */
static void on_timer(pj_timer_heap_t *heap, pj_timer_entry *entry)
{
    ss_audio *self = entry->user_data;
    int silent = 0, runs;
    unsigned packets;

    (void)heap;
    pthread_mutex_lock(&self->lock);
    if (self->timer_runs && self->leg) {
        packets = __atomic_load_n(&self->leg->packets, __ATOMIC_RELAXED);
        silent = self->watched && packets == self->last_packets;
        self->last_packets = packets;
        self->watched = self->direction == PJMEDIA_DIR_ENCODING_DECODING;
        self->timer_runs = schedule(self);
    } else {
        self->timer_runs = 0;
    }
    runs = self->timer_runs;
    pthread_mutex_unlock(&self->lock);
    if (silent)
        ss_post_num(SS_EV_AUDIO_TIMEOUT, self->object.handle, 0, 0);
    if (!runs)
        ss_object_release(self);
}

/* Locked. */
static void start_timer(ss_audio *self)
{
    if (!self->timeout_ms || !ss_object_acquire(self->object.handle, SS_T_AUDIO_STREAM))
        return;
    pj_timer_entry_init(&self->timer, 0, self, on_timer);
    self->watched = self->direction == PJMEDIA_DIR_ENCODING_DECODING;
    self->timer_runs = schedule(self);
    if (!self->timer_runs)
        ss_object_release(self);        /* the caller has one of its own */
}

/* Locked. 1 = the timer's reference is the caller's to give back. */
static int stop_timer(ss_audio *self)
{
    if (!self->timer_runs)
        return 0;
    self->timer_runs = 0;
    /* When the heap has taken it out already, on_timer() waits for the lock, and then gives the reference back. */
    return ss_endpoint() && pj_timer_heap_cancel(pjsip_endpt_get_timer_heap(ss_endpoint()), &self->timer) > 0;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

static void stop(ss_audio *self)
{
    ss_leg *leg;
    int first, held;

    pthread_mutex_lock(&self->lock);
    first = !self->ended;
    self->ended = 1;
    self->renewed = 0;
    leg = self->leg;
    self->leg = NULL;
    held = stop_timer(self);
    pthread_mutex_unlock(&self->lock);
    if (leg) {
        pthread_mutex_lock(&self->rtp->ops);
        ss_leg_cut(leg);
        pthread_mutex_unlock(&self->rtp->ops);
        ss_leg_leave_bridge(leg);
    }
    if (first)
        ss_rtp_media_stop(self->rtp);
    if (held)
        ss_object_release(self);
}

static void audio_kill(ss_object *object)
{
    stop((ss_audio *)object);
}

static void audio_destroy(ss_object *object)
{
    ss_audio *self = (ss_audio *)object;

    ss_object_release(self->rtp);
    pthread_mutex_destroy(&self->lock);
    free(self->codecs);
    pj_pool_release(self->pool);
}

pj_status_t ss_audio_create(ss_handle rtp_handle, ss_handle mixer, const char *codecs, int detect_silence, ss_handle *handle)
{
    ss_rtp *rtp = ss_object_acquire(rtp_handle, SS_T_RTP_TRANSPORT);
    pj_pool_t *pool;
    ss_audio *self;

    if (!rtp)
        return PJ_EGONE;
    pool = ss_pool_create("audio", 800, 400);
    if (!pool) {
        ss_object_release(rtp);
        return PJ_ENOMEM;
    }
    self = PJ_POOL_ZALLOC_T(pool, ss_audio);
    self->pool = pool;
    self->rtp = rtp;
    self->mixer = mixer;
    self->codecs = codecs ? strdup(codecs) : NULL;
    self->detect_silence = detect_silence;
    self->volume = 100;
    pthread_mutex_init(&self->lock, NULL);
    self->object.kill = audio_kill;
    self->object.destroy = audio_destroy;
    *handle = ss_object_register(&self->object, SS_T_AUDIO_STREAM);
    if (*handle)
        return PJ_SUCCESS;
    audio_destroy(&self->object);
    return PJ_ETOOMANY;
}

/* ---- SDP ------------------------------------------------------------------------------------------------------------ */

pj_status_t ss_audio_local_media(ss_handle handle, const char *remote_text, size_t remote_length, unsigned index, const char *direction,
                                 char **text, size_t *length)
{
    ss_audio *self = ss_object_acquire(handle, SS_T_AUDIO_STREAM);
    pj_pool_t *pool;
    pjmedia_sdp_session *local, *remote = NULL;
    pjmedia_sdp_media *media;
    pjmedia_sock_info info;
    pj_status_t status = PJ_SUCCESS;

    if (!self)
        return PJ_EGONE;
    pool = ss_pool_create("sdp", 8000, 4000);
    pthread_mutex_lock(&self->rtp->ops);
    if (!ss_media_endpoint())
        status = PJ_EGONE;
    if (status == PJ_SUCCESS && remote_text)
        status = ss_sdp_parse_remote(pool, remote_text, remote_length, index, self->rtp->params.use_ice, &remote);
    if (status == PJ_SUCCESS)
        status = ss_rtp_sock_info(self->rtp, &info);
    if (status == PJ_SUCCESS)
        status = ss_sdp_audio_media(pool, self->codecs, direction, &info, &media);
    if (status == PJ_SUCCESS) {
        local = ss_sdp_wrap(pool, media, index);
        status = ss_rtp_encode(self->rtp, pool, local, remote, index);
    }
    pthread_mutex_unlock(&self->rtp->ops);
    if (status == PJ_SUCCESS)
        status = ss_sdp_print(local, text, length);
    pj_pool_release(pool);
    ss_object_release(self);
    return status;
}

/* ---- start, update ---------------------------------------------------------------------------------------------------- */

/* Locked, with a leg. */
static void apply_direction(ss_audio *self)
{
    pjmedia_dir off = PJMEDIA_DIR_ENCODING_DECODING & ~self->direction;
    const pjmedia_stream_common *stream = (const pjmedia_stream_common *)self->leg->stream;

    /* Pausing what is paused, or resuming what runs, would clear the jitter buffer or mute its start. */
    if ((off & PJMEDIA_DIR_ENCODING) && !stream->enc->paused)
        pjmedia_stream_pause(self->leg->stream, PJMEDIA_DIR_ENCODING);
    if ((off & PJMEDIA_DIR_DECODING) && !stream->dec->paused)
        pjmedia_stream_pause(self->leg->stream, PJMEDIA_DIR_DECODING);
    if ((self->direction & PJMEDIA_DIR_ENCODING) && stream->enc->paused)
        pjmedia_stream_resume(self->leg->stream, PJMEDIA_DIR_ENCODING);
    if ((self->direction & PJMEDIA_DIR_DECODING) && stream->dec->paused)
        pjmedia_stream_resume(self->leg->stream, PJMEDIA_DIR_DECODING);
    if (self->direction != PJMEDIA_DIR_ENCODING_DECODING)
        self->watched = 0;
}

/* ---- digits --------------------------------------------------------------------------------------------------------- */

/* Locked. */
static void forget_begun_digits(ss_audio *self, const ss_leg *leg)
{
    unsigned total = __atomic_load_n(&leg->digits_begun, __ATOMIC_ACQUIRE), begun = total - self->digits_begun;

    if (begun > self->digit_count)
        begun = self->digit_count;
    self->digit_count -= begun;
    memmove(self->digits, self->digits + begun, self->digit_count);
    self->digits_begun = total;
}

/* Locked, with a new leg: what the one before has not begun to send is sent by this one. */
static void send_waiting_digits(ss_audio *self)
{
    pj_str_t text = { self->digits, self->digit_count };

    self->digits_begun = 0;
    if (self->digit_count && pjmedia_stream_dial_dtmf(self->leg->stream, &text) != PJ_SUCCESS)
        self->digit_count = 0;
}

/* The new leg is in the bridge: make it the audio's, unless that was stopped in the meantime. */
static pj_status_t publish(ss_audio *self, ss_leg *leg, const format *format, pjmedia_dir direction, int initial, unsigned timeout_ms)
{
    int late;

    pthread_mutex_lock(&self->lock);
    late = self->ended;
    if (!late) {
        self->leg = leg;
        self->format = *format;
        self->direction = direction;
        self->last_packets = 0;
        self->renewed = 0;
        apply_direction(self);
        send_waiting_digits(self);
        if (initial) {
            self->timeout_ms = timeout_ms;
            start_timer(self);
        }
    }
    pthread_mutex_unlock(&self->lock);
    if (!late)
        return PJ_SUCCESS;
    ss_rtp_media_stop(self->rtp);       /* cuts the leg off */
    ss_leg_leave_bridge(leg);
    return PJ_EINVALIDOP;
}

pj_status_t ss_audio_start(ss_handle handle, const char *local_text, size_t local_length, const char *remote_text, size_t remote_length,
                           unsigned index, unsigned timeout_ms)
{
    ss_audio *self = ss_object_acquire(handle, SS_T_AUDIO_STREAM);
    pj_pool_t *pool;
    pjmedia_sdp_session *local, *remote;
    pjmedia_stream_info info;
    format format;
    ss_leg *leg = NULL;
    pj_status_t status;
    int refused;

    if (!self)
        return PJ_EGONE;
    pthread_mutex_lock(&self->lock);
    refused = self->started || self->ended;
    self->started = 1;
    pthread_mutex_unlock(&self->lock);
    if (refused) {
        ss_object_release(self);
        return PJ_EINVALIDOP;
    }
    pool = ss_pool_create("sdp", 16000, 8000);
    pthread_mutex_lock(&self->rtp->ops);
    status = ss_media_endpoint() ? ss_sdp_parse(pool, local_text, local_length, index, &local) : PJ_EGONE;
    if (status == PJ_SUCCESS)
        status = ss_sdp_parse_remote(pool, remote_text, remote_length, index, self->rtp->params.use_ice, &remote);
    if (status == PJ_SUCCESS)
        status = stream_info(self, pool, local, remote, index, &info, &format);
    if (status == PJ_SUCCESS)
        status = ss_rtp_media_start(self->rtp, pool, local, remote, index, 1);
    if (status == PJ_SUCCESS)
        status = ss_leg_start(self->rtp, self->mixer, &info, handle, &leg);
    pthread_mutex_unlock(&self->rtp->ops);
    if (status == PJ_SUCCESS)
        status = ss_leg_enter_bridge(leg, self->volume);
    if (status == PJ_SUCCESS)
        status = publish(self, leg, &format, media_direction(local, index), 1, timeout_ms);
    if (status != PJ_SUCCESS) {
        pthread_mutex_lock(&self->lock);
        self->started = 0;              /* may be tried again with better SDPs */
        pthread_mutex_unlock(&self->lock);
    }
    pj_pool_release(pool);
    ss_object_release(self);
    return status;
}

/* Let the new slot be connected as the old one is. */
static void take_over_connections(ss_handle mixer, unsigned old_slot, unsigned new_slot)
{
    unsigned room = 256, count;
    uint32_t *pairs = NULL;

    for (;;) {
        uint32_t *larger = realloc(pairs, room * sizeof *pairs);

        if (!larger) {
            free(pairs);
            return;
        }
        pairs = larger;
        count = ss_mixer_connections(mixer, pairs, room);
        if (count <= room)
            break;
        room = count + 64;
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned source = pairs[i] >> 16, sink = pairs[i] & 0xffff;

        if (source == old_slot)
            ss_mixer_connect(mixer, new_slot, sink == old_slot ? new_slot : sink);
        else if (sink == old_slot)
            ss_mixer_connect(mixer, source, new_slot);
    }
    free(pairs);
}

/* `leg` was taken out of the audio by the caller. */
static pj_status_t rebuild(ss_audio *self, ss_leg *leg, pj_pool_t *pool, pjmedia_sdp_session *local, pjmedia_sdp_session *remote,
                           unsigned index, const pjmedia_stream_info *info, const format *format)
{
    ss_leg *fresh = NULL;
    pj_status_t status;

    pthread_mutex_lock(&self->rtp->ops);
    ss_leg_cut(leg);
    status = ss_rtp_media_start(self->rtp, pool, local, remote, index, 0);
    if (status == PJ_SUCCESS)
        status = ss_leg_start(self->rtp, self->mixer, info, self->object.handle, &fresh);
    if (status == PJ_SUCCESS)
        ss_leg_succeed(leg, fresh);
    pthread_mutex_unlock(&self->rtp->ops);
    pthread_mutex_lock(&self->lock);
    forget_begun_digits(self, leg);
    pthread_mutex_unlock(&self->lock);
    if (status == PJ_SUCCESS)
        status = ss_leg_enter_bridge(fresh, self->volume);
    if (status == PJ_SUCCESS) {
        take_over_connections(leg->mixer, leg->slot, fresh->slot);
        status = publish(self, fresh, format, media_direction(local, index), 0, 0);
    }
    ss_leg_leave_bridge(leg);
    return status;
}

pj_status_t ss_audio_update(ss_handle handle, const char *local_text, size_t local_length, const char *remote_text, size_t remote_length,
                            unsigned index, int *rebuilt)
{
    ss_audio *self = ss_object_acquire(handle, SS_T_AUDIO_STREAM);
    pj_pool_t *pool;
    pjmedia_sdp_session *local, *remote;
    pjmedia_stream_info info;
    format format;
    ss_leg *leg = NULL;
    pj_status_t status;

    *rebuilt = 0;
    if (!self)
        return PJ_EGONE;
    pool = ss_pool_create("sdp", 16000, 8000);
    status = ss_media_endpoint() ? ss_sdp_parse(pool, local_text, local_length, index, &local) : PJ_EGONE;
    if (status == PJ_SUCCESS)
        status = ss_sdp_parse_remote(pool, remote_text, remote_length, index, self->rtp->params.use_ice, &remote);
    if (status == PJ_SUCCESS)
        status = stream_info(self, pool, local, remote, index, &info, &format);
    if (status == PJ_SUCCESS) {
        pthread_mutex_lock(&self->lock);
        if (!self->leg) {
            status = PJ_EINVALIDOP;
        } else if (memcmp(&format, &self->format, sizeof format) != 0) {
            leg = self->leg;
            self->leg = NULL;
            self->renewed = 1;
        }
        pthread_mutex_unlock(&self->lock);
    }
    if (status == PJ_SUCCESS && leg) {
        status = rebuild(self, leg, pool, local, remote, index, &info, &format);
        *rebuilt = status == PJ_SUCCESS;
        if (status != PJ_SUCCESS)
            stop(self);
    } else if (status == PJ_SUCCESS) {
        pthread_mutex_lock(&self->rtp->ops);
        status = ss_rtp_media_start(self->rtp, pool, local, remote, index, 0);
        if (status == PJ_SUCCESS && self->rtp->leg) {
            ss_leg_rebind(self->rtp->leg, &info.rem_addr, info.rtcp_mux ? &info.rem_addr : &info.rem_rtcp);
        }
        pthread_mutex_unlock(&self->rtp->ops);
        if (status == PJ_SUCCESS)
            status = ss_audio_set_direction(handle, media_direction(local, index));
    }
    pj_pool_release(pool);
    ss_object_release(self);
    return status;
}

/* ---- what a running stream does ---------------------------------------------------------------------------------------- */

/* The audio, locked and running, or NULL. */
static ss_audio *running(ss_handle handle)
{
    ss_audio *self = ss_object_acquire(handle, SS_T_AUDIO_STREAM);

    if (!self)
        return NULL;
    pthread_mutex_lock(&self->lock);
    if (self->leg)
        return self;
    pthread_mutex_unlock(&self->lock);
    ss_object_release(self);
    return NULL;
}

static void leave(ss_audio *self)
{
    pthread_mutex_unlock(&self->lock);
    ss_object_release(self);
}

void ss_audio_stop(ss_handle handle)
{
    ss_audio *self = ss_object_acquire(handle, SS_T_AUDIO_STREAM);

    if (self) {
        stop(self);
        ss_object_release(self);
    }
}

int ss_audio_is_over(ss_handle handle)
{
    ss_audio *self = ss_object_acquire(handle, SS_T_AUDIO_STREAM);
    int over;

    if (!self)
        return 1;
    pthread_mutex_lock(&self->lock);
    over = self->ended;
    pthread_mutex_unlock(&self->lock);
    ss_object_release(self);
    return over;
}

pj_status_t ss_audio_set_direction(ss_handle handle, pjmedia_dir direction)
{
    ss_audio *self = running(handle);

    if (!self)
        return PJ_EINVALIDOP;
    self->direction = direction;
    apply_direction(self);
    leave(self);
    return PJ_SUCCESS;
}

pj_status_t ss_audio_send_dtmf(ss_handle handle, char digit)
{
    ss_audio *self = ss_object_acquire(handle, SS_T_AUDIO_STREAM);
    pj_str_t text = { &digit, 1 };
    pj_status_t status = PJ_EINVALIDOP;

    if (!self)
        return PJ_EINVALIDOP;
    pthread_mutex_lock(&self->lock);
    if (self->leg) {
        forget_begun_digits(self, self->leg);
        status = pjmedia_stream_dial_dtmf(self->leg->stream, &text);
    } else if (self->renewed) {
        status = PJ_SUCCESS;
    }
    if (status == PJ_SUCCESS && self->digit_count < MAX_DIGITS)
        self->digits[self->digit_count++] = digit;
    pthread_mutex_unlock(&self->lock);
    ss_object_release(self);
    /* A peer without telephone-event, or too many digits in the queue: as if it had been lost on the way. */
    return status == PJMEDIA_RTP_EREMNORFC2833 || status == PJ_ETOOMANY ? PJ_SUCCESS : status;
}

pj_status_t ss_audio_set_volume(ss_handle handle, unsigned percent)
{
    ss_audio *self = ss_object_acquire(handle, SS_T_AUDIO_STREAM);
    ss_handle mixer = 0;
    unsigned slot = 0;
    pj_status_t status = PJ_SUCCESS;

    if (!self)
        return PJ_EGONE;
    pthread_mutex_lock(&self->lock);
    self->volume = percent;
    if (self->leg) {
        mixer = self->leg->mixer;
        slot = self->leg->slot;
    }
    pthread_mutex_unlock(&self->lock);
    if (mixer)
        status = ss_mixer_adjust_slot(mixer, slot, -1, (int)percent);
    ss_object_release(self);
    return status;
}

pj_status_t ss_audio_get_info(ss_handle handle, ss_audio_info *info)
{
    ss_audio *self = running(handle);

    memset(info, 0, sizeof *info);
    if (!self)
        return PJ_EINVALIDOP;
    memcpy(info->codec, self->format.name, sizeof info->codec);
    info->sample_rate = self->format.clock_rate;
    info->slot = self->leg->slot;
    info->direction = self->direction;
    leave(self);
    return PJ_SUCCESS;
}

static void copy_figures(ss_audio_figures *to, const pj_math_stat *from)
{
    *to = (ss_audio_figures){ from->n, from->max, from->min, from->last, from->mean };
}

static void copy_direction(ss_audio_direction_stat *to, const pjmedia_rtcp_stream_stat *from)
{
    to->packets = from->pkt;
    to->bytes = from->bytes;
    to->discarded = from->discard;
    to->lost = from->loss;
    to->reordered = from->reorder;
    to->duplicate = from->dup;
    to->burst_loss = from->loss_type.burst;
    to->random_loss = from->loss_type.random;
    copy_figures(&to->loss_period, &from->loss_period);
    copy_figures(&to->jitter, &from->jitter);
}

pj_status_t ss_audio_get_stat(ss_handle handle, ss_audio_stat *stat)
{
    ss_audio *self = running(handle);
    pjmedia_rtcp_stat figures;
    pj_status_t status;

    if (!self)
        return PJ_EINVALIDOP;
    status = pjmedia_stream_get_stat(self->leg->stream, &figures);
    leave(self);
    if (status != PJ_SUCCESS)
        return status;
    copy_figures(&stat->rtt, &figures.rtt);
    copy_direction(&stat->rx, &figures.rx);
    copy_direction(&stat->tx, &figures.tx);
    return PJ_SUCCESS;
}
