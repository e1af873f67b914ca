from sipsimple.core._core cimport ss_handle

cpdef void bind(ss_handle handle, object obj)
cpdef void unbind(ss_handle handle)
cpdef void keep(ss_handle handle, object obj)
cpdef void release(ss_handle handle)
cpdef object lookup(ss_handle handle)


cdef class Handle:
    cdef readonly ss_handle number
