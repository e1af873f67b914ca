# cython: language_level=3
"""Playing and recording .wav files in a slot of a mixer."""

from os import fsencode

from sipsimple.core._check cimport check
from sipsimple.core._core cimport pj_status_t, ss_ensure_thread, ss_handle, ss_object_close
from sipsimple.core._media cimport (
    SS_EV_WAVE_FINISHED, ss_wave_player_set_volume, ss_wave_player_start, ss_wave_recorder_finish, ss_wave_recorder_start)
from sipsimple.core._mixer cimport AudioMixer, MixerSlot, check_volume

from sipsimple.core._events import register
from sipsimple.core.errors import SIPCoreError
from sipsimple.notification import NotificationCenter, NotificationData


cdef bytes _path(filename):
    if filename is None:
        raise ValueError('filename cannot be None')
    if not isinstance(filename, str):
        raise TypeError(f'filename is a str, not {type(filename).__name__}')
    if '\0' in filename:
        raise ValueError('filename contains a NUL')
    return fsencode(filename)


cdef class WaveFile(MixerSlot):
    """Plays a .wav file once for each start(): PCM of 8 to 32 bits, float, A-law or u-law, any rate; channels are mixed down.

    Args:
        mixer: the AudioMixer; None -> ValueError.
        filename: any str; None -> ValueError, another type -> TypeError.
    Notifications: WaveFileDidFinishPlaying, once for each start(), at the end of the file or after stop().
    """

    cdef readonly object filename
    cdef bytes _encoded
    cdef int _volume

    def __init__(self, AudioMixer mixer, filename):
        encoded = _path(filename)
        self.prepare(mixer)
        self.filename = filename
        self._encoded = encoded
        self._volume = 100

    def start(self):
        """Start playing.

        Raises:
            SIPCoreError: it plays already, or the Engine is not running.
            PJSIPError: the file cannot be read or is no usable wave file, or the mixer is full.
        """
        cdef ss_handle mixer = self.mixer.alive(), handle = 0
        cdef unsigned int number = 0, volume = self._volume
        cdef const char *path = self._encoded
        cdef pj_status_t status
        if self.running() or self.starting:
            raise SIPCoreError('the WaveFile is playing already')
        self.starting = True
        with nogil:
            ss_ensure_thread()
            status = ss_wave_player_start(mixer, path, volume, &handle, &number)
        self.starting = False
        check(status, f'play {self.filename!r}')
        self.attach(handle, number)

    def stop(self):
        """Stop playing; idempotent."""
        cdef ss_handle handle = self.detach()
        if handle:
            with nogil:
                ss_ensure_thread()
                ss_object_close(handle)

    @property
    def volume(self):
        """Percent, 100 = unchanged; negative -> ValueError."""
        return self._volume

    @volume.setter
    def volume(self, value):
        cdef unsigned int volume = check_volume(value)
        cdef ss_handle handle = self.handle
        self._volume = volume
        if self.running():
            with nogil:
                ss_ensure_thread()
                ss_wave_player_set_volume(handle, volume)

    cdef void _finished(self, ss_handle handle):
        if handle == self.handle:
            self.detach()
            with nogil:
                ss_object_close(handle)
        self.forget(handle)


cdef class RecordingWaveFile(MixerSlot):
    """Records what is connected to its slot into a .wav file: 16-bit mono PCM at the mixer's rate.

    The file is complete when stop() returns. Its header is brought up to date every second, so that what a killed process leaves
    behind can be played. Silence of connected slots is recorded; without a connection nothing is.

    Args, errors: as WaveFile.
    """

    cdef readonly object filename
    cdef bytes _encoded
    cdef bint was_started

    def __init__(self, AudioMixer mixer, filename):
        encoded = _path(filename)
        self.prepare(mixer)
        self.filename = filename
        self._encoded = encoded

    def start(self):
        """Create the file (an existing one is overwritten) and record; once only.

        Raises:
            SIPCoreError: it was started before, or the Engine is not running.
            PJSIPError: the file cannot be written, or the mixer is full.
        """
        cdef ss_handle mixer = self.mixer.alive(), handle = 0
        cdef unsigned int number = 0
        cdef const char *path = self._encoded
        cdef pj_status_t status
        if self.was_started:
            raise SIPCoreError('the RecordingWaveFile was started already')
        self.was_started = True
        with nogil:
            ss_ensure_thread()
            status = ss_wave_recorder_start(mixer, path, &handle, &number)
        if status != 0:
            self.was_started = False
        check(status, f'record to {self.filename!r}')
        self.attach(handle, number)

    def stop(self):
        """Complete the file and give the slot back; idempotent.

        Raises:
            PJSIPError: something could not be written (a full disk); the file holds what could.
        """
        cdef ss_handle handle = self.detach()
        cdef pj_status_t status
        if handle:
            self.forget(handle)
            with nogil:
                ss_ensure_thread()
                status = ss_wave_recorder_finish(handle)
            check(status, f'record to {self.filename!r}')


def _on_wave_finished(WaveFile obj, event):
    obj._finished(event.handle)
    NotificationCenter().post_notification('WaveFileDidFinishPlaying', sender=obj, data=NotificationData())


register(SS_EV_WAVE_FINISHED, _on_wave_finished)
