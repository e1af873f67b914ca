from sipsimple.core._core cimport ss_handle
from sipsimple.core._handles cimport Handle
from sipsimple.core._rtp cimport ss_rtp_info


cdef class RTPTransport:
    cdef Handle handle
    cdef readonly object encryption
    cdef readonly bint use_ice
    cdef readonly object ice_stun_address
    cdef readonly int ice_stun_port
    cdef readonly object turn_address
    cdef readonly int turn_port
    cdef readonly object turn_transport
    cdef readonly object turn_tls_name
    cdef readonly bint ipv6
    cdef object report
    cdef object __weakref__

    cdef ss_handle number(self) except? 0
    cdef int info(self, bint full, ss_rtp_info *result) except -1


cdef int check_index(sdp, index) except -1
cdef bytes sdp_text(sdp)
cdef bytes stream_text(sdp, int index)
cdef int check_operation(int status, str what) except -1
cpdef object parse_stream(bytes text, int index)
