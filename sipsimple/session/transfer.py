"""Call transfer: what a session knows about one. RFC 3515, RFC 3891, RFC 5589."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sipsimple.core import Header, ReplacesHeader

__all__ = ['TransferHandler', 'TransferInfo', 'transfer_headers']


@dataclass(slots=True)
class TransferInfo:
    """Who sent us to the peer of a session, and which dialog the session takes the place of."""

    referred_by: str | None = None
    replaced_dialog_id: Any = None          # DialogID, as the peer knows the dialog


@dataclass(slots=True)
class TransferHandler:
    """The transfer of a session."""

    direction: str | None = None            # 'incoming' or 'outgoing'
    state: str | None = None                # 'starting', 'started', 'ended' or 'failed'
    new_session: Any = field(default=None, repr=False)


def transfer_headers(info: TransferInfo) -> list[Any]:
    """Return the header fields of an INVITE that a transfer made."""
    headers: list[Any] = []
    if info.referred_by is not None:
        headers.append(Header('Referred-By', info.referred_by))
    if info.replaced_dialog_id is not None:
        call_id, local_tag, remote_tag = info.replaced_dialog_id
        headers.append(ReplacesHeader(call_id, local_tag, remote_tag))
    return headers
