# cython: language_level=3
"""One-shot timers of the core: call_later() runs its function on the thread that serves events."""

from itertools import count

from sipsimple.core._check cimport check
from sipsimple.core._core cimport pj_status_t, ss_ensure_thread
from sipsimple.core._sip cimport ss_timer_cancel, ss_timer_start

from sipsimple.core._events import register

cdef dict _pending = {}
cdef object _ids = count(1)


cdef class Timer:
    """A running timer; cancel() is idempotent and may come from any thread."""

    cdef readonly object id
    cdef object __weakref__

    def __init__(self, number):
        self.id = number

    @property
    def active(self):
        """True until it fired or was cancelled."""
        return self.id in _pending

    def cancel(self):
        """Make sure that the function is not called any more (a call under way in another thread goes on)."""
        cdef unsigned long long number = self.id
        if _pending.pop(self.id, None) is not None:
            with nogil:
                ss_ensure_thread()
                ss_timer_cancel(number)


def call_later(double seconds, function, *args):
    """Call function(*args) on the thread that serves events in `seconds`.

    Raises:
        PJSIPError: the Engine is not running.
    """
    cdef unsigned long long number
    cdef unsigned int milliseconds = <unsigned int>(max(seconds, 0) * 1000)
    cdef pj_status_t status
    timer = Timer(next(_ids))
    number = timer.id
    _pending[timer.id] = (function, args)
    with nogil:
        ss_ensure_thread()
        status = ss_timer_start(number, milliseconds)
    if status != 0:
        _pending.pop(timer.id, None)
        check(status, 'start a timer')
    return timer


def pending_count():
    """Timers that run; for leak checks."""
    return len(_pending)


def forget_all():
    """Engine stop: nothing fires any more."""
    _pending.clear()


def _on_timer(obj, event):
    entry = _pending.pop(event.num[0], None)
    if entry is not None:
        function, args = entry
        function(*args)


register(50, _on_timer)
