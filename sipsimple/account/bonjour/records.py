"""What an application learns of a neighbour."""

from __future__ import annotations

from dataclasses import dataclass

from sipsimple.core import FrozenSIPURI

__all__ = ['BonjourNeighbourRecord', 'BonjourPresenceState', 'BonjourServiceDescription']


@dataclass(frozen=True, order=True)
class BonjourServiceDescription:
    """What tells one neighbour from the others: an instance of a DNS-SD service (RFC 6763 §4.1). Hashable, comparable.

    Attributes:
        name: of the instance, as it is on the wire; usually the text of a SIP URI.
        type: "_sipuri._udp" or "_sipuri._tcp".
        domain: "local".
    """

    name: str
    type: str
    domain: str = 'local'


@dataclass(frozen=True)
class BonjourPresenceState:
    """What a user says of being there.

    Attributes:
        state: "available", "away", "busy" ...: any text.
        note: free text, or None.
    """

    state: str
    note: str | None = None


@dataclass(frozen=True)
class BonjourNeighbourRecord:
    """What a neighbour publishes.

    Attributes:
        id: of the installation, the same for all transports of a neighbour; None if it does not say.
        name: display name; may be empty.
        host: name of its machine.
        uri: where to call it.
        presence: None if it publishes none.
    """

    id: str | None
    name: str
    host: str
    uri: FrozenSIPURI
    presence: BonjourPresenceState | None = None
