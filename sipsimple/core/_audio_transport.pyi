from collections.abc import Iterable

from sipsimple.core._media_stats import Statistics
from sipsimple.core._mixer import AudioMixer
from sipsimple.core._rtp_transport import RTPTransport
from sipsimple.core.sdp import BaseSDPSession, SDPMediaStream

DTMF_DIGITS: str
DIRECTIONS: dict[str, int]

class AudioTransport:
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
    mixer: AudioMixer
    transport: RTPTransport
    enable_silence_detection: bool
    is_started: bool
    volume: int
    def __init__(self, mixer: AudioMixer, transport: RTPTransport, remote_sdp: BaseSDPSession | None = None, sdp_index: int = 0,
                 enable_silence_detection: bool = False, codecs: Iterable[str] | None = None) -> None: ...
    @property
    def direction(self) -> str | None:
        """Direction in use, from our side; None before start."""
    @property
    def is_active(self) -> bool:
        """Whether media run."""
    @property
    def codec(self) -> str | None:
        """Name of the codec, None when inactive."""
    @property
    def sample_rate(self) -> int | None:
        """Clock rate of the codec in Hz, None when inactive."""
    @property
    def slot(self) -> int | None:
        """The slot in the mixer, None when inactive."""
    @property
    def statistics(self) -> Statistics | None:
        """Counters since the start and figures in microseconds, see _media_stats.pyi; None when inactive."""
    def get_local_media(self, remote_sdp: BaseSDPSession | None = None, index: int = 0, direction: str = 'sendrecv') -> SDPMediaStream:
        """Our SDPMediaStream for position `index`.

        Args:
            remote_sdp: None for an offer with this direction; else the offer to answer: with sendrecv, or with sendonly while we
                hold the peer (the negotiator narrows it to what fits).
        Raises:
            SIPCoreError: not a direction, or stop() was called. PJSIPError: the offer does not fit the encryption.
        """
    def start(self, local_sdp: BaseSDPSession, remote_sdp: BaseSDPSession, sdp_index: int, timeout: float = 30) -> None:
        """Start media with the negotiated SDPs; once.

        Args:
            timeout: seconds without any packet, while the direction is sendrecv, that are reported each time; 0 = never.
        Raises:
            SIPCoreError: started before, or a rejected stream. ValueError: no such stream. PJSIPError: the SDPs do not fit, the mixer is full.
        """
    def stop(self) -> None:
        """End media and give the slot back; the RTPTransport returns to INIT. Idempotent."""
    def update_direction(self, direction: str) -> None:
        """Change who sends: 'sendrecv', 'sendonly', 'recvonly' or 'inactive'. SIPCoreError for others, or when not running."""
    def update_sdp(self, local_sdp: BaseSDPSession, remote_sdp: BaseSDPSession, index: int) -> bool:
        """Go on with newly negotiated SDPs: address, direction, keys. Media are not interrupted unless the codec changed.

        Returns:
            True when the codec changed and so `slot` may be another one (connected in the mixer as the old one was).
        Raises:
            SIPCoreError: not running, or a rejected stream. ValueError: no such stream. PJSIPError: the SDPs do not fit.
        """
    def send_dtmf(self, digit: str) -> None:
        """Send a digit (0-9, *, #, A-D) as telephone-event (RFC 4733). A peer without it gets nothing.

        Raises:
            SIPCoreError: not a digit, or not running.
        """
