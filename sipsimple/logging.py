"""What goes over the wire, written down: `TraceLog`.

The SDK tells its traffic and its inner life as notifications. A `TraceLog` makes records of Python's logging of them, to the loggers
`sipsimple.trace.sip`, `.pjsip`, `.msrp`, `.dns` and `.notifications`, or text files in a folder. Whether the Engine and the MSRP library tell
anything is decided by the settings `logs.trace_sip`, `logs.trace_pjsip` with `logs.pjsip_level`, and `logs.trace_msrp`, which may change at any time.

The SDK's own modules log what they have to say (warnings, errors, details at the level DEBUG) to loggers named after them, below `sipsimple`.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
from collections.abc import Callable, Iterable
from io import TextIOWrapper
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from queue import SimpleQueue
from typing import Any

from zope.interface import implementer

from sipsimple.notification import IObserver, Notification, NotificationCenter

__all__ = ['TRACE_KINDS', 'TraceLog']

# Digest answers, and the keys of SDES and ICE.
_SECRETS = re.compile(r'(?im)^((?:Proxy-)?Authorization:[^\r\n]*?\bresponse=")[^"]*|^(a=crypto:\S+ \S+ inline:)[^\s|]+|^(a=ice-pwd:)\S+')


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode('utf-8', 'backslashreplace')


def _hide(text: str) -> str:
    return _SECRETS.sub(lambda match: f'{match[1] or match[2] or match[3]}...', text)


def _message(text: str) -> str:
    return text.replace('\r\n', '\n').rstrip('\n')


def _format_sip(data: Any, hide: Callable[[str], str]) -> str:
    direction = 'RECEIVED' if data.received else 'SENT'
    return (f'{direction} {data.transport} {data.source_ip}:{data.source_port} -> {data.destination_ip}:{data.destination_port}\n'
            f'{_message(hide(_text(data.data)))}\n')


def _format_pjsip(data: Any, hide: Callable[[str], str]) -> str:
    return f'({data.level}) {_message(hide(_text(data.message)))}'


def _format_msrp(data: Any, hide: Callable[[str], str]) -> str:
    return f'{data.direction.upper()}\n{_message(hide(_text(data.data)))}\n'


def _format_msrp_log(data: Any, hide: Callable[[str], str]) -> str:
    return f'{data.level}: {_message(_text(data.message))}'


def _format_dns(data: Any, hide: Callable[[str], str]) -> str:
    if data.answer is None:
        outcome = f'{type(data.error).__name__}: {data.error}'
    else:
        outcome = '; '.join(str(record) for record in data.answer)
    return f'{data.context}({data.uri}) {data.query_name} {data.query_type} at {", ".join(map(str, data.nameservers))}: {outcome}'


_FORMATS: dict[str, tuple[str, Callable[[Any, Callable[[str], str]], str]]] = {
    'SIPEngineSIPTrace': ('sip', _format_sip),
    'SIPEngineLog': ('pjsip', _format_pjsip),
    'MSRPTransportTrace': ('msrp', _format_msrp),
    'MSRPLibraryLog': ('msrp', _format_msrp_log),
    'DNSLookupTrace': ('dns', _format_dns),
}

TRACE_KINDS = ('sip', 'pjsip', 'msrp', 'dns', 'notifications')


class _PrivateFileHandler(RotatingFileHandler):
    """Its files are the user's alone: they have addresses and texts of calls."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, 'a', encoding=self.encoding, opener=lambda path, flags: os.open(path, flags, 0o600))


@implementer(IObserver)
class TraceLog:
    """Writes traces from `start()` to `stop()`; also a context manager.

    Args:
        directory: the folder of the files, made if need be: `sip.log`, `pjsip.log`, `msrp.log`, `dns.log`, `notifications.log`. None: no files,
            the records go to the program's own handlers, at the level INFO.
        kinds: which of TRACE_KINDS; all but 'notifications' unless given. That one has every notification with its data, the traces excepted.
        max_bytes: size at which a file is put aside as `....log.1`; 0: never.
        backups: how many of those are kept.
        secrets: write digest answers and the keys of media too, which are left out otherwise.
    Raises:
        ValueError: an unknown kind.
    Thread: any. Files are written by a thread of its own; what posts a notification only hands the text over.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None, kinds: Iterable[str] = TRACE_KINDS[:-1], max_bytes: int = 10 * 1024 * 1024,
                 backups: int = 3, secrets: bool = False) -> None:
        self.directory = None if directory is None else os.path.abspath(os.path.expanduser(directory))
        self.kinds = tuple(dict.fromkeys(kinds))
        unknown = [kind for kind in self.kinds if kind not in TRACE_KINDS]
        if unknown:
            raise ValueError(f'unknown kinds of traces: {", ".join(unknown)}')
        self.max_bytes = max_bytes
        self.backups = backups
        self.secrets = secrets
        self._loggers: dict[str, logging.Logger] = {}
        self._files: list[logging.Handler] = []
        self._listeners: list[QueueListener] = []
        self._running = False

    def start(self) -> None:
        """Write from now on; no-op when it does. OSError: the folder or a file cannot be made."""
        if self._running:
            return
        for kind in self.kinds:
            self._loggers[kind] = self._file_logger(kind) if self.directory is not None else logging.getLogger(f'sipsimple.trace.{kind}')
        self._running = True
        center = NotificationCenter()
        if 'notifications' in self.kinds:
            center.add_observer(self)
        else:
            for name in self._names():
                center.add_observer(self, name=name)
        atexit.register(self.stop)

    def stop(self) -> None:
        """Write no more; everything so far is in the files when it returns. No-op when it does not run."""
        if not self._running:
            return
        self._running = False
        atexit.unregister(self.stop)
        center = NotificationCenter()
        center.discard_observer(self)
        for name in self._names():
            center.discard_observer(self, name=name)
        self._close()

    def __enter__(self) -> TraceLog:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _names(self) -> list[str]:
        return [name for name, (kind, _) in _FORMATS.items() if kind in self.kinds]

    def _file_logger(self, kind: str) -> logging.Logger:
        """A logger of its own for a file: the program's handlers do not see its records."""
        assert self.directory is not None
        try:
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
            file = _PrivateFileHandler(os.path.join(self.directory, f'{kind}.log'), maxBytes=self.max_bytes, backupCount=self.backups, encoding='utf-8')
        except OSError:
            self._close()
            raise
        file.setFormatter(logging.Formatter('%(asctime)s.%(msecs)03d %(message)s', '%Y-%m-%d %H:%M:%S'))
        queue: SimpleQueue[Any] = SimpleQueue()
        listener = QueueListener(queue, file)
        listener.start()
        logger = logging.Logger(f'sipsimple.trace.{kind}', logging.INFO)      # noqa: LOG001 - outside the tree: not for the application's handlers
        logger.addHandler(QueueHandler(queue))
        self._files.append(file)
        self._listeners.append(listener)
        return logger

    def _close(self) -> None:
        for listener in self._listeners:
            listener.stop()                 # behind what is queued
        for file in self._files:
            file.close()
        self._listeners.clear()
        self._files.clear()
        self._loggers = {}

    def handle_notification(self, notification: Notification) -> None:
        """Called in the posting thread."""
        kind, format_trace = _FORMATS.get(notification.name, ('notifications', None))
        logger = self._loggers.get(kind)
        if logger is None or not logger.isEnabledFor(logging.INFO):
            return
        hide = str if self.secrets else _hide
        if format_trace is not None:
            text = format_trace(notification.data, hide)
        else:
            text = hide(f'{notification.name} from {notification.sender!r}: {notification.data!r}')
        logger.info('%s', text)
