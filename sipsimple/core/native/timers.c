/*
 * One-shot timers for the Python part: they run on the endpoint's timer heap and end as an event with their id.
 * Python keeps id -> callback. ss_timers_stop() runs before the endpoint goes; from then on none is started, so a listed timer has a heap.
 * The lock is held while the heap is asked for something, by whichever thread, so that the heap is still there. Lock order: ours, the heap's; on_timer is
 * called without the heap's.
 */
#include "engine.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

typedef struct timer {
    struct timer *next;
    uint64_t id;
    pj_timer_entry entry;
} timer;

#define BUCKETS 256

static struct {
    pthread_mutex_t lock;
    int open;                           /* there is a heap */
    timer *buckets[BUCKETS];
} timers = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Unlink and return the timer with this id. Lock: held. */
static timer *take(uint64_t id)
{
    timer *found = NULL;

    for (timer **link = &timers.buckets[id % BUCKETS]; *link; link = &(*link)->next) {
        if ((*link)->id == id) {
            found = *link;
            *link = found->next;
            break;
        }
    }
    return found;
}

static void on_timer(pj_timer_heap_t *heap, pj_timer_entry *entry)
{
    timer *fired = (timer *)((char *)entry - offsetof(timer, entry)), *found;

    (void)heap;
    pthread_mutex_lock(&timers.lock);
    found = take(fired->id);
    pthread_mutex_unlock(&timers.lock);
    if (found)
        ss_post_num(SS_EV_TIMER, 0, (int64_t)fired->id, 0);
    free(fired);                        /* not found: cancelled too late for the heap, see ss_timer_cancel */
}

pj_status_t ss_timer_start(uint64_t id, unsigned milliseconds)
{
    pj_time_val delay = { milliseconds / 1000, milliseconds % 1000 };
    pj_status_t status = PJ_EINVALIDOP;
    timer *entry = calloc(1, sizeof *entry);

    if (!entry)
        return PJ_ENOMEM;
    entry->id = id;
    pj_timer_entry_init(&entry->entry, 0, NULL, &on_timer);
    pthread_mutex_lock(&timers.lock);
    if (timers.open) {
        entry->next = timers.buckets[id % BUCKETS];
        timers.buckets[id % BUCKETS] = entry;
        status = pjsip_endpt_schedule_timer(ss_endpoint(), &entry->entry, &delay);
        if (status != PJ_SUCCESS)
            take(id);
    }
    pthread_mutex_unlock(&timers.lock);
    if (status != PJ_SUCCESS)
        free(entry);
    return status;
}

/* Lock: held. */
static void cancel(uint64_t id)
{
    timer *entry = take(id);

    if (!entry)
        return;                         /* fired already */
    /* 0: the heap has taken it out and is about to call on_timer, which then frees it. */
    if (pj_timer_heap_cancel(pjsip_endpt_get_timer_heap(ss_endpoint()), &entry->entry) > 0)
        free(entry);
}

void ss_timer_cancel(uint64_t id)
{
    pthread_mutex_lock(&timers.lock);
    cancel(id);
    pthread_mutex_unlock(&timers.lock);
}

void ss_timers_open(void)
{
    pthread_mutex_lock(&timers.lock);
    timers.open = 1;
    pthread_mutex_unlock(&timers.lock);
}

void ss_timers_stop(void)
{
    pthread_mutex_lock(&timers.lock);
    timers.open = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (timers.buckets[i])
            cancel(timers.buckets[i]->id);
    }
    pthread_mutex_unlock(&timers.lock);
}
