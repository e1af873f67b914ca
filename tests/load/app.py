"""The process under test: a SIPApplication with the Bonjour account and full Sessions with AudioStreams, through the public API."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from zope.interface import implementer

from sipsimple.account import BonjourAccount
from sipsimple.account.settings import BonjourDiscoverySettings
from sipsimple.application import SIPApplication
from sipsimple.audio import WavePlayer
from sipsimple.configuration.datatypes import PortRange
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.core import Engine, Route, SIPURI, ToHeader
from sipsimple.lookup import DNSManager
from sipsimple.notification import IObserver, Notification, NotificationCenter
from sipsimple.session import Session, SessionManager
from sipsimple.storage import MemoryStorage
from sipsimple.streams import AudioStream
from sipsimple.threading import reactor
from tests.load.child import Child

OBSERVED = (
    'SIPApplicationDidStart', 'SIPApplicationWillEnd', 'SIPApplicationDidEnd', 'SIPApplicationGotFatalError', 'SIPEngineGotException',
    'SIPSessionNewIncoming', 'SIPSessionNewOutgoing', 'SIPSessionGotRingIndication', 'SIPSessionDidStart', 'SIPSessionWillEnd', 'SIPSessionDidEnd',
    'SIPSessionDidFail', 'SIPSessionDidChangeHoldState', 'SIPSessionDidProcessTransaction', 'SIPSessionHadProposalFailure',
    'MediaStreamDidFail', 'MediaStreamDidEnd', 'AudioStreamGotDTMF',
    'AudioStreamDidTimeout', 'AudioStreamDidStopRecordingAudio', 'AudioStreamDidStartRecordingAudio', 'RTPStreamDidEnableEncryption',
    'WavePlayerDidStart', 'WavePlayerDidFail')


@implementer(IObserver)
class App(Child):
    def __init__(self) -> None:
        super().__init__()
        self.live: dict[Session, float] = {}        # -> when it was made
        self.setup: list[float] = []                # seconds from connect() to SIPSessionDidStart
        self.problems: list[str] = []
        self.answer = 'accept'
        self.end_after: float | None = None         # incoming calls are ended: the first at once, each other one so many seconds later after it began
        self.player: WavePlayer | None = None
        self.configuration: dict[str, Any] = {}

    def handle_notification(self, notification: Notification) -> None:
        name, sender, data = notification.name, notification.sender, notification.data
        if name == 'SIPApplicationDidStart':
            pass
        elif name == 'SIPSessionNewIncoming':
            self.live[sender] = time.monotonic()
            self._answer(sender, data.streams)
        elif name == 'SIPSessionDidStart':
            if sender.direction == 'outgoing':
                self.setup.append(time.monotonic() - self.live.get(sender, 0))
        elif name == 'SIPSessionDidEnd':
            self.live.pop(sender, None)
            self.count(f'ended_by_{data.originator}: {data.end_reason}')
        elif name == 'SIPSessionDidFail':
            self.live.pop(sender, None)
            self.count(f'failed: {data.code} {data.failure_reason}')
        elif name == 'SIPSessionDidProcessTransaction':
            if data.method == 'BYE':
                self.count(f'BYE_{data.originator}_{data.code}')
        elif name in ('SIPEngineGotException', 'SIPApplicationGotFatalError'):
            self.problems.append(data.traceback or repr(data.value))
        elif name == 'MediaStreamDidFail':
            self.problems.append(f'{name}: {data.reason}')
        elif name == 'SIPSessionHadProposalFailure':
            self.problems.append(f'{name}: {data.failure_reason}')
        elif name == 'WavePlayerDidFail':
            self.problems.append(f'{name}: {data.error}')
        self.count(name)

    def _answer(self, session: Session, streams: list[Any]) -> None:
        if self.end_after is not None:
            reactor.call_later(self.end_after * (self.counts['SIPSessionNewIncoming'] % 50), session.end)
        if self.answer == 'accept':
            session.accept(streams)
        elif self.answer == 'busy':
            session.reject(486)
        elif self.answer == 'ring':
            session.send_ring_indication()

    # Life

    def do_start(self, **configuration: Any) -> dict[str, Any]:
        """Start the application; default settings but for what is given."""
        self.configuration = configuration
        BonjourDiscoverySettings.enabled.default = False
        Engine.default_start_options = {**Engine.default_start_options, 'ip_address': '127.0.0.1'}
        dns = DNSManager()
        dns.probe_domain, dns.public_nameservers = None, []             # type: ignore[assignment]      # nobody is asked about anything
        for name in OBSERVED:
            NotificationCenter().add_observer(self, name=name)
        return self.do_begin()

    def do_begin(self, limit: float = 30) -> dict[str, Any]:
        count = self.counts['SIPApplicationDidStart']
        NotificationCenter().add_observer(self, name='SIPApplicationWillStart')
        SIPApplication().start(MemoryStorage())
        self._configure()
        assert self.wait_for('SIPApplicationDidStart', count + 1, limit), f'the application does not start: {self.log.lines}'
        engine = Engine()
        return {'udp': engine.udp_port, 'tcp': engine.tcp_port, 'user': BonjourAccount().contact.username}

    def _configure(self) -> None:
        wanted = self.configuration
        settings: Any = SIPSimpleSettings()
        settings.sip.transport_list = wanted.get('transports', ['udp', 'tcp'])
        settings.rtp.audio_codec_list = wanted.get('codecs', ['PCMU', 'PCMA'])
        if 'ports' in wanted:
            settings.rtp.port_range = PortRange(*wanted['ports'])
        if 'timeout' in wanted:
            settings.rtp.timeout = wanted['timeout']
        if 'sample_rate' in wanted:
            settings.audio.sample_rate = wanted['sample_rate']
        settings.save()
        account: Any = BonjourAccount()
        if wanted.get('srtp') is False:
            account.rtp.encryption.enabled = False
        account.save()

    def do_finish(self, limit: float = 30) -> dict[str, Any]:
        """Stop the application."""
        count = self.counts['SIPApplicationDidEnd']
        started = time.monotonic()
        SIPApplication().stop()
        ended = self.wait_for('SIPApplicationDidEnd', count + 1, limit)
        return {'ended': ended, 'seconds': time.monotonic() - started}

    def close(self) -> None:
        if SIPApplication.state in ('starting', 'started'):
            self.do_finish()

    # Calls

    def _call(self, port: int, transport: str) -> Session:
        session = Session(BonjourAccount())
        self.live[session] = time.monotonic()
        target = SIPURI('127.0.0.1', user='peer', port=port, parameters={'transport': transport} if transport != 'udp' else {})
        session.connect(ToHeader(target), [Route('127.0.0.1', port=port, transport=transport)], [AudioStream()])
        return session

    def do_call(self, count: int, port: int, transport: str = 'udp') -> None:
        """Call so often at once."""
        for _ in range(count):
            self._call(port, transport)

    def do_call_and_end(self, count: int, port: int, step: float, transport: str = 'udp') -> None:
        """Call, and end the calls: the first at once, each other one so many seconds later after it began."""
        for number in range(count):
            session = self._call(port, transport)
            time.sleep(step * number)
            session.end()

    def do_limit_descriptors(self, more: int) -> None:
        """Let the process open so many descriptors beyond those that are open."""
        import resource
        highest = max(int(name) for name in os.listdir('/proc/self/fd'))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + more, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    def do_set(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    def do_end(self, count: int | None = None) -> dict[str, Any]:
        """End all calls, or the oldest ones, at once."""
        sessions = list(self.live)[:count]
        for session in sessions:
            session.end()
        return {'ended': len(sessions)}

    def do_hold(self, held: bool) -> None:
        for session in list(self.live):
            (session.hold if held else session.unhold)()

    def do_play(self, filename: str) -> None:
        """Let all peers hear a file."""
        voice = SIPApplication.voice_audio_mixer
        self.player = WavePlayer(voice, filename)
        for session in list(self.live):
            session.streams[0].bridge.add(self.player)
        self.player.start()

    def do_stop_playing(self) -> None:
        if self.player is not None:
            self.player.stop()
            self.player = None

    def do_record(self, count: int, folder: str) -> dict[str, Any]:
        files = []
        for number, session in enumerate(list(self.live)[:count]):
            files.append(str(Path(folder) / f'app-{number}.wav'))
            session.streams[0].start_recording(files[-1])
        return {'files': files}

    def do_stop_recording(self) -> None:
        for session in list(self.live):
            if session.streams and session.streams[0].recording_active:
                session.streams[0].stop_recording()

    def do_media(self) -> dict[str, Any]:
        """The streams of all running calls."""
        return {'streams': [stream_facts(session.streams[0]) for session in list(self.live) if session.streams],
                'frames_mixed': SIPApplication.voice_audio_mixer.frames_mixed}

    def do_facts(self) -> dict[str, Any]:
        times = sorted(self.setup)
        return {'live': len(self.live), 'sessions': len(SessionManager().sessions), 'problems': self.problems[:20], 'setup': times,
                'states': sorted({str(session.state) for session in self.live}), 'log': list(self.log.lines)}

    # One call after the other

    def do_sequence(self, count: int, port: int, kind: str = 'plain', transport: str = 'udp', folder: str = '', limit: float = 20) -> dict[str, Any]:
        """Make so many calls of a kind, each after the end of the one before."""
        self.setup.clear()
        started = time.monotonic()
        for _ in range(count):
            getattr(self, f'_one_{kind}')(port, transport, limit, folder)
        return {'seconds': time.monotonic() - started, 'setup': sorted(self.setup)}

    def _expect(self, name: str, before: int, limit: float) -> None:
        assert self.wait_for(name, before + 1, limit), f'no {name}: {dict(self.counts)} {self.log.lines}'

    def _started(self, port: int, transport: str, limit: float) -> Session:
        before = self.counts['SIPSessionDidStart']
        session = self._call(port, transport)
        self._expect('SIPSessionDidStart', before, limit)
        return session

    def _finish(self, session: Session, limit: float) -> None:
        before = self.counts['MediaStreamDidEnd']
        session.end()
        self._expect('MediaStreamDidEnd', before, limit)

    def _one_plain(self, port: int, transport: str, limit: float, folder: str) -> None:
        self._finish(self._started(port, transport, limit), limit)

    def _one_refused(self, port: int, transport: str, limit: float, folder: str) -> None:
        """The peer answers with a failure: busy, not acceptable, whatever it is set to; or it cannot be reached."""
        before = self.counts['MediaStreamDidEnd']
        self._call(port, transport)
        self._expect('MediaStreamDidEnd', before, limit)

    def _one_cancelled(self, port: int, transport: str, limit: float, folder: str) -> None:
        before, ended = self.counts['SIPSessionGotRingIndication'], self.counts['MediaStreamDidEnd']
        session = self._call(port, transport)
        self._expect('SIPSessionGotRingIndication', before, limit)
        session.end()
        self._expect('MediaStreamDidEnd', ended, limit)

    def _one_held(self, port: int, transport: str, limit: float, folder: str) -> None:
        session = self._started(port, transport, limit)
        for change in (session.hold, session.unhold):
            before = self.counts['SIPSessionDidChangeHoldState']
            change()
            self._expect('SIPSessionDidChangeHoldState', before, limit)
        self._finish(session, limit)

    def _one_dtmf(self, port: int, transport: str, limit: float, folder: str) -> None:
        """The peer sends back each digit."""
        session = self._started(port, transport, limit)
        before = self.counts['AudioStreamGotDTMF']
        session.streams[0].send_dtmf('5')
        self._expect('AudioStreamGotDTMF', before, limit)
        self._finish(session, limit)

    def _one_recorded(self, port: int, transport: str, limit: float, folder: str) -> None:
        session = self._started(port, transport, limit)
        before, after = self.counts['AudioStreamDidStartRecordingAudio'], self.counts['AudioStreamDidStopRecordingAudio']
        session.streams[0].start_recording(str(Path(folder) / 'call.wav'))
        self._expect('AudioStreamDidStartRecordingAudio', before, limit)
        self._finish(session, limit)
        self._expect('AudioStreamDidStopRecordingAudio', after, limit)

    def _one_restart(self, port: int, transport: str, limit: float, folder: str) -> None:
        """A call, then the application stops and starts again."""
        self._one_plain(port, transport, limit, folder)
        assert self.do_finish(limit)['ended']
        self.do_begin(limit)

    def do_quit(self) -> None:
        pass


def stream_facts(stream: AudioStream) -> dict[str, Any]:
    statistics = stream.statistics or {}
    ports = [stream.local_rtp_port, stream.remote_rtp_port_sdp, stream.remote_rtp_port_received]
    return {'codec': stream.codec, 'ports': ports, 'srtp': stream.srtp_active, **media_figures(statistics)}


def media_figures(statistics: dict[str, Any]) -> dict[str, Any]:
    received, sent = statistics.get('rx', {}), statistics.get('tx', {})
    return {'received': received.get('packets', 0), 'lost': received.get('packets_lost', 0), 'discarded': received.get('packets_discarded', 0),
            'sent': sent.get('packets', 0), 'jitter_us': received.get('jitter', {}).get('max', 0)}


if __name__ == '__main__':
    App().run()
