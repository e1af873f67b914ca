# cython: language_level=3
"""The tone generator in a slot of a mixer."""

from sipsimple.core._check cimport check
from sipsimple.core._core cimport pj_status_t, ss_ensure_thread, ss_handle, ss_object_close
from sipsimple.core._media cimport (
    SS_EV_TONE_FINISHED, SS_TONE_MAX_COUNT, SS_TONE_MAX_MS, ss_tone_is_busy, ss_tone_play, ss_tone_play_digit, ss_tone_set_volume,
    ss_tone_spec, ss_tone_start)
from sipsimple.core._mixer cimport AudioMixer, MixerSlot, check_volume

from sipsimple.core._events import register
from sipsimple.core.errors import PJSIPError, SIPCoreError
from sipsimple.notification import NotificationCenter, NotificationData

DTMF_DIGITS = '0123456789*#ABCD'
DEF DIGIT_MS = 200
DEF GAP_MS = 50             # silence after a digit, so that the next one is another (ITU-T Q.24 wants 40 ms)
DEF MAX_FREQUENCY = 20000


cdef int _number(value, int limit, str what) except -1:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{what} is an int, not {type(value).__name__}')
    if not 0 <= value <= limit:
        raise ValueError(f'{what} must be in 0..{limit}, not {value}')
    return value


cdef class ToneGenerator(MixerSlot):
    """Plays tones and DTMF digits into the mixer; may be started and stopped any number of times.

    Args:
        mixer: the AudioMixer; None -> ValueError.
    Notifications: ToneGeneratorDidFinishPlaying, when all tones given so far are played, or after stop() cut them short.
    """

    cdef int _volume

    def __init__(self, AudioMixer mixer):
        self.prepare(mixer)
        self._volume = 100

    def start(self):
        """Take a slot; SIPCoreError when started already, PJSIPError when the mixer is full."""
        cdef ss_handle mixer = self.mixer.alive(), handle = 0
        cdef unsigned int number = 0, volume = self._volume
        cdef pj_status_t status
        if self.running() or self.starting:
            raise SIPCoreError('the ToneGenerator was started already')
        self.starting = True
        with nogil:
            ss_ensure_thread()
            status = ss_tone_start(mixer, volume, &handle, &number)
        self.starting = False
        check(status, 'start the tone generator')
        self.attach(handle, number)

    def stop(self):
        """Give the slot back; tones under way are cut. Idempotent."""
        cdef ss_handle handle = self.detach()
        if handle:
            with nogil:
                ss_ensure_thread()
                ss_object_close(handle)

    def play_tones(self, tones):
        """Play after what is playing already.

        Args:
            tones: up to 32 of (freq1, freq2, ms); freq2 0 = one frequency, freq1 0 = silence after the tone before.
        Raises:
            SIPCoreError: not started, or more than 32 tones wait.
            ValueError, TypeError: not tones.
        """
        cdef ss_tone_spec specs[SS_TONE_MAX_COUNT]
        cdef unsigned int count = 0
        cdef ss_handle handle
        cdef int freq1, freq2, length
        cdef pj_status_t status
        self._check_started()
        for tone in tones:
            first, second, milliseconds = tone
            freq1 = _number(first, MAX_FREQUENCY, 'a frequency')
            freq2 = _number(second, MAX_FREQUENCY, 'a frequency')
            length = _number(milliseconds, SS_TONE_MAX_MS, 'a duration')
            if length == 0:
                continue
            if freq1 == 0 and count and specs[count - 1].off_ms + length <= SS_TONE_MAX_MS:
                specs[count - 1].off_ms += length
                continue
            if count == SS_TONE_MAX_COUNT:
                raise SIPCoreError(f'more than {SS_TONE_MAX_COUNT} tones')
            specs[count].freq1 = freq1
            specs[count].freq2 = freq2 if freq1 else 0
            specs[count].on_ms = length if freq1 else 0
            specs[count].off_ms = 0 if freq1 else length
            count += 1
        handle = self.handle
        with nogil:
            ss_ensure_thread()
            status = ss_tone_play(handle, specs, count)
        self._check_played(status)

    def play_dtmf(self, digit):
        """Play a DTMF digit (0-9, *, #, A-D) for 200 ms. SIPCoreError when not started or not a digit."""
        cdef ss_handle handle
        cdef char code
        cdef pj_status_t status
        if not isinstance(digit, str):
            raise TypeError(f'a digit is a str, not {type(digit).__name__}')
        if len(digit) != 1 or digit.upper() not in DTMF_DIGITS:
            raise SIPCoreError(f'not a DTMF digit: {digit!r}')
        self._check_started()
        handle = self.handle
        code = ord(digit.upper())
        with nogil:
            ss_ensure_thread()
            status = ss_tone_play_digit(handle, code, DIGIT_MS, GAP_MS)
        self._check_played(status)

    def _check_started(self):
        if not self.running():
            raise SIPCoreError('the ToneGenerator is not started')

    def _check_played(self, int status):
        try:
            check(status, 'play tones')
        except PJSIPError as error:
            if not self.running():
                raise SIPCoreError('the ToneGenerator is not started') from error
            raise SIPCoreError(f'too many tones wait: {error}') from error

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
                ss_tone_set_volume(handle, volume)

    @property
    def is_busy(self):
        """Whether tones are being played."""
        cdef ss_handle handle = self.handle
        cdef bint busy = False
        if self.running():
            with nogil:
                ss_ensure_thread()
                busy = ss_tone_is_busy(handle)
        return busy

    cdef void _closed(self, ss_handle handle):
        if handle == self.handle:
            self.detach()                   # the Engine stopped
        self.forget(handle)


def _on_tone_finished(ToneGenerator obj, event):
    was_playing, closed = event.num[:2]
    if closed:
        obj._closed(event.handle)
    if was_playing:
        NotificationCenter().post_notification('ToneGeneratorDidFinishPlaying', sender=obj, data=NotificationData())


register(SS_EV_TONE_FINISHED, _on_tone_finished)
