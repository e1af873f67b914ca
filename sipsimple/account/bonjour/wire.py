"""Names of service instances in DNS messages.

The name of an instance is one label, whatever is in it: "sip:alice@10.0.0.1:5062" has dots, and no other label (RFC 6763 section 4.1.1). The `zeroconf`
package takes every dot for the border of a label. What it reads is all right, as it looks names up by their text; what it writes is written anew here,
with the labels of an instance put together.
"""

from __future__ import annotations

import struct

__all__ = ['join_labels']

HEADER = 12
MAX_LABEL, MAX_POINTER = 63, 0x3FFF
PTR, SRV, NSEC, CNAME = 12, 33, 47, 5
SERVICE, PROTOCOLS, DOMAIN = b'_sipuri', (b'_udp', b'_tcp'), b'local'

Labels = tuple[bytes, ...]


def join_labels(message: bytes) -> bytes:
    """Return the message with the names of `_sipuri` instances as single labels.

    Raises:
        ValueError: this is no DNS message, or a label is too long.
    """
    try:
        return _Copy(message).run()
    except (IndexError, struct.error) as error:
        raise ValueError('a broken DNS message') from error


def _joined(labels: Labels) -> Labels:
    lowered = tuple(label.lower() for label in labels[-3:])
    if len(labels) > 4 and lowered[0] == SERVICE and lowered[1] in PROTOCOLS and lowered[2] == DOMAIN:
        instance = b'.'.join(labels[:-3])
        if len(instance) <= MAX_LABEL:
            return instance, *labels[-3:]
    return labels


class _Copy:
    """A message that is read and written anew at the same time."""

    def __init__(self, message: bytes) -> None:
        self._in = message
        self._at = HEADER
        self._out = bytearray(message[:HEADER])
        self._known: dict[Labels, int] = {}             # where a name can be pointed to

    def run(self) -> bytes:
        questions, *records = struct.unpack_from('!4H', self._in, 4)
        for _ in range(questions):
            self._copy_name()
            self._copy(4)
        for _ in range(sum(records)):
            self._copy_record()
        return bytes(self._out)

    def _copy(self, size: int) -> None:
        data = self._in[self._at:self._at + size]
        if len(data) != size:
            raise ValueError('a DNS message that ends too soon')
        self._out += data
        self._at += size

    def _copy_record(self) -> None:
        self._copy_name()
        kind, size = struct.unpack_from('!H6xH', self._in, self._at)
        self._copy(10)
        end, start = self._at + size, len(self._out)
        if kind == SRV:
            self._copy(6)
        if kind in (PTR, SRV, NSEC, CNAME):
            self._copy_name()
        self._copy(end - self._at)
        struct.pack_into('!H', self._out, start - 2, len(self._out) - start)

    def _copy_name(self) -> None:
        labels, self._at = self._read_name(self._at)
        labels = _joined(labels)
        for index, label in enumerate(labels):
            rest = labels[index:]
            known = self._known.get(rest)
            if known is not None:
                self._out += struct.pack('!H', 0xC000 | known)
                return
            if len(self._out) <= MAX_POINTER:
                self._known[rest] = len(self._out)
            self._out.append(len(label))
            self._out += label
        self._out.append(0)

    def _read_name(self, position: int) -> tuple[Labels, int]:
        """The name at a place, and where it ends there."""
        labels: list[bytes] = []
        end = 0
        for _ in range(130):                            # a name has 255 bytes; more than that go round in circles
            size = self._in[position]
            if size >= 0xC0:
                end = end or position + 2
                position = (size & 0x3F) << 8 | self._in[position + 1]
            elif size > MAX_LABEL:
                raise ValueError('a label that is too long')
            elif size:
                labels.append(self._in[position + 1:position + 1 + size])
                position += 1 + size
            else:
                return tuple(labels), end or position + 1
        raise ValueError('a DNS name without end')
