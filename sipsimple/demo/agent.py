"""One process of the demo: a SIPApplication with one account, steered by JSON objects on its standard input, a line each.

The first line is the configuration, see `Configuration`. Commands: {"do": name, ...arguments}, a method `do_<name>` of `Agent` each. What happens
is told in the same form on the standard output: {"event": name, "time": seconds, ...}. The process ends with its standard input, or when told.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from typing import IO, Any

from zope.interface import implementer

from sipsimple.application import SIPApplication
from sipsimple.demo.machine import ProcessorWait
from sipsimple.notification import IObserver, Notification, NotificationCenter
from sipsimple.storage import MemoryStorage

__all__ = ['Agent']

log = logging.getLogger('sipsimple.demo')

STOP_LIMIT = 15.0                       # seconds
VIEWER_LIMIT = 20.0
SRTP = {'optional': 'sdes_optional', 'mandatory': 'sdes_mandatory'}


@implementer(IObserver)
class Agent:
    """The application of this process.

    Notifications come in several threads, the commands in the main one; a lock is needed only where both write, which is the output.

    Args:
        configuration: `name`; `local` (bool): calls to 127.0.0.1 only, no account at a provider; `transports`; `codecs` (None: the default order);
            `srtp`: None (as the account has it), 'off', 'optional' or 'mandatory'; `chat` (bool, may be missing): offer it beside the audio; `ice`,
            `verbose` (bool); if not local, `account`, `password`, `username`, `proxy` and `offline` (bool): ask no name servers.
        output: where to tell what happens.
    """

    def __init__(self, configuration: dict[str, Any], output: IO[str]) -> None:
        self.configuration = configuration
        self.name: str = configuration['name']
        self.account: Any = None
        self.session: Any = None
        self.stream: Any = None         # the audio
        self.chat: Any = None
        self.folder: str | None = None  # where files go
        self.files: dict[Any, int] = {}             # how many steps of their transfers are done
        self.player: Any = None
        self.processor = ProcessorWait()
        self.ended = threading.Event()
        self._output = output
        self._lock = threading.Lock()

    def tell(self, event: str, /, **fields: Any) -> None:
        """Write one line."""
        line = json.dumps({'event': event, 'time': time.time(), **fields})
        with self._lock:
            try:
                print(line, file=self._output, flush=True)
            except OSError:
                self.ended.set()        # nobody listens any more

    # ---- start and stop ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the application; "ready" follows."""
        if self.configuration['local']:
            from sipsimple.core import Engine
            from sipsimple.lookup import DNSManager
            Engine.default_start_options = {**Engine.default_start_options, 'ip_address': '127.0.0.1'}
            dns = DNSManager()
            dns.probe_domain, dns.public_nameservers = None, []             # nobody is asked about anything
        elif self.configuration['offline']:
            from sipsimple.lookup import DNSManager
            DNSManager().nameservers = []
        NotificationCenter().add_observer(self)
        SIPApplication().start(MemoryStorage())

    def _configure(self) -> None:
        """Set up settings and account, between the loading of the (empty) configuration and the start of the engine."""
        from sipsimple.account import Account, AccountManager, BonjourAccount, ContactURIFactory
        from sipsimple.configuration.settings import SIPSimpleSettings
        wanted = self.configuration
        settings: Any = SIPSimpleSettings()
        settings.sip.transport_list = wanted['transports']
        settings.logs.trace_sip = True
        settings.logs.trace_pjsip = wanted['verbose']
        settings.logs.pjsip_level = 4
        settings.audio.input_device = settings.audio.output_device = settings.audio.alert_device = None
        if wanted['codecs']:
            settings.rtp.audio_codec_list = wanted['codecs']
        settings.save()
        account: Any
        if wanted['local']:
            account = BonjourAccount()
            account.contact = ContactURIFactory(self.name)
            account.display_name = self.name.capitalize()
            account.sip.transport = wanted['transports'][0]
            account.discovery.enabled = False           # both are on this machine, and nothing is to leave it
        else:
            account = Account(wanted['account'])
            account.auth.username = wanted['username']
            account.auth.password = wanted['password'] or ''
            account.sip.outbound_proxy = wanted['proxy']
            account.sip.register.enabled = True
            account.enabled = True
        account.nat_traversal.use_ice = wanted['ice']
        if wanted['srtp'] == 'off':
            account.rtp.encryption.enabled = False
        elif wanted['srtp'] is not None:
            account.rtp.encryption.key_negotiation = SRTP[wanted['srtp']]
        account.save()
        AccountManager().default_account = account
        self.account = account

    def run(self, commands: IO[str]) -> None:
        """Obey until the input ends, then stop the application."""
        for line in commands:
            command = json.loads(line)
            name = command.pop('do')
            if name == 'stop' or self.ended.is_set():
                break
            try:
                getattr(self, f'do_{name}')(**command)
            except Exception as error:
                log.exception('%s failed', name)
                self.tell('error', text=f'{name}: {error.__class__.__name__}: {error}')
        SIPApplication().stop()
        if SIPApplication.state is not None and not self.ended.wait(STOP_LIMIT):
            log.error('the application does not stop')
            sys.exit(1)

    # ---- commands ------------------------------------------------------------------------------------------------

    def do_call(self, target: str, address: str | None = None, port: int | None = None, transport: str = 'udp') -> None:
        """Call `target`, at that address or where DNS says."""
        from sipsimple.core import Route, SIPURI, ToHeader
        from sipsimple.lookup import DNSLookup
        from sipsimple.session import Session
        from sipsimple.streams import AudioStream, ChatStream
        uri = SIPURI.parse(target)
        if address is not None:
            routes = [Route(address, port, transport)]
        else:
            proxy = self.account.sip.outbound_proxy
            hop = uri if proxy is None else SIPURI(host=proxy.host, port=proxy.port, parameters={'transport': proxy.transport})
            routes = DNSLookup().lookup_sip_proxy(hop, self.configuration['transports']).result(30)
        self.session = Session(self.account)
        streams = [AudioStream(self.account), ChatStream(self.account)] if self.configuration.get('chat') else [AudioStream(self.account)]
        self.session.connect(ToHeader(uri), routes, streams)

    def do_answer(self) -> None:
        """Accept the audio of the incoming session, and the chat."""
        self.session.accept([stream for stream in self.session.proposed_streams if stream.type in ('audio', 'chat')])

    def do_write(self, text: str) -> None:
        """Send a text; "delivered" follows when the peer has reported that it has it."""
        self.chat.send_message(text)

    def do_take_files(self, folder: str) -> None:
        """Accept files from now on, into a folder; "file_received" follows for each."""
        self.folder = folder

    def do_send_file(self, filename: str) -> None:
        """Send a file to the peer, in the running call; "file_sent" follows when the peer has it and has checked its hash."""
        from sipsimple.streams import FileSelector, FileTransferStream
        self.session.add_stream(FileTransferStream(self.account, FileSelector.for_file(filename)))

    def do_play(self, filename: str) -> None:
        """Say a .wav file to the peer; "played" follows."""
        from sipsimple.audio import WavePlayer
        self.player = WavePlayer(self.stream.mixer, filename)
        self.stream.bridge.add(self.player)
        self.player.start()

    def do_record(self, filename: str) -> None:
        """Record what is heard; "recording" follows."""
        self.stream.start_recording(filename)

    def do_stop_recording(self) -> None:
        """Close the recording; "recorded" follows."""
        self.stream.stop_recording()

    def do_dtmf(self, digits: str) -> None:
        """Press keys."""
        for digit in digits:
            self.stream.send_dtmf(digit)

    def do_view_desktop(self) -> None:
        """Add a stream to the running call that shows the peer's desktop; "viewing" tells where a VNC viewer can connect."""
        from sipsimple.streams import DesktopSharingStream, ExternalVNCViewerHandler
        self.session.add_stream(DesktopSharingStream(self.account, ExternalVNCViewerHandler(connect_timeout=VIEWER_LIMIT)))

    def do_share_desktop(self, port: int) -> None:
        """Accept the proposal to show our desktop, that of the VNC server at that port."""
        from sipsimple.streams import ExternalVNCServerHandler
        for stream in self.session.proposed_streams:
            stream.handler = ExternalVNCServerHandler(('127.0.0.1', port))
        self.session.accept_proposal(self.session.proposed_streams)

    def do_close_desktop(self) -> None:
        """Take the desktop out of the call; both tell "not_viewing"."""
        self.session.remove_streams([stream for stream in self.session.streams if stream.type == 'desktop-sharing'])

    def do_report(self) -> None:
        """Tell codec, encryption, addresses and counters of the call in a "report"."""
        stream = self.stream
        self.tell('report', codec=stream.codec, sample_rate=stream.sample_rate, srtp=stream.encryption.type, cipher=stream.encryption.cipher,
                  ice=stream.ice_active, candidate=stream.local_rtp_candidate_type, local=f'{stream.local_rtp_address}:{stream.local_rtp_port}',
                  remote=f'{stream.remote_rtp_address}:{stream.remote_rtp_port}', statistics=stream.statistics,
                  waited=self.processor.longest)

    def do_hang_up(self) -> None:
        """End the session."""
        self.session.end()

    # ---- what happens --------------------------------------------------------------------------------------------

    def handle_notification(self, notification: Notification) -> None:
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            try:
                handler(notification)
            except Exception as error:
                log.exception('%s', notification.name)
                self.tell('error', text=f'{notification.name}: {error.__class__.__name__}: {error}')

    def _NH_SIPApplicationWillStart(self, notification: Notification) -> None:
        self._configure()

    def _NH_SIPApplicationDidStart(self, notification: Notification) -> None:
        engine = SIPApplication().engine
        unknown = set(self.configuration['codecs'] or ()) - set(engine.available_codecs)
        if unknown:
            self.tell('error', text=f'this build does not have the codec {", ".join(sorted(unknown))}')
            return
        self.tell('ready', ports={transport: getattr(engine, f'{transport}_port') for transport in self.configuration['transports']})

    def _NH_SIPApplicationDidEnd(self, notification: Notification) -> None:
        self.tell('stopped', reason=notification.data.end_reason)
        self.ended.set()

    def _NH_SIPApplicationGotFatalError(self, notification: Notification) -> None:
        self.tell('error', text=f'{notification.data.type.__name__}: {notification.data.value}')

    def _NH_SIPEngineGotException(self, notification: Notification) -> None:
        log.error('%s', notification.data.traceback)

    def _NH_SIPEngineLog(self, notification: Notification) -> None:
        log.debug('%s', notification.data.message.rstrip())

    def _NH_SIPEngineSIPTrace(self, notification: Notification) -> None:
        data = notification.data
        log.debug('%s %s:\n%s', 'received from' if data.received else 'sent to', data.source_ip if data.received else data.destination_ip,
                  data.data.decode('utf-8', 'replace'))
        self.tell('sip', received=data.received, source=f'{data.source_ip}:{data.source_port}', destination=f'{data.destination_ip}:{data.destination_port}',
                  transport=data.transport, message=data.data.decode('latin-1'))

    def _NH_SIPAccountRegistrationDidSucceed(self, notification: Notification) -> None:
        self.tell('registered', registrar=str(notification.data.registrar), expires=notification.data.expires)

    def _NH_SIPAccountRegistrationDidFail(self, notification: Notification) -> None:
        self.tell('not_registered', reason=str(notification.data.error))

    def _NH_SIPSessionNewIncoming(self, notification: Notification) -> None:
        if self.session is not None:
            notification.sender.reject(486)
            return
        self.session = notification.sender
        self.session.send_ring_indication()
        self.tell('incoming', peer=str(self.session.remote_identity.uri), streams=[stream.type for stream in notification.data.streams])

    def _NH_SIPSessionGotRingIndication(self, notification: Notification) -> None:
        self.tell('ringing')

    def _NH_SIPSessionDidStart(self, notification: Notification) -> None:
        by_type = {stream.type: stream for stream in notification.data.streams}
        self.stream, self.chat = by_type['audio'], by_type.get('chat')
        self.processor.start()
        self.tell('connected', peer=str(self.session.remote_identity.uri), user_agent=self.session.remote_user_agent, transport=self.session.transport)

    def _NH_SIPSessionDidFail(self, notification: Notification) -> None:
        if notification.sender is self.session:
            data = notification.data
            self.tell('failed', originator=data.originator, code=data.code, reason=str(data.failure_reason or data.reason))

    def _NH_SIPSessionDidEnd(self, notification: Notification) -> None:
        self.tell('ended', originator=notification.data.originator)

    def _NH_SIPSessionGotProposal(self, notification: Notification) -> None:
        if notification.data.originator != 'remote':
            return
        files = [stream for stream in notification.data.streams if stream.type == 'file-transfer' and stream.direction == 'recvonly']
        if self.folder is not None and files:
            for stream in files:
                stream.handler.save_directory = self.folder
            self.session.accept_proposal(files)
        else:
            self.tell('proposal', streams=[stream.type for stream in notification.data.streams])

    def _NH_SIPSessionGotRejectProposal(self, notification: Notification) -> None:
        self.tell('not_accepted', code=notification.data.code, reason=notification.data.reason)

    def _NH_SIPSessionDidRenegotiateStreams(self, notification: Notification) -> None:
        added = {stream.type: stream for stream in notification.data.added_streams}
        if 'file-transfer' in added:
            self._file_done(added['file-transfer'].handler)
        if 'desktop-sharing' in added:
            self.tell('viewing', address=getattr(added['desktop-sharing'].handler, 'address', None))
        elif any(stream.type == 'desktop-sharing' for stream in notification.data.removed_streams):
            self.tell('not_viewing')

    def _NH_MediaStreamDidFail(self, notification: Notification) -> None:
        self.tell('stream_failed', type=notification.sender.type, reason=notification.data.reason)

    def _NH_FileTransferHandlerDidEnd(self, notification: Notification) -> None:
        if notification.data.error:
            self.tell('error', text=f'the file: {notification.data.reason}')
        else:
            self._file_done(notification.sender)

    def _file_done(self, handler: Any) -> None:
        """A file is there, or its stream in the session: when both is so, in whichever order, the next one can be sent."""
        with self._lock:
            self.files[handler] = done = self.files.get(handler, 0) + 1
        if done == 2:
            self.tell('file_sent' if handler.direction == 'sendonly' else 'file_received', filename=handler.filename, size=handler.selector.size,
                      hash=handler.selector.hash)

    def _NH_AudioStreamGotDTMF(self, notification: Notification) -> None:
        self.tell('dtmf', digit=notification.data.digit)

    def _NH_ChatStreamGotMessage(self, notification: Notification) -> None:
        message = notification.data.message
        self.tell('message', text=message.content, sender=str(message.sender.uri))

    def _NH_ChatStreamDidDeliverMessage(self, notification: Notification) -> None:
        self.tell('delivered', code=notification.data.code, reason=notification.data.reason)

    def _NH_ChatStreamDidNotDeliverMessage(self, notification: Notification) -> None:
        self.tell('not_delivered', code=notification.data.code, reason=notification.data.reason)

    def _NH_RTPStreamDidNotEnableEncryption(self, notification: Notification) -> None:
        self.tell('not_encrypted', reason=notification.data.reason)

    def _NH_AudioStreamDidStartRecordingAudio(self, notification: Notification) -> None:
        self.tell('recording')

    def _NH_AudioStreamDidStopRecordingAudio(self, notification: Notification) -> None:
        self.tell('recorded', problem=getattr(notification.data, 'reason', None))

    def _NH_WavePlayerDidEnd(self, notification: Notification) -> None:
        self.tell('played')

    def _NH_WavePlayerDidFail(self, notification: Notification) -> None:
        self.tell('error', text=f'the sound cannot be played: {notification.data.error}')


def main() -> None:
    """Entry of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # the keyboard's interrupt is for the process that started this one
    configuration = json.loads(sys.stdin.readline())
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if configuration['verbose'] else logging.WARNING,
                        format=f'{configuration["name"]}: %(levelname)s %(name)s: %(message)s')
    agent = Agent(configuration, sys.stdout)
    agent.start()
    agent.run(sys.stdin)


if __name__ == '__main__':
    main()
