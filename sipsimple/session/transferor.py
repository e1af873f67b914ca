"""The side of a transfer that asks: REFER in the dialog, and what the peer's NOTIFY requests tell of the call it makes. RFC 3515, RFC 5589."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipsimple.core import SIPCoreError
from sipsimple.core.messages import parse_sipfrag
from sipsimple.session.inputs import Event, Kind
from sipsimple.session.transfer import TransferInput

if TYPE_CHECKING:
    from sipsimple.session.session import Session

__all__ = ['ask', 'fail', 'heard']


def ask(session: Session, target: Any, replaced: Session | None, extra_headers: list[Any]) -> None:
    """Send the REFER. The handler is `starting` already."""
    handler, invitation = session.transfer_handler, session._invitation
    session._post('SIPSessionTransferNewOutgoing', transfer_destination=target, transfer_source=session.account.uri)
    try:
        if invitation is None:
            raise SIPCoreError('the session has no dialog')
        invitation.transfer(target, None if replaced is None else replaced.dialog_id, extra_headers)
        handler._dialog = 'outgoing'
    except SIPCoreError as error:
        fail(session, 500, str(error))


def fail(session: Session, code: int, reason: str) -> None:
    """The transfer is over without success; the session goes on."""
    if session.transfer_handler._try(TransferInput.FAILURE):
        session._post('SIPSessionTransferDidFail', code=code, reason=reason)


def heard(session: Session, event: Event) -> None:
    """The core tells how the transfer that we asked for goes."""
    handler, data = session.transfer_handler, event.data
    match event.kind:
        case Kind.TRANSFER_STARTED:
            if handler._try(TransferInput.ACCEPTED):
                session._post('SIPSessionTransferDidStart')
        case Kind.TRANSFER_PROGRESS:
            status = parse_sipfrag(data.body)
            if status is not None and handler.active:
                session._post('SIPSessionTransferGotProgress', code=status[0], reason=status[1])
        case Kind.TRANSFER_ENDED:
            if handler._try(TransferInput.SUCCESS):
                session._post('SIPSessionTransferDidEnd')
                session.end()               # nobody is there to talk to any more; a replaced session is ended by its own peer
        case Kind.TRANSFER_FAILED:
            fail(session, data.code, data.reason)
