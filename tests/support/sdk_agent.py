"""A process with a SIPApplication, used as an application would: accounts, sessions, streams, players. See `sdk.py` for the other end.

Standard input has the commands, standard output answers and notifications, each a JSON object on a line:

    {"do": name, "id": number, ...arguments}  ->  {"id": number, "result": ...} or {"id": number, "error": text}
    {"event": name, "sender": name, "fields": {...}, "types": {field: class}, "time": seconds}

Objects are named: "settings", "engine", "application", "manager" (of accounts), "bonjour", the id of an account, and what a command gave a name: a
session, a player, a recorder. Incoming sessions are "in1", "in2" ... in the order in which they come. A dotted path leads on from there.
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
import time
from typing import Any

from zope.interface import implementer

from sipsimple.account import Account, AccountManager, BonjourAccount
from sipsimple.application import SIPApplication
from sipsimple.audio import AudioBridge, WavePlayer, WaveRecorder
from sipsimple.conference import AudioConference
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.core import Engine, FromHeader, Header, Message, Route, RouteHeader, SIPURI, ToHeader
from sipsimple.lookup import DNSLookup, DNSManager
from sipsimple.notification import IObserver, NotificationCenter
from sipsimple.session import Session, SessionManager
from sipsimple.storage import FileStorage, MemoryStorage
from sipsimple.streams import AudioStream

LIMIT = 30          # seconds
UNSAID = ('SIPEngineLog', 'DNSLookupTrace', 'AudioPortDidChangeSlots')


def simple(value: Any) -> Any:
    """A value as JSON has it: what is no plain value becomes its text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return value.decode('utf-8', 'replace')
    if isinstance(value, dict):
        return {str(key): simple(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [simple(item) for item in value]
    return str(value)


@implementer(IObserver)
class Agent:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.session_manager = SessionManager()
        self.objects: dict[str, Any] = {}
        self.incoming = 0
        self.seen: dict[str, threading.Event] = {'SIPApplicationDidStart': threading.Event(), 'SIPApplicationDidEnd': threading.Event()}
        self.settings: dict[str, Any] = {}
        self.accounts: dict[str, dict[str, Any]] = {}
        self.answer: list[Any] = []             # what to do with incoming sessions: names of methods, or [name, arguments]

    def say(self, **fields: Any) -> None:
        line = json.dumps(fields)
        with self.lock:
            print(line, flush=True)

    # ---- objects -------------------------------------------------------------------------------------------------

    def find(self, path: str) -> Any:
        name, *rest = path.split('/')
        if name in self.objects and not AccountManager().has_account(name):
            value = self.objects[name]
        elif name == 'settings':
            value = SIPSimpleSettings()
        elif name == 'engine':
            value = Engine()
        elif name == 'application':
            value = SIPApplication()
        elif name == 'manager':
            value = AccountManager()
        elif name == 'bonjour':
            value = BonjourAccount()
        else:
            value = AccountManager().get_account(name)
        return self.follow(value, rest[0]) if rest else value

    @staticmethod
    def follow(value: Any, path: str) -> Any:
        for part in path.split('.'):
            value = value[int(part)] if part.lstrip('-').isdigit() else getattr(value, part)
        return value

    def stream_of(self, session: str, stream: int) -> Any:
        """The audio of a session; before the answer it is among the proposed ones."""
        found = self.find(session)
        return [*found.streams, *(found.proposed_streams or ())][stream]

    def name_of(self, value: Any) -> str:
        if isinstance(value, Account):
            return str(value.id)
        if isinstance(value, BonjourAccount):
            return 'bonjour'
        for name, known in list(self.objects.items()):
            if known is value:
                return name
        if isinstance(value, Session):
            self.incoming += 1
            name = f'in{self.incoming}'
            self.objects[name] = value
            return name
        session = getattr(value, 'session', None)
        if isinstance(session, Session):
            return self.name_of(session)
        return type(value).__name__

    # ---- what happens --------------------------------------------------------------------------------------------

    def handle_notification(self, notification: Any) -> None:
        name, sender, data = notification.name, notification.sender, notification.data
        if name == 'SIPApplicationWillStart':
            self.configure()
        if name in self.seen:
            self.seen[name].set()
        if name in UNSAID:
            return
        fields = {key: value for key, value in vars(data).items() if key != 'timestamp'}
        self.say(event=name, sender=self.name_of(sender), fields={key: simple(value) for key, value in fields.items()},
                 types={key: type(value).__name__ for key, value in vars(data).items()}, time=time.monotonic())
        if name == 'SIPSessionNewIncoming':
            for step in self.answer:
                method, arguments = step if isinstance(step, list) else (step, {})
                getattr(sender, method)(**({'streams': data.streams} if method == 'accept' else {}), **arguments)

    def configure(self) -> None:
        """Settings and accounts, between the loading of the configuration and the start of the engine."""
        self.assign(SIPSimpleSettings(), self.settings)
        BonjourAccount().discovery.enabled = False              # nobody else on this machine is to be found, unless a test says so
        for name, values in self.accounts.items():
            self.do_account(name, values)

    @staticmethod
    def assign(target: Any, values: dict[str, Any]) -> None:
        for path, value in values.items():
            *parents, last = path.split('.')
            place = target
            for part in parents:
                place = getattr(place, part)
            setattr(place, last, value)
        save = getattr(target, 'save', None)
        if save is not None:
            save()

    # ---- commands ------------------------------------------------------------------------------------------------

    def do_start(self, nameservers: list[Any], settings: dict[str, Any], accounts: dict[str, Any], folder: str | None = None,
                 ip_address: str | None = '127.0.0.1', system_nameservers: bool = False) -> dict[str, Any]:
        """Start the application on 127.0.0.1, or another address, or all of them; without sound card; with these name servers, or none, or the system's."""
        Engine.default_start_options = {**Engine.default_start_options, 'ip_address': ip_address}
        dns = DNSManager()
        dns.probe_domain, dns.public_nameservers = None, []
        if not system_nameservers:
            dns.nameservers = [tuple(server) for server in nameservers]
        self.settings = {'audio.input_device': None, 'audio.output_device': None, 'audio.alert_device': None, 'logs.trace_sip': True, **settings}
        self.accounts = accounts
        for event in self.seen.values():
            event.clear()
        NotificationCenter().discard_observer(self)
        NotificationCenter().add_observer(self)
        SIPApplication().start(MemoryStorage() if folder is None else FileStorage(folder))
        assert self.seen['SIPApplicationDidStart'].wait(LIMIT), 'the application does not start'
        engine = Engine()
        return {'udp': engine.udp_port, 'tcp': engine.tcp_port, 'tls': engine.tls_port}

    def do_stop(self) -> None:
        """Stop the application."""
        SIPApplication().stop()
        assert self.seen['SIPApplicationDidEnd'].wait(LIMIT), 'the application does not stop'

    def do_account(self, name: str, values: dict[str, Any]) -> None:
        """Make an account or change it."""
        if name == 'bonjour':
            account: Any = BonjourAccount()
        elif AccountManager().has_account(name):
            account = AccountManager().get_account(name)
        else:
            account = self.objects[name] = Account(name)        # it is known to the manager a moment after it was saved
        self.assign(account, values)

    def do_set(self, target: str, values: dict[str, Any]) -> None:
        """Set attributes; those of settings objects are saved."""
        self.assign(self.find(target), values)

    def do_get(self, target: str, names: list[str]) -> Any:
        """The values of attributes."""
        found = self.find(target)
        return {name: simple(self.follow(found, name)) for name in names}

    def do_call(self, target: str, method: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Call a method."""
        return simple(getattr(self.find(target), method)(*args, **kwargs))

    def do_evaluate(self, expression: str) -> Any:
        """The value of an expression, with the names of this module."""
        return simple(eval(expression, {**globals(), 'agent': self}))

    def do_patch(self, module: str, values: dict[str, Any]) -> None:
        """Set names of a module: times that would make a test too long."""
        imported = importlib.import_module(module)
        for name, value in values.items():
            assert hasattr(imported, name), f'{module} has no {name}'
            setattr(imported, name, value)

    def do_lookup(self, uri: str, transports: list[str], **arguments: Any) -> list[str]:
        """The routes to a URI."""
        return [str(route) for route in DNSLookup().lookup_sip_proxy(SIPURI.parse(uri), transports, **arguments).result(LIMIT)]

    def do_connect(self, session: str, account: str, uri: str, route: list[Any] | None = None, via: str | None = None, headers: dict[str, str] | None = None,
                   streams: int = 1, routes: list[Any] | None = None, **arguments: Any) -> None:
        """Call a URI: over `route` (address, port, transport) or several `routes`, or where DNS says that `via` (or the URI) is."""
        local = self.find(account)
        ways = [Route(*item) for item in routes or [route] if item] or DNSLookup().lookup_sip_proxy(
            SIPURI.parse(via or uri), list(SIPSimpleSettings().sip.transport_list)).result(LIMIT)
        self.objects[session] = new = Session(local)
        new.connect(ToHeader(SIPURI.parse(uri)), ways, [AudioStream(local) for _ in range(streams)], extra_headers=[Header(*item) for item in (headers or {}).items()], **arguments)

    def do_message(self, account: str, uri: str, via: str, text: str) -> None:
        """Send a MESSAGE outside of dialogs."""
        local, target = self.find(account), SIPURI.parse(uri)
        route = DNSLookup().lookup_sip_proxy(SIPURI.parse(via), list(SIPSimpleSettings().sip.transport_list)).result(LIMIT)[0]
        self.objects[f'message {uri}'] = message = Message(
            FromHeader(local.uri), ToHeader(target), RouteHeader(route.uri), 'text/plain', text, credentials=local.credentials)
        message.send()

    def do_accept(self, session: str, indexes: list[int] | None = None) -> None:
        """Accept the streams of an incoming session, or some of them by their places, or offer audio to one without an offer."""
        target = self.find(session)
        streams = target.proposed_streams or [AudioStream(target.account)]
        target.accept(streams if indexes is None else [streams[index] for index in indexes])

    def do_add(self, session: str, count: int = 1) -> None:
        """Propose audio streams to the peer."""
        target = self.find(session)
        target.add_streams([AudioStream(target.account) for _ in range(count)])

    def do_remove(self, session: str, indexes: list[int]) -> None:
        """Take streams out of a session, by their places."""
        target = self.find(session)
        target.remove_streams([target.streams[index] for index in indexes])

    def do_accept_proposal(self, session: str, indexes: list[int]) -> None:
        """Accept some of the streams that the peer proposes, by their places."""
        target = self.find(session)
        target.accept_proposal([target.proposed_streams[index] for index in indexes])

    def do_play(self, player: str, session: str, filename: str, loop_count: int = 1, stream: int = 0) -> None:
        """Play a .wav file to the peer."""
        target = self.stream_of(session, stream)
        self.objects[player] = new = WavePlayer(target.mixer, filename, loop_count=loop_count)
        target.bridge.add(new)
        new.start()

    def do_record(self, recorder: str, session: str, filename: str, stream: int = 0) -> None:
        """Record what the peer says, and nothing else: a bridge of its own."""
        target = self.stream_of(session, stream)
        self.objects[recorder] = new = WaveRecorder(target.mixer, filename)
        self.objects[f'{recorder}.bridge'] = bridge = AudioBridge(target.mixer)
        new.start()
        bridge.add(target)
        bridge.add(new)

    def do_stop_record(self, recorder: str) -> None:
        """Close the file."""
        self.objects.pop(f'{recorder}.bridge').stop()
        self.objects.pop(recorder).stop()

    def do_conference(self, conference: str, sessions: list[str]) -> None:
        """Bring the audio of sessions together."""
        self.objects[conference] = new = AudioConference()
        for session in sessions:
            new.add(self.stream_of(session, 0))

    def do_sleep(self, seconds: float) -> None:
        """Let sound go on for a while."""
        time.sleep(seconds)

    def do_wait_for(self, target: str, name: str, value: Any) -> None:
        """Wait until an attribute has a value."""
        until = time.monotonic() + LIMIT
        while (found := simple(self.follow(self.find(target), name))) != value:
            assert time.monotonic() < until, f'{name} is {found!r}, not {value!r}'
            time.sleep(0.02)

    def do_end_sessions(self) -> None:
        """End all sessions and wait until they are gone."""
        for session in self.session_manager.sessions:
            session.end()
        until = time.monotonic() + LIMIT
        while self.session_manager.sessions:
            assert time.monotonic() < until, f'sessions do not end: {self.session_manager.sessions}'
            time.sleep(0.02)

    def do_answer(self, steps: list[Any]) -> None:
        """What to do with each incoming session from now on."""
        self.answer = steps

    def do_forget(self, names: list[str]) -> None:
        """Drop objects."""
        for name in names:
            self.objects.pop(name, None)

    # ---- the process ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        for line in sys.stdin:
            command = json.loads(line)
            name, number = command.pop('do'), command.pop('id')
            try:
                self.say(id=number, result=getattr(self, f'do_{name}')(**command))
            except Exception as error:
                import traceback
                traceback.print_exc()
                self.say(id=number, error=f'{type(error).__name__}: {error}')
        if SIPApplication.state == 'started':
            self.do_stop()


if __name__ == '__main__':
    import faulthandler
    import logging
    faulthandler.enable()               # the test that waits in vain for our end aborts us
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format='%(levelname)s %(name)s: %(message)s')
    Agent().run()
