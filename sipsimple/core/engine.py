"""The Engine: the native SIP and media stack, its options, its thread and what it tells the application.

Three kinds of threads are at work. Native ones (the worker that polls SIP, PJMEDIA's) never enter Python; they queue
events. One thread of Python takes the events, turns them into notifications and posts these in order; a slow observer
delays the next notification, not the native threads. It is the SDK thread if that runs when the Engine starts, as it
does in a SIPApplication; else, and for what is posted while the Engine starts and ends, the Engine thread. Application
threads call methods; those go straight into PJSIP with the GIL released, and what follows from them comes back as events
too.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from sipsimple.__info__ import __version__
from sipsimple.core import (
    _diagnostics,
    _endpoint,
    _event_dialog,
    _events,
    _handles,
    _media_endpoint,
    _sound_devices,
    _timers,
    event_dialog,
    event_packages,
    helpers,
)
from sipsimple.core.errors import ENGINE_ENDED, SIPCoreError
from sipsimple.core.messages import parse_request
from sipsimple.core.tls_files import check_tls_files
from sipsimple.notification import NotificationCenter, NotificationData
from sipsimple.threading import reactor

__all__ = ['Engine', 'CORE_REVISION']

CORE_REVISION = 1

FORBIDDEN_INCOMING = frozenset(('ACK', 'BYE', 'INVITE', 'REFER', 'SUBSCRIBE'))
MAX_ACCEPT_TYPES = 32
EVENTS_PER_TURN = 64            # of the SDK thread's loop, which has others to serve
IPV4 = re.compile(r'(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\Z')


def _text(data: bytes) -> str:
    try:
        return data.decode('utf-8')
    except UnicodeDecodeError:
        return data.decode('latin-1')


def _check_port(value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535):
        raise ValueError(f'not a port: {value!r}')
    return value


def _check_ip(value: str | None) -> str | None:
    if value is not None:
        import ipaddress
        ipaddress.ip_address(value)     # raises ValueError
    return value


class Engine:
    """The one native SIP and media engine of the process (singleton).

    `start()` and `stop()` return at once; `SIPEngineDidStart`/`SIPEngineDidFail` and `SIPEngineDidEnd` tell the outcome.
    It may be started again after it ended. Attributes other than `is_running` exist while it runs.

    Thread: every method may be called from any thread.
    """

    default_start_options: ClassVar[dict[str, Any]] = {
        'ip_address': None,
        'udp_port': 0,
        'tcp_port': None,
        'tls_port': None,
        'tls_verify_server': False,
        'tls_ca_file': None,
        'tls_cert_file': None,
        'tls_privkey_file': None,
        'tls_timeout': 3000,
        'user_agent': f'sipsimple-{__version__}-pjsip-{_endpoint.PJ_VERSION}-r{CORE_REVISION}',
        'log_level': 0,
        'trace_sip': False,
        'detect_sip_loops': True,
        'rtp_port_range': (50000, 50500),
        'zrtp_cache': None,
        'codecs': ['G722', 'speex', 'PCMU', 'PCMA'],
        'video_codecs': [],
        'enable_colorbar_device': False,
        'events': {
            'conference': ['application/conference-info+xml'],
            'dialog': ['multipart/related', 'application/rlmi+xml', 'application/dialog-info+xml'],
            'dialog.winfo': ['application/watcherinfo+xml'],
            'message-summary': ['application/simple-message-summary'],
            'presence': ['multipart/related', 'application/rlmi+xml', 'application/pidf+xml'],
            'presence.winfo': ['application/watcherinfo+xml'],
            'refer': ['message/sipfrag;version=2.0'],
            'xcap-diff': ['application/xcap-diff+xml'],
        },
        'incoming_events': set(),
        'incoming_requests': set(),
    }

    _instance: ClassVar[Engine | None] = None
    _instance_lock: ClassVar[threading.Lock] = threading.Lock()

    def __new__(cls) -> Engine:
        with cls._instance_lock:
            if cls._instance is None:
                instance = super().__new__(cls)
                instance._setup()
                cls._instance = instance
            return cls._instance

    def _setup(self) -> None:
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._running = False
        self._stopping = False
        self._stop_wanted = threading.Event()
        self._server: int | None = None         # the thread that serves an event of the core now, if it is not the Engine thread
        self._options: dict[str, Any] = {}
        self._ports: dict[str, int | None] = {}
        self._nat_requests: dict[int, Any] = {}
        self._nat_number = 0

    # ---- life --------------------------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """True between a successful start and the request to stop."""
        return self._running

    def start(self, **options: Any) -> None:
        """Start with `default_start_options` overridden by `options`; returns at once.

        Raises:
            SIPCoreError: it was started and has not ended yet.
            ValueError, TypeError: a bad option.
        Notifications: SIPEngineWillStart, then SIPEngineDidStart, or SIPEngineGotException and SIPEngineDidFail.
        """
        with self._lock:
            if self._thread is not None and (self._thread is threading.current_thread() or self._running or not self._finished()):
                raise SIPCoreError('the Engine is started already')
            self._options = self._check_options(options)
            self._stopping = False
            self._stop_wanted.clear()
            self._thread = threading.Thread(target=self._run, args=(reactor.is_running(),), name='EngineThread', daemon=True)
            self._thread.start()

    def _finished(self) -> bool:
        """True when the last run is over; one that is ending is waited for."""
        thread = self._thread
        if thread is None or not self._stopping:
            return thread is None or not thread.is_alive()
        thread.join(10)
        return not thread.is_alive()

    def stop(self) -> None:
        """Ask the Engine to end; returns at once, idempotent.

        Between the notifications, what is still under way ends: a Request or Registration fails with code 0, or ends if it had succeeded; an
        Invitation is disconnected with code 0, and the peer hears a CANCEL, a refusal or a BYE.
        Notifications: SIPEngineWillEnd, SIPEngineDidEnd.
        """
        with self._lock:
            thread = self._thread
            if thread is None or self._stopping or not thread.is_alive():
                return
            self._stopping = True
        self._stop_wanted.set()
        _events.interrupt()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the Engine has ended; True when it has. RuntimeError in an observer of its notifications."""
        if self._server == threading.get_ident():
            raise RuntimeError('the Engine cannot be waited for while it posts a notification')
        thread = self._thread
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _check_options(self, options: dict[str, Any]) -> dict[str, Any]:
        unknown = options.keys() - self.default_start_options.keys()
        if unknown:
            raise TypeError(f'unknown Engine options: {", ".join(sorted(unknown))}')
        result = {**self.default_start_options, **options}
        _check_ip(result['ip_address'])
        for name in ('udp_port', 'tcp_port', 'tls_port'):
            _check_port(result[name])
        if result['tls_timeout'] < 0:
            raise ValueError('tls_timeout is negative')
        if not 0 <= result['log_level'] <= _endpoint.LOG_MAX_LEVEL:
            raise ValueError(f'log_level is outside 0..{_endpoint.LOG_MAX_LEVEL}')
        result['events'] = {name: list(types) for name, types in result['events'].items()}
        result['incoming_events'] = set(result['incoming_events'])
        result['incoming_requests'] = set(result['incoming_requests'])
        if result['incoming_events'] - result['events'].keys():
            raise ValueError('incoming_events names packages that events does not have')
        if result['incoming_requests'] & FORBIDDEN_INCOMING:
            raise ValueError('methods that cannot be handed over: ' + ' '.join(sorted(result['incoming_requests'] & FORBIDDEN_INCOMING)))
        result['codecs'] = list(result['codecs'])
        return result

    def _run(self, in_sdk_thread: bool) -> None:
        self._post('SIPEngineWillStart')
        try:
            self._start_native()
        except Exception:
            self._post_exception()
            _endpoint.stop()
            self._forget()
            self._post('SIPEngineDidFail')
            return
        self._running = True
        self._post('SIPEngineDidStart')
        failed = False
        try:
            # These register what takes requests from the network; an application may never have named them. Events wait meanwhile.
            import sipsimple.core.incoming_referral
            import sipsimple.core.incoming_subscription
            import sipsimple.core.invitation
            import sipsimple.core.request  # noqa: F401
            if in_sdk_thread:
                self._serve_in_sdk_thread()
            while not self._stopping:
                _events.drain(self._post_exception)
        except BaseException:               # nothing of a handler gets here: the loop itself is broken
            failed = True
            self._stopping = True           # a start from now on waits for the end
            self._post_exception()
        self._running = False
        if failed:
            self._post('SIPEngineDidFail')
        else:
            self._post('SIPEngineWillEnd')
        try:
            _endpoint.stop()
            _events.interrupt()
            _events.drain(self._post_exception)     # what was still said on the way down
        except Exception:
            self._post_exception()
        self._forget()
        _handles.end_all(self._post_exception)
        self._post('SIPEngineDidEnd')

    def _serve_in_sdk_thread(self) -> None:
        """Have events served by the loop of the SDK thread until the Engine is asked to stop, or the loop has ended.

        Most of what they lead to happens there anyway. Two threads of Python would hand the GIL to each other for every step of a call.
        """
        loop = reactor.get_loop()
        descriptor = _events.open()
        broken: list[Exception] = []

        def serve() -> None:
            more = True
            self._server = threading.get_ident()
            try:
                if not self._stopping and not broken:
                    more = _events.serve(self._post_exception, EVENTS_PER_TURN)
            except Exception as error:      # not of a handler: the service itself is broken
                broken.append(error)
                self._stop_wanted.set()
            except BaseException:           # of an observer, such as SystemExit: it must not end the loop
                self._post_exception()
            finally:
                self._server = None
            if more and not self._stopping and not broken:
                loop.call_soon(serve)

        def leave() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)

        try:
            loop.call_soon_threadsafe(loop.add_reader, descriptor, serve)
            self._stop_wanted.wait()
            _events.close()                 # events wait for drain() from here on
            loop.call_soon_threadsafe(leave)
        except RuntimeError:                # the loop is closed: the process ends
            _events.close()
            os.close(descriptor)
        if broken:
            raise broken[0]

    def _start_native(self) -> None:
        options = self._options
        _endpoint.set_user_agent(options['user_agent'])
        _endpoint.set_loop_detection(options['detect_sip_loops'])
        _endpoint.set_incoming_requests(options['incoming_requests'])
        event_packages.replace(options['events'])
        _event_dialog.set_packages(options['incoming_events'])
        _endpoint.set_trace(options['trace_sip'])
        _endpoint.start()
        _endpoint.start_log(options['log_level'])
        _media_endpoint.set_rtp_port_range(*options['rtp_port_range'])
        available = _media_endpoint.available_codecs()
        _media_endpoint.set_codecs([name for name in options['codecs'] if name in available])
        self._ports = {'udp': None, 'tcp': None, 'tls': None}
        host = options['ip_address']
        if options['udp_port'] is not None:
            self._ports['udp'] = _endpoint.start_udp(host, options['udp_port'], True)
        if options['tcp_port'] is not None:
            self._ports['tcp'] = _endpoint.start_tcp(host, options['tcp_port'], True)
        if options['tls_port'] is not None:
            self._start_tls()

    def _start_tls(self) -> None:
        options = self._options
        check_tls_files(options['tls_ca_file'], options['tls_cert_file'], options['tls_privkey_file'])
        self._ports['tls'] = _endpoint.start_tls(
            options['ip_address'], options['tls_port'], True, options['tls_verify_server'], options['tls_ca_file'],
            options['tls_cert_file'], options['tls_privkey_file'], options['tls_timeout'])

    def _forget(self) -> None:
        event_dialog.end_all()
        _timers.forget_all()
        self._ports = {}
        while self._nat_requests:
            _, user_data = self._nat_requests.popitem()
            self._post('SIPEngineDetectedNATType', NotificationData(succeeded=False, user_data=user_data, error=ENGINE_ENDED))

    # ---- attributes --------------------------------------------------------------------------------------------

    def _option(self, name: str) -> Any:
        if not self._running:
            raise AttributeError(f'{name}: the Engine is not running')
        return self._options[name]

    def _check_running(self) -> None:
        if not self._running:
            raise SIPCoreError('the Engine is not running')

    def __dir__(self) -> Iterable[str]:
        names = set(super().__dir__())
        if not self._running:
            names -= {name for name, value in vars(type(self)).items() if isinstance(value, property)} - {'is_running'}
        return sorted(names)

    @property
    def ip_address(self) -> str | None:
        """The address given at start, None for all."""
        value: str | None = self._option('ip_address')
        return value

    def _port(self, name: str) -> int | None:
        self._option('udp_port')
        return self._ports.get(name)

    @property
    def udp_port(self) -> int | None:
        """Bound UDP port, None when off."""
        return self._port('udp')

    @property
    def tcp_port(self) -> int | None:
        """Bound TCP port, None when off."""
        return self._port('tcp')

    @property
    def tls_port(self) -> int | None:
        """Bound TLS port, None when off."""
        return self._port('tls')

    @property
    def tls_verify_server(self) -> bool:
        """Whether a server's certificate has to be in order."""
        return bool(self._option('tls_verify_server'))

    @property
    def tls_ca_file(self) -> str | None:
        """PEM file with the trusted authorities, None for none."""
        value: str | None = self._option('tls_ca_file')
        return value

    @property
    def tls_cert_file(self) -> str | None:
        """PEM file with our certificate chain, None for none."""
        value: str | None = self._option('tls_cert_file')
        return value

    @property
    def tls_privkey_file(self) -> str | None:
        """PEM file with our key, None when it is in `tls_cert_file` or there is none."""
        value: str | None = self._option('tls_privkey_file')
        return value

    @property
    def tls_timeout(self) -> int:
        """Limit of a TLS handshake in milliseconds."""
        return int(self._option('tls_timeout'))

    @property
    def user_agent(self) -> str:
        """What our requests have as User-Agent and our responses as Server; a new one counts from the next message on."""
        return str(self._option('user_agent'))

    @user_agent.setter
    def user_agent(self, value: str) -> None:
        self._check_running()
        self._options['user_agent'] = value
        _endpoint.set_user_agent(value)

    @property
    def trace_sip(self) -> bool:
        """Post SIPEngineSIPTrace for each message."""
        return bool(self._option('trace_sip'))

    @trace_sip.setter
    def trace_sip(self, value: bool) -> None:
        self._check_running()
        self._options['trace_sip'] = bool(value)
        _endpoint.set_trace(bool(value))

    @property
    def detect_sip_loops(self) -> bool:
        """Answer 482 to a request that this endpoint sent itself."""
        return bool(self._option('detect_sip_loops'))

    @detect_sip_loops.setter
    def detect_sip_loops(self, value: bool) -> None:
        self._check_running()
        self._options['detect_sip_loops'] = bool(value)
        _endpoint.set_loop_detection(bool(value))

    @property
    def log_level(self) -> int:
        """PJSIP's log verbosity, 0 (off) to 6."""
        return int(self._option('log_level'))

    @log_level.setter
    def log_level(self, value: int) -> None:
        self._check_running()
        if not 0 <= value <= _endpoint.LOG_MAX_LEVEL:
            raise ValueError(f'log_level is outside 0..{_endpoint.LOG_MAX_LEVEL}')
        self._options['log_level'] = value
        _endpoint.set_log_level(value)

    @property
    def zrtp_cache(self) -> str | None:
        """Path of a ZRTP cache; kept for compatibility, there is no ZRTP."""
        value: str | None = self._option('zrtp_cache')
        return value

    @zrtp_cache.setter
    def zrtp_cache(self, value: str | None) -> None:
        self._check_running()
        self._options['zrtp_cache'] = value

    @property
    def enable_colorbar_device(self) -> bool:
        """Kept for compatibility: this build has no video."""
        return bool(self._option('enable_colorbar_device'))

    @enable_colorbar_device.setter
    def enable_colorbar_device(self, value: bool) -> None:
        self._check_running()
        self._options['enable_colorbar_device'] = bool(value)

    @property
    def codecs(self) -> list[str]:
        """Enabled audio codecs, most preferred first."""
        self._option('codecs')
        return list(_media_endpoint.get_codecs())

    @codecs.setter
    def codecs(self, names: Iterable[str]) -> None:
        self._check_running()
        wanted = list(names)
        if len({name.lower() for name in wanted}) != len(wanted):
            raise ValueError('a codec is named twice')
        unknown = [name for name in wanted if name not in _media_endpoint.available_codecs()]
        if unknown:
            raise SIPCoreError('unknown codecs: ' + ', '.join(unknown))
        _media_endpoint.set_codecs(wanted)

    @property
    def available_codecs(self) -> list[str]:
        """All audio codecs that were compiled in."""
        self._option('codecs')
        return list(_media_endpoint.available_codecs())

    @property
    def video_codecs(self) -> list[str]:
        """Enabled video codecs; empty, this build has no video."""
        self._option('video_codecs')
        return []

    @property
    def available_video_codecs(self) -> list[str]:
        """Empty: this build has no video."""
        self._option('video_codecs')
        return []

    @property
    def video_devices(self) -> list[str]:
        """Empty: this build has no video."""
        self._option('video_codecs')
        return []

    @property
    def default_video_device(self) -> str:
        """Raises SIPCoreError: this build has no video."""
        raise SIPCoreError('there is no video device')

    @property
    def rtp_port_range(self) -> tuple[int, int]:
        """[start, stop) of the UDP ports for media."""
        start, stop = self._option('rtp_port_range')
        return start, stop

    @rtp_port_range.setter
    def rtp_port_range(self, value: tuple[int, int]) -> None:
        self._check_running()
        start, stop = value
        _media_endpoint.set_rtp_port_range(start, stop)
        self._options['rtp_port_range'] = (start, stop)

    @property
    def events(self) -> dict[str, list[str]]:
        """Event packages -> body types accepted in their NOTIFYs."""
        return {name: list(types) for name, types in self._option('events').items()}

    @property
    def incoming_events(self) -> set[str]:
        """Event packages whose SUBSCRIBEs become an IncomingSubscription; the answer to others is 489."""
        return set(self._option('incoming_events'))

    @property
    def incoming_requests(self) -> set[str]:
        """Methods that are handed over as IncomingRequest."""
        return set(self._option('incoming_requests'))

    @property
    def input_devices(self) -> list[str]:
        """Names of the sound devices that record."""
        self._option('codecs')
        return _sound_devices.input_devices()

    @property
    def output_devices(self) -> list[str]:
        """Names of the sound devices that play."""
        self._option('codecs')
        return _sound_devices.output_devices()

    @property
    def sound_devices(self) -> list[str]:
        """Names of all sound devices."""
        self._option('codecs')
        return _sound_devices.sound_devices()

    @property
    def default_input_device(self) -> str:
        """The system's own choice. SIPCoreError when there is no device."""
        self._option('codecs')
        return _sound_devices.default_input_device()

    @property
    def default_output_device(self) -> str:
        """The system's own choice. SIPCoreError when there is no device."""
        self._option('codecs')
        return _sound_devices.default_output_device()

    # ---- methods -----------------------------------------------------------------------------------------------

    def add_event(self, event: str, accept_types: Sequence[str]) -> None:
        """Register an event package. SIPCoreError for no or more than 32 types."""
        self._check_running()
        if not accept_types or len(accept_types) > MAX_ACCEPT_TYPES:
            raise SIPCoreError(f'an event package takes 1 to {MAX_ACCEPT_TYPES} body types')
        self._options['events'][event] = list(accept_types)
        event_packages.add(event, accept_types)

    def add_incoming_event(self, event: str) -> None:
        """Add to `incoming_events`. ValueError: it is not among `events`."""
        self._check_running()
        if event not in self._options['events']:
            raise ValueError(f'unknown event package: {event}')
        self._options['incoming_events'].add(event)
        _event_dialog.set_packages(self._options['incoming_events'])

    def remove_incoming_event(self, event: str) -> None:
        """Take out of `incoming_events`. ValueError: it is not among `events`."""
        self._check_running()
        if event not in self._options['events']:
            raise ValueError(f'unknown event package: {event}')
        self._options['incoming_events'].discard(event)
        _event_dialog.set_packages(self._options['incoming_events'])

    def add_incoming_request(self, method: str) -> None:
        """Hand requests of this method to the application from now on."""
        self._check_running()
        if method in FORBIDDEN_INCOMING:
            raise ValueError(f'{method} cannot be handed over')
        self._options['incoming_requests'].add(method)
        _endpoint.set_incoming_requests(self._options['incoming_requests'])

    def remove_incoming_request(self, method: str) -> None:
        """Requests of this method are answered by the core again. ValueError: it could not have been added."""
        self._check_running()
        if method in FORBIDDEN_INCOMING:
            raise ValueError(f'{method} cannot be handed over')
        self._options['incoming_requests'].discard(method)
        _endpoint.set_incoming_requests(self._options['incoming_requests'])

    def _set_port(self, name: str, value: int | None, start: Callable[[str | None, int, bool], int], stop: Callable[[], None]) -> None:
        self._check_running()
        _check_port(value)
        with self._lock:
            if value is None:
                stop()
                self._ports[name] = None
            elif self._ports[name] is None or value != self._ports[name]:
                self._ports[name] = start(self._options['ip_address'], value, True)

    def set_udp_port(self, value: int | None) -> None:
        """None closes UDP; a port (re)opens it, unless it is the bound one.

        ValueError: not a port. PJSIPError: it could not be opened; what was open stays so.
        """
        self._set_port('udp', value, _endpoint.start_udp, _endpoint.stop_udp)

    def set_tcp_port(self, value: int | None) -> None:
        """None closes TCP; a port (re)opens it, unless it is the bound one.

        ValueError: not a port. PJSIPError: it could not be opened; what was open stays so.
        """
        self._set_port('tcp', value, _endpoint.start_tcp, _endpoint.stop_tcp)

    def set_tls_options(self, port: int | None = None, verify_server: bool = False, ca_file: str | None = None,
                        cert_file: str | None = None, privkey_file: str | None = None, timeout: int = 3000) -> None:
        """Close TLS (port None) or open it anew with these settings.

        Args:
            timeout: limit of a handshake in milliseconds.
        Raises:
            ValueError: bad port or timeout, a file that does not exist.
            PJSIPTLSError: a file is not what it should be. PJSIPError: it could not be opened; TLS is off then.
        """
        self._check_running()
        _check_port(port)
        if timeout < 0:
            raise ValueError('the TLS timeout is negative')
        for path in (ca_file, cert_file, privkey_file):
            if path is not None and not os.path.isfile(path):
                raise ValueError(f'no such file: {path}')
        with self._lock:
            _endpoint.stop_tls()
            self._ports['tls'] = None
            self._options.update(tls_port=port, tls_verify_server=verify_server, tls_ca_file=ca_file, tls_cert_file=cert_file,
                                 tls_privkey_file=privkey_file, tls_timeout=timeout)
            if port is not None:
                self._start_tls()

    def set_nameservers(self, nameservers: Iterable[str]) -> None:
        """Nameservers of PJSIP's own resolver; entries that are no IPv4 address are skipped, none left = no change."""
        self._check_running()
        _endpoint.set_nameservers([server for server in nameservers if isinstance(server, str) and IPV4.match(server)])

    def detect_nat_type(self, stun_server_address: str, stun_server_port: int = 3478, user_data: object = None) -> None:
        """Find out the type of the NAT by STUN.

        Raises:
            ValueError: the address is not IPv4, or the port is not in 1..65535.
        Notifications: SIPEngineDetectedNATType.
        """
        self._check_running()
        if not isinstance(stun_server_address, str) or not IPV4.match(stun_server_address):
            raise ValueError(f'not an IPv4 address: {stun_server_address!r}')
        if not _check_port(stun_server_port):
            raise ValueError(f'not a port: {stun_server_port!r}')
        with self._lock:
            self._nat_number += 1
            number = self._nat_number
            self._nat_requests[number] = user_data
        try:
            _endpoint.detect_nat_type(str(stun_server_address), stun_server_port, number)
        except BaseException:
            self._nat_requests.pop(number, None)
            raise

    def refresh_sound_devices(self) -> None:
        """Look for sound devices again. Notifications: AudioDevicesDidChange."""
        self._check_running()
        old = _sound_devices.sound_devices()
        _sound_devices.refresh()
        self.post_later('AudioDevicesDidChange', old_devices=old, new_devices=_sound_devices.sound_devices())

    def refresh_video_devices(self) -> None:
        """Notifications: VideoDevicesDidChange; the lists are empty, this build has no video."""
        self._check_running()
        self.post_later('VideoDevicesDidChange', old_devices=[], new_devices=[])

    def diagnostics(self) -> dict[str, int]:
        """Numbers of what the native core holds and has done: for reports, and to look for leaks. Also while the Engine is off.

        Held now: `live_<type>` (native objects), `bound` (those that Python knows), `timers_of_core`, `pools` and `pool_bytes` (PJSIP's memory
        pools), `cached_pool_bytes` (in pools kept for the next calls), `transports` (SIP sockets and connections), `dialogs`, `transactions` (one lives
        for up to 32 s after its end), `timers`, `events_waiting` (for Python).
        Since the process started: `events_posted`, `events_dropped` (traces that nobody had time for), `late_callbacks`, `out_of_memory`,
        `worker_wakeups`, `worker_rounds`, `malformed`.
        """
        live = _handles.live_objects()
        bound = live.pop('bound')
        return {**{f'live_{name}': count for name, count in live.items()}, 'bound': bound, 'timers_of_core': _timers.pending_count(),
                **_diagnostics.held(), **_handles.counters()}

    def post_later(self, name: str, **data: Any) -> None:
        """Post a notification of the Engine from its own thread, in order with the others."""
        _timers.call_later(0, self._post, name, NotificationData(**data))

    # ---- notifications -----------------------------------------------------------------------------------------

    def _post(self, name: str, data: NotificationData | None = None) -> None:
        NotificationCenter().post_notification(name, sender=self, data=data if data is not None else NotificationData())

    def _post_exception(self) -> None:
        kind, value, trace = sys.exc_info()
        self._post('SIPEngineGotException', NotificationData(
            type=kind, value=value, traceback=''.join(traceback.format_exception(kind, value, trace))))


# ---- events of the engine itself ---------------------------------------------------------------------------------


def _on_log(obj: None, event: _events.Event) -> None:
    Engine()._post('SIPEngineLog', NotificationData(level=event.num[0], message=_text(event.data[0])))


def _on_sip_trace(obj: None, event: _events.Event) -> None:
    source, destination, transport, raw = event.data
    Engine()._post('SIPEngineSIPTrace', NotificationData(
        received=bool(event.num[0]), source_ip=_text(source), source_port=event.num[1], destination_ip=_text(destination),
        destination_port=event.num[2], data=raw, transport=_text(transport)))


def _on_message(obj: None, event: _events.Event) -> None:
    message = parse_request(event.data[0])
    headers = message.headers
    content_type = headers.get('Content-Type')
    Engine()._post('SIPEngineGotMessage', NotificationData(
        request_uri=message.request_uri, from_header=headers.get('From'), to_header=headers.get('To'), headers=headers,
        body=message.body, content_type=None if content_type is None else content_type.content_type))


def _on_nat_type(obj: None, event: _events.Event) -> None:
    engine = Engine()
    user_data = engine._nat_requests.pop(event.num[1], None)
    if event.num[0] == 0:
        data = NotificationData(succeeded=True, user_data=user_data, nat_type=_text(event.data[0]))
    else:
        data = NotificationData(succeeded=False, user_data=user_data, error=_text(event.data[1]))
    engine._post('SIPEngineDetectedNATType', data)


def _connection(event: _events.Event) -> dict[str, Any]:
    return {'transport': _text(event.data[0]), 'local_address': _text(event.data[1]) or None, 'remote_address': _text(event.data[2])}


def _on_connected(obj: None, event: _events.Event) -> None:
    Engine()._post('SIPEngineTransportDidConnect', NotificationData(**_connection(event)))


def _on_disconnected(obj: None, event: _events.Event) -> None:
    Engine()._post('SIPEngineTransportDidDisconnect', NotificationData(**_connection(event), reason=_text(event.data[3])))


def _fields(data: bytes) -> list[str]:
    """Texts that end with NUL each."""
    return [_text(item) for item in data.split(b'\0')[:-1]]


def _certificate(data: bytes, version: int) -> dict[str, Any] | None:
    if not data:
        return None
    subject, subject_info, issuer, issuer_info, serial, start, end, pem, *names = _fields(data)
    return {'subject': subject, 'subject_info': subject_info, 'issuer': issuer, 'issuer_info': issuer_info, 'version': version, 'serial': serial,
            'not_before': start, 'not_after': end, 'alternative_names': names, 'pem': pem}


def _on_verified(obj: None, event: _events.Event) -> None:
    base = _connection(event)
    Engine()._post('SIPEngineTransportDidVerifyCertificate', NotificationData(
        **base, remote_hostname=_text(event.data[3]), remote_ip=base['remote_address'].rpartition(':')[0].strip('[]'), tls_cipher=_text(event.data[4]),
        verify_status=event.num[0], certificate=_certificate(event.data[5], event.num[2]), verified=bool(event.num[1])))


def _on_certificate_error(obj: None, event: _events.Event) -> None:
    Engine()._post('SIPEngineTransportGotCertificateError', NotificationData(
        **_connection(event), reason=_text(event.data[3]), certificate_errors=_fields(event.data[4])))


_events.register(_events.LOG, _on_log)
_events.register(_events.SIP_TRACE, _on_sip_trace)
_events.register(_events.MESSAGE, _on_message)
_events.register(_events.NAT_TYPE, _on_nat_type)
_events.register(_events.TRANSPORT_CONNECTED, _on_connected)
_events.register(_events.TRANSPORT_DISCONNECTED, _on_disconnected)
_events.register(_events.TRANSPORT_VERIFIED, _on_verified)
_events.register(_events.TRANSPORT_CERT_ERROR, _on_certificate_error)


class _EngineFacts:
    """What helpers need to know of the Engine, without importing it."""

    @property
    def running(self) -> bool:
        return Engine().is_running

    @property
    def ip_address(self) -> str | None:
        return Engine().ip_address

    @property
    def udp_port(self) -> int | None:
        return Engine().udp_port

    @property
    def tcp_port(self) -> int | None:
        return Engine().tcp_port

    @property
    def tls_port(self) -> int | None:
        return Engine().tls_port


helpers.set_engine_provider(_EngineFacts())


def _stop_at_exit() -> None:
    engine = Engine._instance
    if engine is not None and engine._thread is not None:
        engine.stop()
        if engine._thread is not threading.current_thread():
            engine.join(5)


atexit.register(_stop_at_exit)
