"""What `msrplib` tells, as notifications: `MSRPTransportTrace` of its connections, and `MSRPLibraryLog` of nobody in particular."""

from __future__ import annotations

from typing import Any

from msrplib.trafficlog import NullLogger
from sipsimple.notification import NotificationCenter, TimestampedNotificationData

__all__ = ['NotificationLogger']


class NotificationLogger(NullLogger):
    """Posts notifications. Chunks are only put together as text while `logs.trace_msrp` is set.

    Notifications (the sender is the `MSRPTransport`):
        MSRPTransportTrace(direction, data, local_address, remote_address, illegal): direction is 'incoming' or 'outgoing', data a str in which bodies
            that are no text are only named, illegal true for what is not MSRP.
    Notifications (without sender):
        MSRPLibraryLog(message, level): level is 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'.
    """

    @property
    def log_traffic(self) -> bool:
        """Whether chunks are wanted."""
        from sipsimple.configuration.settings import SIPSimpleSettings
        return bool(getattr(getattr(SIPSimpleSettings(), 'logs', None), 'trace_msrp', False))

    @log_traffic.setter
    def log_traffic(self, value: bool) -> None:
        pass

    def _trace(self, direction: str, data: str, transport: Any, illegal: bool = False) -> None:
        local, remote = transport.addresses
        NotificationCenter().post_notification('MSRPTransportTrace', sender=transport, data=TimestampedNotificationData(
            direction=direction, data=data, local_address=local, remote_address=remote, illegal=illegal))

    def received_chunk(self, data: str, transport: Any) -> None:
        """A chunk has come."""
        self._trace('incoming', data, transport)

    def sent_chunk(self, data: str, transport: Any) -> None:
        """A chunk was written."""
        self._trace('outgoing', data, transport)

    def received_illegal_data(self, data: str, transport: Any) -> None:
        """Something came that is not MSRP."""
        if self.log_traffic:
            self._trace('incoming', data, transport, illegal=True)

    def _log(self, level: str, message: str, arguments: tuple[object, ...]) -> None:
        NotificationCenter().post_notification('MSRPLibraryLog', data=TimestampedNotificationData(
            message=message % arguments if arguments else message, level=level))

    def info(self, message: str, *arguments: object) -> None:
        """What may be good to know."""
        self._log('INFO', message, arguments)

    def warning(self, message: str, *arguments: object) -> None:
        """Something is not as it should be."""
        self._log('WARNING', message, arguments)

    def error(self, message: str, *arguments: object) -> None:
        """Something failed."""
        self._log('ERROR', message, arguments)

    def exception(self, message: str, *arguments: object) -> None:
        """Something failed, with the error that is being handled."""
        self._log('ERROR', message, arguments)

    def critical(self, message: str, *arguments: object) -> None:
        """All failed."""
        self._log('CRITICAL', message, arguments)
