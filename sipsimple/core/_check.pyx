# cython: language_level=3
"""PJSIP status codes to exceptions, Python bytes to pj_str_t."""

from sipsimple.core._core cimport pj_status_t, pj_str_t, ss_objects_are_closed, ss_strerror

from sipsimple.core.errors import PJSIPError, SIPCoreError


cpdef str status_text(int status):
    """PJSIP's own text for a status code."""
    cdef char buffer[160]
    ss_strerror(status, buffer, sizeof(buffer))
    return (<bytes>buffer).decode('utf-8', 'replace')


cdef int check(pj_status_t status, str what) except -1:
    """Raise PJSIPError(what, status) unless status is PJ_SUCCESS."""
    if status != 0:
        raise PJSIPError(f'{what}: {status_text(status)}', status)
    return 0


cdef int no_handle() except -1:
    """Raise what tells why a native object was not made."""
    if ss_objects_are_closed():
        raise SIPCoreError('the Engine is not running')
    raise MemoryError


cdef pj_str_t as_pj(bytes text) noexcept:
    """A view of `text`, valid as long as the caller holds it; None gives the empty string."""
    cdef pj_str_t view
    if text is None:
        view.ptr = NULL
        view.slen = 0
    else:
        view.ptr = <char *>text
        view.slen = len(text)
    return view
