"""DNSLookup: run the steps of rfc3263 with a resolver, and tell observers and waiters.

The choices are made by the generators of `rfc3263`; this module asks their queries on the SDK thread's loop, within one
time budget for the whole lookup, and turns dnspython's records into theirs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sipsimple.lookup import rfc3263
from sipsimple.lookup.errors import DNSLookupError
from sipsimple.lookup.manager import DNSManager
from sipsimple.lookup.resolver import Nameserver, Resolver
from sipsimple.lookup.rfc3263 import NAPTR, NS, SRV, Address, Outcome, Query, Record, Reply, Steps, Text
from sipsimple.notification import NotificationCenter, TimestampedNotificationData

if TYPE_CHECKING:
    import dns.resolver

    from sipsimple.core.helpers import Route
    from sipsimple.core.values import BaseSIPURI
    from sipsimple.threading.green import Waitable

__all__ = ['DNSLookup']

log = logging.getLogger(__name__)

T = TypeVar('T')
R = TypeVar('R')

AUTHORITY_LIMIT = 1.0           # seconds to find a domain's own servers, and for them to answer
AUTHORITY_RETRY = 600.0         # seconds for which those that did not answer are left alone


class DNSLookup:
    """Looks up SIP proxies, services and XCAP servers.

    Each method returns at once. The object it returns has `wait()` for green threads and `result(timeout)` for other
    threads; both return the result or raise DNSLookupError.

    Attributes:
        authoritative_first: find the name servers of the domain's zone (NS records) and ask them before the configured
            ones, to go around routers which break NAPTR and SRV queries. It costs two more round trips for a domain that
            was not asked for lately. Where the domain's servers cannot be reached, as behind a firewall that lets only the
            local resolver speak DNS, a lookup takes a second more, and the next ones for some minutes do not try. What
            they do not know, the configured ones are asked for.
        authoritative_port: the port of those servers

    Notifications (sender: this object):
        DNSLookupDidSucceed(timestamp, result)
        DNSLookupDidFail(timestamp, error, originator): error is a text; originator 'local' (bad arguments, no answer in
            time) or 'remote' (the servers' answers leave nothing)
        DNSLookupTrace(timestamp, query_type, query_name, answer, error, context, uri, nameservers): one per query; answer
            and error are dnspython's; and `service` for lookup_service, `request_id` for lookup_sip_proxy

    Thread: any; notifications are posted on the SDK thread.
    """

    authoritative_first: bool = True
    authoritative_port: int = 53

    def lookup_service(self, uri: BaseSIPURI, service: str, timeout: float = 3.0, lifetime: float = 15.0) -> Waitable[list[tuple[str, int]]]:
        """Find the servers of a service by SRV, or else by the address of the domain and the default port.

        Args:
            uri: its host is the domain; for an IP address, the result is the address with the URI's or the default port
            service: "stun", "msrprelay", "turn" or "turns"
            timeout: seconds to wait for an answer of one nameserver
            lifetime: seconds for the whole lookup

        Returns:
            waitable for a list of (address, port)
        """
        def steps() -> Steps[list[tuple[str, int]]]:
            return rfc3263.service(uri.host, uri.port, service, DNSManager().ip_versions)
        return self._start(_Lookup(self, 'lookup_service', uri, timeout, lifetime, {'service': service}), steps, _same)

    def lookup_sip_proxy(self, uri: BaseSIPURI, supported_transports: Sequence[str], timeout: float = 3.0, lifetime: float = 15.0,
                         tls_name: str | None = None, request_id: object = None) -> Waitable[list[Route]]:
        """Find where to send requests for a SIP URI, RFC 3263 §4.

        Args:
            uri: its host, port, secure and transport parameter matter
            supported_transports: from 'udp', 'tcp', 'tls', best first
            timeout: seconds to wait for an answer of one nameserver
            lifetime: seconds for the whole lookup
            tls_name: the name for the certificate check, kept in the routes; None for the URI's host
            request_id: anything; handed on in DNSLookupTrace

        Returns:
            waitable for a list of Route, in the order of `supported_transports`
        """
        def steps() -> Steps[list[rfc3263.Target]]:
            transport = uri.parameters.get('transport')
            return rfc3263.sip_proxy(uri.host, uri.port, transport, uri.secure, supported_transports, DNSManager().ip_versions)

        def routes(targets: list[rfc3263.Target]) -> list[Route]:
            from sipsimple.core.helpers import Route
            name = tls_name or uri.host.strip('[]').rstrip('.')     # as certificates write it
            return [Route(target.address, port=target.port, transport=target.transport, tls_name=name) for target in targets]
        return self._start(_Lookup(self, 'lookup_sip_proxy', uri, timeout, lifetime, {'request_id': request_id}), steps, routes)

    def lookup_xcap_server(self, uri: BaseSIPURI, timeout: float = 3.0, lifetime: float = 15.0) -> Waitable[list[str]]:
        """Find XCAP roots in the TXT records of `xcap.<host>`.

        Args:
            uri: its host is the domain
            timeout: seconds to wait for an answer of one nameserver
            lifetime: seconds for the whole lookup

        Returns:
            waitable for a list of http and https URLs
        """
        return self._start(_Lookup(self, 'lookup_xcap_server', uri, timeout, lifetime, {}), lambda: rfc3263.xcap_root(uri.host), _same)

    def _start(self, lookup: _Lookup, steps: Callable[[], Steps[T]], convert: Callable[[T], R]) -> Waitable[R]:
        from sipsimple.threading import reactor
        from sipsimple.threading.green import run_in_waitable_green_thread
        reactor.start()     # does nothing when it runs; lookups need no SIPApplication
        return run_in_waitable_green_thread(self._run_lookup)(lookup, steps, convert)

    def _run_lookup(self, lookup: _Lookup, steps: Callable[[], Steps[T]], convert: Callable[[T], R]) -> R:
        try:
            try:
                result = convert(_wait_for(lookup.run(steps)))
            except DNSLookupError:
                raise
            except Exception as error:
                # Whatever it is, observers must not wait for ever.
                log.exception('%s failed for %s', lookup.context, lookup.uri)
                raise DNSLookupError(f'{lookup.context} failed: {error}', 'local') from error
        except DNSLookupError as error:
            lookup.post('DNSLookupDidFail', error=str(error), originator=error.originator)
            raise
        lookup.post('DNSLookupDidSucceed', result=result)
        return result


@dataclass
class _Lookup:
    """One lookup on its way: budget, nameservers, traces."""

    owner: DNSLookup
    context: str
    uri: BaseSIPURI
    timeout: float
    lifetime: float
    trace_fields: dict[str, object]

    def post(self, name: str, **fields: object) -> None:
        NotificationCenter().post_notification(name, sender=self.owner, data=TimestampedNotificationData(**fields))

    async def run(self, start: Callable[[], Steps[T]]) -> T:
        """Ask what the steps want to know, until they return."""
        # All of it here and not in the caller, so that no notification comes before the method of DNSLookup returns.
        manager = DNSManager()
        self._deadline = asyncio.get_running_loop().time() + self.lifetime
        self._resolvers = [Resolver(manager.nameservers, self.timeout, manager.cache)]
        steps = start()
        try:
            queries = next(steps)
        except StopIteration as stop:       # an address: no question
            result: T = stop.value
            return result
        if self.owner.authoritative_first:
            await self._find_authorities()
        try:
            return await self._follow(steps, queries)
        except DNSLookupError as error:
            if error.originator != 'remote' or len(self._resolvers) == 1:
                raise
            log.debug('the servers of %s know nothing, asking the configured ones: %s', self.uri.host, error)
        del self._resolvers[0]
        steps = start()
        return await self._follow(steps, next(steps))

    async def _follow(self, steps: Steps[T], queries: Sequence[Query]) -> T:
        try:
            while True:
                queries = steps.send(await self._ask_all(queries))
        except StopIteration as stop:
            result: T = stop.value
        return result

    async def _find_authorities(self) -> None:
        configured = self._resolvers[0]
        if _silent_servers.includes(configured.nameservers):
            return
        steps = rfc3263.authoritative_servers(self.uri.host, DNSManager().ip_versions)
        try:
            async with asyncio.timeout(min(AUTHORITY_LIMIT, self.lifetime / 4)):
                addresses = await self._follow(steps, next(steps))
        except StopIteration:
            return
        except TimeoutError:
            _silent_servers.add(configured.nameservers)     # some routers drop what they do not know
            return
        # Two of them get their chance.
        resolver = Resolver([(address, self.owner.authoritative_port) for address in addresses], min(self.timeout, AUTHORITY_LIMIT / 2), DNSManager().cache,
                            recursion=False)
        if addresses and not _silent_servers.includes(resolver.nameservers):
            self._resolvers.insert(0, resolver)

    async def _ask_all(self, queries: Sequence[Query]) -> list[Reply]:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._ask(query)) for query in queries]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()   # when one failed; otherwise all are done

    async def _ask(self, query: Query) -> Reply:
        """Ask the domain's own servers, if known, then the configured ones."""
        reply = Reply(Outcome.UNREACHABLE)
        for resolver in list(self._resolvers):
            budget = max(self._deadline - asyncio.get_running_loop().time(), 0)
            # What follows must have time as well: the next resolver, and the next step after an optional query.
            if not resolver.recursion:
                budget = min(budget / 2, AUTHORITY_LIMIT)
            if query.optional:
                budget /= 2
            reply = await self._ask_resolver(resolver, query, budget)
            if reply.outcome in (Outcome.FOUND, Outcome.ABSENT):
                break
            if not resolver.recursion and reply.outcome in (Outcome.TIMEOUT, Outcome.UNREACHABLE):
                _silent_servers.add(resolver.nameservers)
                if resolver in self._resolvers:
                    self._resolvers.remove(resolver)        # nor for what else this lookup wants to know
        return reply

    async def _ask_resolver(self, resolver: Resolver, query: Query, budget: float) -> Reply:
        import dns.exception
        answer = None
        error: Exception | None = None
        try:
            answer = await resolver.query(query.name, query.type, budget)
        except (dns.exception.DNSException, UnicodeError) as exception:
            error = exception
        self.post('DNSLookupTrace', query_type=query.type, query_name=query.name, answer=answer, error=error, context=self.context,
                  uri=self.uri, nameservers=list(resolver.nameservers), **self.trace_fields)
        if answer is not None:
            return Reply(Outcome.FOUND, tuple(_records(answer)))
        outcome = _outcome(error)
        if outcome is None:
            # Only a made-up name (service labels before a long domain) may be none; what the application gave must be one.
            if not query.optional:
                raise DNSLookupError(f'{query.name!r} is not a valid domain name: {error}', 'local') from error
            outcome = Outcome.ABSENT
        return Reply(outcome)


class _SilentServers:
    """Groups of servers that did not answer, for a while."""

    def __init__(self) -> None:
        self._until: dict[tuple[Nameserver, ...], float] = {}

    def add(self, servers: Sequence[Nameserver]) -> None:
        now = time.monotonic()
        self._until = {key: until for key, until in self._until.items() if until > now}
        self._until[tuple(servers)] = now + AUTHORITY_RETRY

    def includes(self, servers: Sequence[Nameserver]) -> bool:
        return self._until.get(tuple(servers), 0) > time.monotonic()

    def clear(self) -> None:
        self._until.clear()


_silent_servers = _SilentServers()


def _same(result: T) -> T:
    return result


def _wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the SDK thread's loop while this green thread waits."""
    from twisted.internet.defer import Deferred

    from sipsimple.threading.green import wait_deferred
    task = asyncio.get_running_loop().create_task(coroutine)
    try:
        result: T = wait_deferred(Deferred.fromFuture(task))
        return result
    finally:
        task.cancel()   # does nothing unless this green thread was ended


def _outcome(error: Exception | None) -> Outcome | None:
    """Classify the error of a query; None when its name is not a domain name."""
    import dns.exception
    import dns.message
    import dns.resolver
    match error:
        case dns.resolver.NXDOMAIN() | dns.resolver.NoAnswer():
            return Outcome.ABSENT
        case dns.exception.Timeout():
            return Outcome.TIMEOUT
        case dns.resolver.NoNameservers():
            answered = any(entry[4] is not None for entry in error.kwargs['errors'])
            return Outcome.FAILED if answered else Outcome.UNREACHABLE
        case dns.message.ChainTooLong():
            return Outcome.FAILED
    return None


def _records(answer: dns.resolver.Answer) -> list[Record]:
    """Convert the records of an answer; names come with their last dot."""
    import dns.rdatatype
    records: list[Record] = []
    for rdata in answer:
        match dns.rdatatype.to_text(answer.rdtype):
            case 'A' | 'AAAA':
                records.append(Address(rdata.address))
            case 'SRV':
                records.append(SRV(rdata.priority, rdata.weight, rdata.port, rdata.target.to_text()))
            case 'NAPTR':
                flags, service, regexp = (field.decode('latin-1') for field in (rdata.flags, rdata.service, rdata.regexp))
                records.append(NAPTR(rdata.order, rdata.preference, flags, service, regexp, rdata.replacement.to_text()))
            case 'TXT':
                records.append(Text(tuple(rdata.strings)))
            case 'NS':
                records.append(NS(rdata.target.to_text()))
    return records
