"""A TCP proxy on loopback that breaks connections at random places while it is told to.

    with CuttingProxy(port, seed=1) as proxy:
        proxy.cuts = True
        client.connect(('127.0.0.1', proxy.port))
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from typing import Self

__all__ = ['CuttingProxy']


class CuttingProxy:
    """The proxy.

    Args:
        port: where to connect to on 127.0.0.1.
        seed: of the places where it cuts.
        most: octets, in either direction, after which a connection is cut at the latest.

    Attributes:
        port: where it listens.
        cuts: whether connections are cut, also those that have begun.
        count: how many were.
    """

    def __init__(self, port: int, seed: int, most: int = 40_000) -> None:
        self._target = port
        self._random = random.Random(seed)
        self._most = most
        self.cuts = False
        self.count = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *rest: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(('127.0.0.1', self._target))
            except OSError:
                return
            with self._lock:
                self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                thread = threading.Thread(target=self._pass_on, args=(source, sink), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        left = 0
        try:
            while data := source.recv(65536):
                if self.cuts:
                    if left <= 0:
                        with self._lock:
                            left = self._random.randrange(1, self._most)
                    data, left = data[:left], left - len(data)
                sink.sendall(data)
                if self.cuts and left <= 0:
                    self.count += 1
                    break
        except OSError:             # the other direction was cut
            pass
        for connection in (source, sink):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= {source, sink}
