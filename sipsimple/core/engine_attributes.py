"""What can be seen and changed of a running Engine by its attributes."""

from __future__ import annotations

from collections.abc import Iterable

from sipsimple.core import _endpoint, _media_endpoint, _sound_devices
from sipsimple.core.engine_life import EngineLife
from sipsimple.core.errors import SIPCoreError

__all__ = ['EngineAttributes']


class EngineAttributes(EngineLife):
    """The attributes of the Engine: AttributeError, when one is set SIPCoreError, unless it runs."""

    def __dir__(self) -> Iterable[str]:
        names = set(super().__dir__())
        if not self._running:
            names -= {name for name, value in vars(EngineAttributes).items() if isinstance(value, property)}
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
