"""The life of the Engine: how it starts and ends, and in which thread the events of the core are served."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from typing import Any, ClassVar, Self

from sipsimple.core import _endpoint, _event_dialog, _events, _handles, _media_endpoint, _timers, event_dialog, event_packages
from sipsimple.core.engine_options import DEFAULTS, check_options
from sipsimple.core.errors import ENGINE_ENDED, SIPCoreError
from sipsimple.core.tls_files import check_tls_files
from sipsimple.notification import NotificationCenter, NotificationData
from sipsimple.threading import reactor

__all__ = ['EngineLife']

EVENTS_PER_TURN = 64            # of the SDK thread's loop, which has others to serve


class EngineLife:
    """The part of the Engine that runs; there is one in the process."""

    default_start_options: ClassVar[dict[str, Any]] = DEFAULTS          # an application may put its own there

    _instance: ClassVar[EngineLife | None] = None
    _instance_lock: ClassVar[threading.Lock] = threading.Lock()

    def __new__(cls) -> Self:
        with cls._instance_lock:
            if EngineLife._instance is None:
                instance = super().__new__(cls)
                instance._setup()
                EngineLife._instance = instance
            assert isinstance(EngineLife._instance, cls)
            return EngineLife._instance

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
            self._options = check_options(options, self.default_start_options)
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

    # ---- for the other parts -----------------------------------------------------------------------------------

    def _option(self, name: str) -> Any:
        if not self._running:
            raise AttributeError(f'{name}: the Engine is not running')
        return self._options[name]

    def _check_running(self) -> None:
        if not self._running:
            raise SIPCoreError('the Engine is not running')

    def post_later(self, name: str, **data: Any) -> None:
        """Post a notification of the Engine from its own thread, in order with the others."""
        _timers.call_later(0, self._post, name, NotificationData(**data))

    def _post(self, name: str, data: NotificationData | None = None) -> None:
        NotificationCenter().post_notification(name, sender=self, data=data if data is not None else NotificationData())

    def _post_exception(self) -> None:
        kind, value, trace = sys.exc_info()
        self._post('SIPEngineGotException', NotificationData(
            type=kind, value=value, traceback=''.join(traceback.format_exception(kind, value, trace))))
