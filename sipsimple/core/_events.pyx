# cython: language_level=3
"""The queue of native events, seen from the Engine thread.

C threads fill it without the GIL. The Engine thread takes the whole queue in one go, finds the Python object of each
event's handle, and calls the function registered for the event's kind. An exception there is reported and the next
event is served.
"""

from sipsimple.core._core cimport (
    ss_counts, ss_ensure_thread, ss_event, ss_events_free, ss_events_interrupt, ss_events_take)
from sipsimple.core._handles cimport lookup

cdef dict _handlers = {}


cdef class Event:
    """One native event: `kind`, `handle`, `num` (six ints), `data` (bytes, their meaning is in native/events.h)."""

    cdef readonly int kind
    cdef readonly object handle
    cdef readonly tuple num
    cdef readonly tuple data


def register(int kind, handler, bint fresh=False):
    """Call handler(obj, event) on the Engine thread for each event of this kind.

    `obj` is the live Python object of the event's handle (None for events of the Engine itself). With `fresh` the
    handle is a new one that Python has not seen, and obj is None.
    """
    _handlers[kind] = (handler, fresh)


def interrupt():
    """Make a waiting drain() return."""
    ss_events_interrupt()


cdef Event _event(ss_event *raw):
    cdef Event event = Event.__new__(Event)
    cdef unsigned int i
    cdef char *cursor = raw.data
    cdef list data = []
    event.kind = raw.kind
    event.handle = raw.handle
    event.num = (raw.num[0], raw.num[1], raw.num[2], raw.num[3], raw.num[4], raw.num[5])
    for i in range(raw.blob_count):
        data.append(cursor[:raw.blob_len[i]])
        cursor += raw.blob_len[i]
    event.data = tuple(data)
    return event


def drain(on_exception):
    """Wait for events and serve them; returns the number served, 0 when interrupted with an empty queue.

    Args:
        on_exception: called without arguments, inside the except block, for each exception of a handler.
    Thread: Engine thread only.
    """
    cdef ss_event *queue
    cdef ss_event *raw
    cdef int served = 0
    with nogil:
        ss_ensure_thread()
        queue = ss_events_take()
    raw = queue
    try:
        while raw is not NULL:
            served += 1
            entry = _handlers.get(raw.kind)
            if entry is not None:
                handler, fresh = entry
                obj = None
                if raw.handle and not fresh:
                    obj = lookup(raw.handle)
                    if obj is None:
                        ss_counts.late_callbacks += 1
                        raw = raw.next
                        continue
                try:
                    handler(obj, _event(raw))
                except Exception:
                    on_exception()
                obj = None
            raw = raw.next
    finally:
        ss_events_free(queue)
    return served
