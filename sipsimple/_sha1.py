"""SHA-1 whose computation can be pickled half-way, so that a file transfer can be resumed (FIPS 180-4 section 6.1).

hashlib hides the state of a computation. OpenSSL's own functions keep it in a plain struct, which is used where the library
has them; else a Python version with the same state does the work, slowly (some 2 MB/s).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import struct
from functools import cache
from typing import Any

__all__ = ['sha1']

START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
BLOCK = 64


class _Context(ctypes.Structure):
    """SHA_CTX of <openssl/sha.h>: chaining values, bit count, pending bytes."""

    _fields_ = [('h', ctypes.c_uint * 5), ('nl', ctypes.c_uint), ('nh', ctypes.c_uint), ('data', ctypes.c_uint * 16), ('num', ctypes.c_uint)]


@cache
def _library() -> Any:
    """OpenSSL's libcrypto, when its SHA-1 gives what it should; else None."""
    name = ctypes.util.find_library('crypto')
    try:
        library = ctypes.CDLL(name) if name else None
        if library is None:
            return None
        library.SHA1_Update.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
        context = _Context((ctypes.c_uint * 5)(*START))
        library.SHA1_Update(ctypes.byref(context), b'abc' + b'\x80' + bytes(52) + struct.pack('>Q', 24), 64)
    except (OSError, AttributeError):
        return None
    return library if struct.pack('>5I', *context.h).hex() == 'a9993e364706816aba3e25717850c26c9cd0d89d' else None


def _compress(state: tuple[int, ...], block: bytes) -> tuple[int, ...]:
    """One block in Python."""
    words = list(struct.unpack('>16I', block))
    for index in range(16, 80):
        word = words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16]
        words.append((word << 1 | word >> 31) & 0xFFFFFFFF)
    a, b, c, d, e = state
    for index, word in enumerate(words):
        if index < 20:
            mixed, constant = d ^ (b & (c ^ d)), 0x5A827999
        elif index < 40:
            mixed, constant = b ^ c ^ d, 0x6ED9EBA1
        elif index < 60:
            mixed, constant = (b & c) | (d & (b | c)), 0x8F1BBCDC
        else:
            mixed, constant = b ^ c ^ d, 0xCA62C1D6
        a, b, c, d, e = ((a << 5 | a >> 27) + mixed + e + constant + word) & 0xFFFFFFFF, a, (b << 30 | b >> 2) & 0xFFFFFFFF, c, d
    return tuple((old + new) & 0xFFFFFFFF for old, new in zip(state, (a, b, c, d, e), strict=True))


def _advance(state: tuple[int, ...], blocks: bytes) -> tuple[int, ...]:
    """The state after whole blocks."""
    library = _library()
    if library is None:
        for start in range(0, len(blocks), BLOCK):
            state = _compress(state, blocks[start:start + BLOCK])
        return state
    context = _Context((ctypes.c_uint * 5)(*state))
    library.SHA1_Update(ctypes.byref(context), blocks, len(blocks))
    return tuple(context.h)


class sha1:
    """Like hashlib.sha1, and picklable at any point. Not for security: collisions can be made."""

    name = 'sha1'
    block_size = BLOCK
    digest_size = 20

    def __init__(self, data: Any = b'') -> None:
        self._state: tuple[int, ...] = START
        self._pending = b''
        self._size = 0
        self.update(data)

    def update(self, data: Any) -> None:
        """Add bytes. TypeError for anything that is no bytes-like object."""
        data = self._pending + bytes(memoryview(data))
        self._size += len(data) - len(self._pending)
        whole = len(data) - len(data) % BLOCK
        if whole:
            self._state = _advance(self._state, data[:whole])
        self._pending = data[whole:]

    def digest(self) -> bytes:
        """The hash of what was added so far."""
        end = self._pending + b'\x80' + bytes((55 - self._size) % BLOCK) + struct.pack('>Q', self._size * 8)
        return struct.pack('>5I', *_advance(self._state, end))

    def hexdigest(self) -> str:
        """digest() as 40 hexadecimal digits."""
        return self.digest().hex()

    def copy(self) -> sha1:
        """An independent computation that goes on from here."""
        other = sha1()
        other._state, other._pending, other._size = self._state, self._pending, self._size
        return other
