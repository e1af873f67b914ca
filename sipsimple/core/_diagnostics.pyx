# cython: language_level=3
"""What the native core holds at the moment, for leak checks and reports. `Engine.diagnostics` has it all in one."""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc

from sipsimple.core._core cimport ss_ensure_thread

cdef extern from "pjlib.h" nogil:
    int pj_thread_is_registered()

cdef extern from "native/diagnostics.h" nogil:
    ctypedef struct ss_diagnostics:
        uint64_t pools, pool_bytes, cached_bytes, transports, dialogs, transactions, timers, events_waiting

    ctypedef struct ss_pool_entry:
        char name[32]
        uint64_t bytes

    void ss_diagnostics_get(ss_diagnostics *result)
    unsigned int ss_pools_list(ss_pool_entry *entries, unsigned int max)


def held():
    """Numbers of what PJSIP holds: see `Engine.diagnostics`. Thread: any."""
    cdef ss_diagnostics now
    with nogil:
        ss_ensure_thread()
        ss_diagnostics_get(&now)
    return {
        'pools': now.pools,
        'pool_bytes': now.pool_bytes,
        'cached_pool_bytes': now.cached_bytes,
        'transports': now.transports,
        'dialogs': now.dialogs,
        'transactions': now.transactions,
        'timers': now.timers,
        'events_waiting': now.events_waiting,
    }


def thread_is_known():
    """Whether PJLIB knows the calling thread: always so once it has called into the native core. Thread: any."""
    return pj_thread_is_registered() != 0


def pools():
    """The memory pools in use, name -> (number, bytes); the address at the end of a name is left out. Empty in builds for AddressSanitizer.

    It stops the making of new pools while it counts: to find a leak with, not for production. Thread: any.
    """
    cdef unsigned int room, count, i
    cdef ss_pool_entry *entries
    cdef dict result = {}
    with nogil:
        ss_ensure_thread()
        room = ss_pools_list(NULL, 0) + 64
    entries = <ss_pool_entry *>malloc(room * sizeof(ss_pool_entry))
    if entries is NULL:
        raise MemoryError
    try:
        with nogil:
            count = ss_pools_list(entries, room)
        for i in range(min(count, room)):
            name = (<bytes>entries[i].name).decode('utf-8', 'replace').partition('0x')[0]
            number, size = result.get(name, (0, 0))
            result[name] = (number + 1, size + entries[i].bytes)
    finally:
        free(entries)
    return result
