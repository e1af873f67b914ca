/*
 * The worker thread: polls the SIP endpoint's ioqueue and timer heap.
 *
 * It sleeps in epoll without a period. What can end the sleep: a packet, the next timer, or a byte on the wake-up
 * socket. That byte is sent when another thread hands over a call, or schedules a timer that is due before all others
 * (patch 50 makes the timer heap tell us). The `asleep` flag saves the system call when the worker is awake anyway:
 * it is set before the timers are looked at, so a timer that comes later always sees it.
 */
#include "core.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pjlib.h>
#include <pjsip.h>

typedef struct call {
    struct call *next;
    void (*function)(void *);
    void *argument;
} call;

static struct {
    pthread_mutex_t lock;               /* calls, running */
    call *first, **last;
    int running;                        /* accepts calls */
    int quit;                           /* atomic */
    int asleep;                         /* atomic */
    pj_thread_t *thread;
    pj_pool_t *pool;
    pjsip_endpoint *endpoint;
    int wake_fd;
    pj_sock_t read_fd;
    pj_ioqueue_key_t *key;
    pj_ioqueue_op_key_t op;
    char bytes[64];
} worker = { .lock = PTHREAD_MUTEX_INITIALIZER, .last = &worker.first, .wake_fd = -1 };

static __thread int in_worker;

int ss_worker_is_current(void)
{
    return in_worker;
}

void ss_worker_wake(void)
{
    if (__atomic_exchange_n(&worker.asleep, 0, __ATOMIC_SEQ_CST)) {
        SS_COUNT(worker_wakeups);
        if (send(worker.wake_fd, "w", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            /* Full: enough bytes wait already. Gone: the worker is ending and does not sleep again. */
        }
    }
}

void ss_worker_call(void (*function)(void *), void *argument)
{
    call *entry = malloc(sizeof *entry);
    int running;

    if (entry) {
        *entry = (call){ NULL, function, argument };
        pthread_mutex_lock(&worker.lock);
        running = worker.running;
        if (running) {
            *worker.last = entry;
            worker.last = &entry->next;
        }
        pthread_mutex_unlock(&worker.lock);
        if (running) {
            ss_worker_wake();
            return;
        }
        free(entry);
    } else {
        SS_COUNT(out_of_memory);
    }
    ss_ensure_thread();
    function(argument);
}

static void run_calls(void)
{
    call *entry;

    pthread_mutex_lock(&worker.lock);
    entry = worker.first;
    worker.first = NULL;
    worker.last = &worker.first;
    pthread_mutex_unlock(&worker.lock);
    while (entry) {
        call *next = entry->next;

        entry->function(entry->argument);
        free(entry);
        entry = next;
    }
}

static void on_wake_byte(pj_ioqueue_key_t *key, pj_ioqueue_op_key_t *op, pj_ssize_t count)
{
    pj_ssize_t length = sizeof worker.bytes;

    (void)count;
    while (pj_ioqueue_recv(key, op, worker.bytes, &length, 0) == PJ_SUCCESS)
        length = sizeof worker.bytes;
}

static void on_earlier_timer(pj_timer_heap_t *heap, void *data)
{
    (void)heap;
    (void)data;
    if (!in_worker)
        ss_worker_wake();
}

#define LONGEST_SLEEP 86400             /* seconds; the ioqueue counts in int milliseconds */
#define EVENTS_PER_ROUND 64             /* then the timers get their turn */

static int work(void *argument)
{
    pj_time_val delay;
    int count, events;
    pj_ioqueue_t *ioqueue = pjsip_endpt_get_ioqueue(worker.endpoint);
    pj_timer_heap_t *timers = pjsip_endpt_get_timer_heap(worker.endpoint);

    (void)argument;
    in_worker = 1;
    while (!__atomic_load_n(&worker.quit, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&worker.asleep, 1, __ATOMIC_SEQ_CST);
        run_calls();
        if (__atomic_load_n(&worker.quit, __ATOMIC_SEQ_CST))
            break;
        /* As pjsip_endpt_handle_events(), less its limit of one second for a sleep. */
        pj_timer_heap_poll(timers, &delay);
        if (delay.sec > LONGEST_SLEEP)
            delay.sec = LONGEST_SLEEP;
        ss_memory_look(&delay);
        for (events = 0; events < EVENTS_PER_ROUND; events += count) {
            count = pj_ioqueue_poll(ioqueue, &delay);
            if (count <= 0)
                break;
            delay.sec = delay.msec = 0;
        }
        SS_COUNT(worker_rounds);
    }
    return 0;
}

static void close_sockets(void)
{
    if (worker.key)
        pj_ioqueue_unregister(worker.key);      /* closes read_fd */
    else if (worker.read_fd > 0)
        close((int)worker.read_fd);
    if (worker.wake_fd >= 0)
        close(worker.wake_fd);
    worker.key = NULL;
    worker.read_fd = 0;
    worker.wake_fd = -1;
}

pj_status_t ss_worker_start(struct pjsip_endpoint *endpoint)
{
    int pair[2];
    pj_ioqueue_callback callback = { .on_read_complete = on_wake_byte };
    pj_ssize_t length = sizeof worker.bytes;
    pj_status_t status;

    worker.endpoint = endpoint;
    worker.pool = ss_pool_create("worker", 1000, 1000);
    if (!worker.pool)
        return PJ_ENOMEM;
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        status = pj_get_os_error();
        goto failed;
    }
    worker.read_fd = pair[0];
    worker.wake_fd = pair[1];
    status = pj_ioqueue_register_sock(worker.pool, pjsip_endpt_get_ioqueue(endpoint), worker.read_fd, NULL, &callback,
                                      &worker.key);
    if (status != PJ_SUCCESS)
        goto failed;
    pj_ioqueue_op_key_init(&worker.op, sizeof worker.op);
    status = pj_ioqueue_recv(worker.key, &worker.op, worker.bytes, &length, PJ_IOQUEUE_ALWAYS_ASYNC);
    if (status != PJ_EPENDING)
        goto failed;
    pj_timer_heap_set_earlier_cb(pjsip_endpt_get_timer_heap(endpoint), &on_earlier_timer, NULL);
    worker.quit = 0;
    worker.running = 1;
    status = pj_thread_create(worker.pool, "sipworker", &work, NULL, 0, 0, &worker.thread);
    if (status == PJ_SUCCESS)
        return PJ_SUCCESS;
    worker.running = 0;
failed:
    close_sockets();
    pj_pool_release(worker.pool);
    worker.pool = NULL;
    return status;
}

void ss_worker_stop(void)
{
    if (!worker.thread)
        return;
    pthread_mutex_lock(&worker.lock);
    worker.running = 0;
    pthread_mutex_unlock(&worker.lock);
    __atomic_store_n(&worker.quit, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&worker.asleep, 1, __ATOMIC_SEQ_CST);
    ss_worker_wake();
    pj_thread_join(worker.thread);
    pj_thread_destroy(worker.thread);
    worker.thread = NULL;
    run_calls();                        /* what came in before `running` fell */
    pj_timer_heap_set_earlier_cb(pjsip_endpt_get_timer_heap(worker.endpoint), NULL, NULL);
    close_sockets();
    pj_pool_release(worker.pool);
    worker.pool = NULL;
}
