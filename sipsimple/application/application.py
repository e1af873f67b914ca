"""SIPApplication: the order in which the parts start and stop, and what they are given from the settings."""

from __future__ import annotations

import logging
import threading
import traceback
import uuid
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

from zope.interface import implementer

from sipsimple.configuration import ConfigurationManager
from sipsimple.configuration.manager import set_storage_provider
from sipsimple.configuration.objects import forget_static_objects
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.notification import IObserver, NotificationCenter, TimestampedNotificationData
from sipsimple.storage import ISIPSimpleStorage
from sipsimple.threading import ThreadManager, call_in_twisted_thread, reactor
from sipsimple.threading.green import Event, Timeout, Worker, call_in_green_thread
from sipsimple.util import Singleton

if TYPE_CHECKING:
    from sipsimple.application.devices import AudioDevices
    from sipsimple.application.network import NetworkWatch
    from sipsimple.notification import Notification
    from sipsimple.storage import FileStorage, MemoryStorage

__all__ = ['SIPApplication']

log = logging.getLogger('sipsimple.application')

ENGINE_STOP_LIMIT = 10.0                # seconds
SERVICE_STOP_LIMIT = 10.0
# What decides on our contact addresses, so that accounts must register anew.
CONTACT_SETTINGS = frozenset(('sip.transport_list', 'sip.udp_port', 'sip.tcp_port', 'sip.tls_port', 'tls.ca_list', 'tls.certificate',
                              'tls.verify_server'))

# state -> states it may go to
TRANSITIONS: dict[str | None, tuple[str | None, ...]] = {
    None: ('starting',),
    'starting': ('started', 'stopping', None),      # None: the configuration could not be loaded
    'started': ('stopping',),
    'stopping': ('stopped',),
    'stopped': ('starting',),
}


# Settings that the engine, the transports and the mixers follow while the application runs.
WATCHED = ('user_agent', 'logs.trace_sip', 'logs.pjsip_level', 'logs.trace_pjsip', 'rtp.port_range', 'rtp.audio_codec_list', 'sip.transport_list',
           'sip.udp_port', 'sip.tcp_port', 'sip.tls_port', 'tls.ca_list', 'tls.certificate', 'tls.verify_server', 'tls.timeout', 'audio.input_device',
           'audio.output_device', 'audio.alert_device', 'audio.sample_rate', 'audio.silent', 'audio.muted', 'audio.echo_canceller.enabled',
           'audio.echo_canceller.tail_length')


def _watched_settings() -> dict[str, Any]:
    settings = SIPSimpleSettings()
    return {name: attrgetter(name)(settings) for name in WATCHED}


class EngineFailed(Exception):
    """The Engine could not be started."""


class Shared:
    """A class attribute with one value, from whichever subclass or instance it is read or set."""

    def __init__(self, default: Any = None) -> None:
        self.value = default

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        return self.value

    def __set__(self, obj: Any, value: Any) -> None:
        self.value = value


class ApplicationMeta(Singleton):
    """Lets Shared attributes be set on the class too; one instance for the class and its subclasses.

    The first class that is instantiated decides of which class the instance is. An application that has a subclass makes its instance before
    anything else asks for one; until the application is started, the subclass still takes over.
    """

    _instance: ClassVar[Any] = None

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        with ApplicationMeta._lock:
            instance = ApplicationMeta._instance
            if instance is None or not isinstance(instance, cls):
                if instance is not None and instance.state not in (None, 'stopped'):
                    raise RuntimeError(f'the application runs as {type(instance).__name__} already')
                instance = ApplicationMeta._instance = type.__call__(cls, *args, **kwargs)
            return instance

    def __setattr__(cls, name: str, value: Any) -> None:
        for base in cls.__mro__:
            found = vars(base).get(name)
            if isinstance(found, Shared):
                found.value = value
                return
        super().__setattr__(name, value)


@implementer(IObserver)
class SIPApplication(metaclass=ApplicationMeta):
    """A SIP user agent in one object (singleton); may be started again after it was stopped.

    Attributes are shared by the class, its subclasses and its instance; consider them read-only. Those of mixers, devices and bridges are None
    while it does not run.

    Attributes:
        running: True from SIPApplicationDidStart until it is told to stop.
        state: None, 'starting', 'started', 'stopping' or 'stopped'.
        storage: what start() was given, an ISIPSimpleStorage.
        engine, thread: the Engine; the SDK thread, a `threading.Thread`.
        end_reason: 'application request', 'engine failed' or 'start failed'; None before the end.
        local_nat_type: the type of the NAT in lower case, 'unknown' until it was found out.
        alert_audio_mixer, alert_audio_device, alert_audio_bridge: for sounds to the user; the bridge contains the device.
        voice_audio_mixer, voice_audio_device, voice_audio_bridge: for calls; the bridge contains the device.
        video_device: None, there is no video.
    Notifications: SIPApplicationWillStart, SIPApplicationDidStart, SIPApplicationWillEnd, SIPApplicationDidEnd,
        SIPApplicationFailedToStartTLS(error); also SIPApplicationGotFatalError, TLSTransportHasChanged,
        NetworkConditionsDidChange(changed).
    """

    state: Any = Shared()
    storage: Any = Shared()
    engine: Any = Shared()
    thread: Any = Shared()
    end_reason: Any = Shared()
    local_nat_type: Any = Shared('unknown')
    alert_audio_mixer: Any = Shared()
    alert_audio_bridge: Any = Shared()
    alert_audio_device: Any = Shared()
    voice_audio_mixer: Any = Shared()
    voice_audio_bridge: Any = Shared()
    voice_audio_device: Any = Shared()
    video_device: Any = Shared()
    running: Any = Shared(False)

    _devices: AudioDevices | None
    _network: NetworkWatch | None

    def __init__(self) -> None:
        self._lock = threading.Lock()                   # of the state, and of what decides about it: start() and stop() come from any thread
        self._stop_wanted = False
        self._engine_failed = False
        self._engine_event: Event[str] | None = None
        self._services: list[Callable[[], object]] = []     # how to stop those that were started
        self._devices = None
        self._network = None

    def _move(self, state: str | None) -> None:
        """Change the state; with the lock held."""
        if state not in TRANSITIONS[self.state]:
            raise RuntimeError(f'SIPApplication cannot go from {self.state} to {state}')
        self.state = state
        self.running = state == 'started'

    def _post(self, name: str, **data: Any) -> None:
        NotificationCenter().post_notification(name, sender=self, data=TimestampedNotificationData(**data))

    # ---- start -------------------------------------------------------------------------------------------------

    def start(self, storage: FileStorage | MemoryStorage) -> None:
        """Load the configuration and begin to start; returns when the SDK thread runs.

        Raises:
            TypeError: not an ISIPSimpleStorage. RuntimeError: started already.
            ConfigurationBackendError: the configuration cannot be loaded; start() may be called again.
        """
        if not ISIPSimpleStorage.providedBy(storage):
            raise TypeError(f'not a storage: {storage!r}')
        with self._lock:
            if self.state not in (None, 'stopped'):
                raise RuntimeError('SIPApplication is started already')
            self._move('starting')
            self._stop_wanted = self._engine_failed = False
        self.end_reason = None
        self.storage = storage
        try:
            ThreadManager().start()
            ConfigurationManager().start()
            SIPSimpleSettings()
            reactor.start()
            self.thread = reactor.get_thread()
            from sipsimple.account import AccountManager
            AccountManager().load()
            from sipsimple.addressbook import AddressbookManager
            AddressbookManager().load()
        except BaseException:
            self._forget()
            self.storage = None
            with self._lock:
                self._move(None)
            raise
        call_in_green_thread(self._start)

    def _forget(self) -> None:
        """Let another start read its own configuration."""
        from sipsimple.account import AccountManager
        from sipsimple.addressbook import AddressbookManager
        AccountManager().unload()
        ThreadManager().stop()
        AddressbookManager().unload()
        ConfigurationManager().reset()
        forget_static_objects()

    def _start(self) -> None:
        """The asynchronous part. Thread: green."""
        self._post('SIPApplicationWillStart')
        given = _watched_settings()
        try:
            self._start_engine()
            self._start_tls()
            self._start_services()
        except EngineFailed:
            self._end('engine failed')
            return
        except Exception as error:
            log.exception('the application cannot start')
            self._post_fatal(error)
            self._end('start failed')
            return
        settings = SIPSimpleSettings()
        if not settings.instance_id:
            settings.instance_id = uuid.uuid4().urn
            settings.save()
        with self._lock:
            failed, stop_wanted = self._engine_failed, self._stop_wanted
            if not failed:
                self._move('started')
        if failed:
            self._end('engine failed')
            return
        center = NotificationCenter()
        center.add_observer(self, sender=settings)
        center.add_observer(self, name='DNSNameserversDidChange')
        # What was changed while the engine started: nobody was told of it.
        self._apply_settings({name for name, value in _watched_settings().items() if value != given[name]})
        self._post('SIPApplicationDidStart')
        if self._network is not None:
            self._network.detect_nat_type()
        if stop_wanted:
            self.stop()

    def _start_engine(self) -> None:
        """Start the Engine and wait for it. EngineFailed: it could not; why was posted."""
        from sipsimple.core import Engine
        self.engine = engine = Engine()
        self._engine_event = Event()
        NotificationCenter().add_observer(self, sender=engine)
        engine.start(**self._engine_options())
        if self._engine_event.wait() != 'SIPEngineDidStart':
            raise EngineFailed

    def _post_fatal(self, error: BaseException) -> None:
        self._post('SIPApplicationGotFatalError', type=type(error), value=error, traceback=''.join(traceback.format_exception(error)))

    def _engine_options(self) -> dict[str, Any]:
        settings = SIPSimpleSettings()
        transports = settings.sip.transport_list
        return {
            'user_agent': settings.user_agent,
            'udp_port': settings.sip.udp_port if 'udp' in transports else None,
            'tcp_port': settings.sip.tcp_port if 'tcp' in transports else None,
            'tls_port': None,
            'rtp_port_range': (settings.rtp.port_range.start, settings.rtp.port_range.end),
            'codecs': list(settings.rtp.audio_codec_list),
            'log_level': settings.logs.pjsip_level if settings.logs.trace_pjsip else 0,
            'trace_sip': settings.logs.trace_sip,
            'detect_sip_loops': True,
        }

    def _start_services(self) -> None:
        from sipsimple.account import AccountManager
        from sipsimple.addressbook import AddressbookManager
        from sipsimple.application.devices import AudioDevices
        from sipsimple.application.network import NetworkWatch
        from sipsimple.application.watched import ContactsWatch
        from sipsimple.lookup import DNSManager
        from sipsimple.session import SessionManager
        from sipsimple.streams.rtp import set_audio_context
        self._devices = AudioDevices(self)
        self._devices.start()
        set_audio_context(self)
        self._network = NetworkWatch(self)
        contacts = ContactsWatch()
        for start, stop in ((DNSManager().start, DNSManager().stop), (self._network.start, self._network.stop),
                            (AccountManager().start, AccountManager().stop), (AddressbookManager().start, AddressbookManager().stop),
                            (contacts.start, contacts.stop), (SessionManager().start, SessionManager().stop)):
            self._services.append(stop)             # before: what was started half is stopped too
            start()

    # ---- TLS ---------------------------------------------------------------------------------------------------

    def _tls_options(self) -> dict[str, Any]:
        settings = SIPSimpleSettings()
        if 'tls' not in settings.sip.transport_list:
            return {}
        certificate = settings.tls.certificate.normalized if settings.tls.certificate else None
        return {
            'port': settings.sip.tls_port,
            'verify_server': settings.tls.verify_server,
            'ca_file': settings.tls.ca_list.normalized if settings.tls.ca_list else None,
            'cert_file': certificate,
            'privkey_file': certificate,
            'timeout': settings.tls.timeout,
        }

    def _start_tls(self) -> None:
        """Open (or close) the TLS transport as the settings say; a failure leaves the application without TLS."""
        from sipsimple.core import SIPCoreError
        options = self._tls_options()
        try:
            self.engine.set_tls_options(**options)
        except (SIPCoreError, ValueError) as error:
            self._post('SIPApplicationFailedToStartTLS', error=error)

    # ---- stop --------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Begin to stop; returns at once. SIPApplicationDidEnd follows, also without a network. Thread: any."""
        with self._lock:
            if self.state == 'starting':
                self._stop_wanted = True            # carried out as soon as the start is through
            if self.state != 'started':
                return
            self._move('stopping')
        call_in_green_thread(self._end, 'application request')

    def _stop_services(self) -> None:
        """Stop what was started, all at once, and wait for it, but not for ever: what waits for the network may hang."""
        services, self._services = self._services, []
        workers = [Worker.spawn(self._wait_stopped, stop) for stop in services]
        try:
            with Timeout(SERVICE_STOP_LIMIT):
                for worker in workers:
                    result = worker.wait_ex()
                    if isinstance(result, BaseException):
                        log.error('a service could not be stopped', exc_info=result)
        except Timeout:
            log.warning('the services did not stop in %s seconds', SERVICE_STOP_LIMIT)

    @staticmethod
    def _wait_stopped(stop: Callable[[], object]) -> None:
        event = stop()
        if hasattr(event, 'wait'):
            event.wait()

    def _end(self, reason: str) -> None:
        """Every ending, of a start that failed too. Thread: green."""
        from sipsimple.streams.rtp import set_audio_context
        with self._lock:
            if self.state != 'stopping':
                self._move('stopping')
        self._post('SIPApplicationWillEnd')
        center = NotificationCenter()
        center.discard_observer(self, sender=SIPSimpleSettings())
        center.discard_observer(self, name='DNSNameserversDidChange')
        self.end_reason = reason
        self._stop_services()
        set_audio_context(None)
        if self._devices is not None:
            self._devices.stop()
        engine = self.engine
        if engine is not None and engine.is_running:
            self._engine_event = Event()
            engine.stop()
        if self._engine_event is not None:
            self._engine_event.wait(ENGINE_STOP_LIMIT)
        if engine is not None:
            center.discard_observer(self, sender=engine)
        self._engine_event = None
        ThreadManager().stop_thread('device-io')
        self._devices = self._network = None
        self._finish(reason)

    def _finish(self, reason: str) -> None:
        done: Event[None] = Event()

        def forget() -> None:
            self._forget()
            reactor.call_from_thread(done.send)

        threading.Thread(target=forget, name='thread-ops', daemon=True).start()     # joins workers: not on the SDK thread
        done.wait(5)
        self.local_nat_type = 'unknown'
        with self._lock:
            self._move('stopped')
        self._post('SIPApplicationDidEnd', end_reason=reason)

    # ---- notifications -----------------------------------------------------------------------------------------

    def handle_notification(self, notification: Notification) -> None:
        handler = getattr(self, f'_NH_{notification.name}', None)
        if handler is not None:
            call_in_twisted_thread(handler, notification)

    def _signal_engine(self, name: str) -> None:
        if self._engine_event is not None and not self._engine_event.ready():
            self._engine_event.send(name)

    def _NH_SIPEngineDidStart(self, notification: Notification) -> None:
        self._signal_engine(notification.name)

    def _NH_SIPEngineDidEnd(self, notification: Notification) -> None:
        self._signal_engine(notification.name)

    def _NH_SIPEngineDidFail(self, notification: Notification) -> None:
        with self._lock:
            self._engine_failed = True              # a start that is under way looks at it
            running = self.state == 'started'
            if running:
                self._move('stopping')
        if running:
            self._engine_event = Event()                # its SIPEngineDidEnd is still to come
            call_in_green_thread(self._end, 'engine failed')
        else:
            self._signal_engine(notification.name)

    def _NH_SIPEngineGotException(self, notification: Notification) -> None:
        data = notification.data
        log.error('an error in the engine thread:\n%s', data.traceback)
        self._post('SIPApplicationGotFatalError', type=data.type, value=data.value, traceback=data.traceback)

    def _NH_AudioDevicesDidChange(self, notification: Notification) -> None:
        if self._devices is not None:
            self._devices.devices_changed(notification.data.old_devices, notification.data.new_devices)

    def _NH_DefaultAudioDeviceDidChange(self, notification: Notification) -> None:
        if self._devices is not None:
            self._devices.default_changed(notification.data.changed_input, notification.data.changed_output)

    def _NH_DNSNameserversDidChange(self, notification: Notification) -> None:
        if self._network is not None:
            self._network.nameservers_changed()

    def _NH_CFGSettingsObjectDidChange(self, notification: Notification) -> None:
        if self.running:
            self._apply_settings(set(notification.data.modified))

    def _apply_settings(self, modified: set[str]) -> None:
        engine, settings = self.engine, SIPSimpleSettings()
        if self._devices is not None:
            self._devices.settings_changed(modified)
        actions: dict[str, Callable[[], object]] = {
            'user_agent': lambda: setattr(engine, 'user_agent', settings.user_agent),
            'logs.trace_sip': lambda: setattr(engine, 'trace_sip', settings.logs.trace_sip),
            'rtp.port_range': lambda: setattr(engine, 'rtp_port_range', (settings.rtp.port_range.start, settings.rtp.port_range.end)),
            'rtp.audio_codec_list': lambda: setattr(engine, 'codecs', [name for name in settings.rtp.audio_codec_list if name in engine.available_codecs]),
        }
        groups: dict[tuple[str, ...], Callable[[], object]] = {
            ('logs.pjsip_level', 'logs.trace_pjsip'): lambda: setattr(
                engine, 'log_level', settings.logs.pjsip_level if settings.logs.trace_pjsip else 0),
            ('sip.udp_port', 'sip.transport_list'): lambda: self._set_port('udp', settings.sip.udp_port, engine.udp_port, engine.set_udp_port),
            ('sip.tcp_port', 'sip.transport_list'): lambda: self._set_port('tcp', settings.sip.tcp_port, engine.tcp_port, engine.set_tcp_port),
            ('sip.tls_port', 'sip.transport_list', 'tls.ca_list', 'tls.certificate', 'tls.verify_server', 'tls.timeout'): self._restart_tls,
        }
        wanted: list[Callable[[], object]] = [action for name, action in actions.items() if name in modified]
        wanted += [action for names, action in groups.items() if modified & set(names)]
        for action in wanted:
            try:
                action()
            except Exception:
                log.exception('a changed setting could not be applied')
        if modified & CONTACT_SETTINGS:
            from sipsimple.account import AccountManager
            for account in AccountManager().get_accounts():
                reregister = getattr(account, 'reregister', None)
                if reregister is not None:
                    reregister()

    @staticmethod
    def _set_port(transport: str, wanted: int, present: int | None, change: Callable[[int | None], None]) -> None:
        """Open or close a transport. 0 means any port: one that is open stays, with the calls that use it."""
        if transport not in SIPSimpleSettings().sip.transport_list:
            change(None)
        elif wanted or present is None:
            change(wanted)

    def _restart_tls(self) -> None:
        self._start_tls()
        options = self._tls_options()
        self._post('TLSTransportHasChanged', port=self.engine.tls_port, verify_server=bool(options.get('verify_server')),
                   certificate=options.get('cert_file'), ca_file=options.get('ca_file'))


set_storage_provider(lambda: SIPApplication.storage)
