"""Where to send: the choices of RFC 3263 and its kin, without any input or output.

Every public function is a generator of steps. It yields a list of queries which may be asked side by side, is sent the
list of their replies in the same order, and returns its result or raises DNSLookupError. Who asks, from which cache and
over which socket, is the caller's business; so each decision tests with a dictionary for a zone.

A query is `optional` when the procedure has another way to go on without its answer: the caller may give up early on
such a query, so that a server which drops NAPTR or SRV queries does not use up the time for the others.
"""

from __future__ import annotations

import enum
import ipaddress
import random
from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

from sipsimple.lookup.errors import DNSLookupError

# Bounds on what one zone may make us do; a TCP answer has room for thousands of records.
MAX_SERVICES = 12
MAX_TARGETS = 16        # of one service
MAX_HOSTS = 48          # of one lookup step
MAX_ADDRESSES = 16
MAX_AUTHORITIES = 6

TRANSPORTS = ('udp', 'tcp', 'tls')
DEFAULT_PORTS = {'udp': 5060, 'tcp': 5060, 'tls': 5061}
SRV_LABELS = {'udp': '_sip._udp', 'tcp': '_sip._tcp', 'tls': '_sips._tcp'}
NAPTR_SERVICES = {'SIP+D2U': 'udp', 'SIP+D2T': 'tcp', 'SIPS+D2T': 'tls'}


@dataclass(frozen=True)
class Service:
    """Where a service is announced (SRV) and its port when it is not."""

    srv_labels: str
    default_port: int


SERVICES = {
    'stun': Service('_stun._udp', 3478),            # RFC 5389 §9
    'msrprelay': Service('_msrps._tcp', 2855),      # RFC 4976 §5.1
    'turn': Service('_turn._udp', 3478),            # RFC 5766 §6.1, RFC 5928
    'turns': Service('_turns._tcp', 5349),
}


class Outcome(enum.Enum):
    """How a query ended."""

    FOUND = 'found'         # there are records
    ABSENT = 'absent'       # the name or the type does not exist
    TIMEOUT = 'timeout'     # nobody answered in time
    FAILED = 'failed'       # servers answered, but with a failure or nonsense
    UNREACHABLE = 'unreachable'     # there was nobody to ask


@dataclass(frozen=True)
class NAPTR:
    """A naming authority pointer, RFC 3403; its names end in a dot."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


@dataclass(frozen=True)
class SRV:
    """A service location, RFC 2782; `target` ends in a dot."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True)
class Address:
    """The content of an A or AAAA record."""

    address: str


@dataclass(frozen=True)
class Text:
    """The character strings of a TXT record."""

    strings: tuple[bytes, ...]


@dataclass(frozen=True)
class NS:
    """A name server of a zone; `host` ends in a dot."""

    host: str


Record: TypeAlias = NAPTR | SRV | Address | Text | NS


@dataclass(frozen=True)
class Query:
    """A question; `type` is the mnemonic of the record type, `name` is taken as absolute."""

    name: str
    type: str
    optional: bool = False


@dataclass(frozen=True)
class Reply:
    """The records of an answer, or the kind of failure."""

    outcome: Outcome
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Target:
    """A place to send SIP requests to."""

    address: str
    port: int
    transport: str


T = TypeVar('T')
Steps: TypeAlias = Generator[list[Query], list[Reply], T]


class RandomSource(Protocol):
    """What is needed of random.Random."""

    def randint(self, a: int, b: int, /) -> int:
        """A number in a..b, both included."""


# Load distribution, not secrecy: the ordinary generator is good enough.
DEFAULT_RANDOM: RandomSource = random.Random()


def host_address(host: str) -> str | None:
    """Return the address `host` stands for when no query is needed: an IP literal (brackets allowed) or localhost.

    RFC 6761 §6.3: names below localhost are answered with the loopback address and never asked of a server.
    """
    text = host[1:-1] if host.startswith('[') and host.endswith(']') else host
    name = text.rstrip('.').lower()
    if name == 'localhost' or name.endswith('.localhost'):
        return '127.0.0.1'
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def order_srv(records: Iterable[SRV], rng: RandomSource = DEFAULT_RANDOM) -> list[SRV]:
    """Order SRV records for use: by priority, within one priority by weighted random selection (RFC 2782)."""
    ordered: list[SRV] = []
    unique = sorted(set(records), key=lambda record: (record.priority, record.weight, record.target, record.port))
    for priority in sorted({record.priority for record in unique}):
        # Sorted by weight: the algorithm wants the weights of 0 at the beginning, to give them a small chance.
        candidates = [record for record in unique if record.priority == priority]
        while candidates:
            total = sum(record.weight for record in candidates)
            if total == 0:
                chosen = rng.randint(0, len(candidates) - 1)
            else:
                pick = rng.randint(0, total)
                running = 0
                for chosen, record in enumerate(candidates):        # noqa: B007 - used after the loop
                    running += record.weight
                    if running >= pick:
                        break
            ordered.append(candidates.pop(chosen))
    return ordered


@dataclass(frozen=True)
class _Place:
    """A name which leads to targets for one transport: an SRV name, or a host at `port`."""

    transport: str
    name: str
    host_port: int | None = None


@dataclass(frozen=True)
class _Expansion:
    """What became of places: (address, port, transport) in order, and what the SRV queries had found."""

    endpoints: list[tuple[str, int, str]]
    announced: bool = False     # some SRV record exists
    denied: bool = False        # all SRV records which exist say "not here"


class _Chooser:
    """The steps shared by all lookups; remembers failed queries for the error message."""

    def __init__(self, subject: str, ip_versions: Sequence[int], rng: RandomSource) -> None:
        self.subject = subject
        self.record_types = [{4: 'A', 6: 'AAAA'}[version] for version in ip_versions]
        self.rng = rng
        self.failures: list[tuple[Query, Outcome]] = []

    def ask(self, queries: list[Query]) -> Steps[list[Reply]]:
        replies = yield queries
        if len(replies) != len(queries):
            raise ValueError(f'{len(queries)} queries, {len(replies)} replies')
        self.failures += [(q, r.outcome) for q, r in zip(queries, replies, strict=True) if r.outcome not in (Outcome.FOUND, Outcome.ABSENT)]
        return replies

    def failure(self, what: str) -> DNSLookupError:
        """Make the error for `what` was not found."""
        text = f'no {what} found for {self.subject}'
        # A timeout outweighs the rest: with an answer, the result might have been another.
        for outcome, reason in ((Outcome.TIMEOUT, 'timeout'), (Outcome.UNREACHABLE, 'nameservers not reachable'), (Outcome.FAILED, 'server failure')):
            names = [f'{query.type} {query.name}' for query, result in self.failures if result is outcome]
            if names:
                return DNSLookupError(f'{text}: {reason} for {", ".join(names)}', 'remote' if outcome is Outcome.FAILED else 'local')
        return DNSLookupError(text, 'remote')

    def addresses(self, hosts: Iterable[str]) -> Steps[dict[str, list[str]]]:
        """Resolve hosts side by side; the addresses of one host come in the order of the IP versions."""
        found: dict[str, list[str]] = {}
        pending: list[str] = []
        for host in dict.fromkeys(hosts):
            address = host_address(host)
            if address is None:
                pending.append(host)
            else:
                found[host] = [address]
        if pending:
            queries = [Query(host, record_type) for host in pending for record_type in self.record_types]
            replies = yield from self.ask(queries)
            for query, reply in zip(queries, replies, strict=True):
                addresses = [record.address for record in reply.records if isinstance(record, Address)]
                found.setdefault(query.name, []).extend(list(dict.fromkeys(addresses))[:MAX_ADDRESSES])
        return found

    def expand(self, places: Sequence[_Place]) -> Steps[_Expansion]:
        """Follow SRV names and hosts to addresses, keeping the order of `places`."""
        srv_queries = [Query(place.name, 'SRV', optional=True) for place in places if place.host_port is None]
        srv_records: dict[str, list[SRV]] = {}
        if srv_queries:
            replies = yield from self.ask(srv_queries)
            for query, reply in zip(srv_queries, replies, strict=True):
                srv_records[query.name] = [record for record in reply.records if isinstance(record, SRV)]
        hosts: list[tuple[str, str, int]] = []
        for place in places:
            if place.host_port is not None:
                hosts.append((place.transport, place.name, place.host_port))
                continue
            # A target of "." means that the service is decidedly not available at this domain (RFC 2782).
            usable = [record for record in srv_records[place.name] if record.target not in ('', '.') and 0 < record.port < 65536]
            hosts += [(place.transport, record.target, record.port) for record in order_srv(usable, self.rng)[:MAX_TARGETS]]
        hosts = hosts[:MAX_HOSTS]
        addresses = yield from self.addresses(host for _, host, _ in hosts)
        endpoints = [(address, port, transport) for transport, host, port in hosts for address in addresses[host]]
        announced = any(srv_records.values())
        denied = announced and all(record.target in ('', '.') for records in srv_records.values() for record in records)
        return _Expansion(list(dict.fromkeys(endpoints)), announced, denied)


def check_transports(supported: Collection[str]) -> list[str]:
    """Return the transports in lower case, each once.

    Raises:
        DNSLookupError: there is none, or one is not in TRANSPORTS
    """
    if isinstance(supported, str):
        raise DNSLookupError(f'supported_transports must be a list of transports, not {supported!r}', 'local')
    transports = list(dict.fromkeys(str(transport).lower() for transport in supported))
    if not transports:
        raise DNSLookupError('no transports are supported', 'local')
    unknown = [transport for transport in transports if transport not in TRANSPORTS]
    if unknown:
        raise DNSLookupError(f'unknown transports: {", ".join(unknown)}', 'local')
    return transports


def _check_host(host: str) -> str:
    host = host.strip()
    if not host.rstrip('.'):
        raise DNSLookupError('the URI has no host', 'local')
    return host


def sip_proxy(host: str, port: int | None, transport: str | None, secure: bool, supported_transports: Collection[str],
              ip_versions: Sequence[int] = (4, 6), rng: RandomSource = DEFAULT_RANDOM) -> Steps[list[Target]]:
    """Find where to send a request for a SIP URI, RFC 3263 §4.

    Args:
        host, port, transport, secure: the URI's host, port and transport parameter (None when absent), its scheme
        supported_transports: from 'udp', 'tcp', 'tls', best first; the result is in this order
        ip_versions: 4 and 6 in the order of preference
    """
    supported = check_transports(supported_transports)
    host = _check_host(host)
    wanted = transport.lower() if transport else None
    if secure and wanted not in (None, 'tls'):
        raise DNSLookupError(f'a sips URI cannot use the transport {wanted}', 'local')
    if secure and 'tls' not in supported:
        raise DNSLookupError('a sips URI needs the transport tls, which is not supported', 'local')
    address = host_address(host)
    if wanted is None and (address is not None or port is not None):
        wanted = 'tls' if secure else 'udp'
    if wanted is not None:
        if wanted not in supported:
            raise DNSLookupError(f'the transport {wanted} is not supported', 'local')
        if address is not None:
            return [Target(address, port or DEFAULT_PORTS[wanted], wanted)]

    chooser = _Chooser(host, ip_versions, rng)
    if wanted is not None:
        usable: list[str] = [wanted]
        places = [_Place(wanted, f'{SRV_LABELS[wanted]}.{host}')] if port is None else []
        expansion = yield from chooser.expand(places)
    else:
        usable = ['tls'] if secure else supported
        places = yield from _naptr_places(chooser, host, usable)
        expansion = yield from chooser.expand(places)
        if not expansion.endpoints:
            # RFC 3263 §4.1: no (usable) NAPTR records; this also helps with servers which do not know the type.
            expansion = yield from chooser.expand([_Place(item, f'{SRV_LABELS[item]}.{host}') for item in usable])
    endpoints = expansion.endpoints
    if not endpoints and expansion.denied:
        raise DNSLookupError(f'{host} offers no SIP service over {", ".join(usable)}', 'remote')
    if not endpoints and not expansion.announced:
        # RFC 3263 §4.2: the host itself, but only when no SRV records exist at all.
        last_resort = 'udp' if 'udp' in usable else usable[0]
        expansion = yield from chooser.expand([_Place(last_resort, host, port or DEFAULT_PORTS[last_resort])])
        endpoints = expansion.endpoints
    if not endpoints:
        raise chooser.failure('SIP proxy address')
    endpoints = sorted(endpoints, key=lambda endpoint: supported.index(endpoint[2]))
    return [Target(*endpoint) for endpoint in endpoints]


def _naptr_places(chooser: _Chooser, host: str, transports: Collection[str]) -> Steps[list[_Place]]:
    """Ask for NAPTR records and return what those for the given transports point to, in their order."""
    reply, = yield from chooser.ask([Query(host, 'NAPTR', optional=True)])
    places: list[_Place] = []
    records = [record for record in reply.records if isinstance(record, NAPTR)]
    for record in sorted(records, key=lambda item: (item.order, item.preference)):
        transport = NAPTR_SERVICES.get(record.service.upper())
        # RFC 3263 §4.1: the regular expression is not used for SIP; the replacement is.
        if transport is None or transport not in transports or record.regexp or record.replacement in ('', '.'):
            continue
        if record.flags.lower() == 's':
            places.append(_Place(transport, record.replacement))
        elif record.flags.lower() == 'a':
            places.append(_Place(transport, record.replacement, DEFAULT_PORTS[transport]))
    return list(dict.fromkeys(places))[:MAX_SERVICES]


def service(host: str, port: int | None, name: str, ip_versions: Sequence[int] = (4, 6),
            rng: RandomSource = DEFAULT_RANDOM) -> Steps[list[tuple[str, int]]]:
    """Find the (address, port) pairs of a service of SERVICES; `port` matters for an IP literal only."""
    if name not in SERVICES:
        raise DNSLookupError(f'unknown service: {name!r} (known are {", ".join(SERVICES)})', 'local')
    info = SERVICES[name]
    host = _check_host(host)
    address = host_address(host)
    if address is not None:
        return [(address, port or info.default_port)]
    chooser = _Chooser(host, ip_versions, rng)
    expansion = yield from chooser.expand([_Place(name, f'{info.srv_labels}.{host}')])
    if expansion.denied:
        raise DNSLookupError(f'{host} offers no {name} service', 'remote')
    endpoints = expansion.endpoints
    if not endpoints and not expansion.announced:
        expansion = yield from chooser.expand([_Place(name, host, info.default_port)])
        endpoints = expansion.endpoints
    if not endpoints:
        raise chooser.failure(f'{name} server')
    return [(address, port) for address, port, _ in endpoints]


def xcap_root(host: str) -> Steps[list[str]]:
    """Find the XCAP root URLs which the TXT records of `xcap.<host>` contain."""
    host = _check_host(host)
    if host_address(host) is not None:
        raise DNSLookupError(f'an XCAP server cannot be looked up for the address {host}', 'local')
    chooser = _Chooser(host, (), DEFAULT_RANDOM)
    reply, = yield from chooser.ask([Query(f'xcap.{host}', 'TXT')])
    urls = [url for record in reply.records if isinstance(record, Text) for url in _http_urls(record)]
    if not urls:
        raise chooser.failure('XCAP root')
    return list(dict.fromkeys(urls))


def _http_urls(record: Text) -> Iterable[str]:
    values: list[bytes] = []
    continued = False
    for string in record.strings:
        # A full string of 255 octets, the longest there can be, is continued by the next.
        if continued:
            values[-1] += string
        else:
            values.append(string)
        continued = len(string) == 255
    for value in values:
        try:
            text = value.decode('ascii')
            parts = urlsplit(text)
            valid = parts.scheme.lower() in ('http', 'https') and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            continue
        if valid and text.isprintable() and not set(text) & set(' "<>\\^`{|}'):
            yield text


def authoritative_servers(host: str, ip_versions: Sequence[int] = (4, 6)) -> Steps[list[str]]:
    """Find the addresses of the name servers of the zone `host` lies in; empty when there is no telling."""
    labels = _check_host(host).rstrip('.').split('.')
    if host_address(host) is not None:
        return []
    chooser = _Chooser(host, ip_versions, DEFAULT_RANDOM)
    # The zone is the closest enclosing name with NS records. Top level domains are nobody's own zone.
    for start in range(len(labels) - 1):
        reply, = yield from chooser.ask([Query('.'.join(labels[start:]), 'NS', optional=True)])
        hosts = [record.host for record in reply.records if isinstance(record, NS)][:MAX_AUTHORITIES]
        if hosts:
            addresses = yield from chooser.addresses(hosts)
            return list(dict.fromkeys(address for name in hosts for address in addresses[name]))[:MAX_AUTHORITIES]
        if reply.outcome not in (Outcome.FOUND, Outcome.ABSENT):
            break
    return []
