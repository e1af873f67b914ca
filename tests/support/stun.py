"""Binding requests and answers of STUN (RFC 8489), as a server has them."""

from __future__ import annotations

import socket
import struct

__all__ = ['binding_answer', 'binding_id']

COOKIE = 0x2112a442
SOFTWARE = 0x8022


def binding_id(request: bytes) -> bytes:
    """Return the transaction of a binding request; AssertionError if it is none."""
    kind, length, cookie = struct.unpack('!HHI', request[:8])
    assert (kind, length, cookie) == (1, len(request) - 20, COOKIE), request
    return request[8:20]


def binding_answer(transaction: bytes, seen: tuple[str, int], software: bytes = b'a server of the tests') -> bytes:
    """Return the answer for a client at the address `seen`."""
    mask = struct.pack('!I', COOKIE) + transaction
    family = socket.AF_INET6 if ':' in seen[0] else socket.AF_INET
    address = bytes(byte ^ other for byte, other in zip(socket.inet_pton(family, seen[0]), mask, strict=False))
    attributes = struct.pack('!HHHH', 0x0020, 4 + len(address), 2 if ':' in seen[0] else 1, seen[1] ^ (COOKIE >> 16)) + address
    if software:
        attributes += struct.pack('!HH', SOFTWARE, len(software)) + software + bytes(-len(software) % 4)
    return struct.pack('!HHI', 0x0101, len(attributes), COOKIE) + transaction + attributes
