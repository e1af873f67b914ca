# cython: language_level=3
"""Codecs and RTP ports of the running Engine."""

from libc.stdlib cimport free, malloc

from sipsimple.core._check cimport check
from sipsimple.core._core cimport pj_status_t, ss_ensure_thread
from sipsimple.core._media cimport ss_codecs_list, ss_codecs_set, ss_media_generation, ss_rtp_ports_set

from sipsimple.core.errors import SIPCoreError

DEF LIST_SIZE = 2048


cdef list _names(bint enabled_only):
    cdef char buffer[LIST_SIZE]
    cdef size_t length
    with nogil:
        ss_ensure_thread()
        length = ss_codecs_list(enabled_only, buffer, LIST_SIZE)
    return buffer[:length].decode().split('\n') if length else []


def generation():
    """Number of the present run of the Engine's media part, 0 while it is off."""
    return ss_media_generation()


def available_codecs():
    """Names of all audio codecs that were compiled in; empty while the Engine is off."""
    return _names(False)


def get_codecs():
    """Names of the enabled audio codecs, most preferred first."""
    return _names(True)


def set_codecs(names):
    """Enable these audio codecs, most preferred first, and disable all others. Names compare case-insensitively.

    Raises:
        ValueError: a name occurs twice.
        SIPCoreError: an unknown name; nothing is changed.
        PJSIPError: the Engine is not running.
    """
    cdef list wanted = [str(name) for name in names]
    cdef list encoded = [name.encode() for name in wanted]
    cdef const char **pointers
    cdef unsigned int count = len(encoded), i
    cdef pj_status_t status
    known = {name.lower() for name in available_codecs()}
    if len({name.lower() for name in wanted}) != len(wanted):
        raise ValueError(f'a codec occurs twice in {wanted!r}')
    if known:
        for name in wanted:
            if name.lower() not in known:
                raise SIPCoreError(f'unknown codec: {name!r}')
    pointers = <const char **>malloc((count + 1) * sizeof(char *))
    if pointers is NULL:
        raise MemoryError
    try:
        for i in range(count):
            pointers[i] = <const char *><bytes>encoded[i]
        with nogil:
            ss_ensure_thread()
            status = ss_codecs_set(pointers, count)
    finally:
        free(pointers)
    check(status, 'set the codecs')


def set_rtp_port_range(int start, int stop):
    """Take UDP ports for RTP and RTCP from [start, stop), in pairs with an even RTP port.

    Raises:
        SIPCoreError: a port outside 0..65535, or no usable pair.
    """
    cdef int first = max(start + (start & 1), 2)
    if start < 0 or start > 65535 or stop < 0 or stop > 65536 or stop - first < 2:
        raise SIPCoreError(f'not a range of RTP ports: {start}-{stop}')
    ss_rtp_ports_set(first, (stop - first) // 2)
