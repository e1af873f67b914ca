"""What a process holds: native and Python objects, descriptors, threads, memory. Used inside the processes of the load tests."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from collections import Counter
from typing import Any

from sipsimple.core import Engine
from sipsimple.notification import NotificationCenter

PAGE = resource.getpagesize()


def observers() -> int:
    """Registrations at the notification centre."""
    return sum(len(observers) for senders in NotificationCenter()._observers.values() for observers in senders.values())


def rss() -> int:
    """Bytes of memory in use."""
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * PAGE


def usage() -> dict[str, Any]:
    """All counts; what is in `rss_bytes` and `pool_bytes` is bytes."""
    gc.collect()
    return {
        'descriptors': len(os.listdir('/proc/self/fd')),
        'threads': len(os.listdir('/proc/self/task')),
        'observers': observers(),
        'senders': len(NotificationCenter()._senders),
        'python_objects': len(gc.get_objects()),
        'rss_bytes': rss(),
        **Engine().diagnostics(),
    }


class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ('arena', 'ordblks', 'smblks', 'hblks', 'hblkhd', 'usmblks', 'fsmblks', 'uordblks', 'fordblks', 'keepcost')]


def malloc() -> dict[str, int]:
    """What the C library's allocator holds, in bytes (mallinfo2), and Python's blocks."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = Mallinfo
    info = ask()
    return {**{name: getattr(info, name) for name, _ in Mallinfo._fields_}, 'blocks': sys.getallocatedblocks()}


def types() -> dict[str, int]:
    """Python objects by type, to find what grows."""
    gc.collect()
    return dict(Counter(f'{type(thing).__module__}.{type(thing).__qualname__}' for thing in gc.get_objects()).most_common(400))


def cpu() -> float:
    """Seconds of CPU time used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
