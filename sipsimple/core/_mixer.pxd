from sipsimple.core._core cimport ss_handle


cdef class AudioMixer:
    cdef ss_handle handle
    cdef unsigned int generation
    cdef bint initialized
    cdef readonly int sample_rate
    cdef readonly int slot_count
    cdef readonly int ec_tail_length
    cdef readonly object input_device
    cdef readonly object output_device
    cdef int _input_volume
    cdef int _output_volume
    cdef bint _muted
    cdef object __weakref__

    cdef ss_handle alive(self) except? 0
    cdef bint running(self)
    cdef object _real(self, int direction, name, resolve)
    cdef int _adjust_device(self) except -1


cdef class MixerSlot:
    cdef readonly AudioMixer mixer
    cdef ss_handle handle
    cdef unsigned int generation
    cdef unsigned int number
    cdef bint initialized
    cdef bint starting
    cdef dict bound
    cdef object __weakref__

    cdef int prepare(self, AudioMixer mixer) except -1
    cdef bint running(self)
    cdef void attach(self, ss_handle handle, unsigned int number)
    cdef void forget(self, ss_handle handle)
    cdef ss_handle detach(self)


cpdef int check_volume(value) except -1
