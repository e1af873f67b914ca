# cython: language_level=3
"""The queue of native events, seen from the thread that serves it.

C threads fill it without the GIL. One thread of Python (the SDK thread when it runs, else the Engine thread) takes the whole queue in one go, finds
the Python object of each event's handle, and calls the function registered for the event's kind. An exception there is reported and the next event is
served.
"""

from libc.limits cimport INT_MAX

from threading import Lock

from sipsimple.core._core cimport (
    ss_counts, ss_ensure_thread, ss_event, ss_events_detach, ss_events_free, ss_events_interrupt, ss_events_open, ss_events_poll, ss_events_take)
from sipsimple.core._handles cimport lookup

cdef dict _handlers = {}


cdef class Event:
    """One native event: `kind`, `handle`, `num` (six ints), `data` (bytes, their meaning is in native/events.h)."""

    cdef readonly int kind
    cdef readonly object handle
    cdef readonly tuple num
    cdef readonly tuple data


def register(int kind, handler, bint fresh=False):
    """Call handler(obj, event) for each event of this kind, on the thread that serves events.

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


cdef ss_event *_waiting = NULL          # taken from the queue and not served yet; the lock is held
cdef object _serving = Lock()


cdef int _dispatch(ss_event *raw, on_exception) except -1:
    entry = _handlers.get(raw.kind)
    if entry is None:
        return 0
    handler, fresh = entry
    obj = None
    if raw.handle and not fresh:
        obj = lookup(raw.handle)
        if obj is None:
            ss_counts.late_callbacks += 1
            return 0
    try:
        handler(obj, _event(raw))
    except Exception:
        on_exception()
    return 0


cdef int _serve(on_exception, int limit) except -1:
    """Serve up to `limit` of the waiting events; how many it were."""
    global _waiting
    cdef ss_event *raw
    cdef int served = 0
    while _waiting is not NULL and served < limit:
        raw = _waiting
        _waiting = raw.next
        raw.next = NULL
        served += 1
        try:
            _dispatch(raw, on_exception)
        finally:
            ss_events_free(raw)
    return served


cdef void _append(ss_event *queue) noexcept:
    global _waiting
    cdef ss_event *last = _waiting
    if last is NULL:
        _waiting = queue
        return
    while last.next is not NULL:
        last = last.next
    last.next = queue


def drain(on_exception):
    """Wait for events and serve them; returns the number served, 0 when interrupted with an empty queue.

    Args:
        on_exception: called without arguments, inside the except block, for each exception of a handler.
    Thread: the one that serves events, and not while a descriptor is open().
    """
    cdef ss_event *queue
    with nogil:
        ss_ensure_thread()
        queue = ss_events_take()
    with _serving:
        _append(queue)
        return _serve(on_exception, INT_MAX)


def open():
    """A descriptor that is readable while events wait, for a thread that has other things to do. OSError: there is none to be had."""
    cdef int fd = ss_events_open()
    if fd < 0:
        raise OSError('no descriptor for the events of the core')
    return fd


def close():
    """Go back to drain(); the caller then closes the descriptor. Events that wait stay."""
    ss_events_detach()


def serve(on_exception, int limit):
    """Serve the events that wait now, at most `limit`, and return at once; True when there are more. Arguments as for drain()."""
    cdef ss_event *queue
    with _serving:
        if _waiting is NULL:
            with nogil:
                ss_ensure_thread()
                queue = ss_events_poll()
            _append(queue)
        _serve(on_exception, limit)
        return _waiting is not NULL


cdef extern from "native/events.h":
    int SS_EV_LOG, SS_EV_SIP_TRACE, SS_EV_MESSAGE, SS_EV_NAT_TYPE, SS_EV_TRANSPORT_CONNECTED
    int SS_EV_TRANSPORT_DISCONNECTED, SS_EV_TRANSPORT_VERIFIED, SS_EV_TRANSPORT_CERT_ERROR
    int SS_EV_REQUEST_RESPONSE, SS_EV_REQUEST_SENT, SS_EV_INCOMING_REQUEST, SS_EV_INCOMING_REQUEST_SENT
    int SS_EV_DIALOG_INCOMING, SS_EV_DIALOG_REQUEST, SS_EV_DIALOG_ANSWERED, SS_EV_DIALOG_CALL
    int SS_EV_INV_INCOMING, SS_EV_INV_STATE, SS_EV_INV_SDP, SS_EV_INV_REINVITE, SS_EV_INV_REINVITE_END
    int SS_EV_INV_REINVITE_PROGRESS, SS_EV_INV_REINVITE_SENT, SS_EV_INV_MESSAGE, SS_EV_INV_UPDATE, SS_EV_INV_TRANSFER_IN, SS_EV_INV_TRANSFER_STATE
    int SS_EV_INV_TRANSFER_NOTIFY, SS_EV_INV_OFFER, SS_EV_INV_TRANSFER_OUT

LOG = SS_EV_LOG
SIP_TRACE = SS_EV_SIP_TRACE
MESSAGE = SS_EV_MESSAGE
NAT_TYPE = SS_EV_NAT_TYPE
TRANSPORT_CONNECTED = SS_EV_TRANSPORT_CONNECTED
TRANSPORT_DISCONNECTED = SS_EV_TRANSPORT_DISCONNECTED
TRANSPORT_VERIFIED = SS_EV_TRANSPORT_VERIFIED
TRANSPORT_CERT_ERROR = SS_EV_TRANSPORT_CERT_ERROR
REQUEST_RESPONSE = SS_EV_REQUEST_RESPONSE
REQUEST_SENT = SS_EV_REQUEST_SENT
INCOMING_REQUEST = SS_EV_INCOMING_REQUEST
INCOMING_REQUEST_SENT = SS_EV_INCOMING_REQUEST_SENT
DIALOG_INCOMING = SS_EV_DIALOG_INCOMING
DIALOG_REQUEST = SS_EV_DIALOG_REQUEST
DIALOG_ANSWERED = SS_EV_DIALOG_ANSWERED
DIALOG_CALL = SS_EV_DIALOG_CALL
INV_INCOMING = SS_EV_INV_INCOMING
INV_STATE = SS_EV_INV_STATE
INV_SDP = SS_EV_INV_SDP
INV_REINVITE = SS_EV_INV_REINVITE
INV_REINVITE_END = SS_EV_INV_REINVITE_END
INV_REINVITE_SENT = SS_EV_INV_REINVITE_SENT
INV_REINVITE_PROGRESS = SS_EV_INV_REINVITE_PROGRESS
INV_MESSAGE = SS_EV_INV_MESSAGE
INV_UPDATE = SS_EV_INV_UPDATE
INV_TRANSFER_IN = SS_EV_INV_TRANSFER_IN
INV_TRANSFER_STATE = SS_EV_INV_TRANSFER_STATE
INV_TRANSFER_NOTIFY = SS_EV_INV_TRANSFER_NOTIFY
INV_OFFER = SS_EV_INV_OFFER
INV_TRANSFER_OUT = SS_EV_INV_TRANSFER_OUT
