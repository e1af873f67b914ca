/*
 * Counts of what PJSIP and the core hold. They take PJSIP's locks for a moment (the list of pools: 100 ns a pool), so they are for
 * reports, not for every packet. A pool's owner may change its size while we read it: the sum is as good as a moment.
 */
#include "diagnostics.h"

#include <string.h>

#include <pjlib.h>
#include <pjsip.h>
#include <pjsip_ua.h>

#include "engine.h"

void ss_diagnostics_get(ss_diagnostics *result)
{
    const pj_caching_pool *factory = (const pj_caching_pool *)ss_pool_factory();
    pjsip_endpoint *endpoint = ss_endpoint();

    memset(result, 0, sizeof *result);
    result->events_waiting = ss_events_waiting();
#if !PJ_POOL_DEBUG
    if (factory->lock) {
        pj_lock_acquire(factory->lock);
        result->pools = factory->used_count;
        result->cached_bytes = factory->capacity;
        for (pj_pool_t *pool = (pj_pool_t *)factory->used_list.next; (void *)pool != (void *)&factory->used_list; pool = pool->next)
            result->pool_bytes += pj_pool_get_capacity(pool);
        pj_lock_release(factory->lock);
    }
#else
    (void)factory;
#endif
    if (!endpoint)
        return;
    result->transports = pjsip_tpmgr_get_transport_count(pjsip_endpt_get_tpmgr(endpoint));
    result->dialogs = pjsip_ua_get_dlg_set_count();
    result->transactions = pjsip_tsx_layer_get_tsx_count();
    result->timers = pj_timer_heap_count(pjsip_endpt_get_timer_heap(endpoint));
}

unsigned ss_pools_list(ss_pool_entry *entries, unsigned max)
{
    unsigned count = 0;

#if !PJ_POOL_DEBUG
    pj_caching_pool *factory = (pj_caching_pool *)ss_pool_factory();

    if (!factory->lock)
        return 0;
    pj_lock_acquire(factory->lock);
    for (pj_pool_t *pool = (pj_pool_t *)factory->used_list.next; (void *)pool != (void *)&factory->used_list; pool = pool->next) {
        if (count < max) {
            pj_ansi_strxcpy(entries[count].name, pool->obj_name, sizeof entries->name);
            entries[count].bytes = pj_pool_get_capacity(pool);
        }
        count++;
    }
    pj_lock_release(factory->lock);
#else
    (void)entries;
    (void)max;
#endif
    return count;
}
