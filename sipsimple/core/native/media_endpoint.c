/*
 * The media endpoint of an engine run: PJMEDIA's worker and ioqueue, the event manager, the codecs.
 *
 * One worker thread: a second one raised CPU use at 900 legs from 96 % to 117 % of a core.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <pjlib.h>
#include <pjmedia.h>
#include <pjmedia-codec.h>

#include "mixer.h"
#include "rtp_transport.h"
#include "sound_devices.h"

#define WORKERS 1
#define MAX_CODECS PJMEDIA_CODEC_MGR_MAX_CODECS
#define FIRST_PRIORITY 250              /* 254 and 255 have meanings of their own */
#define USERS_END_MS 5000
#define OPUS_COMPLEXITY 5               /* 12 ms of CPU per second of audio; 10 costs 19, hardly to be heard in speech */

static struct {
    pjmedia_endpt *endpoint;            /* atomic */
    pjmedia_event_mgr *events;
    pj_pool_t *pool;
    unsigned runs;
} media;

pjmedia_endpt *ss_media_endpoint(void)
{
    return __atomic_load_n(&media.endpoint, __ATOMIC_ACQUIRE);
}

unsigned ss_media_generation(void)
{
    return ss_media_endpoint() ? __atomic_load_n(&media.runs, __ATOMIC_RELAXED) : 0;
}

/* ---- codecs --------------------------------------------------------------------------------------------------- */

/*
 * Stereo variants (of L16) are never offered: bridge ports are mono, and PJMEDIA would sum the channels. Opus says two channels
 * in SDP whatever it sends (RFC 7587 section 7).
 */
static int is_usable(const pjmedia_codec_info *info)
{
    return info->channel_cnt == 1 || pj_stricmp2(&info->encoding_name, "opus") == 0;
}

static unsigned list_codecs(pjmedia_codec_info *infos, unsigned *priorities)
{
    unsigned count = MAX_CODECS;
    pjmedia_endpt *endpoint = ss_media_endpoint();

    if (!endpoint ||
        pjmedia_codec_mgr_enum_codecs(pjmedia_endpt_get_codec_mgr(endpoint), &count, infos, priorities) != PJ_SUCCESS)
        return 0;
    return count;
}

static pj_status_t set_priority(const pjmedia_codec_info *info, unsigned priority)
{
    char text[64];
    pj_str_t id = { text, 0 };

    if (!pjmedia_codec_info_to_id(info, text, sizeof text))
        return PJ_ENAMETOOLONG;
    id.slen = (pj_ssize_t)strlen(text);
    return pjmedia_codec_mgr_set_codec_priority(pjmedia_endpt_get_codec_mgr(ss_media_endpoint()), &id, (pj_uint8_t)priority);
}

pj_status_t ss_codecs_set(const char *const *names, unsigned name_count)
{
    pjmedia_codec_info infos[MAX_CODECS];
    unsigned priorities[MAX_CODECS], order[MAX_CODECS];
    unsigned count = list_codecs(infos, priorities), chosen = 0;
    pj_status_t status = PJ_SUCCESS;

    if (!count)
        return PJ_EGONE;
    for (unsigned n = 0; n < name_count; n++) {
        unsigned first = chosen;

        for (unsigned i = 0; i < count; i++) {
            unsigned place;
            int taken = 0;

            if (!is_usable(&infos[i]) || pj_stricmp2(&infos[i].encoding_name, names[n]) != 0)
                continue;
            for (unsigned k = 0; k < chosen; k++)
                taken |= order[k] == i;
            if (taken)
                continue;
            /* Among the variants of one codec the higher clock rate comes first. */
            for (place = chosen; place > first && infos[order[place - 1]].clock_rate < infos[i].clock_rate; place--)
                order[place] = order[place - 1];
            order[place] = i;
            chosen++;
        }
        if (chosen == first)
            return PJ_ENOTFOUND;
    }
    for (unsigned i = 0; i < count && status == PJ_SUCCESS; i++) {
        unsigned priority = PJMEDIA_CODEC_PRIO_DISABLED;

        for (unsigned k = 0; k < chosen; k++) {
            if (order[k] == i)
                priority = FIRST_PRIORITY - k;
        }
        status = set_priority(&infos[i], priority);
    }
    return status;
}

size_t ss_codecs_list(int enabled_only, char *buffer, size_t size)
{
    pjmedia_codec_info infos[MAX_CODECS];
    unsigned priorities[MAX_CODECS];
    unsigned count = list_codecs(infos, priorities);
    size_t length = 0;

    for (unsigned i = 0; i < count; i++) {
        const pj_str_t *name = &infos[i].encoding_name;
        int known = 0;

        if (!is_usable(&infos[i]) || (enabled_only && priorities[i] == PJMEDIA_CODEC_PRIO_DISABLED))
            continue;
        for (unsigned k = 0; k < i; k++)
            known |= is_usable(&infos[k]) && pj_stricmp(&infos[k].encoding_name, name) == 0 &&
                     (!enabled_only || priorities[k] != PJMEDIA_CODEC_PRIO_DISABLED);
        if (known || length + (size_t)name->slen + 1 > size)
            continue;
        if (length)
            buffer[length++] = '\n';
        memcpy(buffer + length, name->ptr, (size_t)name->slen);
        length += (size_t)name->slen;
    }
    return length;
}

/* Mono, and an encoder that three hundred calls can afford. */
static pj_status_t configure_opus(pjmedia_endpt *endpoint)
{
#if PJMEDIA_HAS_OPUS_CODEC
    const pj_str_t id = { "opus", 4 };
    const pjmedia_codec_info *info[1];
    unsigned count = 1;
    pjmedia_codec_mgr *manager = pjmedia_endpt_get_codec_mgr(endpoint);
    pjmedia_codec_opus_config config;
    pjmedia_codec_param param;
    pj_status_t status = pjmedia_codec_mgr_find_codecs_by_id(manager, &id, &count, info, NULL);

    if (status == PJ_SUCCESS)
        status = pjmedia_codec_mgr_get_default_param(manager, info[0], &param);
    if (status == PJ_SUCCESS)
        status = pjmedia_codec_opus_get_config(&config);
    if (status != PJ_SUCCESS)
        return status;
    config.channel_cnt = 1;
    config.complexity = OPUS_COMPLEXITY;
    return pjmedia_codec_opus_set_default_param(&config, &param);
#else
    return PJ_SUCCESS;
#endif
}

/* ---- RTP ports ------------------------------------------------------------------------------------------------ */

static struct {
    unsigned first, pairs, next;        /* next is atomic and runs freely */
} rtp_ports = { 50000, 250, 0 };

void ss_rtp_ports_set(unsigned first, unsigned pairs)
{
    __atomic_store_n(&rtp_ports.pairs, pairs, __ATOMIC_RELAXED);
    __atomic_store_n(&rtp_ports.first, first, __ATOMIC_RELAXED);
}

unsigned ss_rtp_ports_next(unsigned *pairs)
{
    *pairs = __atomic_load_n(&rtp_ports.pairs, __ATOMIC_RELAXED);
    return __atomic_load_n(&rtp_ports.first, __ATOMIC_RELAXED) +
           __atomic_fetch_add(&rtp_ports.next, 1, __ATOMIC_RELAXED) % *pairs * 2;
}

/* ---- priority ------------------------------------------------------------------------------------------------- */

#define AUDIO_PREFERENCE 10             /* in steps of niceness: nine times the share of others, when there is not enough for all */

void ss_set_niceness(int niceness)
{
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), niceness);       /* Linux: of one thread */
}

int ss_prefer_thread(void)
{
    int before = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));

    ss_set_niceness(before - AUDIO_PREFERENCE);
    return before;
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t none;
    unsigned count;
} users = { .lock = PTHREAD_MUTEX_INITIALIZER, .none = PTHREAD_COND_INITIALIZER };

void ss_media_hold(void)
{
    pthread_mutex_lock(&users.lock);
    users.count++;
    pthread_mutex_unlock(&users.lock);
}

void ss_media_release(void)
{
    pthread_mutex_lock(&users.lock);
    if (--users.count == 0)
        pthread_cond_broadcast(&users.none);
    pthread_mutex_unlock(&users.lock);
}

/* Wait until nobody holds it; 0 when somebody still does after that time. */
static int wait_for_users(unsigned milliseconds)
{
    struct timespec deadline;
    int ended;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += milliseconds / 1000;
    deadline.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&users.lock);
    while (users.count && pthread_cond_timedwait(&users.none, &users.lock, &deadline) != ETIMEDOUT)
        ;
    ended = users.count == 0;
    pthread_mutex_unlock(&users.lock);
    return ended;
}

static void shut_down(pjmedia_endpt *endpoint)
{
    if (media.events)
        pjmedia_event_mgr_destroy(media.events);
    media.events = NULL;
    if (endpoint)
        pjmedia_endpt_destroy2(endpoint);
    ss_sound_shutdown();
    if (media.pool)
        pj_pool_release(media.pool);
    media.pool = NULL;
}

pj_status_t ss_media_start(void)
{
    pjmedia_endpt *endpoint = NULL;
    pjmedia_audio_codec_config config;
    int niceness;
    pj_status_t status;

    if (ss_media_endpoint())
        return PJ_SUCCESS;
    ss_ensure_thread();
    media.pool = ss_pool_create("media", 1000, 1000);
    if (!media.pool)
        return PJ_ENOMEM;
    status = ss_sound_init();
    if (status != PJ_SUCCESS) {
        pj_pool_release(media.pool);
        media.pool = NULL;
        return status;
    }
    niceness = ss_prefer_thread();      /* the workers inherit it */
    status = pjmedia_endpt_create2(ss_pool_factory(), NULL, WORKERS, &endpoint);
    ss_set_niceness(niceness);
    if (status == PJ_SUCCESS)           /* without it streams hit a failed assert */
        status = pjmedia_event_mgr_create(media.pool, 0, &media.events);
    if (status == PJ_SUCCESS) {
        pjmedia_audio_codec_config_default(&config);
        status = pjmedia_codec_register_audio_codecs(endpoint, &config);
    }
    if (status == PJ_SUCCESS)
        status = configure_opus(endpoint);
    if (status != PJ_SUCCESS) {
        shut_down(endpoint);
        return status;
    }
    __atomic_add_fetch(&media.runs, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&media.endpoint, endpoint, __ATOMIC_RELEASE);
    return PJ_SUCCESS;
}

void ss_media_stop(void)
{
    pjmedia_endpt *endpoint = ss_media_endpoint();

    if (!endpoint)
        return;
    ss_ensure_thread();
    __atomic_store_n(&media.endpoint, NULL, __ATOMIC_RELEASE);
    /* A device driver that hangs must not hang the shutdown: then the endpoint stays, unused. */
    if (wait_for_users(USERS_END_MS)) {
        shut_down(endpoint);
    } else {
        PJ_LOG(1, ("media", "A sound device or a stream does not end, leaving the media endpoint behind"));
        media.events = NULL;
        media.pool = NULL;
    }
}
