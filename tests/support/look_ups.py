"""A name server that never answers, for the system's resolver in the calling thread: who has a name looked up is seen, and waits."""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import Self

import pytest

LIMIT = 1       # second that the resolver waits for an answer


class LookUps:
    """The names that this thread has asked the system's resolver for, as a context manager. Threads of their own have another resolver in glibc."""

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(('127.0.0.1', 0))
        self._socket.setblocking(False)
        resolver = ctypes.CDLL(None)
        if not hasattr(resolver, '__res_state'):
            pytest.skip('another C library than glibc')
        self._begin_anew, state_of_thread = (getattr(resolver, name) for name in ('__res_init', '__res_state'))
        state_of_thread.restype = ctypes.c_void_p
        self._begin_anew()
        state = state_of_thread()
        server = struct.pack('=H', socket.AF_INET) + struct.pack('!H', self._socket.getsockname()[1]) + socket.inet_aton('127.0.0.1') + bytes(8)
        # struct __res_state, resolv.h: retrans, retry, options, nscount, nsaddr_list
        ctypes.memmove(state, struct.pack('ii', LIMIT, 1), 8)
        ctypes.memmove(state + 16, struct.pack('i', 1) + server, 20)
        return self

    def __exit__(self, *exc: object) -> None:
        self._begin_anew()
        self._socket.close()

    def names(self) -> set[str]:
        """What was asked for since the last call."""
        names = set()
        while True:
            try:
                query = self._socket.recv(512)
            except BlockingIOError:
                return names
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            names.add('.'.join(labels))
