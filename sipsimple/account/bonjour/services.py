"""What a BonjourAccount does while it is active: publishes itself for each transport, and browses. One task does everything, in the order of the requests."""

from __future__ import annotations

import asyncio
import logging
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipsimple.account.bonjour.discovery import TYPES, Discovery
from sipsimple.account.bonjour.registration import Offer, Registration
from sipsimple.account.bonjour.tasks import begin
from sipsimple.account.bonjour.txt import Found, build, host_label, instance_name
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.core import Engine, FrozenSIPURI, SIPURI
from sipsimple.core.helpers import is_null_address, outgoing_ip_for
from sipsimple.notification import IObserver, NotificationCenter
from sipsimple.threading import call_in_twisted_thread
from sipsimple.threading.green import Event

if TYPE_CHECKING:
    from sipsimple.account.bonjour.dnssd import Responder
    from sipsimple.account.bonjour.interfaces import Interfaces
    from sipsimple.account.bonjour_account import BonjourAccount
    from sipsimple.notification import Notification

__all__ = ['BonjourServices']

log = logging.getLogger('sipsimple.account')

STOP_LIMIT = 5.0            # seconds for all goodbyes
READY_TIME = 1.0            # seconds until addresses are looked at again that cannot be used yet; nobody tells of those of one link when they can
READY_TRIES = 3
PROBES = ('192.0.2.1', '2001:db8::1')   # RFC 5737, RFC 3849; only the routing table is asked about them


class Request(Enum):
    """What is to be done."""

    UPDATE = 1              # the name or presence is another one
    ADJUST = 2              # transports or contacts are others
    RENEW = 3               # the network is another one
    REPEAT = 4              # the network is the same, but may not have heard us
    STOP = 5


@implementer(IObserver)
class BonjourServices:
    """Publishes an account and finds its neighbours, between start() and stop().

    Notifications: those of Registration and Discovery; BonjourAccountWillStart, BonjourAccountWillStop.
    """

    def __init__(self, account: BonjourAccount) -> None:
        self.account = account
        self.address: str | None = None         # of ours, the one that is published
        self._requests: asyncio.Queue[Request] | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended: Event[None] | None = None
        self._registrations: dict[str, Registration] = {}       # by transport
        self._discoveries: dict[str, Discovery] = {}            # by type of service
        self._responder: Responder | None = None
        self._opening = asyncio.Lock()
        self._interfaces: Interfaces | None = None

    # ---- control -----------------------------------------------------------------------------------------------

    OBSERVED = ('NetworkConditionsDidChange', 'SystemNetworkLinkDidComeUp')

    def start(self) -> None:
        """Begin; no-op when active. Thread: the SDK thread."""
        if self._task is not None:
            return
        self.account._post('BonjourAccountWillStart')
        self._requests, self._ended = asyncio.Queue(), Event()
        self._requests.put_nowait(Request.ADJUST)
        for name in self.OBSERVED:
            NotificationCenter().add_observer(self, name=name)
        self._task = begin(self._run(self._requests, self._ended))

    def stop(self) -> None:
        """Say goodbye, and end; waits for it, for some seconds at most. Thread: a green thread."""
        task, ended = self._task, self._ended
        if task is None or ended is None:
            return
        self.account._post('BonjourAccountWillStop')
        for name in self.OBSERVED:
            NotificationCenter().discard_observer(self, name=name)
        self._task = None
        self._put(Request.STOP)
        ended.wait(STOP_LIMIT)
        task.cancel()

    def update(self) -> None:
        """Publish the present name and presence. Thread: any."""
        call_in_twisted_thread(self._put, Request.UPDATE)

    def adjust(self) -> None:
        """Publish the present contacts on the present transports. Thread: any."""
        call_in_twisted_thread(self._put, Request.ADJUST)

    def handle_notification(self, notification: Notification) -> None:
        """Called by the centre. What is told of name servers alone does not concern us."""
        if notification.name == 'SystemNetworkLinkDidComeUp':
            call_in_twisted_thread(self._put, Request.REPEAT)
        elif getattr(notification.data, 'changed', None) != ['dns']:
            call_in_twisted_thread(self._put, Request.RENEW)

    def _put(self, request: Request) -> None:
        if self._requests is not None:
            self._requests.put_nowait(request)

    # ---- the task ----------------------------------------------------------------------------------------------

    async def _run(self, requests: asyncio.Queue[Request], ended: Event[None]) -> None:
        try:
            while True:
                wanted = {await requests.get()}
                while not requests.empty():
                    wanted.add(requests.get_nowait())
                if Request.STOP in wanted:
                    break
                try:
                    await self._carry_out(wanted)
                except Exception:
                    log.exception('a change could not be followed')
        finally:
            self._requests = None
            try:
                await self._finish()
            finally:
                if not ended.ready():
                    ended.send()

    async def _carry_out(self, wanted: set[Request]) -> None:
        renew = Request.RENEW in wanted or (Request.REPEAT in wanted and await self._is_other_network())
        if renew:
            await self._renew()
        elif Request.REPEAT in wanted:
            await self._repeat()
        if renew or Request.ADJUST in wanted:
            await self._adjust()
        for registration in self._registrations.values():
            registration.changed()

    async def _adjust(self) -> None:
        transports = self._transports()
        published = [transport for transport in transports if transport != 'tls' or SIPSimpleSettings().tls.certificate]
        old = [registration for transport, registration in self._registrations.items() if transport not in published or registration.moved()]
        await asyncio.gather(*(registration.stop() for registration in old))
        types = {TYPES[transport] for transport in transports}
        await asyncio.gather(*(self._discoveries.pop(type).stop() for type in set(self._discoveries) - types))
        for transport in list(self._registrations):
            if transport not in published:
                del self._registrations[transport]
        for transport in published:
            if transport not in self._registrations:
                self._registrations[transport] = Registration(transport, self._open, partial(self._offer, transport), self.account._post)
            self._registrations[transport].start()
        for type in dict.fromkeys(TYPES[transport] for transport in transports):
            if type in self._discoveries:
                self._discoveries[type].review()
            else:
                self._discoveries[type] = Discovery(type, self._open, self._transports, self._is_own, self.account._post)
            self._discoveries[type].start()

    async def _is_other_network(self) -> bool:
        return self._interfaces is None or await self._find_interfaces() != self._interfaces

    async def _repeat(self) -> None:
        """Ask and announce once more (RFC 6762 §8.3)."""
        for discovery in self._discoveries.values():
            await discovery.repeat()
        for registration in self._registrations.values():
            registration.repeat()

    async def _renew(self) -> None:
        """Begin anew with the present interfaces; neighbours are kept for as long as it takes to find them again."""
        await asyncio.gather(*(registration.stop() for registration in self._registrations.values()),
                             *(discovery.pause() for discovery in self._discoveries.values()))
        await self._close()

    async def _finish(self) -> None:
        await asyncio.gather(*(registration.stop() for registration in self._registrations.values()),
                             *(discovery.stop() for discovery in self._discoveries.values()))
        self._registrations.clear()
        self._discoveries.clear()
        await self._close()

    # ---- the responder -----------------------------------------------------------------------------------------

    async def _open(self) -> Responder:
        """The responder, opened if need be. OSError: that failed."""
        async with self._opening:
            if self._responder is None:
                from sipsimple.account.bonjour import dnssd
                self._interfaces = await self._find_interfaces()
                self._responder = await dnssd.Responder.open(self._interfaces.bind)
            return self._responder

    @staticmethod
    async def _find_interfaces() -> Interfaces:
        """The interfaces, when all their addresses can be used, or have not become so in time. OSError."""
        from sipsimple.account.bonjour import interfaces
        for _ in range(READY_TRIES):
            found = interfaces.find(_bound())
            if not found.unready:
                break
            await asyncio.sleep(READY_TIME)
        return found

    async def _close(self) -> None:
        async with self._opening:
            responder, self._responder = self._responder, None
            if responder is not None:
                await responder.close()

    # ---- what we are -------------------------------------------------------------------------------------------

    @staticmethod
    def _transports() -> list[str]:
        return list(SIPSimpleSettings().sip.transport_list)

    def _offer(self, transport: str) -> Offer:
        """What to publish for a transport. OSError: nothing, as it is not there; ValueError: the contact is too long."""
        from sipsimple.account.bonjour.dnssd import Service
        port: int | None = getattr(Engine(), f'{transport}_port') if Engine().is_running else None
        if port is None:
            raise OSError(f'the {transport} transport is not running')
        addresses = self._interfaces.addresses if self._interfaces is not None else []
        if not addresses:
            raise OSError('there is no address')
        account, user, id = self.account, self.account.contact.username, self._instance_id()
        self.address = _bound() or next(filter(None, map(outgoing_ip_for, PROBES)), addresses[0])
        contact = SIPURI(self.address, user=user, port=port, parameters={} if transport == 'udp' else {'transport': transport})
        presence = account.presence_state if account.presence.enabled else None
        state, note = (None, None) if presence is None else (presence.state, presence.note)
        text = build({'txtvers': '1', 'name': account.display_name, 'contact': f'<{contact}>', 'instance_id': id,
                      'state': state, 'status': state, 'note': note})
        service = Service(TYPES[transport], instance_name(str(contact)), port, text, host_label(id, user), tuple(addresses))
        return Offer(service, str(contact))

    @staticmethod
    def _instance_id() -> str:
        return str(SIPSimpleSettings().instance_id).removeprefix('urn:uuid:')

    def _is_own(self, found: Found) -> bool:
        """Whether an instance is ours: by its contact, or as one of an address that we had before."""
        if found.record.id == self._instance_id() and found.user == self.account.contact.username:
            return True
        contacts = (registration.contact for registration in self._registrations.values())
        return any(contact is not None and FrozenSIPURI.parse(contact) == found.record.uri for contact in contacts)


def _bound() -> str | None:
    """The only address at which the Engine listens; None if it listens at all of them."""
    address: Any = Engine().ip_address if Engine().is_running else None
    return None if not address or is_null_address(address) else address
