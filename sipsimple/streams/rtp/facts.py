"""What can be asked about the media of a stream that runs: codec, addresses, ICE, counters. Nothing here changes anything."""

from __future__ import annotations

from typing import Any

from sipsimple.core.helpers import is_address, is_null_address
from sipsimple.streams.interfaces import InvalidStreamError
from sipsimple.streams.rtp import ice

__all__ = ['RTPStreamFacts', 'address_of', 'is_held_by_null_address', 'refuse_name']

DISCARD_PORT = 9


def address_of(sdp: Any, index: int) -> tuple[str | None, int]:
    """Return the address and the port of a media line; the address is None when there is none."""
    media = sdp.media[index]
    connection = media.connection or sdp.connection
    return (connection.address if connection is not None else None), media.port


def is_held_by_null_address(sdp: Any, index: int, use_ice: bool) -> bool:
    """Return whether a media line has the address that was once the way to hold (RFC 3264 section 8.4), or a name with the port that discards.

    With that port either may mean that ICE is to find the addresses (RFC 8839 section 4.2.5), if `use_ice`.
    """
    address, port = address_of(sdp, index)
    if port == DISCARD_PORT and use_ice and ice.offer_has_ice(sdp, index):
        return False
    return is_null_address(address) or (address is not None and port == DISCARD_PORT and not is_address(address))


def refuse_name(sdp: Any, index: int, use_ice: bool) -> None:
    """Refuse media that would have to go to a host name: the core looks none up, which would take its time, and ask whom the peer chooses.

    Raises:
        InvalidStreamError: it is so.
    """
    address, port = address_of(sdp, index)
    if address is not None and port not in (0, DISCARD_PORT) and not is_address(address) and not (use_ice and ice.offer_has_ice(sdp, index)):
        raise InvalidStreamError(f'media wanted at a host name, which is not looked up: {address[:80]}')


class RTPStreamFacts:
    """The facts about the running media; any thread.

    Attributes:
        index: the position in the SDP, None until known.
    """

    rtp_transport: Any          # None before they are made, and after the end
    media_transport: Any
    index: int | None
    _local_sdp: Any             # the descriptions in use; None before the start and after the end
    _remote_sdp: Any
    _last_remote: tuple[str | None, int | None]         # where the peer wanted the media, once the stream has ended

    @property
    def codec(self) -> str | None:
        """The name of the negotiated codec; None while the media does not run."""
        transport = self.media_transport
        return transport.codec if transport is not None else None

    @property
    def sample_rate(self) -> int | None:
        """The sample rate of the negotiated codec in Hz; None while the media does not run."""
        transport = self.media_transport
        return transport.sample_rate if transport is not None else None

    @property
    def statistics(self) -> dict[str, Any] | None:
        """Counters and times of the running media (see `AudioTransport.statistics`), None while it does not run."""
        transport = self.media_transport
        return transport.statistics if transport is not None else None

    @property
    def srtp_active(self) -> bool:
        """Whether SRTP is in use."""
        transport = self.rtp_transport
        return bool(transport.srtp_active) if transport is not None else False

    @property
    def ice_active(self) -> bool:
        """Whether the media goes over addresses that ICE has chosen."""
        transport = self.rtp_transport
        return bool(transport.ice_active) if transport is not None else False

    @property
    def ice_reoffer_needed(self) -> bool:
        """Whether the peer has to be told what ICE has chosen. For the session."""
        return self.rtp_transport is not None and self._local_sdp is not None and \
            ice.reoffer_needed(self.rtp_transport, self._local_sdp, self._remote_sdp, self.index or 0)

    @property
    def local_rtp_address(self) -> str | None:
        """The local address of the media: the one the peer was told, which may be another one than at the start, or of the ICE pair in use."""
        transport = self.rtp_transport
        if transport is None:
            return None
        told = address_of(self._local_sdp, self.index or 0)[0] if self._local_sdp is not None and not transport.ice_active else None
        return told if told is not None and not is_null_address(told) else transport.local_rtp_address

    @property
    def local_rtp_port(self) -> int | None:
        """The local UDP port of the media."""
        transport = self.rtp_transport
        return transport.local_rtp_port if transport is not None else None

    @property
    def remote_rtp_address_sdp(self) -> str | None:
        """The address the peer wants the media at, None before `start`."""
        return self._wanted_by_peer()[0]

    @property
    def remote_rtp_port_sdp(self) -> int | None:
        """The port the peer wants the media at, None before `start`."""
        return self._wanted_by_peer()[1]

    def _wanted_by_peer(self) -> tuple[str | None, int | None]:
        return self._last_remote if self._remote_sdp is None else address_of(self._remote_sdp, self.index or 0)

    @property
    def remote_rtp_address_received(self) -> str | None:
        """The address media comes from, None before any came."""
        transport = self.rtp_transport
        return transport.remote_rtp_address if transport is not None else None

    @property
    def remote_rtp_port_received(self) -> int | None:
        """The port media comes from, None before any came."""
        transport = self.rtp_transport
        return transport.remote_rtp_port if transport is not None else None

    @property
    def remote_rtp_address(self) -> str | None:
        """The address of the ICE pair in use, else the one of the peer's description."""
        return self.remote_rtp_address_received if self.ice_active else self.remote_rtp_address_sdp

    @property
    def remote_rtp_port(self) -> int | None:
        """The port of the ICE pair in use, else the one of the peer's description."""
        return self.remote_rtp_port_received if self.ice_active else self.remote_rtp_port_sdp

    @property
    def local_rtp_candidate(self) -> Any:
        """Our `ICECandidate` in use, None without ICE."""
        transport = self.rtp_transport
        return transport.local_rtp_candidate if transport is not None and transport.ice_active else None

    @property
    def remote_rtp_candidate(self) -> Any:
        """The peer's `ICECandidate` in use, None without ICE."""
        transport = self.rtp_transport
        return transport.remote_rtp_candidate if transport is not None and transport.ice_active else None

    @property
    def local_rtp_candidate_type(self) -> str | None:
        """The type of our ICE candidate in use: 'HOST', 'SRFLX', 'PRFLX' or 'RELAY'; None without ICE."""
        candidate = self.local_rtp_candidate
        return candidate.type if candidate is not None else None

    @property
    def remote_rtp_candidate_type(self) -> str | None:
        """The type of the peer's ICE candidate in use; None without ICE."""
        candidate = self.remote_rtp_candidate
        return candidate.type if candidate is not None else None
