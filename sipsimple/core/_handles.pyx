# cython: language_level=3
"""Handles of native objects and the Python objects that stand for them.

C knows handles only. This table answers which Python object a handle means; it holds the objects weakly, so that dropping
the last reference ends an object even while events for it are on their way: those find nothing and are counted as late.
"""

from weakref import ref

from sipsimple.core._core cimport (
    ss_counts, ss_ensure_thread, ss_handle, ss_object_close, ss_object_close_later, ss_object_count)

cdef dict _objects = {}
cdef dict _strong = {}


cpdef void bind(ss_handle handle, object obj):
    """Let events for `handle` reach `obj` (held weakly)."""
    _objects[handle] = ref(obj)


cpdef void unbind(ss_handle handle):
    """Forget `handle`; harmless when unknown."""
    _objects.pop(handle, None)
    _strong.pop(handle, None)


cpdef void keep(ss_handle handle, object obj):
    """Hold `obj` strongly until unbind() or release(); for objects that must live through an operation under way."""
    _strong[handle] = obj


cpdef void release(ss_handle handle):
    """Undo keep()."""
    _strong.pop(handle, None)


cpdef object lookup(ss_handle handle):
    """The live object of a handle, or None."""
    reference = _objects.get(handle)
    return None if reference is None else reference()


def end_all(on_exception):
    """The Engine has stopped: no event comes any more. Each object that waits for one is told, once, by its `_engine_ended()` if it has that; all handles are
    forgotten.

    Args:
        on_exception: called without arguments, inside the except block, for each exception of an object or its observers.
    Thread: the one that serves events.
    """
    while _objects:
        for handle, reference in list(_objects.items()):
            unbind(handle)
            method = getattr(reference(), '_engine_ended', None)
            if method is not None:
                try:
                    method()
                except Exception:
                    on_exception()
                method = None


TYPES = ('invitation', 'request', 'incoming_request', 'subscription', 'incoming_subscription', 'referral',
         'incoming_referral', 'flow', 'audio_stream', 'video_stream', 'rtp_transport', 'wave_player', 'wave_recorder', 'tone',
         'mixer_port', 'mixer', 'negotiator')


def live_objects():
    """Live native objects per type, and `bound`, the handles that Python holds: for leak checks."""
    counts = {name: ss_object_count(number) for number, name in enumerate(TYPES, 1)}
    counts['bound'] = len(_objects)
    return counts


def counters():
    """The native core's counters since the process started."""
    return {
        'events_posted': ss_counts.events_posted,
        'events_dropped': ss_counts.events_dropped,
        'late_callbacks': ss_counts.late_callbacks,
        'out_of_memory': ss_counts.out_of_memory,
        'worker_wakeups': ss_counts.worker_wakeups,
        'worker_rounds': ss_counts.worker_rounds,
        'malformed': ss_counts.malformed,
        'malformed_sdp': ss_counts.malformed_sdp,
        'malformed_rtp': ss_counts.malformed_rtp,
        'malformed_rtcp': ss_counts.malformed_rtcp,
        'stranger_rtp': ss_counts.stranger_rtp,
        'stranger_rtcp': ss_counts.stranger_rtcp,
        'rejected_srtp': ss_counts.rejected_srtp,
    }


cdef class Handle:
    """Ownership of one native object: when this goes, the object is ended in the worker thread."""

    def __cinit__(self, ss_handle number):
        self.number = number

    def close(self):
        """End the native object now; idempotent, any thread."""
        cdef ss_handle number = self.number
        if number:
            self.number = 0
            unbind(number)
            with nogil:
                ss_ensure_thread()
                ss_object_close(number)

    def __dealloc__(self):
        if self.number:
            _objects.pop(self.number, None)
            ss_object_close_later(self.number)
