from sipsimple.core._core cimport pj_status_t, pj_str_t

cdef int check(pj_status_t status, str what) except -1
cdef int no_handle() except -1
cdef pj_str_t as_pj(bytes text) noexcept
cpdef str status_text(int status)
