"""The place of a session: the address of ours that the peer knows, and what is sent when it is another one. See `network`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipsimple.core import ContactHeader, Engine, SDPSession, SIPURI
from sipsimple.core.helpers import is_null_address
from sipsimple.session import description

if TYPE_CHECKING:
    from sipsimple.session.base import SessionBase

__all__ = ['enter', 'new_place', 'present_contact', 'refresh', 'told']


def _next_hop(session: SessionBase) -> str | None:
    """Return the address our requests go to; None if it is not known."""
    invitation = session._invitation
    if invitation is None:
        return None
    if invitation.peer_address is not None:
        host: str = invitation.peer_address.ip
    elif invitation.route_header is not None:
        host = invitation.route_header.uri.host
    else:
        return None
    return host.strip('[]')


def _present_place(session: SessionBase) -> str | None:
    """Return our address on the way to the next hop; None without a way, and where the Engine is bound to one address, which it keeps."""
    if getattr(Engine(), 'ip_address', None) is not None:
        return None
    hop = _next_hop(session)
    return description.outgoing_address(hop) if hop is not None else None


def enter(session: SessionBase, address: str | None = None) -> None:
    """Note where we are: at the given address, which goes out with an INVITE, or where the session has started, unless what the peer knows may be out of
    date."""
    if address is not None:
        session._place = address
    elif not session._move_wanted:
        session._place = _present_place(session)


def new_place(session: SessionBase) -> str | None:
    """Return the address we are at now, if it is another one than the peer knows."""
    if session._place is None:
        return None
    present = _present_place(session)
    return present if present != session._place else None


def present_contact(session: SessionBase) -> ContactHeader | None:
    """Return the contact for what is about to be sent; None if that of the dialog is still right."""
    place = session._place_sent = new_place(session)
    return _moved_contact(session, place) if place is not None else None


def refresh(session: SessionBase, sdp: SDPSession) -> ContactHeader | None:
    """Put our present addresses in a description that is about to be sent; return the contact for it, None if that of the dialog is still right.

    Lines with ICE have addresses of their own. If they are not those of now, a re-INVITE follows that has them: gathering takes longer than this may.
    """
    place = session._place_sent = new_place(session)
    if place is None:
        return None
    remote = session._remote_sdp
    target = description.remote_address(remote) if remote is not None else None
    address = (description.outgoing_address(target) if target is not None and not is_null_address(target) else None) or place
    if any(getattr(stream, 'ice_outdated', False) for stream in session.streams):
        session._ice_outdated = session._move_wanted = True
    present = description.media_address(sdp)
    if present is not None and not is_null_address(present) and description.is_ipv6(present) == description.is_ipv6(address):
        description.relocate(sdp, address)
    return _moved_contact(session, place)


def _moved_contact(session: SessionBase, place: str) -> ContactHeader | None:
    assert session._invitation is not None
    known: Any = session._invitation.local_contact_header
    if known is None or known.uri is None or known.uri.host.strip('[]') != session._place:
        return None                     # a GRUU, or what a router made of us: it names another host than this one
    contact = ContactHeader.new(known)
    uri = SIPURI.new(known.uri)
    uri.host = place                    # type: ignore[misc]
    contact.uri = uri                   # type: ignore[misc]
    return contact


def told(session: SessionBase) -> None:
    """The peer has taken what was sent last."""
    if session._place_sent is not None:
        session._place = session._place_sent
    session._place_sent = None
    session._connection_lost = False
