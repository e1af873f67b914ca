/* Handles, the event queue, PJLIB threads. See core.h for the rules. */
#include "core.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <pjlib.h>
#include <pjlib-util.h>
#include <pjnath.h>

ss_counters ss_counts;

/* ---- objects ------------------------------------------------------------------------------------------------ */

/* A handle is (generation << 24 | slot + 1): 16 million live objects, and a generation that does not come round. */
#define SLOT_BITS 24
#define SLOT_MASK ((1u << SLOT_BITS) - 1)

typedef struct slot {
    ss_object *object;
    uint64_t generation;
    uint32_t next_free;                 /* slot + 1, 0 = end of the list */
} slot;

static struct {
    pthread_mutex_t lock;
    slot *slots;
    uint32_t used, capacity, free_list;
    int counts[SS_T_COUNT];
    int closed;                         /* the Engine stops, or has stopped: nothing comes in any more */
    int signalling;                     /* objects of SIP whose memory is still there, also those that are out of the table */
    pthread_cond_t gone;                /* one of them less */
} table = { .lock = PTHREAD_MUTEX_INITIALIZER, .gone = PTHREAD_COND_INITIALIZER };

static int is_signalling(ss_type type)
{
    return type < SS_T_AUDIO_STREAM;
}

ss_handle ss_object_register(ss_object *object, ss_type type)
{
    uint32_t index;
    ss_handle handle = 0;

    pthread_mutex_lock(&table.lock);
    if (table.closed)
        goto out;
    if (table.free_list) {
        index = table.free_list - 1;
        table.free_list = table.slots[index].next_free;
    } else {
        if (table.used == table.capacity) {
            uint32_t capacity = table.capacity ? table.capacity * 2 : 256;
            slot *slots = capacity < SLOT_MASK ? realloc(table.slots, capacity * sizeof *slots) : NULL;
            if (!slots) {
                SS_COUNT(out_of_memory);
                goto out;
            }
            memset(slots + table.capacity, 0, (capacity - table.capacity) * sizeof *slots);
            table.slots = slots;
            table.capacity = capacity;
        }
        index = table.used++;
    }
    table.slots[index].object = object;
    handle = (++table.slots[index].generation << SLOT_BITS) | (index + 1);
    object->handle = handle;
    object->type = type;
    object->refs = 1;
    table.counts[type]++;
    table.signalling += is_signalling(type);
out:
    pthread_mutex_unlock(&table.lock);
    return handle;
}

static slot *find_slot(ss_handle handle)
{
    uint32_t index = (uint32_t)(handle & SLOT_MASK);

    if (index == 0 || index > table.used)
        return NULL;
    slot *found = &table.slots[index - 1];
    return found->object && found->generation == handle >> SLOT_BITS ? found : NULL;
}

void *ss_object_acquire(ss_handle handle, ss_type type)
{
    ss_object *object = NULL;

    pthread_mutex_lock(&table.lock);
    slot *found = find_slot(handle);
    if (found && found->object->type == type) {
        object = found->object;
        object->refs++;                 /* always under the table's lock while it is positive through the table */
    }
    pthread_mutex_unlock(&table.lock);
    if (!object)
        SS_COUNT(late_callbacks);
    return object;
}

void ss_object_release(void *pointer)
{
    ss_object *object = pointer;
    int last, signalling;

    if (!object)
        return;
    pthread_mutex_lock(&table.lock);
    last = --object->refs == 0;
    signalling = is_signalling(object->type);
    pthread_mutex_unlock(&table.lock);
    if (!last)
        return;
    object->destroy(object);
    if (!signalling)
        return;
    pthread_mutex_lock(&table.lock);
    if (--table.signalling == 0)
        pthread_cond_broadcast(&table.gone);
    pthread_mutex_unlock(&table.lock);
}

void ss_object_close(ss_handle handle)
{
    ss_object *object = NULL;

    pthread_mutex_lock(&table.lock);
    slot *found = find_slot(handle);
    if (found) {
        object = found->object;
        found->object = NULL;
        found->next_free = table.free_list;
        table.free_list = (uint32_t)(handle & SLOT_MASK);
        table.counts[object->type]--;
    }
    pthread_mutex_unlock(&table.lock);
    if (object) {
        if (object->kill)
            object->kill(object);
        ss_object_release(object);
    }
}

static void close_in_worker(void *argument)
{
    ss_handle *handle = argument;

    ss_object_close(*handle);
    free(handle);
}

void ss_object_close_later(ss_handle handle)
{
    ss_handle *copy = malloc(sizeof *copy);

    if (!copy) {
        SS_COUNT(out_of_memory);        /* the object stays until the Engine stops */
        return;
    }
    *copy = handle;
    ss_worker_call(close_in_worker, copy);
}

int ss_object_count(ss_type type)
{
    int count;

    pthread_mutex_lock(&table.lock);
    count = table.counts[type];
    pthread_mutex_unlock(&table.lock);
    return count;
}

void ss_objects_open(void)
{
    pthread_mutex_lock(&table.lock);
    table.closed = 0;
    pthread_mutex_unlock(&table.lock);
}

int ss_objects_are_closed(void)
{
    int closed;

    pthread_mutex_lock(&table.lock);
    closed = table.closed;
    pthread_mutex_unlock(&table.lock);
    return closed;
}

#define LONGEST_CALL 5                  /* seconds */

/* Who acquired an object before it was closed may be in the middle of a call that uses the endpoint. */
static void wait_for_calls(void)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LONGEST_CALL;
    pthread_mutex_lock(&table.lock);
    while (table.signalling && pthread_cond_timedwait(&table.gone, &table.lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&table.lock);
}

void ss_objects_close_all(void)
{
    pthread_mutex_lock(&table.lock);
    table.closed = 1;
    pthread_mutex_unlock(&table.lock);
    for (int type = 1; type < SS_T_COUNT; type++) {
        for (;;) {
            ss_handle handle = 0;

            pthread_mutex_lock(&table.lock);
            if (table.counts[type]) {
                for (uint32_t i = 0; i < table.used; i++) {
                    if (table.slots[i].object && (int)table.slots[i].object->type == type) {
                        handle = table.slots[i].object->handle;
                        break;
                    }
                }
            }
            pthread_mutex_unlock(&table.lock);
            if (!handle)
                break;
            ss_object_close(handle);
        }
    }
    wait_for_calls();
}

/* ---- events ------------------------------------------------------------------------------------------------- */

#define DROPPABLE_LIMIT 8192

static struct {
    pthread_mutex_t lock;
    pthread_cond_t ready;
    ss_event *first, **last;
    unsigned count;
    int interrupted;
    int fd;                             /* eventfd while somebody waits on that, else -1 */
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER, .last = &queue.first, .fd = -1 };

/* Under the lock: once detached, the descriptor may be another file. */
static void wake(void)
{
    const uint64_t one = 1;

    if (queue.fd < 0)
        pthread_cond_signal(&queue.ready);
    else if (write(queue.fd, &one, sizeof one) < 0) {
        /* Full cannot be: it is written to on the edge from empty only, and read before the queue is taken. */
    }
}

static void enqueue(ss_event *event, unsigned limit)
{
    int was_empty;

    pthread_mutex_lock(&queue.lock);
    if (limit && queue.count >= limit) {
        pthread_mutex_unlock(&queue.lock);
        SS_COUNT(events_dropped);
        free(event);
        return;
    }
    was_empty = queue.first == NULL;
    *queue.last = event;
    queue.last = &event->next;
    queue.count++;
    if (was_empty)
        wake();
    pthread_mutex_unlock(&queue.lock);
    SS_COUNT(events_posted);
}

ss_event *ss_event_make(uint32_t kind, ss_handle handle, const int64_t *nums, unsigned num_count, const ss_blob *blobs,
                        unsigned blob_count)
{
    size_t size = sizeof(ss_event);
    ss_event *event;
    char *cursor;

    for (unsigned i = 0; i < blob_count; i++)
        size += blobs[i].ptr ? blobs[i].len : 0;
    event = malloc(size);
    if (!event) {
        SS_COUNT(out_of_memory);
        return NULL;
    }
    event->next = NULL;
    event->kind = kind;
    event->handle = handle;
    event->blob_count = blob_count;
    for (unsigned i = 0; i < SS_EVENT_NUMS; i++)
        event->num[i] = i < num_count ? nums[i] : 0;
    cursor = event->data;
    for (unsigned i = 0; i < blob_count; i++) {
        event->blob_len[i] = blobs[i].ptr ? (uint32_t)blobs[i].len : 0;
        if (event->blob_len[i])
            memcpy(cursor, blobs[i].ptr, event->blob_len[i]);
        cursor += event->blob_len[i];
    }
    return event;
}

void ss_event_queue(ss_event *event)
{
    enqueue(event, 0);
}

static void post(uint32_t kind, ss_handle handle, const int64_t *nums, unsigned num_count, const ss_blob *blobs,
                 unsigned blob_count, unsigned limit)
{
    ss_event *event = ss_event_make(kind, handle, nums, num_count, blobs, blob_count);

    if (event)
        enqueue(event, limit);
}

void ss_post(uint32_t kind, ss_handle handle, const int64_t *nums, unsigned num_count, const ss_blob *blobs,
             unsigned blob_count)
{
    post(kind, handle, nums, num_count, blobs, blob_count, 0);
}

void ss_post_droppable(uint32_t kind, const int64_t *nums, unsigned num_count, const ss_blob *blobs, unsigned blob_count)
{
    post(kind, 0, nums, num_count, blobs, blob_count, DROPPABLE_LIMIT);
}

void ss_post_num(uint32_t kind, ss_handle handle, int64_t a, int64_t b)
{
    int64_t nums[2] = { a, b };

    post(kind, handle, nums, 2, NULL, 0, 0);
}

void ss_post_text(uint32_t kind, ss_handle handle, int64_t a, int64_t b, const char *text)
{
    int64_t nums[2] = { a, b };
    ss_blob blob = { text, text ? strlen(text) : 0 };

    post(kind, handle, nums, 2, &blob, 1, 0);
}

/* The lock is held. */
static ss_event *take(void)
{
    ss_event *list = queue.first;

    queue.first = NULL;
    queue.last = &queue.first;
    queue.count = 0;
    queue.interrupted = 0;
    return list;
}

ss_event *ss_events_take(void)
{
    ss_event *list;

    pthread_mutex_lock(&queue.lock);
    while (!queue.first && !queue.interrupted)
        pthread_cond_wait(&queue.ready, &queue.lock);
    list = take();
    pthread_mutex_unlock(&queue.lock);
    return list;
}

ss_event *ss_events_poll(void)
{
    ss_event *list;
    uint64_t count;

    pthread_mutex_lock(&queue.lock);
    if (queue.fd >= 0 && read(queue.fd, &count, sizeof count) < 0) {
        /* Nothing to read: what there was has been taken by an earlier call. */
    }
    list = take();
    pthread_mutex_unlock(&queue.lock);
    return list;
}

int ss_events_open(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    pthread_mutex_lock(&queue.lock);
    queue.fd = fd;
    if (fd >= 0 && queue.first)
        wake();
    pthread_mutex_unlock(&queue.lock);
    return fd;
}

void ss_events_detach(void)
{
    pthread_mutex_lock(&queue.lock);
    queue.fd = -1;
    pthread_mutex_unlock(&queue.lock);
}

void ss_events_free(ss_event *list)
{
    while (list) {
        ss_event *next = list->next;
        free(list);
        list = next;
    }
}

void ss_events_interrupt(void)
{
    pthread_mutex_lock(&queue.lock);
    queue.interrupted = 1;
    wake();
    pthread_mutex_unlock(&queue.lock);
}

unsigned ss_events_waiting(void)
{
    unsigned count;

    pthread_mutex_lock(&queue.lock);
    count = queue.count;
    pthread_mutex_unlock(&queue.lock);
    return count;
}

/* ---- runtime ------------------------------------------------------------------------------------------------ */

/*
 * PJLIB stays initialised for the life of the process: threads of the application keep their PJLIB descriptors in
 * thread-local storage, and a pj_shutdown() would make them stale. An Engine restart makes a new endpoint only.
 */
static struct {
    pthread_mutex_t lock;
    int ready;
    pj_status_t status;
    pj_caching_pool pools;
} runtime = { .lock = PTHREAD_MUTEX_INITIALIZER };

static __thread pj_thread_desc thread_desc;
static __thread pj_thread_t *thread_known;

pj_status_t ss_runtime_init(void)
{
    pthread_mutex_lock(&runtime.lock);
    if (!runtime.ready) {
        pj_log_set_level(0);
        runtime.status = pj_init();
        if (runtime.status == PJ_SUCCESS) {
            thread_known = pj_thread_this();    /* pj_init registers the thread that calls it */
            runtime.status = pjlib_util_init();
        }
        if (runtime.status == PJ_SUCCESS)
            runtime.status = pjnath_init();
        if (runtime.status == PJ_SUCCESS) {
            /*
             * No freed pools are kept for reuse: malloc() is as fast, what is kept lies scattered between what was freed after a burst of
             * calls, so that little of it could go back to the system, and AddressSanitizer would not see a use after release.
             */
            pj_caching_pool_init(&runtime.pools, ss_pool_policy(), 0);
            runtime.ready = 1;
        }
    }
    pthread_mutex_unlock(&runtime.lock);
    return runtime.status;
}

void ss_ensure_thread(void)
{
    if (thread_known)
        return;
    /* Before pj_init() a thread would be registered nowhere, and pass for known ever after. */
    if (ss_runtime_init() != PJ_SUCCESS)
        return;
    if (pj_thread_is_registered()) {
        thread_known = pj_thread_this();
        return;
    }
    /* A fixed name: PJLIB takes it for a printf format. */
    pj_thread_register("python", thread_desc, &thread_known);
}

pj_pool_factory *ss_pool_factory(void)
{
    return &runtime.pools.factory;
}

size_t ss_pools_used(void)
{
    return __atomic_load_n(&runtime.pools.used_count, __ATOMIC_RELAXED);    /* written under its lock; as good as a moment */
}

pj_pool_t *ss_pool_create(const char *name, size_t initial, size_t increment)
{
    return pj_pool_create(&runtime.pools.factory, name, initial, increment, NULL);
}

void ss_strerror(pj_status_t status, char *buffer, size_t size)
{
    pj_str_t text = pj_strerror(status, buffer, size);

    if (size)
        buffer[text.slen < (pj_ssize_t)size ? text.slen : (pj_ssize_t)size - 1] = '\0';
}
