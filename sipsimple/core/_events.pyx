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


cdef extern from "native/events.h":
    int SS_EV_LOG, SS_EV_SIP_TRACE, SS_EV_MESSAGE, SS_EV_NAT_TYPE, SS_EV_TRANSPORT_CONNECTED
    int SS_EV_TRANSPORT_DISCONNECTED, SS_EV_TRANSPORT_VERIFIED, SS_EV_TRANSPORT_CERT_ERROR
    int SS_EV_REQUEST_RESPONSE, SS_EV_INCOMING_REQUEST, SS_EV_INCOMING_REQUEST_SENT
    int SS_EV_INV_INCOMING, SS_EV_INV_STATE, SS_EV_INV_SDP, SS_EV_INV_REINVITE, SS_EV_INV_REINVITE_END
    int SS_EV_INV_REINVITE_PROGRESS, SS_EV_INV_REINVITE_SENT, SS_EV_INV_MESSAGE, SS_EV_INV_TRANSFER_IN, SS_EV_INV_TRANSFER_STATE
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
INCOMING_REQUEST = SS_EV_INCOMING_REQUEST
INCOMING_REQUEST_SENT = SS_EV_INCOMING_REQUEST_SENT
INV_INCOMING = SS_EV_INV_INCOMING
INV_STATE = SS_EV_INV_STATE
INV_SDP = SS_EV_INV_SDP
INV_REINVITE = SS_EV_INV_REINVITE
INV_REINVITE_END = SS_EV_INV_REINVITE_END
INV_REINVITE_SENT = SS_EV_INV_REINVITE_SENT
INV_REINVITE_PROGRESS = SS_EV_INV_REINVITE_PROGRESS
INV_MESSAGE = SS_EV_INV_MESSAGE
INV_TRANSFER_IN = SS_EV_INV_TRANSFER_IN
INV_TRANSFER_STATE = SS_EV_INV_TRANSFER_STATE
INV_TRANSFER_NOTIFY = SS_EV_INV_TRANSFER_NOTIFY
INV_OFFER = SS_EV_INV_OFFER
INV_TRANSFER_OUT = SS_EV_INV_TRANSFER_OUT
