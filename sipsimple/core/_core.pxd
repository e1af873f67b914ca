# C declarations of native/core.h, events.h and engine.h. No logic.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "native/core.h" nogil:
    ctypedef uint64_t ss_handle
    ctypedef int pj_status_t

    ctypedef struct ss_event:
        ss_event *next
        uint32_t kind
        uint32_t blob_count
        ss_handle handle
        int64_t num[6]
        uint32_t blob_len[6]
        char data[1]

    ctypedef struct ss_counters:
        uint64_t events_posted, events_dropped, late_callbacks, out_of_memory, worker_wakeups, worker_rounds, malformed
        uint64_t malformed_sdp, malformed_rtp, malformed_rtcp, stranger_rtp, stranger_rtcp, rejected_srtp

    ss_counters ss_counts

    void ss_object_close(ss_handle handle)
    void ss_object_close_later(ss_handle handle)
    int ss_object_count(int type)
    int ss_objects_are_closed()

    ss_event *ss_events_take()
    void ss_events_free(ss_event *list)
    void ss_events_interrupt()
    int ss_events_open()
    void ss_events_detach()
    ss_event *ss_events_poll()

    pj_status_t ss_runtime_init()
    void ss_ensure_thread()
    void ss_strerror(pj_status_t status, char *buffer, size_t size)

    ctypedef struct pj_str_t:
        char *ptr
        long slen
