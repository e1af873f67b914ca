"""Encryption of RTP: what an account wants, what an offer allows, and what a stream has. RFC 4568 (SDES), RFC 6189 (ZRTP).

| local policy     | offer made                        | incoming offer                                                    |
|------------------|-----------------------------------|-------------------------------------------------------------------|
| none             | RTP/AVP, no crypto                | RTP/SAVP refused                                                  |
| sdes_optional    | RTP/AVP with crypto               | crypto used when present                                          |
| sdes_mandatory   | RTP/SAVP with crypto              | refused without crypto                                            |
| zrtp             | RTP/AVP with zrtp-hash            | in-band ZRTP; RTP/SAVP refused                                    |
| opportunistic    | RTP/AVP with crypto and zrtp-hash | zrtp-hash first, else crypto, else in-band ZRTP                   |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipsimple.streams.interfaces import InvalidStreamError

if TYPE_CHECKING:
    from sipsimple.core import FrozenSDPMediaStream
    from sipsimple.streams.rtp.base import RTPStream

__all__ = ['StreamEncryption', 'ZRTPEncryption', 'available', 'for_offer', 'for_policy']

SECURE_TRANSPORTS = frozenset(('RTP/SAVP', 'RTP/SAVPF'))


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


def for_offer(policy: str | None, media: FrozenSDPMediaStream) -> str | None:
    """Return the `encryption` argument of `RTPTransport` for the answer to an offered media line.

    Raises:
        InvalidStreamError: the policy and the line exclude each other.
    """
    secure = media.transport in SECURE_TRANSPORTS
    has_crypto = 'crypto' in media.attributes
    has_zrtp = 'zrtp-hash' in media.attributes
    if secure and not has_crypto:
        raise InvalidStreamError('secure RTP offered without keys')
    match policy:
        case None:
            if secure:
                raise InvalidStreamError('secure RTP offered, but encryption is off')
            return None
        case 'sdes_optional':
            return policy if has_crypto else None
        case 'sdes_mandatory':
            if not has_crypto:
                raise InvalidStreamError('encryption is mandatory, but no keys were offered')
            return policy
        case 'zrtp':
            if secure:
                raise InvalidStreamError('SDES offered, but the account uses ZRTP')
            return policy
        case 'opportunistic':
            if secure:
                return 'sdes_mandatory'
            if has_zrtp:
                return 'zrtp'
            return 'sdes_optional' if has_crypto else 'zrtp'
    raise InvalidStreamError(f'unknown encryption policy: {policy}')


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
        """'SRTP/SDES' or 'ZRTP' while the media is encrypted, else None."""
        transport = self._stream.rtp_transport
        if transport is None:
            return None
        if getattr(transport, 'zrtp_active', False):
            return 'ZRTP'
        return 'SRTP/SDES' if transport.srtp_active else None

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
            case 'SRTP/SDES':
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
        """The media runs: say whether it is encrypted with SDES; ZRTP tells later by itself."""
        if self.type == 'SRTP/SDES':
            self._announce(None)
        elif self._stream.encryption_policy in ('sdes_optional', 'sdes_mandatory'):
            self._announce('Not supported by remote')
        elif self._stream.encryption_wanted is not None and self._stream.encryption_policy is None:
            self._announce('ZRTP is not available')

    def _announce(self, problem: str | None) -> None:
        if problem is not None:
            self._stream.post('RTPStreamDidNotEnableEncryption', reason=problem)
        elif not self._announced:
            self._announced = True
            self._stream.post('RTPStreamDidEnableEncryption')

    def secure_on(self) -> None:
        """ZRTP has switched encryption on."""
        self._announce(None)

    def negotiation_failed(self, reason: str) -> None:
        """ZRTP did not get there; the stream goes on without."""
        self._announce(reason)

    def received_sas(self, sas: str, verified: bool) -> None:
        """ZRTP has computed the short authentication string."""
        zrtp = self.zrtp
        zrtp.sas = sas
        zrtp._verified = verified
        self._stream.post('RTPStreamZRTPReceivedSAS', sas=sas, verified=verified, peer_name=zrtp.peer_name)
