"""Encryption of RTP: what an account wants, what an offer allows, and what a stream has.

RFC 4568 (SDES), RFC 5763 and 5764 (DTLS), RFC 6189 (ZRTP), RFC 8643 (keys offered with RTP/AVP).

| local policy     | offer made                        | incoming offer                                                    |
|------------------|-----------------------------------|-------------------------------------------------------------------|
| none             | RTP/AVP, no crypto                | RTP/SAVP and UDP/TLS/RTP/SAVP refused                             |
| sdes_optional    | RTP/AVP with crypto               | crypto used when present; UDP/TLS/RTP/SAVP refused                |
| sdes_mandatory   | RTP/SAVP with crypto              | refused without crypto                                            |
| dtls_optional    | RTP/AVP with fingerprint          | fingerprint used when present; RTP/SAVP refused                   |
| dtls_mandatory   | UDP/TLS/RTP/SAVP with fingerprint | refused without fingerprint                                       |
| zrtp             | RTP/AVP with zrtp-hash            | in-band ZRTP; RTP/SAVP and UDP/TLS/RTP/SAVP refused               |
| opportunistic    | RTP/AVP with crypto and zrtp-hash | zrtp-hash first, else fingerprint, else crypto, else in-band ZRTP |

A stream keeps its kind of keys for as long as it lives. A later offer may take encryption away from a stream whose policy lets it, which is told by
RTPStreamDidNotEnableEncryption; it is refused where encryption is mandatory, as are keys of another kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipsimple.streams.interfaces import InvalidStreamError

if TYPE_CHECKING:
    from sipsimple.core import FrozenSDPSession
    from sipsimple.streams.rtp.base import RTPStream

__all__ = ['StreamEncryption', 'TRANSPORTS', 'ZRTPEncryption', 'available', 'can_change', 'for_offer', 'for_policy']

SDES_TRANSPORTS = frozenset(('RTP/SAVP',))
DTLS_TRANSPORTS = frozenset(('UDP/TLS/RTP/SAVP', 'UDP/TLS/RTP/SAVPF'))
TRANSPORTS = frozenset(('RTP/AVP',)) | SDES_TRANSPORTS | DTLS_TRANSPORTS


def for_policy(account: Any) -> str | None:
    """Return the policy of an account: the `encryption` argument of `RTPTransport` for what we offer."""
    encryption = account.rtp.encryption
    return str(encryption.key_negotiation) if encryption.enabled else None


def available(policy: str | None) -> str | None:
    """Return what of a policy the core can do: without ZRTP only its SDES half is left."""
    from sipsimple import core
    if policy not in ('zrtp', 'opportunistic') or getattr(core, 'ZRTP_AVAILABLE', False):
        return policy
    return 'sdes_optional' if policy == 'opportunistic' else None


def for_offer(policy: str | None, offer: FrozenSDPSession, index: int) -> str | None:
    """Return the `encryption` argument of `RTPTransport` for the answer to an offered media line.

    Raises:
        InvalidStreamError: the policy and the line exclude each other.
    """
    media = offer.media[index]
    by_sdes, by_dtls = media.transport in SDES_TRANSPORTS, media.transport in DTLS_TRANSPORTS
    has_crypto = 'crypto' in media.attributes and not by_dtls
    has_fingerprint = ('fingerprint' in media.attributes or 'fingerprint' in offer.attributes) and not by_sdes
    has_zrtp = 'zrtp-hash' in media.attributes
    if by_sdes and not has_crypto or by_dtls and not has_fingerprint:
        raise InvalidStreamError('secure RTP offered without keys')
    secure = by_sdes or by_dtls
    match policy:
        case None:
            if secure:
                raise InvalidStreamError('secure RTP offered, but encryption is off')
            return None
        case 'sdes_optional':
            if by_dtls:
                raise InvalidStreamError('DTLS offered, but the account uses SDES')
            return policy if has_crypto else None
        case 'dtls_optional':
            if by_sdes:
                raise InvalidStreamError('SDES offered, but the account uses DTLS')
            return policy if has_fingerprint else None
        case 'dtls_mandatory':
            if not has_fingerprint:
                raise InvalidStreamError('encryption is mandatory, but no fingerprint was offered')
            return policy
        case 'sdes_mandatory':
            if not has_crypto:
                raise InvalidStreamError('encryption is mandatory, but no keys were offered')
            return policy
        case 'zrtp':
            if secure:
                raise InvalidStreamError('other keys offered, but the account uses ZRTP')
            return policy
        case 'opportunistic':
            if secure:
                return 'dtls_mandatory' if by_dtls else 'sdes_mandatory'
            if has_zrtp and available('zrtp') is not None:
                return 'zrtp'
            if has_fingerprint:
                return 'dtls_optional'      # before SDES: its keys are in nobody's signalling
            return 'sdes_optional' if has_crypto else 'zrtp'
    raise InvalidStreamError(f'unknown encryption policy: {policy}')


def can_change(current: str | None, wanted: str | None, transport: str) -> bool:
    """Return whether a running stream can go on with what a later offer brings: `for_offer` of it and its transport. See the head of this module."""
    if current is None:
        return transport == 'RTP/AVP'       # the answer is plain, whatever keys there are beside it
    if wanted is None:
        return not current.endswith('_mandatory')
    return current.partition('_')[0] == wanted.partition('_')[0]


class ZRTPEncryption:
    """The ZRTP side of an encrypted stream.

    Attributes:
        sas: the short authentication string, None until it is known.
        verified: whether the user has compared the string with the peer; writable.
        peer_id: the peer's ZRTP ID, bytes.
        peer_name: the name the user gave the peer; writable, kept in the cache.
        master: the stream whose ZRTP session this one shares, or None.
    """

    def __init__(self, stream: RTPStream) -> None:
        self._stream = stream
        self.sas: str | None = None
        self.master: Any = None
        self._verified = False

    @property
    def verified(self) -> bool:
        """Whether the user has compared the string with the peer's. Setting it: AttributeError while there is no string."""
        return self._verified

    @verified.setter
    def verified(self, verified: bool) -> None:
        if self.sas is None:
            raise AttributeError('there is no SAS to verify yet')
        if verified != self._verified and self._stream.rtp_transport is not None:
            if self._stream.rtp_transport.set_zrtp_sas_verified(verified):
                self._verified = verified
                self._stream.post('RTPStreamZRTPVerifiedStateChanged', verified=verified)

    @property
    def peer_id(self) -> bytes | None:
        """The peer's ZRTP ID, None without a transport."""
        transport = self._stream.rtp_transport
        return transport.zrtp_peer_id if transport is not None else None

    @property
    def peer_name(self) -> str:
        """The name the user gave the peer, '' for none."""
        transport = self._stream.rtp_transport
        return transport.zrtp_peer_name if transport is not None else ''

    @peer_name.setter
    def peer_name(self, name: str) -> None:
        transport = self._stream.rtp_transport
        if transport is not None and name != transport.zrtp_peer_name:
            transport.zrtp_peer_name = name
            self._stream.post('RTPStreamZRTPPeerNameChanged', name=name)


class StreamEncryption:
    """The encryption of a stream: `RTPStream.encryption`. Safe to ask at any time."""

    def __init__(self, stream: RTPStream) -> None:
        self._stream = stream
        self._zrtp: ZRTPEncryption | None = None
        self._announced = False

    @property
    def type(self) -> str | None:
        """'SRTP/SDES', 'SRTP/DTLS' or 'ZRTP' while the media is encrypted, else None."""
        transport = self._stream.rtp_transport
        if transport is None:
            return None
        if getattr(transport, 'zrtp_active', False):
            return 'ZRTP'
        if not transport.srtp_active:
            return None
        return 'SRTP/DTLS' if self._uses_dtls() else 'SRTP/SDES'

    def _uses_dtls(self) -> bool:
        return self._stream.encryption_policy in ('dtls_optional', 'dtls_mandatory')

    @property
    def active(self) -> bool:
        """Whether the media is encrypted."""
        return self.type is not None

    @property
    def cipher(self) -> str | None:
        """The name of the cipher, None while the media is not encrypted."""
        match self.type:
            case 'ZRTP':
                cipher: str | None = self._stream.rtp_transport.zrtp_cipher
            case 'SRTP/SDES' | 'SRTP/DTLS':
                cipher = self._stream.rtp_transport.srtp_cipher
            case _:
                cipher = None
        return cipher

    @property
    def zrtp(self) -> ZRTPEncryption:
        """The ZRTP side.

        Raises:
            RuntimeError: ZRTP is not possible for this stream.
        """
        if self._stream.encryption_policy not in ('zrtp', 'opportunistic'):
            raise RuntimeError('ZRTP is not enabled for this stream')
        if self._zrtp is None:
            self._zrtp = ZRTPEncryption(self._stream)
        return self._zrtp

    # Called by the stream

    def media_started(self) -> None:
        """The media runs: say whether it is encrypted with SDES; DTLS and ZRTP tell later by themselves."""
        if self.type == 'SRTP/SDES':
            self._announce(None)
        elif self._stream.encryption_policy in ('sdes_optional', 'sdes_mandatory') or self._uses_dtls() and not self._peer_has_fingerprint():
            self._announce('Not supported by remote')
        elif self._stream.encryption_wanted is not None and self._stream.encryption_policy is None:
            self._announce('ZRTP is not available')

    def media_updated(self) -> None:
        """New descriptions hold: say when the peer has taken encryption away, or brought it back."""
        if self._announced and self._stream.encryption_policy in ('sdes_optional', 'dtls_optional') and not self._may_be_active():
            self._announce('No longer supported by remote')
        elif not self._announced and self.type == 'SRTP/SDES':
            self._announce(None)

    def goes_on(self, before: Any, after: Any, index: int) -> bool:
        """Return whether the association of DTLS goes on with another description of the peer: RFC 8842 §4."""
        def association(sdp: Any) -> list[Any]:
            media = sdp.media[index].attributes
            return [sorted(media.getall(name) or sdp.attributes.getall(name)) for name in ('fingerprint', 'tls-id')]
        return self.type == 'SRTP/DTLS' and association(before) == association(after)

    def _may_be_active(self) -> bool:
        return self._peer_has_fingerprint() if self._uses_dtls() else self.active

    def _peer_has_fingerprint(self) -> bool:
        sdp = self._stream.remote_sdp
        return sdp is not None and ('fingerprint' in sdp.media[self._stream.index].attributes or 'fingerprint' in sdp.attributes)

    def _announce(self, problem: str | None) -> None:
        if problem is not None:
            self._announced = False
            self._stream.post('RTPStreamDidNotEnableEncryption', reason=problem)
        elif not self._announced:
            self._announced = True
            self._stream.post('RTPStreamDidEnableEncryption')

    def secure_on(self) -> None:
        """ZRTP or DTLS has switched encryption on."""
        self._announce(None)

    def negotiation_failed(self, reason: str) -> None:
        """ZRTP or DTLS did not get there. With ZRTP the stream goes on without."""
        self._announce(reason)

    def received_sas(self, sas: str, verified: bool) -> None:
        """ZRTP has computed the short authentication string."""
        zrtp = self.zrtp
        zrtp.sas = sas
        zrtp._verified = verified
        self._stream.post('RTPStreamZRTPReceivedSAS', sas=sas, verified=verified, peer_name=zrtp.peer_name)
