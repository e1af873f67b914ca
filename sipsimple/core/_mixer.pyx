# cython: language_level=3
"""The audio mixer and the objects that take one of its slots.

Python holds handles and remembers settings; the bridge, its clock and the ports are in native/mixer.c. All methods may be called
from any thread; those that reach the bridge release the GIL.
"""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc

from sipsimple.core._check cimport check
from sipsimple.core._core cimport pj_status_t, ss_ensure_thread, ss_handle, ss_object_close, ss_object_close_later
from sipsimple.core._handles cimport Handle, bind, unbind
from sipsimple.core._media cimport (
    SS_INPUT, SS_OUTPUT, ss_media_generation, ss_mixer_adjust_slot, ss_mixer_connect, ss_mixer_connections, ss_mixer_create,
    ss_mixer_directions, ss_mixer_disconnect, ss_mixer_params, ss_mixer_port_start, ss_mixer_reset_ec, ss_mixer_set_devices,
    ss_mixer_signal_level, ss_mixer_ticks, ss_mixer_used_slots)

from sipsimple.core._sound_devices import encode_name, resolve_input, resolve_output
from sipsimple.core.errors import PJSIPError, SIPCoreError

DEF MAX_SLOTS = 32767


cpdef int check_volume(value) except -1:
    """A volume in percent, 100 = unchanged, more than 10000 counts as 10000; ValueError when negative."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'a volume is an int, not {type(value).__name__}')
    if value < 0:
        raise ValueError('a volume cannot be negative')
    return min(value, 10000)


cdef int check_slot(value) except -1:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'a slot is an int, not {type(value).__name__}')
    if value < 0:
        raise ValueError('a slot cannot be negative')
    return min(value, MAX_SLOTS + 1)


cdef int check_tail(value) except -1:
    if not isinstance(value, int):
        raise TypeError('ec_tail_length is an int')
    if value < 0:
        raise ValueError('ec_tail_length cannot be negative')
    return min(value, 5000)


cdef bytes _device(name):
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f'a device name is a str or None, not {type(name).__name__}')
    return encode_name(name)


cdef class AudioMixer:
    """Mixes audio between numbered slots; slot 0 is the sound device. Mono, 16 bit, frames of 20 ms.

    The device is open, and the mixer costs CPU time, only while another slot is used. Without a usable device the mixer runs on a
    timer of its own.

    Args:
        input_device, output_device: a device name, "system_default", or None for no device in that direction. An unknown name
            means the default; a machine without sound devices behaves like None.
        sample_rate: Hz, divisible by 50.
        ec_tail_length: tail of the echo canceller in ms, 0 = none; more than 5000 counts as 5000.
        slot_count: slots besides the device's.
    Raises:
        ValueError: a number out of range.
        SIPCoreError: the Engine is not running.
    """

    def __init__(self, input_device, output_device, sample_rate, ec_tail_length=200, slot_count=254):
        cdef ss_mixer_params params
        cdef ss_handle handle = 0
        cdef pj_status_t status
        cdef bytes input_name = _device(input_device), output_name = _device(output_device)
        if self.initialized:
            raise SIPCoreError('AudioMixer.__init__() was already called')
        if not isinstance(sample_rate, int) or not isinstance(slot_count, int):
            raise TypeError('sample_rate and slot_count are ints')
        if not 0 < sample_rate <= 192000 or sample_rate % 50:
            raise ValueError('sample_rate must be positive and divisible by 50')
        if not 0 < slot_count <= MAX_SLOTS:
            raise ValueError(f'slot_count must be in 1..{MAX_SLOTS}')
        self.ec_tail_length = check_tail(ec_tail_length)
        if not ss_media_generation():
            raise SIPCoreError('the Engine is not running')
        self.initialized = True
        self.sample_rate = sample_rate
        self.slot_count = slot_count
        self.input_device = input_device
        self.output_device = output_device
        self._input_volume = self._output_volume = 100
        params.input = NULL if input_name is None else <const char *>input_name
        params.output = NULL if output_name is None else <const char *>output_name
        params.sample_rate = sample_rate
        params.ec_tail_ms = self.ec_tail_length
        params.slot_count = slot_count
        with nogil:
            ss_ensure_thread()
            status = ss_mixer_create(&params, &handle)
        check(status, 'create the audio mixer')
        self.handle = handle
        self.generation = ss_media_generation()

    def __dealloc__(self):
        if self.handle:
            ss_object_close_later(self.handle)

    cdef ss_handle alive(self) except? 0:
        if not self.handle or self.generation != ss_media_generation():
            raise SIPCoreError('the Engine this mixer belongs to is not running')
        return self.handle

    cdef bint running(self):
        return self.handle != 0 and self.generation == ss_media_generation()

    def _native_handle(self):
        """The handle, for other native modules; SIPCoreError when the mixer's Engine is gone."""
        return self.alive()

    def __repr__(self):
        return f'<AudioMixer {self.input_device!r} {self.output_device!r} {self.sample_rate} Hz>'

    # ---- devices

    def set_sound_devices(self, input_device, output_device, ec_tail_length):
        """Switch devices without disturbing the slots; returns when the new ones are open (or not needed at the moment).

        Raises:
            PJSIPError: none of the devices could be opened; the mixer goes on without.
        """
        cdef bytes input_name = _device(input_device), output_name = _device(output_device)
        cdef const char *input_text = NULL
        cdef const char *output_text = NULL
        cdef unsigned int tail = check_tail(ec_tail_length)
        cdef ss_handle handle = self.alive()
        cdef pj_status_t status
        if input_name is not None:
            input_text = input_name
        if output_name is not None:
            output_text = output_name
        self.input_device = input_device
        self.output_device = output_device
        self.ec_tail_length = tail
        with nogil:
            ss_ensure_thread()
            status = ss_mixer_set_devices(handle, input_text, output_text, tail)
        check(status, f'set the sound devices {input_device!r} and {output_device!r}')

    cdef object _real(self, int direction, name, resolve):
        cdef ss_handle handle = self.handle
        cdef unsigned int directions
        if name is None or not self.running():
            return None
        with nogil:
            ss_ensure_thread()
            directions = ss_mixer_directions(handle)
        if not directions & direction:
            return None
        try:
            return resolve(encode_name(name))
        except PJSIPError:
            return None

    @property
    def real_input_device(self):
        """Name of the device behind `input_device`; None without one, or when it could not be opened."""
        return self._real(SS_INPUT, self.input_device, resolve_input)

    @property
    def real_output_device(self):
        """Name of the device behind `output_device`; None without one, or when it could not be opened."""
        return self._real(SS_OUTPUT, self.output_device, resolve_output)

    def reset_ec(self):
        """Make the echo canceller adapt anew."""
        cdef ss_handle handle = self.alive()
        with nogil:
            ss_ensure_thread()
            ss_mixer_reset_ec(handle)

    cdef int _adjust_device(self) except -1:
        cdef ss_handle handle = self.alive()
        cdef int rx = 0 if self._muted else self._input_volume, tx = self._output_volume
        cdef pj_status_t status
        with nogil:
            ss_ensure_thread()
            status = ss_mixer_adjust_slot(handle, 0, tx, rx)
        return check(status, 'set the volume')

    @property
    def input_volume(self):
        """Capture volume in percent; setting it above 0 unmutes."""
        return self._input_volume

    @input_volume.setter
    def input_volume(self, value):
        self._input_volume = check_volume(value)
        if value > 0:
            self._muted = False
        self._adjust_device()

    @property
    def output_volume(self):
        """Playback volume in percent."""
        return self._output_volume

    @output_volume.setter
    def output_volume(self, value):
        self._output_volume = check_volume(value)
        self._adjust_device()

    @property
    def muted(self):
        """Whether the capture device is muted."""
        return self._muted

    @muted.setter
    def muted(self, value):
        self._muted = bool(value)
        self._adjust_device()

    # ---- slots

    def connect_slots(self, src_slot, dst_slot):
        """Let `dst_slot` hear `src_slot`; no-op when it does. ValueError for a negative slot, PJSIPError for an unused one."""
        cdef unsigned int source = check_slot(src_slot), sink = check_slot(dst_slot)
        cdef ss_handle handle = self.alive()
        cdef pj_status_t status
        with nogil:
            ss_ensure_thread()
            status = ss_mixer_connect(handle, source, sink)
        check(status, f'connect slot {src_slot} to slot {dst_slot}')

    def disconnect_slots(self, src_slot, dst_slot):
        """Undo connect_slots(); no-op when they are not connected. Errors as there."""
        cdef unsigned int source = check_slot(src_slot), sink = check_slot(dst_slot)
        cdef ss_handle handle = self.alive()
        cdef pj_status_t status
        with nogil:
            ss_ensure_thread()
            status = ss_mixer_disconnect(handle, source, sink)
        check(status, f'disconnect slot {src_slot} from slot {dst_slot}')

    @property
    def connected_slots(self):
        """Sorted list of (src, dst)."""
        cdef ss_handle handle = self.handle
        cdef unsigned int room = 1024, count, i
        cdef uint32_t *pairs
        if not self.running():
            return []
        while True:
            pairs = <uint32_t *>malloc(room * sizeof(uint32_t))
            if pairs is NULL:
                raise MemoryError
            try:
                with nogil:
                    ss_ensure_thread()
                    count = ss_mixer_connections(handle, pairs, room)
                if count <= room:
                    return [(pairs[i] >> 16, pairs[i] & 0xffff) for i in range(count)]
            finally:
                free(pairs)
            room = count + 256

    @property
    def used_slot_count(self):
        """Slots in use, the device's not counted."""
        return ss_mixer_used_slots(self.handle) if self.running() else 0

    @property
    def frames_mixed(self):
        """Frames of 20 ms mixed so far; it stands still while no slot is used."""
        return ss_mixer_ticks(self.handle) if self.running() else 0

    def get_signal_level(self, slot):
        """Loudness of the last frame, (tx, rx), each 0..255: tx = given to the slot, rx = coming from it."""
        cdef unsigned int number = check_slot(slot), tx = 0, rx = 0
        cdef ss_handle handle = self.alive()
        cdef pj_status_t status
        with nogil:
            ss_ensure_thread()
            status = ss_mixer_signal_level(handle, number, &tx, &rx)
        check(status, f'get the signal level of slot {slot}')
        return tx, rx


cdef class MixerSlot:
    """What the objects that take a slot have in common: they own one native object from start to stop.

    The native object's events may come after stop(); `bound` has the handles that still lead to this object. Their owners end the
    native object when this one is dropped; they hold no Python object, so that works in the middle of a garbage collection too.
    """

    def __cinit__(self):
        self.bound = {}

    cdef int prepare(self, AudioMixer mixer) except -1:
        if self.initialized:
            raise SIPCoreError(f'{type(self).__name__}.__init__() was already called')
        if mixer is None:
            raise ValueError('mixer cannot be None')
        if not mixer.running():
            raise SIPCoreError('the Engine is not running')
        self.mixer = mixer
        self.initialized = True
        return 0

    cdef bint running(self):
        return self.handle != 0 and self.generation == ss_media_generation()

    cdef void attach(self, ss_handle handle, unsigned int number):
        self.handle = handle
        self.number = number
        self.generation = ss_media_generation()
        self.bound[handle] = Handle(handle)
        bind(handle, self)

    cdef void forget(self, ss_handle handle):
        cdef Handle owner = self.bound.pop(handle, None)
        if owner is not None:
            owner.number = 0                # closed already
        unbind(handle)

    cdef ss_handle detach(self):
        """Take the native object away, so that exactly one caller ends it; 0 when there is none."""
        cdef ss_handle handle = self.handle
        self.handle = 0
        return handle

    @property
    def slot(self):
        """The slot in the mixer, None while inactive."""
        return self.number if self.running() else None

    @property
    def is_active(self):
        """True between start() and the end."""
        return self.running()


cdef class MixerPort(MixerSlot):
    """A slot that hands out what is connected into it, mixed, one frame later.

    Raises:
        ValueError: mixer is None.
    """

    cdef bint was_started

    def __init__(self, AudioMixer mixer):
        self.prepare(mixer)

    def start(self):
        """Take a slot; once only, else SIPCoreError. PJSIPError when the mixer is full."""
        cdef ss_handle mixer = self.mixer.alive(), handle = 0
        cdef unsigned int number = 0
        cdef pj_status_t status
        if self.was_started:
            raise SIPCoreError('the MixerPort was started already')
        self.was_started = True
        with nogil:
            ss_ensure_thread()
            status = ss_mixer_port_start(mixer, &handle, &number)
        if status != 0:
            self.was_started = False
        check(status, 'start the mixer port')
        self.attach(handle, number)

    def stop(self):
        """Give the slot back; idempotent."""
        cdef ss_handle handle = self.detach()
        if handle:
            self.forget(handle)
            with nogil:
                ss_ensure_thread()
                ss_object_close(handle)
