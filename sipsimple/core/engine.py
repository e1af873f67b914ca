"""The Engine: the native SIP and media stack, its options, its thread and what it tells the application.

Three kinds of threads are at work. Native ones (the worker that polls SIP, PJMEDIA's) never enter Python; they queue
events. One thread of Python takes the events, turns them into notifications and posts these in order; a slow observer
delays the next notification, not the native threads. It is the SDK thread if that runs when the Engine starts, as it
does in a SIPApplication; else, and for what is posted while the Engine starts and ends, the Engine thread. Application
threads call methods; those go straight into PJSIP with the GIL released, and what follows from them comes back as events
too.

Its parts: engine_options, engine_life (start, end, the serving of events), engine_attributes, engine_events (what the core tells of itself),
and here what it can be told.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable, Sequence

import sipsimple.core.engine_events  # noqa: F401 - what it registers
from sipsimple.core import _diagnostics, _endpoint, _event_dialog, _handles, _sound_devices, _timers, event_packages, helpers
from sipsimple.core.engine_attributes import EngineAttributes
from sipsimple.core.engine_options import CORE_REVISION, FORBIDDEN_INCOMING, MAX_ACCEPT_TYPES, check_port, is_ipv4
from sipsimple.core.errors import SIPCoreError

__all__ = ['Engine', 'CORE_REVISION']


class Engine(EngineAttributes):
    """The one native SIP and media engine of the process (singleton).

    `start()` and `stop()` return at once; `SIPEngineDidStart`/`SIPEngineDidFail` and `SIPEngineDidEnd` tell the outcome.
    It may be started again after it ended. Attributes other than `is_running` exist while it runs.

    Thread: every method may be called from any thread.
    """

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
        check_port(value)
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
        check_port(port)
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

    def update_addresses(self, reconnect: bool = False) -> int:
        """Tell the network's present address from now on: in Via, and in the contacts that the core makes itself.

        The sockets stay: those that are bound to every address receive at the new one. Connections whose own address this host has no more are
        closed, as nothing would ever end them; requests that wait for an answer over them fail at once. SIPApplication calls this.

        Args:
            reconnect: close all connections but those over loopback: after a sleep, nobody at the other end may know of them.
        Returns:
            The number of connections that were closed.
        Notifications: SIPEngineTransportDidDisconnect for each of them.
        """
        self._check_running()
        with self._lock:
            return _endpoint.update_addresses(reconnect)

    def set_nameservers(self, nameservers: Iterable[str]) -> None:
        """Nameservers of PJSIP's own resolver; entries that are no IPv4 address are skipped, none left = no change."""
        self._check_running()
        _endpoint.set_nameservers([server for server in nameservers if is_ipv4(server)])

    def detect_nat_type(self, stun_server_address: str, stun_server_port: int = 3478, user_data: object = None) -> None:
        """Find out the type of the NAT by STUN.

        Raises:
            ValueError: the address is not IPv4, or the port is not in 1..65535.
        Notifications: SIPEngineDetectedNATType.
        """
        self._check_running()
        if not is_ipv4(stun_server_address):
            raise ValueError(f'not an IPv4 address: {stun_server_address!r}')
        if not check_port(stun_server_port):
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
