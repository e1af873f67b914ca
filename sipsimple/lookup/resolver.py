"""Ask name servers: cache, servers and sockets for single queries.

The rules:
- Everything runs in coroutines of the loop that calls; nothing blocks and nothing polls. Messages, records and answers are
  dnspython's, which is imported at the first query; the sockets are the loop's.
- Each query has its own UDP socket, connected to the server: the kernel drops datagrams of others, reports a closed port
  at once, and picks a new source port. A datagram which does not answer the question (wrong id, wrong question, not a
  message) is dropped and the wait goes on, so that a forged packet cannot end it.
- A truncated answer is asked for again over TCP. A server that rejects EDNS is asked again without it.
- A server that fails is not asked again for this query; one that is silent is, in turn with the others, while time lasts.
- An alias whose target is not in the answer is followed by asking again, a bounded number of times.
"""

from __future__ import annotations

import asyncio
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import dns.message
    import dns.name
    import dns.rdatatype
    import dns.resolver

__all__ = ['AnswerCache', 'Nameserver', 'Resolver', 'nameserver_endpoint', 'normalize_nameserver', 'system_configuration']

DNS_PORT = 53
EDNS_PAYLOAD = 1232         # the agreed size that no path fragments (DNS flag day 2020)
MAX_ALIAS_QUERIES = 8
MAX_TTL = 3600              # seconds
MAX_NEGATIVE_TTL = 300      # seconds; a phone should notice soon that a missing record has appeared
MAX_TCP_MESSAGE = 65535

Nameserver: TypeAlias = str | tuple[str, int]
ErrorEntry: TypeAlias = 'tuple[str | None, bool, int, Exception | str, dns.message.Message | None]'


def normalize_nameserver(nameserver: object) -> Nameserver:
    """Return `nameserver` as "address", or as ("address", port) when the port is not 53.

    Raises:
        ValueError: the address is not an IP literal, or the port is not 1 to 65535
    """
    if isinstance(nameserver, str):
        host, port = nameserver, DNS_PORT
    elif isinstance(nameserver, Sequence) and len(nameserver) == 2 and isinstance(nameserver[0], str) and type(nameserver[1]) is int:
        host, port = nameserver
    else:
        raise ValueError(f'a nameserver is "address" or ("address", port), not {nameserver!r}')
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        raise ValueError(f'the address of a nameserver must be an IP literal, not {host!r}') from None
    if not 0 < port < 65536:
        raise ValueError(f'the port of a nameserver must be 1 to 65535, not {port}')
    return address if port == DNS_PORT else (address, port)


def nameserver_endpoint(nameserver: Nameserver) -> tuple[str, int]:
    """Return the (address, port) of a normalized nameserver."""
    return (nameserver, DNS_PORT) if isinstance(nameserver, str) else nameserver


def system_configuration(filename: str | None = None) -> tuple[list[Nameserver], list[str], str]:
    """Read the system's resolver configuration.

    Args:
        filename: read this file in the form of resolv.conf instead of the system's configuration

    Returns:
        nameservers, search domains and own domain, the domains without the last dot. Search domains below .local belong to
        multicast DNS and are left out. All are empty when the system has no configuration.
    """
    import dns.exception
    import dns.name
    import dns.resolver

    resolver = dns.resolver.Resolver(configure=False)
    try:
        if filename is not None:
            resolver.read_resolv_conf(filename)
        else:
            resolver = dns.resolver.Resolver()
    except (dns.exception.DNSException, OSError, ValueError):
        pass    # ValueError: a nameserver which is not an address
    nameservers: list[Nameserver] = []
    for server in resolver.nameservers:
        try:
            nameservers.append(normalize_nameserver(str(server)))
        except ValueError:
            continue    # an encrypted transport, which this resolver does not speak
    search = [name.to_text(omit_final_dot=True) for name in resolver.search]
    domain = '' if resolver.domain == dns.name.root else resolver.domain.to_text(omit_final_dot=True)
    return nameservers, [name for name in search if name.lower().split('.')[-1] not in ('local', '')], domain


class AnswerCache:
    """Answers and denials, kept for their time to live, at most `MAX_TTL` seconds and `size` entries.

    Thread: any.
    """

    def __init__(self, size: int = 1000, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = size
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[object, tuple[float, dns.resolver.Answer | Exception]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: object) -> dns.resolver.Answer | Exception | None:
        """Return what is stored and still fresh."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            expiration, value = entry
            if expiration <= self._clock():
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return value

    def put(self, key: object, value: dns.resolver.Answer | Exception, ttl: float) -> None:
        """Store `value` for `ttl` seconds; the entry unused for longest makes room. A denial is an exception."""
        ttl = min(ttl, MAX_NEGATIVE_TTL if isinstance(value, Exception) else MAX_TTL)
        with self._lock:
            self._entries.pop(key, None)
            if ttl <= 0:
                return
            self._entries[key] = (self._clock() + ttl, value)
            while len(self._entries) > self.size:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()


class _ServerFailure(Exception):
    """A server cannot answer this query; `response` is what it said, if anything."""

    def __init__(self, reason: Exception | str, response: dns.message.Message | None = None, tcp: bool = False) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.response = response
        self.tcp = tcp


class _DatagramExchange(asyncio.DatagramProtocol):
    """Waits for the datagram that answers `query`; the others are dropped."""

    def __init__(self, query: dns.message.Message, loop: asyncio.AbstractEventLoop) -> None:
        self.query = query
        self.result: asyncio.Future[dns.message.Message] = loop.create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        response = _parse(data)
        if response is not None and self.query.is_response(response) and not self.result.done():
            self.result.set_result(response)

    def error_received(self, exc: Exception) -> None:
        if not self.result.done():
            self.result.set_exception(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.result.done():
            self.result.set_exception(exc or ConnectionError('the socket was closed'))


def _parse(data: bytes) -> dns.message.Message | None:
    import dns.message
    try:
        # A cut message parses up to the cut: only its TC flag matters then.
        return dns.message.from_wire(data, ignore_trailing=True, continue_on_error=bool(len(data) > 2 and data[2] & 2))
    except Exception:
        return None


async def _exchange_udp(query: dns.message.Message, address: str, port: int, timeout: float) -> dns.message.Message:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout):
        transport, protocol = await loop.create_datagram_endpoint(lambda: _DatagramExchange(query, loop), remote_addr=(address, port))
        try:
            transport.sendto(query.to_wire())
            return await protocol.result
        finally:
            # The future may have failed while nobody waits for it any more.
            protocol.result.cancel()
            transport.close()


async def _exchange_tcp(query: dns.message.Message, address: str, port: int, timeout: float) -> dns.message.Message:
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(address, port, limit=MAX_TCP_MESSAGE)
        try:
            wire = query.to_wire()
            writer.write(len(wire).to_bytes(2, 'big') + wire)
            await writer.drain()
            size = int.from_bytes(await reader.readexactly(2), 'big')
            response = _parse(await reader.readexactly(size))
        finally:
            writer.close()
    if response is None or not query.is_response(response):
        raise _ServerFailure('not an answer to the query', response, tcp=True)
    return response


class Resolver:
    """Asks `nameservers`, in their order, one query at a time or several side by side.

    Args:
        nameservers: "address" or ("address", port)
        timeout: seconds to wait for one server
        cache: where answers are kept; None for no cache
        recursion: ask for recursion; off when the servers are authoritative ones, which must then know the answer
    """

    def __init__(self, nameservers: Sequence[Nameserver], timeout: float = 3.0, cache: AnswerCache | None = None, recursion: bool = True) -> None:
        self.nameservers = [normalize_nameserver(server) for server in nameservers]
        self.timeout = timeout
        self.cache = cache
        self.recursion = recursion

    async def query(self, name: str | dns.name.Name, record_type: str, lifetime: float = 15.0) -> dns.resolver.Answer:
        """Return the answer, which has records.

        Args:
            name: taken as absolute; an international name is encoded
            lifetime: seconds for all tries together

        Raises:
            dns.resolver.NXDOMAIN, dns.resolver.NoAnswer: there is no such name, or no such record
            dns.resolver.LifetimeTimeout: no usable answer arrived in time
            dns.resolver.NoNameservers: each server failed, or there is none
            dns.exception.DNSException: `name` is not a domain name, or the chain of aliases is too long
        """
        import dns.name
        import dns.rdatatype

        if isinstance(name, str):
            name = dns.name.from_text(name, dns.name.root)
        rdtype = dns.rdatatype.from_text(record_type)
        key = (tuple(self.nameservers), self.recursion, name, rdtype)
        cached = self.cache.get(key) if self.cache is not None else None
        if isinstance(cached, Exception):
            # A new traceback for each raise; the stored one would grow.
            raise cached.with_traceback(None)
        if cached is not None:
            return cached
        try:
            answer = await self._resolve(name, rdtype, lifetime)
        except Exception as error:
            ttl = _negative_ttl(error)
            if ttl is not None and self.cache is not None:
                self.cache.put(key, error, ttl)
            raise
        if self.cache is not None:
            self.cache.put(key, answer, answer.chaining_result.minimum_ttl)
        return answer

    async def _resolve(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, lifetime: float) -> dns.resolver.Answer:
        """Ask, and ask again for the target of an alias that came alone."""
        import dns.message
        import dns.rcode
        import dns.rdataclass
        import dns.resolver

        deadline = asyncio.get_running_loop().time() + lifetime
        seen: set[dns.name.Name] = set()
        ttl = MAX_TTL
        current = name
        while current not in seen and len(seen) < MAX_ALIAS_QUERIES:
            seen.add(current)
            answer = await self._ask_servers(current, rdtype, deadline, lifetime)
            response = answer.response
            if answer.rrset is not None:
                answer.chaining_result.minimum_ttl = ttl = min(ttl, answer.chaining_result.minimum_ttl)
                answer.qname = name
                return answer
            if response.rcode() == dns.rcode.NXDOMAIN:
                raise dns.resolver.NXDOMAIN(qnames=[current], responses={current: response})  # type: ignore[no-untyped-call]
            if answer.canonical_name == current or _soa_ttl(response) is not None:
                raise dns.resolver.NoAnswer(response=response)  # type: ignore[no-untyped-call]
            ttl = min([ttl, *(int(cname.ttl) for cname in answer.chaining_result.cnames)])
            current = answer.canonical_name
        raise dns.message.ChainTooLong

    async def _ask_servers(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, deadline: float, lifetime: float) -> dns.resolver.Answer:
        """Go round the servers until one answers, all have failed, or the time is over."""
        import dns.message
        import dns.rdataclass
        import dns.resolver

        loop = asyncio.get_running_loop()
        errors: list[ErrorEntry] = []
        silent: set[tuple[str, int]] = set()
        servers = list(dict.fromkeys(nameserver_endpoint(server) for server in self.nameservers))
        while servers:
            for address, port in list(servers):
                remaining = deadline - loop.time()
                if remaining <= 0:
                    raise dns.resolver.LifetimeTimeout(timeout=lifetime, errors=errors)  # type: ignore[no-untyped-call]
                try:
                    response = await self._ask_server(name, rdtype, address, port, min(self.timeout, remaining), (address, port) not in silent)
                    return dns.resolver.Answer(name, rdtype, dns.rdataclass.IN, response, address, port)
                except TimeoutError:
                    # Some middleboxes drop queries with EDNS: the next try goes without.
                    silent.add((address, port))
                    errors.append((address, False, port, 'nothing in time', None))
                except _ServerFailure as failure:
                    servers.remove((address, port))
                    errors.append((address, failure.tcp, port, failure.reason, failure.response))
                except (OSError, EOFError) as error:
                    servers.remove((address, port))
                    errors.append((address, False, port, error, None))
                except (dns.message.AnswerForNXDOMAIN, dns.message.NotQueryResponse, dns.exception.FormError) as error:
                    servers.remove((address, port))
                    errors.append((address, False, port, error, response))
        raise dns.resolver.NoNameservers(request=dns.message.make_query(name, rdtype), errors=errors)  # type: ignore[no-untyped-call]

    async def _ask_server(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, address: str, port: int, timeout: float,
                          edns: bool) -> dns.message.QueryMessage:
        """Get one server's answer: records, or a clean denial."""
        import dns.flags
        import dns.message
        import dns.rcode

        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        for with_edns in (True, False) if edns else (False,):
            query = dns.message.make_query(name, rdtype, use_edns=0 if with_edns else False, payload=EDNS_PAYLOAD)
            if not self.recursion:
                query.flags &= ~dns.flags.RD
            response = await _exchange_udp(query, address, port, deadline - loop.time())
            tcp = bool(response.flags & dns.flags.TC)
            if tcp:
                response = await _exchange_tcp(query, address, port, deadline - loop.time())
            rcode = response.rcode()
            if rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                if not isinstance(response, dns.message.QueryMessage):
                    raise _ServerFailure('not an answer to a query', response, tcp)
                if not response.answer and not self._is_final(response):
                    raise _ServerFailure('a referral', response, tcp)
                return response
            # RFC 6891 §7: a server which does not know EDNS says FORMERR or NOTIMP; middleboxes make SERVFAIL of that.
            if rcode == dns.rcode.REFUSED or (response.edns >= 0 and rcode != dns.rcode.BADVERS):
                break
        raise _ServerFailure(dns.rcode.to_text(rcode), response, tcp)

    def _is_final(self, response: dns.message.Message) -> bool:
        """Tell a denial from a referral to other servers, by which a server says that it does not recurse."""
        import dns.flags
        import dns.rcode
        import dns.rdatatype
        if response.flags & dns.flags.AA:
            return True
        if not self.recursion:
            return False
        types = {rrset.rdtype for rrset in response.authority}
        return response.rcode() == dns.rcode.NXDOMAIN or dns.rdatatype.NS not in types or dns.rdatatype.SOA in types


def _soa_ttl(response: dns.message.Message) -> int | None:
    """Return the time to live of a denial (RFC 2308 §5), None when it may not be cached."""
    import dns.rdatatype
    ttls = [min(rrset.ttl, rrset[0].minimum) for rrset in response.authority if rrset.rdtype == dns.rdatatype.SOA and len(rrset)]
    return min(ttls) if ttls else None


def _negative_ttl(error: Exception) -> int | None:
    import dns.resolver
    if isinstance(error, dns.resolver.NXDOMAIN):
        ttls = [_soa_ttl(response) for response in error.responses().values()]  # type: ignore[no-untyped-call]
        return ttls[0] if ttls else None
    if isinstance(error, dns.resolver.NoAnswer):
        return _soa_ttl(error.response())  # type: ignore[no-untyped-call]
    return None
