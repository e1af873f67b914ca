from sipsimple.core._sip cimport ss_credentials, ss_field

cdef class Fields:
    cdef list _keep
    cdef ss_field *fields
    cdef unsigned int count

cdef bytes to_bytes(object text)
cdef void set_credentials(ss_credentials *target, object credentials, list keep) except *
