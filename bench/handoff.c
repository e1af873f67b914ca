/*
 * How long one thread takes to wake another, with what PJLIB has for that: the least a notification in another thread can cost.
 * Usage: handoff COUNT PAUSE_US; prints one time in microseconds a line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <pjlib.h>

static pj_sem_t *posted, *taken;
static struct timespec sent;
static double *times;
static int count;

static double elapsed(const struct timespec *begin)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - begin->tv_sec) * 1e6 + (now.tv_nsec - begin->tv_nsec) / 1e3;
}

static int receive(void *argument)
{
    (void)argument;
    for (int i = 0; i < count; i++) {
        pj_sem_wait(posted);
        times[i] = elapsed(&sent);
        pj_sem_post(taken);
    }
    return 0;
}

int main(int argc, char *argv[])
{
    pj_caching_pool pools;
    pj_pool_t *pool;
    pj_thread_t *thread;
    struct timespec pause = { 0, 0 };

    count = argc > 1 ? atoi(argv[1]) : 1000;
    pause.tv_nsec = (argc > 2 ? atol(argv[2]) : 1000) * 1000;
    pj_log_set_level(0);
    if (pj_init() != PJ_SUCCESS)
        return 1;
    pj_caching_pool_init(&pools, NULL, 0);
    pool = pj_pool_create(&pools.factory, "handoff", 4000, 4000, NULL);
    times = calloc((size_t)count, sizeof *times);
    if (!times || pj_sem_create(pool, "posted", 0, 1, &posted) != PJ_SUCCESS || pj_sem_create(pool, "taken", 0, 1, &taken) != PJ_SUCCESS
        || pj_thread_create(pool, "receiver", receive, NULL, 0, 0, &thread) != PJ_SUCCESS)
        return 1;
    for (int i = 0; i < count; i++) {
        nanosleep(&pause, NULL);
        clock_gettime(CLOCK_MONOTONIC, &sent);
        pj_sem_post(posted);
        pj_sem_wait(taken);
    }
    pj_thread_join(thread);
    for (int i = 0; i < count; i++)
        printf("%.1f\n", times[i]);
    return 0;
}
