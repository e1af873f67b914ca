from sipsimple.core.ice_values import ICECandidate
from sipsimple.core.sdp import BaseSDPMediaStream, BaseSDPSession, SDPSession

STATES: tuple[str, ...]
ICE_STATES: tuple[str, ...]
ENCRYPTIONS: dict[str | None, int]
TURN_TRANSPORTS: dict[str, int]

def parse_stream(text: bytes, index: int) -> BaseSDPMediaStream:
    """The stream `index` of an SDP text that the native part printed."""

class RTPTransport:
    """The way of media packets to a peer and back.

    Args:
        encryption: None (plain RTP), 'sdes_optional', 'sdes_mandatory' (SRTP with keys in the SDP, RFC 4568), 'dtls_optional',
            'dtls_mandatory' (SRTP with keys by DTLS on the way of the media, RFC 5763 and 5764), 'opportunistic' (as 'sdes_optional').
            Anything else fails in set_INIT().
        use_ice: gather candidates and check connectivity (RFC 8445).
        ice_stun_address, ice_stun_port: server for the server-reflexive address; None = no STUN. Used with ICE only.
        turn_address, turn_port, turn_transport, turn_username, turn_password: relay (RFC 8656), reached over 'udp', 'tcp' or 'tls';
            None = no relay. Used with ICE only. Without an answer from it within 4 seconds, there is no relayed candidate.
        turn_tls_name: whom the certificate of the TURN server must be for when the Engine verifies servers; None = the address.
        ipv6: IPv6 instead of IPv4.
        dtls_timeout: seconds for the handshake of DTLS, once the way to the peer is known.
        keep_alive_interval: after so many seconds without media of ours an empty datagram is sent, so that NATs keep the way open (RFC 6263);
            0 = none. ICE has its own.
    Raises:
        SIPCoreError: the Engine is not running.
    Notifications: see set_INIT() and set_ESTABLISHED().
    Thread: any.
    """
    encryption: str | None
    use_ice: bool
    ice_stun_address: str | None
    ice_stun_port: int
    turn_address: str | None
    turn_port: int
    turn_transport: str
    turn_tls_name: str | None
    ipv6: bool
    zrtp_active: bool
    zrtp_cipher: str | None
    zrtp_peer_id: bytes | None
    zrtp_multistream_parameters: object | None
    zrtp_peer_name: str
    def __init__(self, encryption: str | None = None, use_ice: bool = False, ice_stun_address: str | None = None,
                 ice_stun_port: int = 3478, *, turn_address: str | None = None, turn_port: int = 3478, turn_transport: str = 'udp',
                 turn_username: str | None = None, turn_password: str | None = None, turn_tls_name: str | None = None,
                 ipv6: bool = False, dtls_timeout: float = 20, keep_alive_interval: float = 15) -> None: ...
    @property
    def state(self) -> str:
        """NULL, WAIT_STUN, INIT, LOCAL, REMOTE, ESTABLISHED or INVALID."""
    @property
    def local_rtp_address(self) -> str | None:
        """Our address, as told to the peer (server-reflexive with STUN); None before INIT."""
    @property
    def local_rtp_port(self) -> int | None:
        """Our port, as told to the peer; None before INIT."""
    @property
    def remote_rtp_address(self) -> str | None:
        """Where media really come from: the pair that ICE chose, else the last packet's source; None before."""
    @property
    def remote_rtp_port(self) -> int | None:
        """Where RTP is sent to; None before it is known."""
    @property
    def srtp_active(self) -> bool:
        """Whether packets are encrypted now."""
    @property
    def srtp_cipher(self) -> str | None:
        """Name of the crypto suite in use (RFC 4568 §6.2, RFC 7714 §14.2), or None."""
    @property
    def ice_active(self) -> bool:
        """Whether ICE has found a way and it is in use."""
    @property
    def turn_failed(self) -> bool:
        """Whether the TURN server gave no relay, or not in time: then there are no relayed candidates."""
    @property
    def local_rtp_candidate(self) -> ICECandidate | None:
        """Our ICECandidate of the chosen pair, or None."""
    @property
    def remote_rtp_candidate(self) -> ICECandidate | None:
        """The peer's ICECandidate of the chosen pair, or None."""
    def set_INIT(self) -> None:
        """Open the sockets, or come back from running media: they stop, the ICE result is forgotten, the ports stay.

        Raises:
            SIPCoreError: an unknown encryption, or the transport has failed.
            PJSIPError: no free port in the Engine's range; it may be tried again.
        Notifications: from NULL: RTPTransportDidInitialize, or RTPTransportDidFail with `reason` (no answer from the STUN server
            within 4 seconds); with ICE also RTPTransportICENegotiationStateDidChange.
        """
    def set_LOCAL(self, local_sdp: BaseSDPSession, sdp_index: int) -> None:
        """We offer: the stream `sdp_index` of our offer will be this transport's. No-op when done already.

        Raises:
            SIPCoreError: no SDP, or not in state INIT. ValueError: no such stream.
        """
    def set_REMOTE(self, local_sdp: BaseSDPSession | None, remote_sdp: BaseSDPSession, sdp_index: int) -> None:
        """The peer offers: stream `sdp_index` of its offer is this transport's. `local_sdp` may be None, it is not used.

        Raises:
            SIPCoreError: no SDP, or not in state INIT. ValueError: no such stream.
            PJSIPError: the offer does not fit, such as one without keys when encryption is mandatory.
        """
    def set_ESTABLISHED(self, local_sdp: BaseSDPSession, remote_sdp: BaseSDPSession, sdp_index: int) -> None:
        """Both SDPs are known: start SRTP and the ICE checks. No-op when done already.

        Raises:
            SIPCoreError: an SDP is missing, or not in state LOCAL or REMOTE. ValueError: no such stream.
            PJSIPError: the SDPs do not fit, such as an answer without keys when encryption is mandatory.
        Notifications: with ICE RTPTransportICENegotiationStateDidChange and RTPTransportICENegotiationDidSucceed (`duration` in
            seconds, `local_candidates`, `remote_candidates`, `valid_pairs`, `valid_list`) or RTPTransportICENegotiationDidFail
            (`reason`); after a failure packets go to the addresses of the SDP. With DTLS, once the way to the peer is known,
            RTPTransportDTLSSecureOn (`cipher`) or RTPTransportDTLSNegotiationFailed (`reason`; at the latest after `dtls_timeout`): no
            media pass before the one, nor after the other.
        """
    def update_local_sdp(self, local_sdp: SDPSession, remote_sdp: BaseSDPSession | None = None, sdp_index: int = 0) -> None:
        """Rewrite what this transport says in one stream of our SDP: connection, port, profile, keys, ICE lines.

        Args:
            local_sdp: a (mutable) SDPSession, changed in place. A rejected stream (port 0) is left alone.
            remote_sdp: None when ours is an offer, else the offer that it answers.
        Raises:
            SIPCoreError: not in state LOCAL, REMOTE or ESTABLISHED. ValueError: no such stream. PJSIPError: the offer does not fit.
        """
    def rebind_remote_peer(self, remote_sdp: BaseSDPSession, sdp_index: int) -> None:
        """Send running media to the address told in this SDP (with its a=rtcp); keys and counters stay.

        Raises:
            SIPCoreError: no media run. ValueError: no such stream. PJSIPError: no usable address.
        """
    def set_zrtp_enabled(self, enabled: bool, master_stream: object | None = None) -> None:
        """SIPCoreError when switched on: there is no ZRTP in this build."""
    def set_zrtp_sas_verified(self, verified: bool) -> bool:
        """False: ZRTP is not active."""
