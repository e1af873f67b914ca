/*
 * Foundation of the native core: handles, events, threads, the worker.
 *
 * Rules, for every file in this folder:
 *  - No Python API, no GIL. Python calls in with the GIL released.
 *  - C never holds a Python pointer. What Python can name is an ss_object, known outside by its handle
 *    (slot + generation). A late callback that asks for a dead handle gets NULL, drops its work and is counted.
 *  - A callback copies what it needs into an event and returns; Python sees it when it takes the queue.
 *  - Lock order: PJSIP locks before the locks of this file; none of the locks here is held across a PJSIP call.
 */
#ifndef SS_CORE_H
#define SS_CORE_H

#include <stddef.h>
#include <stdint.h>

#include <pj/os.h>
#include <pj/types.h>

typedef uint64_t ss_handle;             /* 0 = none */

/* ---- objects ------------------------------------------------------------------------------------------------ */

/* Order matters: at Engine stop objects are killed by ascending type, so users come before what they use. */
typedef enum ss_type {
    SS_T_INVITATION = 1,
    SS_T_REQUEST,
    SS_T_INCOMING_REQUEST,
    SS_T_SUBSCRIPTION,
    SS_T_INCOMING_SUBSCRIPTION,
    SS_T_REFERRAL,
    SS_T_INCOMING_REFERRAL,
    SS_T_FLOW,
    SS_T_AUDIO_STREAM,
    SS_T_VIDEO_STREAM,
    SS_T_RTP_TRANSPORT,
    SS_T_WAVE_PLAYER,
    SS_T_WAVE_RECORDER,
    SS_T_TONE,
    SS_T_MIXER_PORT,
    SS_T_MIXER,
    SS_T_NEGOTIATOR,
    SS_T_COUNT
} ss_type;

/*
 * First member of every native object that Python can name.
 * refs starts at 1 (the table's own). `kill` ends the PJSIP/PJMEDIA resources, may be called more than once and from
 * any registered thread; `destroy` frees the memory when the last reference is gone.
 */
typedef struct ss_object {
    ss_handle handle;
    ss_type type;
    int refs;                           /* atomic */
    void (*kill)(struct ss_object *self);
    void (*destroy)(struct ss_object *self);
} ss_object;

/* Enter `object` (zeroed by the caller, kill/destroy set) in the table; the handle, or 0 when the table is full or closed. */
ss_handle ss_object_register(ss_object *object, ss_type type);
/* A new reference to a live object of that type, or NULL (counted as late). */
void *ss_object_acquire(ss_handle handle, ss_type type);
/* Give a reference back. */
void ss_object_release(void *object);
/* Python is done with the object: out of the table, kill(), table reference dropped. Unknown handles are harmless. */
void ss_object_close(ss_handle handle);
/* The same, but kill() runs in the worker thread; for __dealloc__, which may run anywhere and must not block. */
void ss_object_close_later(ss_handle handle);
/* Live objects per type; for the tests that look for leaks. */
int ss_object_count(ss_type type);
/*
 * At Engine stop: let nothing in any more, close every object, by ascending type, and wait for who is in the middle of a call of an object of
 * SIP. The worker still runs.
 */
void ss_objects_close_all(void);
void ss_objects_open(void);             /* at Engine start */
int ss_objects_are_closed(void);

/* ---- events ------------------------------------------------------------------------------------------------- */

#define SS_EVENT_NUMS 6
#define SS_EVENT_BLOBS 6

typedef struct ss_blob {
    const void *ptr;
    size_t len;
} ss_blob;

typedef struct ss_event {
    struct ss_event *next;
    uint32_t kind;                      /* events.h */
    uint32_t blob_count;
    ss_handle handle;                   /* the object concerned, 0 = the Engine */
    int64_t num[SS_EVENT_NUMS];
    uint32_t blob_len[SS_EVENT_BLOBS];
    char data[];                        /* the blobs, one behind the other */
} ss_event;

/* Queue an event from any thread; copies everything; never blocks for long, never fails visibly (lost ones count). */
void ss_post(uint32_t kind, ss_handle handle, const int64_t *nums, unsigned num_count,
             const ss_blob *blobs, unsigned blob_count);
/* The two halves of ss_post(), for an event that must wait for another one: make (NULL when out of memory), queue later. */
ss_event *ss_event_make(uint32_t kind, ss_handle handle, const int64_t *nums, unsigned num_count,
                        const ss_blob *blobs, unsigned blob_count);
void ss_event_queue(ss_event *event);
/* Shorthands. A NULL text is an empty blob. */
void ss_post_num(uint32_t kind, ss_handle handle, int64_t a, int64_t b);
void ss_post_text(uint32_t kind, ss_handle handle, int64_t a, int64_t b, const char *text);
/* Traces and logs: dropped (and counted) when more than a few thousand wait, so they cannot eat the memory. */
void ss_post_droppable(uint32_t kind, const int64_t *nums, unsigned num_count, const ss_blob *blobs, unsigned blob_count);

/* The thread that serves events only: block until events wait or ss_events_interrupt() was called; NULL when interrupted and empty. */
ss_event *ss_events_take(void);         /* the whole queue, oldest first; free with ss_events_free */
void ss_events_free(ss_event *list);
void ss_events_interrupt(void);
/*
 * The same for a thread that waits elsewhere: a descriptor that is readable while events wait, and a way to take them without waiting.
 * One at a time; until ss_events_detach(), after which the caller closes it, ss_events_take() is not woken. -1: there is no descriptor to be had.
 */
int ss_events_open(void);
void ss_events_detach(void);
ss_event *ss_events_poll(void);
/* Events that nobody has taken yet. Any thread. */
unsigned ss_events_waiting(void);

/* ---- counters (atomic, for tests and diagnostics) ------------------------------------------------------------ */

typedef struct ss_counters {
    uint64_t events_posted, events_dropped, late_callbacks, out_of_memory, worker_wakeups, worker_rounds;
    uint64_t malformed;                 /* SIP messages dropped or refused */
    uint64_t malformed_sdp, malformed_rtp, malformed_rtcp;
    uint64_t stranger_rtp, stranger_rtcp;       /* good packets, but not from the peer */
    uint64_t rejected_srtp;             /* RTP and RTCP that failed authentication */
} ss_counters;
extern ss_counters ss_counts;
#define SS_COUNT(field) __atomic_add_fetch(&ss_counts.field, 1, __ATOMIC_RELAXED)

/* ---- runtime ------------------------------------------------------------------------------------------------ */

/* Once per process: PJLIB, PJLIB-UTIL, PJNATH, the caching pool. Idempotent, any thread. */
pj_status_t ss_runtime_init(void);
/* Make the calling thread known to PJLIB, initialised now if nobody did. Every entry from Python calls this first; about 10 ns when known. */
void ss_ensure_thread(void);
pj_pool_factory *ss_pool_factory(void);
pj_pool_t *ss_pool_create(const char *name, size_t initial, size_t increment);
size_t ss_pools_used(void);             /* pools in use now; cheap */
/* Text of a pj_status_t, NUL-ended. */
void ss_strerror(pj_status_t status, char *buffer, size_t size);

/* ---- memory.c: where pools get their memory, and how it goes back to the system -------------------------------- */

struct pj_pool_factory_policy;
const struct pj_pool_factory_policy *ss_pool_policy(void);
/* Zeroed memory of the system's; what is never touched takes none. NULL when there is none. */
void *ss_pages_take(size_t size);
void ss_pages_give(void *pages, size_t size);       /* NULL is harmless */
/* For the worker, before it sleeps; makes the sleep shorter when there will be something to do. */
void ss_memory_look(pj_time_val *sleep);
/* Give back all that can be given. Milliseconds. */
void ss_memory_trim(void);

/* ---- worker: the one native thread that polls SIP, ICE and timers -------------------------------------------- */

struct pjsip_endpoint;
pj_status_t ss_worker_start(struct pjsip_endpoint *endpoint);
void ss_worker_stop(void);              /* ends and joins; no-op when not running */
int ss_worker_is_current(void);
/* Run function(argument) in the worker soon; at once (in order) when the worker does not run. */
void ss_worker_call(void (*function)(void *), void *argument);
/* Make a sleeping worker look at its timers and calls again. Cheap when it is awake. */
void ss_worker_wake(void);

#endif
