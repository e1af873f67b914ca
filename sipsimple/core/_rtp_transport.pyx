# cython: language_level=3
"""RTP transports: sockets, ICE, SRTP. The work is in native/rtp_transport.c, ice.c, srtp.c and dtls_srtp.c; SDP goes there and back as text."""

from libc.errno cimport EADDRINUSE
from libc.stdlib cimport free

from sipsimple.core._check cimport check
from sipsimple.core._core cimport pj_status_t, ss_ensure_thread, ss_handle
from sipsimple.core._handles cimport Handle, bind
from sipsimple.core._media cimport ss_media_generation
from sipsimple.core._rtp cimport (
    PJ_EGONE, PJ_EINVALIDOP, PJ_STATUS_FROM_OS, SS_ENC_DTLS_MANDATORY, SS_ENC_DTLS_OPTIONAL, SS_ENC_NONE, SS_ENC_SDES_MANDATORY, SS_ENC_SDES_OPTIONAL,
    SS_EV_ICE_DONE, SS_EV_ICE_STATE, SS_EV_RTP_INIT, SS_EV_RTP_SECURE,
    SS_TURN_TCP, SS_TURN_TLS, SS_TURN_UDP, ss_rtp_create, ss_rtp_encode_sdp, ss_rtp_get_info, ss_rtp_info, ss_rtp_params, ss_rtp_rebind,
    ss_rtp_set_established, ss_rtp_set_init, ss_rtp_set_local, ss_rtp_set_remote)

from sipsimple.core._events import register
from sipsimple.core.errors import PJSIPError, SIPCoreError, SIPCoreInvalidStateError
from sipsimple.core.ice_values import ICEReport
from sipsimple.core.sdp import BaseSDPSession, SDPMediaStream, SDPSession
from sipsimple.notification import NotificationCenter, NotificationData

STATES = ('NULL', 'WAIT_STUN', 'INIT', 'LOCAL', 'REMOTE', 'ESTABLISHED', 'INVALID')         # order of ss_rtp_state
ICE_STATES = ('NULL', 'GATHERING', 'GATHERING_COMPLETE', 'NEGOTIATION_START', 'NEGOTIATING', 'RUNNING', 'FAILED')   # of ss_ice_state
ENCRYPTIONS = {
    None: SS_ENC_NONE, 'sdes_optional': SS_ENC_SDES_OPTIONAL, 'sdes_mandatory': SS_ENC_SDES_MANDATORY,
    'dtls_optional': SS_ENC_DTLS_OPTIONAL, 'dtls_mandatory': SS_ENC_DTLS_MANDATORY,
    'opportunistic': SS_ENC_SDES_OPTIONAL}      # without ZRTP, SDES is what is left of it
TURN_TRANSPORTS = {'udp': SS_TURN_UDP, 'tcp': SS_TURN_TCP, 'tls': SS_TURN_TLS}


cdef int check_index(sdp, index) except -1:
    """The index as int; ValueError when the SDP has no such stream, SIPCoreError when there is no SDP."""
    if sdp is None:
        raise SIPCoreError('an SDP is needed')
    if not isinstance(sdp, BaseSDPSession):
        raise TypeError(f'expected an SDPSession, got {type(sdp).__name__}')
    if isinstance(index, bool) or not isinstance(index, int):
        raise TypeError(f'an index is an int, not {type(index).__name__}')
    if not 0 <= index < len(sdp.media):
        raise ValueError(f'the SDP has no stream {index}')
    return index


cdef bytes sdp_text(sdp):
    return str(sdp).encode()


cdef bytes stream_text(sdp, int index):
    """The SDP with only one of its streams: those not yet put together do not matter."""
    other = SDPMediaStream('audio', 0, 'RTP/AVP', formats=['0'])
    streams = [other] * len(sdp.media)
    streams[index] = SDPMediaStream.new(sdp.media[index])
    text = SDPSession(sdp.address, sdp.id, sdp.version, address_type=sdp.address_type)
    if sdp.connection is not None:
        from sipsimple.core.sdp import SDPConnection
        text.connection = SDPConnection.new(sdp.connection)
    text.media = streams
    return str(text).encode()


cdef int check_operation(int status, str what) except -1:
    """As check(), with the errors of the state machine."""
    if status == PJ_EINVALIDOP:
        raise SIPCoreInvalidStateError(f'cannot {what} in this state')
    if status == PJ_EGONE:
        raise SIPCoreError(f'cannot {what}: the Engine this object belongs to is not running')
    return check(status, what)


cpdef object parse_stream(bytes text, int index):
    """The stream `index` of an SDP text that the native part printed."""
    return SDPSession.parse(text).media[index]


cdef bytes _optional(value, str what):
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f'{what} is a str or None, not {type(value).__name__}')
    if '\0' in value:
        raise ValueError(f'{what} has a null character')
    return value.encode()


cdef int _port(value, str what) except -1:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{what} is an int, not {type(value).__name__}')
    if not 0 < value < 65536:
        raise ValueError(f'{what} must be in 1..65535, not {value}')
    return value


cdef class RTPTransport:
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

    def __init__(self, encryption=None, use_ice=False, ice_stun_address=None, ice_stun_port=3478, *, turn_address=None, turn_port=3478,
                 turn_transport='udp', turn_username=None, turn_password=None, turn_tls_name=None, ipv6=False, dtls_timeout=20,
                 keep_alive_interval=15):
        cdef ss_rtp_params params
        cdef ss_handle number = 0
        cdef pj_status_t status
        cdef bytes stun = _optional(ice_stun_address, 'ice_stun_address'), turn = _optional(turn_address, 'turn_address')
        cdef bytes username = _optional(turn_username, 'turn_username'), password = _optional(turn_password, 'turn_password'), host
        cdef bytes tls_name = _optional(turn_tls_name, 'turn_tls_name'), ca_file
        if self.handle is not None:
            raise SIPCoreError('RTPTransport.__init__() was already called')
        if turn_transport not in TURN_TRANSPORTS:
            raise ValueError(f'no transport to a TURN server: {turn_transport!r}')
        self.encryption = encryption
        self.use_ice = bool(use_ice)
        self.ice_stun_address = ice_stun_address
        self.ice_stun_port = _port(ice_stun_port, 'ice_stun_port')
        self.turn_address = turn_address
        self.turn_port = _port(turn_port, 'turn_port')
        self.turn_transport = turn_transport
        self.turn_tls_name = turn_tls_name
        self.ipv6 = bool(ipv6)
        if not ss_media_generation():
            raise SIPCoreError('the Engine is not running')
        from sipsimple.core.engine import Engine
        engine = Engine()
        first, stop = engine.rtp_port_range
        host = _optional(engine.ip_address, 'ip_address')
        if host is not None and (b':' in host) != self.ipv6:
            host = None                             # an address of the other family is no choice for this one
        params.encryption = ENCRYPTIONS.get(encryption, SS_ENC_NONE)
        params.use_ice = self.use_ice
        params.ipv6 = self.ipv6
        params.bind_address = NULL if host is None else <const char *>host
        params.port_first = first
        params.port_count = stop - first
        params.stun_server = NULL if stun is None else <const char *>stun
        params.stun_port = self.ice_stun_port
        params.turn_server = NULL if turn is None else <const char *>turn
        params.turn_port = self.turn_port
        params.turn_transport = TURN_TRANSPORTS[turn_transport]
        params.turn_username = NULL if username is None else <const char *>username
        params.turn_password = NULL if password is None else <const char *>password
        params.turn_tls_name = NULL if tls_name is None else <const char *>tls_name
        ca_file = _optional(engine.tls_ca_file, 'tls_ca_file')
        params.turn_ca_file = NULL if ca_file is None else <const char *>ca_file
        params.turn_verify = engine.tls_verify_server
        params.dtls_limit_ms = int(1000 * dtls_timeout)
        params.keep_alive_ms = int(1000 * keep_alive_interval)
        with nogil:
            ss_ensure_thread()
            status = ss_rtp_create(&params, &number)
        check_operation(status, 'create the RTP transport')
        self.handle = Handle(number)
        bind(number, self)

    cdef ss_handle number(self) except? 0:
        if self.handle is None or not self.handle.number:
            raise SIPCoreError('the RTPTransport is not initialized')
        return self.handle.number

    cdef int info(self, bint full, ss_rtp_info *result) except -1:
        cdef ss_handle number = 0 if self.handle is None else self.handle.number
        with nogil:
            ss_ensure_thread()
            ss_rtp_get_info(number, full, result)
        return 0

    def __repr__(self):
        return f'<RTPTransport {self.state} encryption={self.encryption!r} ice={self.use_ice}>'

    # ---- states

    def set_INIT(self):
        """Open the sockets, or come back from running media: they stop, the ICE result is forgotten, the ports stay.

        Raises:
            SIPCoreError: an unknown encryption, or the transport has failed.
            PJSIPError: no free port in the Engine's range; it may be tried again.
        Notifications: from NULL: RTPTransportDidInitialize, or RTPTransportDidFail with `reason` (no answer from the STUN server
            within 4 seconds); with ICE also RTPTransportICENegotiationStateDidChange.
        """
        cdef ss_handle number = self.number()
        cdef pj_status_t status
        if self.encryption not in ENCRYPTIONS:
            if self.encryption == 'zrtp':
                raise SIPCoreError('there is no ZRTP in this build')
            raise SIPCoreError(f'unknown media encryption: {self.encryption!r}')
        with nogil:
            ss_ensure_thread()
            status = ss_rtp_set_init(number)
        if status == PJ_STATUS_FROM_OS(EADDRINUSE):
            from sipsimple.core.engine import Engine
            first, stop = Engine().rtp_port_range
            raise PJSIPError(f'no free pair of UDP ports for RTP in {first}-{stop - 1}: the range of ports limits the number of streams', status)
        check_operation(status, 'initialize the RTP transport')

    def set_LOCAL(self, local_sdp, sdp_index):
        """We offer: the stream `sdp_index` of our offer will be this transport's. No-op when done already.

        Raises:
            SIPCoreError: no SDP, or not in state INIT. ValueError: no such stream.
        """
        cdef unsigned int index = check_index(local_sdp, sdp_index)
        cdef ss_handle number = self.number()
        cdef pj_status_t status
        with nogil:
            ss_ensure_thread()
            status = ss_rtp_set_local(number, index)
        check_operation(status, 'offer the RTP transport')

    def set_REMOTE(self, local_sdp, remote_sdp, sdp_index):
        """The peer offers: stream `sdp_index` of its offer is this transport's. `local_sdp` may be None, it is not used.

        Raises:
            SIPCoreError: no SDP, or not in state INIT. ValueError: no such stream.
            PJSIPError: the offer does not fit, such as one without keys when encryption is mandatory.
        """
        cdef unsigned int index = check_index(remote_sdp, sdp_index)
        cdef ss_handle number = self.number()
        cdef bytes remote = sdp_text(remote_sdp)
        cdef const char *text = remote
        cdef size_t length = len(remote)
        cdef pj_status_t status
        with nogil:
            ss_ensure_thread()
            status = ss_rtp_set_remote(number, text, length, index)
        check_operation(status, 'answer with the RTP transport')

    def set_ESTABLISHED(self, local_sdp, remote_sdp, sdp_index):
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
        cdef unsigned int index = check_index(local_sdp, sdp_index)
        cdef ss_handle number = self.number()
        cdef bytes local, remote
        cdef pj_status_t status
        cdef const char *local_text
        cdef const char *remote_text
        cdef size_t local_length, remote_length
        check_index(remote_sdp, sdp_index)
        local = sdp_text(local_sdp)
        remote = sdp_text(remote_sdp)
        local_text = local
        local_length = len(local)
        remote_text = remote
        remote_length = len(remote)
        with nogil:
            ss_ensure_thread()
            status = ss_rtp_set_established(number, local_text, local_length, remote_text, remote_length, index)
        check_operation(status, 'start the RTP transport')

    # ---- SDP

    def update_local_sdp(self, local_sdp, remote_sdp=None, sdp_index=0):
        """Rewrite what this transport says in one stream of our SDP: connection, port, profile, keys, ICE lines.

        Args:
            local_sdp: a (mutable) SDPSession, changed in place. A rejected stream (port 0) is left alone.
            remote_sdp: None when ours is an offer, else the offer that it answers.
        Raises:
            SIPCoreError: not in state LOCAL, REMOTE or ESTABLISHED. ValueError: no such stream. PJSIPError: the offer does not fit.
        """
        cdef unsigned int index = check_index(local_sdp, sdp_index)
        cdef ss_handle number = self.number()
        cdef bytes local, remote = None
        cdef const char *local_text
        cdef const char *remote_text = NULL
        cdef size_t local_length, remote_length = 0, length = 0
        cdef char *text = NULL
        cdef pj_status_t status
        if not isinstance(local_sdp, SDPSession):
            raise TypeError('local_sdp must be mutable')
        stream = local_sdp.media[index]
        if stream is None:
            raise SIPCoreError(f'stream {index} of the SDP is not set yet')
        if stream.port == 0:
            return
        local = stream_text(local_sdp, index)
        local_text = local
        local_length = len(local)
        if remote_sdp is not None:
            check_index(remote_sdp, sdp_index)
            remote = sdp_text(remote_sdp)
            remote_text = remote
            remote_length = len(remote)
        with nogil:
            ss_ensure_thread()
            status = ss_rtp_encode_sdp(number, local_text, local_length, remote_text, remote_length, index, &text, &length)
        check_operation(status, 'write the SDP of the RTP transport')
        try:
            made = parse_stream(text[:length], index)
        finally:
            free(text)
        stream.port = made.port
        stream.transport = made.transport
        stream.connection = made.connection
        stream.attributes = made.attributes
        stream.bandwidth_info = made.bandwidth_info

    def rebind_remote_peer(self, remote_sdp, sdp_index):
        """Send running media to the address told in this SDP (with its a=rtcp); keys and counters stay.

        Raises:
            SIPCoreError: no media run. ValueError: no such stream. PJSIPError: no usable address.
        """
        cdef unsigned int index = check_index(remote_sdp, sdp_index)
        cdef ss_handle number = self.number()
        cdef bytes remote = sdp_text(remote_sdp)
        cdef const char *text = remote
        cdef size_t length = len(remote)
        cdef pj_status_t status
        with nogil:
            ss_ensure_thread()
            status = ss_rtp_rebind(number, text, length, index)
        check_operation(status, 'change the remote address')

    # ---- what can be asked

    @property
    def state(self):
        """NULL, WAIT_STUN, INIT, LOCAL, REMOTE, ESTABLISHED or INVALID."""
        cdef ss_rtp_info info
        self.info(False, &info)
        return STATES[info.state]

    @property
    def local_rtp_address(self):
        """Our address, as told to the peer (server-reflexive with STUN); None before INIT."""
        cdef ss_rtp_info info
        self.info(True, &info)
        return (<bytes>info.local_address).decode() or None

    @property
    def local_rtp_port(self):
        """Our port, as told to the peer; None before INIT."""
        cdef ss_rtp_info info
        self.info(True, &info)
        return info.local_port or None

    @property
    def remote_rtp_address(self):
        """Where media really come from: the pair that ICE chose, else the last packet's source; None before."""
        cdef ss_rtp_info info
        self.info(True, &info)
        return (<bytes>info.remote_address).decode() or None

    @property
    def remote_rtp_port(self):
        """Where RTP is sent to; None before it is known."""
        cdef ss_rtp_info info
        self.info(True, &info)
        return info.remote_port or None

    @property
    def srtp_active(self):
        """Whether packets are encrypted now."""
        cdef ss_rtp_info info
        self.info(True, &info)
        return bool(info.srtp_active)

    @property
    def srtp_cipher(self):
        """Name of the crypto suite in use (RFC 4568 §6.2, RFC 7714 §14.2), or None."""
        cdef ss_rtp_info info
        self.info(True, &info)
        return (<bytes>info.srtp_suite).decode() or None

    @property
    def ice_active(self):
        """Whether ICE has found a way and it is in use."""
        cdef ss_rtp_info info
        self.info(False, &info)
        return bool(info.ice_active)

    @property
    def turn_failed(self):
        """Whether the TURN server gave no relay, or not in time: then there are no relayed candidates."""
        cdef ss_rtp_info info
        self.info(True, &info)
        return bool(info.turn_failed)

    def _pair(self):
        report = self.report
        if report is None or not report.valid_pairs or not self.ice_active:
            return None
        return report.valid_pairs[0]

    @property
    def local_rtp_candidate(self):
        """Our ICECandidate of the chosen pair, or None."""
        pair = self._pair()
        return None if pair is None else pair.local_candidate

    @property
    def remote_rtp_candidate(self):
        """The peer's ICECandidate of the chosen pair, or None."""
        pair = self._pair()
        return None if pair is None else pair.remote_candidate

    # ---- ZRTP: not in this build, so its attributes say that nothing is active

    zrtp_active = False
    zrtp_cipher = None
    zrtp_peer_id = None
    zrtp_multistream_parameters = None
    zrtp_peer_name = ''

    def set_zrtp_enabled(self, enabled, master_stream=None):
        """SIPCoreError when switched on: there is no ZRTP in this build."""
        if enabled:
            raise SIPCoreError('there is no ZRTP in this build')

    def set_zrtp_sas_verified(self, verified):
        """False: ZRTP is not active."""
        return False


cdef object _post(str name, RTPTransport obj, dict data):
    NotificationCenter().post_notification(name, sender=obj, data=NotificationData(**data))


def _on_init(RTPTransport obj, event):
    if event.num[0] == 0:
        _post('RTPTransportDidInitialize', obj, {})
    else:
        _post('RTPTransportDidFail', obj, {'reason': event.data[0].decode('utf-8', 'replace')})


def _on_ice_state(RTPTransport obj, event):
    previous, state = event.num[:2]
    _post('RTPTransportICENegotiationStateDidChange', obj, {'prev_state': ICE_STATES[previous], 'state': ICE_STATES[state]})


def _on_ice_done(RTPTransport obj, event):
    status, microseconds = event.num[:2]
    if status == 0:
        report = obj.report = ICEReport.parse(event.data[0])
        _post('RTPTransportICENegotiationDidSucceed', obj, {
            'duration': microseconds / 1000000, 'local_candidates': report.local_candidates,
            'remote_candidates': report.remote_candidates, 'valid_pairs': report.valid_pairs, 'valid_list': report.valid_list})
    else:
        _post('RTPTransportICENegotiationDidFail', obj, {'reason': event.data[1].decode('utf-8', 'replace')})


def _on_secure(RTPTransport obj, event):
    text = event.data[0].decode('utf-8', 'replace')
    if event.num[0]:
        _post('RTPTransportDTLSSecureOn', obj, {'cipher': text})
    else:
        _post('RTPTransportDTLSNegotiationFailed', obj, {'reason': text})


register(SS_EV_RTP_INIT, _on_init)
register(SS_EV_RTP_SECURE, _on_secure)
register(SS_EV_ICE_STATE, _on_ice_state)
register(SS_EV_ICE_DONE, _on_ice_done)
