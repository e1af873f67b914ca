# cython: language_level=3
"""The audio stream between an RTPTransport and a slot of an AudioMixer. The work is in native/audio_stream.c."""

from libc.stdlib cimport free

from sipsimple.core._core cimport pj_status_t, ss_ensure_thread, ss_handle
from sipsimple.core._handles cimport Handle, bind
from sipsimple.core._media_stats cimport statistics_dict
from sipsimple.core._mixer cimport AudioMixer, check_volume
from sipsimple.core._rtp cimport (
    SS_EV_AUDIO_DTMF, SS_EV_AUDIO_TIMEOUT, ss_audio_create, ss_audio_get_info, ss_audio_get_stat, ss_audio_info, ss_audio_is_over,
    ss_audio_local_media, ss_audio_send_dtmf, ss_audio_set_direction, ss_audio_set_volume, ss_audio_start, ss_audio_stat, ss_audio_stop, ss_audio_update)
from sipsimple.core._rtp_transport cimport RTPTransport, check_index, check_operation, parse_stream, sdp_text

from sipsimple.core._events import register
from sipsimple.core._media_endpoint import available_codecs
from sipsimple.core.errors import SIPCoreError
from sipsimple.core.sdp import SDPMediaStream, SDPSession
from sipsimple.notification import NotificationCenter, NotificationData

DTMF_DIGITS = '0123456789*#ABCD'
DIRECTIONS = {'inactive': 0, 'sendonly': 1, 'recvonly': 2, 'sendrecv': 3}       # pjmedia_dir: encoding 1, decoding 2
DEF MAX_TIMEOUT = 2000000       # seconds; milliseconds must fit in 32 bits


cdef class AudioTransport:
    """An audio stream over RTP.

    Args:
        mixer, transport: None -> ValueError. The transport must be in state INIT, else SIPCoreError.
        remote_sdp: the offer that we answer; None when we offer.
        sdp_index: position of the stream in the SDP.
        enable_silence_detection: send nothing while nobody speaks.
        codecs: names of the codecs of this stream, most preferred first; None = those of the Engine.
    Notifications: RTPAudioStreamGotDTMF (`digit`), RTPAudioTransportDidTimeout.
    Thread: any.
    """

    cdef Handle handle
    cdef readonly AudioMixer mixer
    cdef readonly RTPTransport transport
    cdef readonly bint enable_silence_detection
    cdef readonly bint is_started
    cdef object _direction
    cdef int _volume
    cdef object __weakref__

    def __init__(self, AudioMixer mixer, RTPTransport transport, remote_sdp=None, sdp_index=0, enable_silence_detection=False,
                 codecs=None):
        cdef ss_handle number = 0, rtp, slots
        cdef pj_status_t status
        cdef bytes names = None
        cdef const char *text = NULL
        cdef int silence = bool(enable_silence_detection)
        if self.handle is not None:
            raise SIPCoreError('AudioTransport.__init__() was already called')
        if mixer is None:
            raise ValueError('mixer cannot be None')
        if transport is None:
            raise ValueError('transport cannot be None')
        if isinstance(sdp_index, bool) or not isinstance(sdp_index, int):
            raise TypeError(f'sdp_index is an int, not {type(sdp_index).__name__}')
        if sdp_index < 0:
            raise ValueError('sdp_index cannot be negative')
        if codecs is not None:
            names = _codec_names(codecs)
            text = names
        if transport.state != 'INIT':
            raise SIPCoreError(f'the RTPTransport must be in state INIT, not {transport.state}')
        slots = mixer.alive()
        rtp = transport.number()
        if remote_sdp is None:
            transport.set_LOCAL(_placeholder(sdp_index), sdp_index)
        else:
            transport.set_REMOTE(None, remote_sdp, sdp_index)
        with nogil:
            ss_ensure_thread()
            status = ss_audio_create(rtp, slots, text, silence, &number)
        check_operation(status, 'create the audio stream')
        self.mixer = mixer
        self.transport = transport
        self.enable_silence_detection = silence
        self._volume = 100
        self.handle = Handle(number)
        bind(number, self)

    cdef ss_handle number(self) except? 0:
        if self.handle is None or not self.handle.number:
            raise SIPCoreError('the AudioTransport is not initialized')
        return self.handle.number

    cdef bint running(self, ss_audio_info *info):
        cdef ss_handle number = 0 if self.handle is None else self.handle.number
        cdef pj_status_t status
        with nogil:
            ss_ensure_thread()
            status = ss_audio_get_info(number, info)
        return status == 0

    def __repr__(self):
        return f'<AudioTransport codec={self.codec} slot={self.slot} direction={self.direction}>'

    # ---- SDP

    def get_local_media(self, remote_sdp=None, index=0, direction='sendrecv'):
        """Our SDPMediaStream for position `index`.

        Args:
            remote_sdp: None for an offer with this direction; else the offer to answer: with sendrecv, or with sendonly while we
                hold the peer (the negotiator narrows it to what fits).
        Raises:
            SIPCoreError: not a direction, or stop() was called. PJSIPError: the offer does not fit the encryption.
        """
        cdef ss_handle number = self.number()
        cdef unsigned int position
        cdef bytes remote = None, name
        cdef const char *remote_text = NULL
        cdef const char *direction_text
        cdef size_t remote_length = 0, length = 0
        cdef char *text = NULL
        cdef pj_status_t status
        if remote_sdp is not None:
            position = check_index(remote_sdp, index)
            remote = sdp_text(remote_sdp)
            remote_text = remote
            remote_length = len(remote)
            direction = 'sendonly' if self._direction in ('sendonly', 'inactive') else 'sendrecv'
        else:
            if direction not in DIRECTIONS:
                raise SIPCoreError(f'not a direction: {direction!r}')
            position = check_index(_placeholder(index), index)
        name = direction.encode()
        direction_text = name
        with nogil:
            ss_ensure_thread()
            status = ss_audio_local_media(number, remote_text, remote_length, position, direction_text, &text, &length)
        check_operation(status, 'make the SDP of the audio stream')
        try:
            return parse_stream(text[:length], position)
        finally:
            free(text)

    # ---- life

    def start(self, local_sdp, remote_sdp, sdp_index, timeout=30):
        """Start media with the negotiated SDPs; once.

        Args:
            timeout: seconds without any packet, while the direction is sendrecv, that are reported each time; 0 = never.
        Raises:
            SIPCoreError: started before, or a rejected stream. ValueError: no such stream. PJSIPError: the SDPs do not fit, the mixer is full.
        """
        cdef unsigned int index = check_index(local_sdp, sdp_index), milliseconds = 0
        cdef ss_handle number = self.number()
        cdef bytes local, remote
        cdef const char *local_text
        cdef const char *remote_text
        cdef size_t local_length, remote_length
        cdef pj_status_t status
        check_index(remote_sdp, sdp_index)
        if timeout:
            if not 0 < timeout <= MAX_TIMEOUT:
                raise ValueError(f'timeout must be in 0..{MAX_TIMEOUT} seconds')
            milliseconds = max(int(timeout * 1000), 1)
        if self.is_started:
            raise SIPCoreError('the AudioTransport was started already')
        _check_ports(local_sdp, remote_sdp, index)
        local = sdp_text(local_sdp)
        remote = sdp_text(remote_sdp)
        local_text = local
        local_length = len(local)
        remote_text = remote
        remote_length = len(remote)
        with nogil:
            ss_ensure_thread()
            status = ss_audio_start(number, local_text, local_length, remote_text, remote_length, index, milliseconds)
        check_operation(status, 'start the audio stream')
        self.is_started = True
        self._direction = local_sdp.media[index].direction

    def stop(self):
        """End media and give the slot back; the RTPTransport returns to INIT. Idempotent."""
        cdef ss_handle number = 0 if self.handle is None else self.handle.number
        with nogil:
            ss_ensure_thread()
            ss_audio_stop(number)

    def update_direction(self, direction):
        """Change who sends: 'sendrecv', 'sendonly', 'recvonly' or 'inactive'. SIPCoreError for others, or when not running."""
        cdef ss_handle number = self.number()
        cdef int flags
        cdef pj_status_t status
        if direction not in DIRECTIONS:
            raise SIPCoreError(f'not a direction: {direction!r}')
        flags = DIRECTIONS[direction]
        with nogil:
            ss_ensure_thread()
            status = ss_audio_set_direction(number, flags)
        check_operation(status, 'change the direction')
        self._direction = direction

    def update_sdp(self, local_sdp, remote_sdp, index):
        """Go on with newly negotiated SDPs: address, direction, keys. Media are not interrupted unless the codec changed.

        Returns:
            True when the codec changed and so `slot` may be another one (connected in the mixer as the old one was).
        Raises:
            SIPCoreError: not running, or a rejected stream. ValueError: no such stream. PJSIPError: the SDPs do not fit.
        """
        cdef unsigned int position = check_index(local_sdp, index)
        cdef ss_handle number = self.number()
        cdef bytes local, remote
        cdef const char *local_text
        cdef const char *remote_text
        cdef size_t local_length, remote_length
        cdef int rebuilt = 0
        cdef pj_status_t status
        check_index(remote_sdp, index)
        _check_ports(local_sdp, remote_sdp, position)
        local = sdp_text(local_sdp)
        remote = sdp_text(remote_sdp)
        local_text = local
        local_length = len(local)
        remote_text = remote
        remote_length = len(remote)
        with nogil:
            ss_ensure_thread()
            status = ss_audio_update(number, local_text, local_length, remote_text, remote_length, position, &rebuilt)
        check_operation(status, 'update the audio stream')
        self._direction = local_sdp.media[position].direction
        return bool(rebuilt)

    def send_dtmf(self, digit):
        """Send a digit (0-9, *, #, A-D) as telephone-event (RFC 4733). A peer without it gets nothing.

        Raises:
            SIPCoreError: not a digit, or not running.
        """
        cdef ss_handle number = self.number()
        cdef char code
        cdef pj_status_t status
        if not isinstance(digit, str):
            raise TypeError(f'a digit is a str, not {type(digit).__name__}')
        if len(digit) != 1 or digit.upper() not in DTMF_DIGITS:
            raise SIPCoreError(f'not a DTMF digit: {digit!r}')
        code = ord(digit.upper())
        with nogil:
            ss_ensure_thread()
            status = ss_audio_send_dtmf(number, code)
        check_operation(status, 'send a DTMF digit')

    # ---- what can be asked

    @property
    def direction(self):
        """Direction in use, from our side; None before start."""
        return self._direction

    @property
    def is_active(self):
        """Whether media run."""
        cdef ss_audio_info info
        return self.running(&info)

    @property
    def codec(self):
        """Name of the codec, None when inactive."""
        cdef ss_audio_info info
        return (<bytes>info.codec).decode() if self.running(&info) else None

    @property
    def sample_rate(self):
        """Clock rate of the codec in Hz, None when inactive."""
        cdef ss_audio_info info
        return info.sample_rate if self.running(&info) else None

    @property
    def slot(self):
        """The slot in the mixer, None when inactive."""
        cdef ss_audio_info info
        return info.slot if self.running(&info) else None

    @property
    def volume(self):
        """Of what comes from the peer, in percent; 100 = unchanged. Negative -> ValueError."""
        return self._volume

    @volume.setter
    def volume(self, value):
        cdef unsigned int volume = check_volume(value)
        cdef ss_handle number = 0 if self.handle is None else self.handle.number
        self._volume = volume
        with nogil:
            ss_ensure_thread()
            ss_audio_set_volume(number, volume)

    @property
    def statistics(self):
        """Counters since the start and figures in microseconds, see _media_stats.pyi; None when inactive."""
        cdef ss_handle number = 0 if self.handle is None else self.handle.number
        cdef ss_audio_stat stat
        cdef pj_status_t status
        with nogil:
            ss_ensure_thread()
            status = ss_audio_get_stat(number, &stat)
        return statistics_dict(&stat) if status == 0 else None


cdef bytes _codec_names(codecs):
    cdef list names = [str(name) for name in codecs]
    known = {name.lower() for name in available_codecs()}
    for name in names:
        if name.lower() not in known:
            raise SIPCoreError(f'unknown codec: {name!r}')
    if not names:
        raise SIPCoreError('a stream needs a codec')
    return '\n'.join(names).encode()


cdef object _placeholder(index):
    """An SDP with that many streams, for calls that want the index only."""
    if isinstance(index, bool) or not isinstance(index, int):
        raise TypeError(f'an index is an int, not {type(index).__name__}')
    if not 0 <= index < 16:
        raise ValueError(f'not the index of a stream: {index}')
    return SDPSession('127.0.0.1', media=[SDPMediaStream('audio', 0, 'RTP/AVP') for _ in range(index + 1)])


cdef int _check_ports(local_sdp, remote_sdp, int index) except -1:
    if local_sdp.media[index].port == 0 or remote_sdp.media[index].port == 0:
        raise SIPCoreError(f'the stream {index} is rejected')
    return 0


def _on_dtmf(AudioTransport obj, event):
    cdef ss_handle number = 0 if obj.handle is None else obj.handle.number
    cdef bint over
    with nogil:
        ss_ensure_thread()
        over = ss_audio_is_over(number)
    if not over:                        # it may be starting, or being built anew, in another thread
        NotificationCenter().post_notification('RTPAudioStreamGotDTMF', sender=obj, data=NotificationData(digit=chr(event.num[0])))


def _on_timeout(AudioTransport obj, event):
    if obj.is_active:
        NotificationCenter().post_notification('RTPAudioTransportDidTimeout', sender=obj, data=NotificationData())


register(SS_EV_AUDIO_DTMF, _on_dtmf)
register(SS_EV_AUDIO_TIMEOUT, _on_timeout)
