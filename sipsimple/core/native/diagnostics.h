/* What the native core holds at the moment: for leak checks and for reports of load. */
#ifndef SS_DIAGNOSTICS_H
#define SS_DIAGNOSTICS_H

#include "core.h"

typedef struct ss_diagnostics {
    /* Of the process; zero in builds for AddressSanitizer, whose pools are not counted. */
    uint64_t pools;                     /* not released */
    uint64_t pool_bytes;                /* in these */
    uint64_t cached_bytes;              /* in released pools that are kept for reuse */
    /* Of the engine run; zero while the engine is off. */
    uint64_t transports;                /* SIP: UDP sockets and connections */
    uint64_t dialogs;
    uint64_t transactions;
    uint64_t timers;
    uint64_t events_waiting;            /* for Python; traces and logs included */
} ss_diagnostics;

/* Any thread. */
void ss_diagnostics_get(ss_diagnostics *result);

typedef struct ss_pool_entry {
    char name[PJ_MAX_OBJ_NAME];         /* as given to pj_pool_create(), often with an address at its end */
    uint64_t bytes;
} ss_pool_entry;

/* Pools that are not released, at most `max`; returns how many there are. Holds the lock that every new pool needs: not for production. */
unsigned ss_pools_list(ss_pool_entry *entries, unsigned max);

#endif
