"""A DNS server on loopback which answers as a script tells it, faults included."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

# Gets the query and 'udp' or 'tcp'; returns the messages to send: built ones or raw bytes, [] for silence.
Handler = Callable[[dns.message.Message, str], Sequence[dns.message.Message | bytes]]


def answer(query: dns.message.Message, *records: str, rcode: int = dns.rcode.NOERROR, authority: Sequence[str] = (), flags: int = dns.flags.RA,
           edns: bool = True) -> dns.message.Message:
    """Make a response; records are texts such as 'a.test. 60 IN A 192.0.2.1'."""
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.Rcode(rcode))
    response.flags |= flags
    for section, texts in ((response.answer, records), (response.authority, authority)):
        for text in texts:
            name, ttl, rdclass, rdtype, rdata = text.split(None, 4)
            new = dns.rrset.from_text(name, int(ttl), rdclass, rdtype, rdata)
            for rrset in section:
                if rrset.name == new.name and rrset.rdtype == new.rdtype:
                    for rdata in new:
                        rrset.add(rdata)
                    break
            else:
                section.append(new)
    if not edns:
        response.use_edns(False)
    return response


class ScriptedServer:
    """Serves on a free port of `address` over UDP and TCP, from entering the context to leaving it.

    Attributes:
        queries: (name without the last dot, type, 'udp' or 'tcp', message) of all queries, in order
    """

    def __init__(self, handler: Handler, address: str = '127.0.0.1', tcp: bool = True) -> None:
        self.handler = handler
        self.queries: list[tuple[str, str, str, dns.message.Message]] = []
        self.errors: list[Exception] = []
        self._stopping = False
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        for _ in range(50):
            self._tcp = socket.create_server((address, 0), family=family)
            self._udp = socket.socket(family, socket.SOCK_DGRAM)
            try:
                self._udp.bind((address, self._tcp.getsockname()[1]))
                break
            except OSError:     # somebody has the port for UDP
                self._udp.close()
                self._tcp.close()
        self.endpoint: tuple[str, int] = (address, self._udp.getsockname()[1])
        if not tcp:
            self._tcp.close()
        self._threads = [threading.Thread(target=self._serve_udp, daemon=True)]
        if tcp:
            self._threads.append(threading.Thread(target=self._serve_tcp, daemon=True))

    def names(self) -> list[tuple[str, str]]:
        """Return name and type of all queries so far."""
        return [(name, kind) for name, kind, _, _ in self.queries]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping = True
        self._udp.sendto(b'', self._udp.getsockname()[:2])      # wakes the thread which reads
        with contextlib.suppress(OSError):
            self._tcp.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._udp.close()
        self._tcp.close()
        if self.errors:
            raise self.errors[0]

    def _responses(self, wire: bytes, protocol: str) -> list[bytes]:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        self.queries.append((question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype), protocol, query))
        try:
            responses = self.handler(query, protocol)
            return [item if isinstance(item, bytes) else item.to_wire(max_size=65535) for item in responses]
        except Exception as error:
            self.errors.append(error)
            return []

    def _serve_udp(self) -> None:
        while not self._stopping:
            wire, peer = self._udp.recvfrom(65535)
            if wire:
                for response in self._responses(wire, 'udp'):
                    self._udp.sendto(response, peer)

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                size = int.from_bytes(connection.recv(2, socket.MSG_WAITALL), 'big')
                for response in self._responses(connection.recv(size, socket.MSG_WAITALL), 'tcp'):
                    connection.sendall(len(response).to_bytes(2, 'big') + response)
