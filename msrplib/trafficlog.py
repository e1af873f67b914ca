"""What goes over a connection as text, for people: only made when somebody wants it."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from msrplib.message import MSRPData
from msrplib.parser import Begin, Data, End, Event, Illegal, Limits, Parser, Whole

__all__ = ['Logger', 'NullLogger', 'TrafficLogger', 'Tracer']

SHOWN = 65536               # bytes of a text that are shown
_TEXTUAL = ('text/', 'message/', 'application/im-iscomposing+xml', 'application/xml', 'application/json', 'multipart/')


class TrafficLogger(Protocol):
    """What a transport tells, and to whom.

    Attributes:
        log_traffic: whether `received_chunk` and `sent_chunk` are to be called; may change at any time.
    """

    log_traffic: bool

    def received_chunk(self, data: str, transport: Any) -> None:
        """A chunk has come."""

    def sent_chunk(self, data: str, transport: Any) -> None:
        """A chunk was written."""

    def received_illegal_data(self, data: str, transport: Any) -> None:
        """Something came that is not MSRP."""

    def debug(self, message: str, *arguments: object) -> None:
        """For developers."""

    def info(self, message: str, *arguments: object) -> None:
        """What may be good to know."""

    def warning(self, message: str, *arguments: object) -> None:
        """Something is not as it should be."""

    def error(self, message: str, *arguments: object) -> None:
        """Something failed."""


class Logger:
    """Writes to a logger of the standard library.

    Args:
        prefix: put before every line.
        log_traffic: whether chunks are told, too (on level DEBUG).
    """

    def __init__(self, prefix: str | None = None, log_traffic: bool = False, logger: logging.Logger | None = None) -> None:
        self.prefix = f'{prefix} ' if prefix else ''
        self.log_traffic = log_traffic
        self._logger = logger or logging.getLogger('msrplib')

    def received_chunk(self, data: str, transport: Any) -> None:
        """A chunk has come."""
        self._logger.debug('%s<- %s', self.prefix, data)

    def sent_chunk(self, data: str, transport: Any) -> None:
        """A chunk was written."""
        self._logger.debug('%s-> %s', self.prefix, data)

    def received_illegal_data(self, data: str, transport: Any) -> None:
        """Something came that is not MSRP."""
        self._logger.warning('%snot MSRP: %s', self.prefix, data)

    def debug(self, message: str, *arguments: object) -> None:
        """For developers."""
        self._logger.debug('%s%s', self.prefix, message % arguments if arguments else message)

    def info(self, message: str, *arguments: object) -> None:
        """What may be good to know."""
        self._logger.info('%s%s', self.prefix, message % arguments if arguments else message)

    def warning(self, message: str, *arguments: object) -> None:
        """Something is not as it should be."""
        self._logger.warning('%s%s', self.prefix, message % arguments if arguments else message)

    def error(self, message: str, *arguments: object) -> None:
        """Something failed."""
        self._logger.error('%s%s', self.prefix, message % arguments if arguments else message)

    def exception(self, message: str, *arguments: object) -> None:
        """Something failed, with the error that is being handled."""
        self._logger.error('%s%s', self.prefix, message % arguments if arguments else message, exc_info=True)     # noqa: LOG014

    def critical(self, message: str, *arguments: object) -> None:
        """All failed."""
        self._logger.critical('%s%s', self.prefix, message % arguments if arguments else message)


class NullLogger(Logger):
    """Tells nothing."""

    def __init__(self) -> None:
        logger = logging.getLogger('msrplib.null')
        logger.disabled = True
        super().__init__(logger=logger)


class Tracer:
    """Puts what goes one way together to chunks as text. Bodies that are no text are only named; of long ones, the beginning is shown."""

    def __init__(self) -> None:
        self._parser = Parser(Limits(whole=SHOWN))
        self._body = bytearray()
        self._size = 0

    def feed(self, data: bytes) -> list[str]:
        """The chunks that are complete with what was written or read."""
        texts = []
        for event in self._parser.feed(data):
            text = self._text(event)
            if text is not None:
                texts.append(text)
        if self._parser.failed is not None:
            self._parser = Parser(self._parser.limits)
        return texts

    def _text(self, event: Event) -> str | None:
        if isinstance(event, Whole):
            return self._show(event.chunk, event.chunk.data, len(event.chunk.data))
        if isinstance(event, Begin):
            self._body.clear()
            self._size = 0
        elif isinstance(event, Data):
            self._size += len(event.data)
            if len(self._body) < SHOWN:
                self._body += event.data[:SHOWN - len(self._body)]
        elif isinstance(event, End):
            return self._show(event.chunk, bytes(self._body), self._size)
        elif isinstance(event, Illegal):
            return None
        return None

    @staticmethod
    def _show(chunk: MSRPData, body: bytes, size: int) -> str:
        if not size:
            return chunk.chunk_header + chunk.chunk_footer.lstrip()
        kind = (chunk.content_type or '').lower()
        if kind.startswith(_TEXTUAL):
            shown = body.decode('utf-8', 'replace')
            if size > len(body):
                shown += f'[... {size} bytes]'
        else:
            shown = f'[{size} bytes]'
        return f'{chunk.chunk_header}{shown}{chunk.chunk_footer}'
