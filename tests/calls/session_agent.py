"""A process with an Engine and a session manager, steered over its standard input and output: one JSON object a line.

Started by the tests in this folder. It has no application and no stored settings: one account that takes every call, and the audio clock of a mixer
without sound card. Commands: {"do": name, ...}; answers: {"done": ..., ...}; everything that is posted: {"event": name, ...}.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from types import SimpleNamespace
from weakref import WeakSet

START = time.monotonic()


class Settings:
    """Stands for SIPSimpleSettings."""

    user_agent = 'agent'
    sip = SimpleNamespace(invite_timeout=90, transport_list=['udp', 'tcp'])
    rtp = SimpleNamespace(timeout=30, audio_codec_list=('PCMU', 'PCMA'))
    audio = SimpleNamespace()


def install_settings() -> None:
    import types
    try:
        import sipsimple.configuration.settings as module
    except ImportError:
        module = types.ModuleType('sipsimple.configuration.settings')
        sys.modules.setdefault('sipsimple.configuration', types.ModuleType('sipsimple.configuration'))
        sys.modules['sipsimple.configuration.settings'] = module
    module.SIPSimpleSettings = Settings


install_settings()

from zope.interface import implementer  # noqa: E402

from sipsimple.core import ContactURIFactory, Credentials, Engine, Route, SDPMediaStream, SIPURI, ToHeader  # noqa: E402
from sipsimple.notification import IObserver, NotificationCenter, TimestampedNotificationData  # noqa: E402
from sipsimple.session import IllegalStateError, Session, SessionManager  # noqa: E402
from sipsimple.streams import IMediaStream, MediaStreamRegistrar, UnknownStreamError  # noqa: E402
from sipsimple.threading import call_in_twisted_thread, reactor  # noqa: E402


@implementer(IMediaStream)
class PlainStream(metaclass=MediaStreamRegistrar):
    """An application's own type of stream, without any media."""

    type = 'plain'
    priority = 100
    hold_supported = False
    trouble = ''                # 'init', 'slow-init', 'start', 'slow-start', 'raise': where it fails, or never gets through
    on_hold = on_hold_by_local = on_hold_by_remote = False

    def __init__(self, account=None):
        self.session = self.index = None

    def post(self, name, **fields):
        NotificationCenter().post_notification(name, sender=self, data=TimestampedNotificationData(**fields))

    @classmethod
    def new_from_sdp(cls, account, remote_sdp, stream_index):
        if remote_sdp.media[stream_index].media != 'message':
            raise UnknownStreamError
        return cls(account)

    def get_local_media(self, for_offer):
        return SDPMediaStream('message', 2855, 'TCP/MSRP', formats=['*'])

    def initialize(self, session, direction):
        self.session = session
        if self.trouble == 'raise':
            raise ZeroDivisionError('trouble')
        self._come_to('init', 'MediaStreamDidInitialize')

    def start(self, local_sdp, remote_sdp, stream_index):
        self._come_to('start', 'MediaStreamDidStart')

    def _come_to(self, place, name):
        if self.trouble == place:
            self.post('MediaStreamDidFail', context=place, reason='in trouble', failure=None)
        elif self.trouble != f'slow-{place}':
            self.post(name)

    def validate_update(self, remote_sdp, stream_index):
        return True

    def update(self, local_sdp, remote_sdp, stream_index):
        pass

    hold = unhold = deactivate = lambda self: None

    def reset(self, stream_index):
        pass

    def end(self):
        self.post('MediaStreamWillEnd')
        self.post('MediaStreamDidEnd', error=None)


def simple(value):
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [simple(item) for item in value]
    if type(value).__name__ == 'Conference':
        return [user.entity for user in value.users]
    return getattr(value, 'type', None) or str(value)


@implementer(IObserver)
class Agent:
    TOLD = ('SIPSession', 'SIPConference', 'MediaStream', 'AudioStream', 'RTPStream', 'SIPEngineGotException')

    def __init__(self):
        self.sessions = {}
        self.gone = WeakSet()           # sessions from before a reset: their streams may end a moment after them
        self.count = 0
        self.auto = None                # what to do with incoming sessions: 'accept', 'ring+accept', 'reject', 'chaos'
        self.lock = threading.Lock()
        self.mixer = None
        self.account = SimpleNamespace(
            id='agent@127.0.0.1', uri=SIPURI('127.0.0.1', user='agent'), display_name='Agent', credentials=None,
            contact=None, sip=SimpleNamespace(),
            rtp=SimpleNamespace(audio_codec_list=None, timeout=None, encryption=SimpleNamespace(enabled=False, key_negotiation='sdes_optional')),
            nat_traversal=SimpleNamespace(use_ice=False, stun_server_list=None, turn_server=None))
        self.quiet = False
        self.errors = []

    def say(self, **fields):
        if fields.get('session') == 'gone':
            return
        with self.lock:
            print(json.dumps(fields), flush=True)

    def name_of(self, session):
        if session in self.gone:
            return 'gone'
        for name, known in self.sessions.items():
            if known is session:
                return name
        self.count += 1
        name = f'in{self.count}'
        self.sessions[name] = session
        return name

    def handle_notification(self, notification):
        name, sender, data = notification.name, notification.sender, notification.data
        if name == 'SIPSessionNewIncoming' and self.auto == 'reject':
            sender.reject(486)
        elif name == 'SIPSessionNewIncoming' and self.auto == 'chaos':
            call_in_twisted_thread(chaos_answer, sender, data.streams)
        elif name == 'SIPSessionNewIncoming' and self.auto:
            if self.auto == 'ring+accept':
                sender.send_ring_indication()
            sender.accept(data.streams)
        if self.quiet or not name.startswith(self.TOLD):
            return
        session = sender if isinstance(sender, Session) else getattr(sender, 'session', None)
        fields = {key: simple(value) for key, value in vars(data).items() if key not in ('timestamp', 'headers', 'failure', 'traceback')}
        state = str(session.state) if session is not None else None
        self.say(event=name, session=self.name_of(session) if session is not None else None, state=state, fields=fields)

    def make(self, kinds):
        from sipsimple.streams import MediaStreamRegistry
        return [MediaStreamRegistry.get(kind)(self.account) for kind in kinds]

    def start(self, codecs=('PCMU', 'PCMA'), audio=True, t1=None, ip_address='127.0.0.1', own_uri=False, **options):
        reactor.start()
        if t1 is not None:              # milliseconds
            from sipsimple.core import _endpoint
            _endpoint.set_sip_timers(t1=t1, t2=8 * t1, t4=10 * t1, td=64 * t1)
        started = threading.Event()

        @implementer(IObserver)
        class Waiter:
            def handle_notification(self, notification):
                started.set()
        waiter = Waiter()
        NotificationCenter().add_observer(waiter, name='SIPEngineDidStart')
        NotificationCenter().add_observer(waiter, name='SIPEngineDidFail')
        engine = Engine()
        engine.start(ip_address=ip_address, udp_port=0, codecs=list(codecs), **options)
        started.wait(10)
        self.account.contact = ContactURIFactory('agent')
        if own_uri:                     # at which it can be called
            self.account.uri = SIPURI(ip_address, user='agent', port=engine.udp_port)
        if audio:
            from sipsimple.core import AudioMixer
            from sipsimple.streams.rtp import set_audio_context
            self.mixer = AudioMixer(None, None, 16000, 0)
            set_audio_context(SimpleNamespace(voice_audio_mixer=self.mixer))
        manager = SessionManager()
        manager.find_account = lambda uri: self.account if uri.user != 'nobody' else None
        NotificationCenter().add_observer(self)
        manager.start()
        return {'port': engine.udp_port, 'tcp_port': engine.tcp_port}

    # Commands

    def do_start(self, **options):
        return self.start(**options)

    def do_set(self, target, **values):
        place = {'settings': Settings, 'account': self.account, 'session': Session, 'agent': self, 'stream': PlainStream}[target]
        for name, value in values.items():
            *path, last = name.split('.')
            here = place
            for part in path:
                here = getattr(here, part)
            setattr(here, last, Credentials(*value) if last == 'credentials' else value)

    def do_reset(self):
        """Be as in the beginning."""
        self.quiet = True
        until = time.monotonic() + 20
        while SessionManager().sessions and time.monotonic() < until:
            for session in SessionManager().sessions:
                session.end()
            time.sleep(0.02)
        settled = threading.Event()
        call_in_twisted_thread(settled.set)
        settled.wait(10)
        self.gone.update(self.sessions.values())
        self.sessions.clear()
        self.count = 0
        self.account.credentials = None
        PlainStream.trouble = ''
        Session.media_stream_timeout = 15
        Settings.sip.invite_timeout = 90
        self.quiet = False
        return {'left': len(SessionManager().sessions)}

    def do_connect(self, session, ports, streams, user='agent', transport='udp', hosts=('127.0.0.1',), **arguments):
        """Connect to a port of the last host; the routes are those of all hosts and ports."""
        self.sessions[session] = new = Session(self.account)
        routes = [Route(host, port=port, transport=transport) for host in hosts for port in ports]
        new.connect(ToHeader(SIPURI(hosts[-1], user=user, port=ports[-1])), routes, self.make(streams), **arguments)

    def do_look_up(self, session, nameserver, name, port, streams, **arguments):
        """Connect to a name, by the routes that DNS gives."""
        from sipsimple.lookup import DNSLookup, DNSManager
        DNSManager().nameservers = [tuple(nameserver)]
        uri = SIPURI(name, user='agent', port=port)
        routes = DNSLookup().lookup_sip_proxy(uri, ['udp']).result(30)
        self.sessions[session] = new = Session(self.account)
        new.connect(ToHeader(uri), routes, self.make(streams), **arguments)
        return {'routes': [str(route) for route in routes]}

    def do_call(self, session, method, *args, **kwargs):
        getattr(self.sessions[session], method)(*args, **kwargs)

    def do_conference(self, session, method, port=None, uri=None):
        """Ask the focus at the other end of a session for somebody at a port."""
        getattr(self.sessions[session].conference, method)(uri or f'sip:agent@127.0.0.1:{port}')

    def do_post(self, name):
        NotificationCenter().post_notification(name, sender=self, data=TimestampedNotificationData())

    def do_transfer(self, session, port, replaced=None, user='agent'):
        """Send the peer of a session to another process."""
        self.sessions[session].transfer(f'sip:{user}@127.0.0.1:{port}', None if replaced is None else self.sessions[replaced])

    def do_accept(self, session, only=None):
        target = self.sessions[session]
        streams = [stream for stream in target.proposed_streams if only is None or stream.type in only]
        target.accept(streams or self.make(['plain']))

    def do_accept_proposal(self, session):
        self.sessions[session].accept_proposal(self.sessions[session].proposed_streams)

    def do_add(self, session, streams):
        self.sessions[session].add_streams(self.make(streams))

    def do_remove(self, session, type):
        target = self.sessions[session]
        target.remove_streams([stream for stream in target.streams if stream.type == type])

    def do_stream(self, session, method, *args):
        return {'result': simple(getattr(self.sessions[session].streams[0], method)(*args))}

    def do_get(self, session, *names):
        target = self.sessions[session]
        result = {}
        for name in names:
            value = target
            for part in name.split('.'):
                value = value[int(part)] if part.isdigit() else getattr(value, part)
            result[name] = simple(value)
        return result

    def do_tone(self, session, frequency, seconds):
        """Let the peer of a session hear a tone."""
        from sipsimple.core import ToneGenerator
        self.tone = ToneGenerator(self.mixer)
        self.tone.start()
        self.mixer.connect_slots(self.tone.slot, self.sessions[session].streams[0].consumer_slot)
        while seconds > 0:
            self.tone.play_tones([(frequency, 0, min(seconds, 30) * 1000)])
            seconds -= 30

    def do_record(self, session, path):
        """Record what the peer of a session says; without a path, end that."""
        from sipsimple.core import RecordingWaveFile
        if path is None:
            self.recorder.stop()
        else:
            self.recorder = RecordingWaveFile(self.mixer, path)
            self.recorder.start()
            self.mixer.connect_slots(self.sessions[session].streams[0].producer_slot, self.recorder.slot)

    def do_counters(self):
        """The counters of the native core, and what was logged as an error, if that is counted."""
        from sipsimple.core._handles import counters
        return {'counters': counters(), 'errors': self.errors}

    def do_count_errors(self):
        import logging

        class Handler(logging.Handler):
            def emit(handler, record):
                self.errors.append(record.getMessage() if record.exc_info is None else f'{record.getMessage()}: {record.exc_info[1]!r}')
        logging.getLogger().addHandler(Handler(logging.ERROR))

    def do_sessions(self):
        return {'count': len(SessionManager().sessions)}

    def do_stop_manager(self):
        done = threading.Event()
        call_in_twisted_thread(SessionManager()._stop, done.set)
        return {'stopped': done.wait(10)}

    def do_load(self, port, calls, window, streams):
        """Make many calls, `window` at a time; each is ended as soon as it has started. Answers with times in seconds."""
        return load(self, port, calls, window, streams)

    def do_chaos(self, port, calls, streams, seed):
        """Make calls that are ended at any moment, the peer's `auto` being 'chaos' too; answers with how they ended."""
        return chaos(self, port, calls, streams, seed)

    def do_leftovers(self):
        """What is still there of the objects of calls that are over."""
        import gc
        from collections import Counter
        settled = threading.Event()
        call_in_twisted_thread(settled.set)         # streams end after the last notification of their session, in the same step of that thread
        assert settled.wait(10)
        self.sessions.clear()
        for _ in range(3):
            gc.collect()
        names = Counter(type(item).__name__ for item in gc.get_objects())
        return {'leftovers': {name: names[name] for name in ('Session', 'PlainStream', 'AudioStream', 'Invitation', 'RTPTransport', 'AudioTransport', 'coroutine')
                              if names[name]}}

    def do_usage(self):
        import resource
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {'cpu': usage.ru_utime + usage.ru_stime, 'rss_kb': usage.ru_maxrss}

    def run(self):
        for line in sys.stdin:
            command = json.loads(line)
            name = command.pop('do')
            args = command.pop('args', [])
            try:
                result = getattr(self, f'do_{name}')(*args, **command) or {}
            except Exception as error:
                result = {'error': f'{error.__class__.__name__}: {error}'}
            self.say(done=name, **result)


def load(agent, port, calls, window, streams):
    done = threading.Event()
    setup, failures = [], []
    counter = {'started': 0, 'finished': 0}
    begun = {}

    def begin():
        counter['started'] += 1
        session = Session(agent.account)
        begun[session] = time.perf_counter()
        session.connect(ToHeader(SIPURI('127.0.0.1', user='agent', port=port)), [Route('127.0.0.1', port=port)], agent.make(streams))

    @implementer(IObserver)
    class Watcher:
        def handle_notification(self, notification):
            session = notification.sender
            if session not in begun:
                return
            if notification.name == 'SIPSessionDidStart':
                setup.append(time.perf_counter() - begun[session])
                session.end()
            elif notification.name in ('SIPSessionDidEnd', 'SIPSessionDidFail'):
                if notification.name == 'SIPSessionDidFail':
                    failures.append(str(notification.data.failure_reason))
                del begun[session]
                counter['finished'] += 1
                if counter['finished'] == calls:
                    done.set()
                elif counter['started'] < calls:
                    begin()
    watcher = Watcher()
    for name in ('SIPSessionDidStart', 'SIPSessionDidEnd', 'SIPSessionDidFail'):
        NotificationCenter().add_observer(watcher, name=name)
    quiet, agent.quiet = agent.quiet, True
    import resource
    before = resource.getrusage(resource.RUSAGE_SELF)
    clock = time.perf_counter()
    for _ in range(window):
        call_in_twisted_thread(begin)
    finished = done.wait(120)
    clock = time.perf_counter() - clock
    after = resource.getrusage(resource.RUSAGE_SELF)
    agent.quiet = quiet
    for name in ('SIPSessionDidStart', 'SIPSessionDidEnd', 'SIPSessionDidFail'):
        NotificationCenter().remove_observer(watcher, name=name)
    setup.sort()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {'finished': finished, 'count': counter['finished'], 'failures': failures[:5], 'failed': len(failures), 'seconds': clock, 'cpu': cpu,
            'p50': setup[len(setup) // 2] if setup else None, 'p99': setup[len(setup) * 99 // 100] if setup else None}


def call_later(seconds, method, *args):
    """Call a method of a session later, in this (the SDK's) thread; the session may be in a state that does not allow it any more."""
    def call():
        try:
            method(*args)
        except IllegalStateError:
            pass
    reactor.call_later(seconds, call)


def chaos_answer(session, streams):
    """Do something with an incoming session, at some moment; whatever it is, the caller ends it."""
    def moment():
        return random.choice((0, 0, random.random() * 0.01, random.random() * 0.05))
    what = random.choice(('accept', 'accept', 'ring', 'reject', 'end', 'ignore'))
    if what == 'accept':
        call_later(moment(), session.accept, streams)
        if random.random() < 0.5:
            call_later(moment(), session.end)
    elif what != 'ignore':
        call_later(moment(), {'ring': session.send_ring_indication, 'reject': session.reject, 'end': session.end}[what])


def chaos(agent, port, calls, streams, seed):
    random.seed(seed)
    last = {}                   # session -> names of its last notifications
    done = threading.Event()

    @implementer(IObserver)
    class Watcher:
        def handle_notification(self, notification):
            if notification.sender in last:
                last[notification.sender].append(notification.name.removeprefix('SIPSession'))
                check()
    watcher = Watcher()
    for name in ('SIPSessionDidEnd', 'SIPSessionDidFail'):
        NotificationCenter().add_observer(watcher, name=name)

    def check():
        if len(last) == calls and all(last.values()):
            done.set()

    def begin(number):
        if number < calls:
            session = Session(agent.account)
            last[session] = []
            session.connect(ToHeader(SIPURI('127.0.0.1', user='agent', port=port)), [Route('127.0.0.1', port=port)], agent.make(streams))
            call_later(random.choice((0, random.random() * 0.002, random.random() * 0.02, random.random() * 0.1)), session.end)
            reactor.call_later(random.random() * 0.005, begin, number + 1)
    agent.quiet = True
    call_in_twisted_thread(begin, 0)
    done.wait(120)
    NotificationCenter().remove_observer(watcher, name='SIPSessionDidEnd')
    NotificationCenter().remove_observer(watcher, name='SIPSessionDidFail')
    return {'unfinished': [str(session.state) for session, names in last.items() if not names],
            'twice': [names for names in last.values() if len(names) > 1], 'states': sorted({str(session.state) for session in last}),
            'ended': sum(names == ['DidEnd'] for names in last.values()), 'failed': sum(names == ['DidFail'] for names in last.values())}


if __name__ == '__main__':
    import logging
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    agent = Agent()
    try:
        agent.run()
    finally:
        Engine().stop()
