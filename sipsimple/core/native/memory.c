/*
 * Memory of the pools, and what it takes that a process is as small after a burst of calls as it was before.
 *
 * A call that came in holds some 30 KB for the 32 seconds that its transaction has to live after the answer (RFC 6026), so a thousand calls a
 * minute are 15 MB. When they are gone, the C library keeps what they took: there is always something in use behind the free pages, and
 * free() cuts the heap at its end only. So we ask for the pages in the middle too, some seconds after pools were freed.
 *
 * Large blocks (the sockets' table of an endpoint has 5 MB) come from the system and go back there. From malloc() they would too, but only the
 * first time: it takes the size of what was freed as the new limit below which it keeps memory, up to 32 MB.
 */
#include "core.h"

#include <stdlib.h>
#include <sys/mman.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <pjlib.h>

/* ---- blocks -------------------------------------------------------------------------------------------------- */

void *ss_pages_take(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return pages == MAP_FAILED ? NULL : pages;
}

void ss_pages_give(void *pages, size_t size)
{
    if (pages)
        munmap(pages, size);
}

#if PJ_POOL_DEBUG                       /* for AddressSanitizer: each allocation from a pool is a malloc() of its own */

const struct pj_pool_factory_policy *ss_pool_policy(void)
{
    return NULL;
}

#else

#define LARGE ((size_t)256 * 1024)

static void *take_block(pj_pool_factory *factory, pj_size_t size)
{
    return size < LARGE ? pj_pool_factory_get_default_policy()->block_alloc(factory, size) : ss_pages_take(size);
}

static void give_block(pj_pool_factory *factory, void *block, pj_size_t size)
{
    if (size < LARGE)
        pj_pool_factory_get_default_policy()->block_free(factory, block, size);
    else
        ss_pages_give(block, size);
}

const struct pj_pool_factory_policy *ss_pool_policy(void)
{
    static pj_pool_factory_policy policy = { .block_alloc = &take_block, .block_free = &give_block };

    policy.callback = pj_pool_factory_get_default_policy()->callback;
    return &policy;
}

#endif

/* ---- trimming ------------------------------------------------------------------------------------------------ */

#define WORTH_IT 20                     /* pools freed since the last time: three calls */
#define PAUSE_MS 4000                   /* between two times; one takes 4 ms when 35 MB are free */

static struct {
    size_t most;                        /* pools in use, at most since the last time */
    pj_timestamp last;
} memory;                               /* the worker's own */

void ss_memory_trim(void)
{
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

void ss_memory_look(pj_time_val *sleep)
{
    const size_t used = ss_pools_used();
    pj_timestamp now;
    uint32_t passed;

    if (used > memory.most)
        memory.most = used;
    if (memory.most - used < WORTH_IT)
        return;
    pj_get_timestamp(&now);
    passed = pj_elapsed_msec(&memory.last, &now);
    if (passed < PAUSE_MS) {
        const pj_time_val left = { (PAUSE_MS - passed) / 1000, (PAUSE_MS - passed) % 1000 };

        if (PJ_TIME_VAL_GT(*sleep, left))
            *sleep = left;
        return;
    }
    memory.last = now;
    memory.most = used;
    ss_memory_trim();
}
