"""TXT records of `_sipuri` services (RFC 6763 section 6): key=value strings of at most 255 bytes each.

What others publish is read whatever it is: broken UTF-8 is replaced, control characters and what does not parse are left out.
"""

from __future__ import annotations

import hashlib
import socket
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from sipsimple.account.bonjour.records import BonjourNeighbourRecord, BonjourPresenceState
from sipsimple.core import FrozenSIPURI, SIPCoreError

__all__ = ['Found', 'build', 'clip', 'host_label', 'instance_name', 'parse', 'read']

MAX_STRING = 255            # bytes; RFC 6763 section 6.1
MAX_LABEL = 63              # bytes; RFC 1035 section 2.3.4
MAX_INSTANCE = 52           # bytes: room for what a conflict adds
MAX_STRINGS = 64            # of a TXT record that is read


def clip(text: str, size: int) -> str:
    """Return as much of the text as fits into so many bytes of UTF-8, without half a character at the end."""
    return text.encode('utf-8', 'replace')[:size].decode('utf-8', 'ignore')


def build(items: Mapping[str, str | None]) -> bytes:
    """Return the TXT record of some values; None leaves out. A value that is too long is cut short, but for `contact`.

    Raises:
        ValueError: the contact is too long.
    """
    strings = []
    for key, value in items.items():
        if value is None:
            continue
        room = MAX_STRING - len(key) - 1
        if key == 'contact' and len(value.encode()) > room:
            raise ValueError('the contact address is too long to be published')
        data = f'{key}={clip(value, room)}'.encode()
        strings.append(bytes((len(data),)) + data)
    return b''.join(strings)


def parse(data: bytes) -> dict[str, str]:
    """Return the values of a TXT record. Keys are in lower case; of several the first counts (RFC 6763 §6.4). Never raises."""
    items: dict[str, str] = {}
    position = 0
    for _ in range(MAX_STRINGS):
        if position >= len(data):
            break
        string = data[position + 1:position + 1 + data[position]]
        position += 1 + data[position]
        key, sign, value = string.partition(b'=')
        if sign and key:
            items.setdefault(key.decode('ascii', 'replace').lower(), _printable(value.decode('utf-8', 'replace')))
    return items


def _printable(text: str) -> str:
    """The text without characters that control, and without halves of surrogate pairs."""
    return ''.join(character for character in text if unicodedata.category(character) not in ('Cc', 'Cs'))


# ---- names ---------------------------------------------------------------------------------------------------------

def instance_name(contact: str) -> str:
    """Return the name of the instance that publishes a contact: its text, or if that is too long its beginning and a digest."""
    if len(contact.encode()) <= MAX_INSTANCE:
        return contact
    digest = hashlib.sha256(contact.encode()).hexdigest()[:8]
    return f'{clip(contact, MAX_INSTANCE - 9)}-{digest}'


def _mark(instance_id: str, user: str) -> str:
    return '-' + hashlib.sha256(f'{instance_id} {user}'.encode()).hexdigest()[:8]


def host_label(instance_id: str, user: str) -> str:
    """Return the name under which our addresses are published.

    It is the name of the machine and something of our own: the plain name belongs to the mDNS responder of the system, which renames the machine when
    somebody else says something different of it (RFC 6762 §9).
    """
    name = socket.gethostname().partition('.')[0]
    plain = ''.join(character if character.isascii() and character.isalnum() else '-' for character in name).strip('-') or 'host'
    return plain[:40] + _mark(instance_id, user)


# ---- neighbours ----------------------------------------------------------------------------------------------------

class Found(NamedTuple):
    """What an instance publishes.

    Attributes:
        transport: of its URI.
        user: of its URI.
    """

    record: BonjourNeighbourRecord
    transport: str
    user: str


def read(data: bytes, name: str, target: str) -> Found:
    """Return what an instance publishes.

    Args:
        data: its TXT record.
        name: of the instance, which is taken for the contact where the TXT record has none.
        target: the host of its SRV record.
    Raises:
        ValueError: there is no SIP URI in it.
    """
    items = parse(data)
    try:
        uri = FrozenSIPURI.parse(items.get('contact') or name)
    except SIPCoreError as error:
        raise ValueError(str(error)) from error
    transport = uri.transport
    if uri.secure and 'transport' not in uri.parameters:
        transport = 'tls'
    user = uri.user or ''
    id = items.get('instance_id') or None
    host = target.rstrip('.').removesuffix('.local')
    if id is not None:
        host = host.removesuffix(_mark(id, user))
    state = items.get('state') or items.get('status')           # `status`: as it was written once
    presence = BonjourPresenceState(state, items.get('note') or None) if state else None
    return Found(BonjourNeighbourRecord(id, items.get('name', ''), _printable(host), uri, presence), transport, user)
