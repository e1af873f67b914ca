/*
 * One-shot timers for the Python part: they run on the endpoint's timer heap and end as an event with their id.
 * Python keeps id -> callback. ss_timers_stop() runs before the endpoint goes, so a listed timer has a heap.
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
    timer *buckets[BUCKETS];
} timers = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Unlink and return the timer with this id. */
static timer *take(uint64_t id)
{
    timer *found = NULL;

    pthread_mutex_lock(&timers.lock);
    for (timer **link = &timers.buckets[id % BUCKETS]; *link; link = &(*link)->next) {
        if ((*link)->id == id) {
            found = *link;
            *link = found->next;
            break;
        }
    }
    pthread_mutex_unlock(&timers.lock);
    return found;
}

static void on_timer(pj_timer_heap_t *heap, pj_timer_entry *entry)
{
    timer *fired = (timer *)((char *)entry - offsetof(timer, entry));

    (void)heap;
    if (take(fired->id))
        ss_post_num(SS_EV_TIMER, 0, (int64_t)fired->id, 0);
    free(fired);                        /* not found: cancelled too late for the heap, see ss_timer_cancel */
}

pj_status_t ss_timer_start(uint64_t id, unsigned milliseconds)
{
    pjsip_endpoint *endpoint = ss_endpoint();
    pj_time_val delay = { milliseconds / 1000, milliseconds % 1000 };
    pj_status_t status;
    timer *entry;

    if (!endpoint)
        return PJ_EINVALIDOP;
    entry = calloc(1, sizeof *entry);
    if (!entry)
        return PJ_ENOMEM;
    entry->id = id;
    pj_timer_entry_init(&entry->entry, 0, NULL, &on_timer);
    pthread_mutex_lock(&timers.lock);
    entry->next = timers.buckets[id % BUCKETS];
    timers.buckets[id % BUCKETS] = entry;
    status = pjsip_endpt_schedule_timer(endpoint, &entry->entry, &delay);
    pthread_mutex_unlock(&timers.lock);
    if (status != PJ_SUCCESS && (entry = take(id)))
        free(entry);
    return status;
}

void ss_timer_cancel(uint64_t id)
{
    timer *entry = take(id);

    if (!entry)
        return;                         /* fired already */
    /* 0: the heap has taken it out and is about to call on_timer, which then frees it. */
    if (pj_timer_heap_cancel(pjsip_endpt_get_timer_heap(ss_endpoint()), &entry->entry) > 0)
        free(entry);
}

void ss_timers_stop(void)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (timers.buckets[i])
            ss_timer_cancel(timers.buckets[i]->id);
    }
}
