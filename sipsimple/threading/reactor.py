"""The SDK thread: Twisted's reactor on an asyncio loop, where green threads run too.

A reactor cannot run twice in a process, so the thread is a daemon that lives as long as the process: an application that
stops only parks it. Twisted is imported when the thread is first started.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from twisted.internet.asyncioreactor import AsyncioSelectorReactor

__all__ = ['start', 'is_running', 'is_current', 'call_from_thread', 'call_later', 'get_loop', 'get_reactor', 'get_thread']

P = ParamSpec('P')
_log = logging.getLogger('sipsimple.threading')
_lock = threading.Lock()
_thread: threading.Thread | None = None
_ready = threading.Event()
_loop: asyncio.AbstractEventLoop | None = None
_ident: int | None = None
_failure: BaseException | None = None


def start() -> None:
    """Start the SDK thread and wait until it serves calls; idempotent.

    RuntimeError: Twisted uses another reactor, or runs it in another thread, or the thread could not start.
    """
    global _thread, _loop
    with _lock:
        if _thread is None:
            import sys
            if 'twisted.internet.reactor' in sys.modules:
                from twisted.internet import reactor as installed
                if not hasattr(installed, '_asyncioEventloop'):
                    raise RuntimeError('Twisted has another reactor installed already; sipsimple needs its AsyncioSelectorReactor')
                if installed.running:
                    raise RuntimeError('Twisted runs in another thread already; start sipsimple first')
                _loop = installed._asyncioEventloop
            else:
                from twisted.internet import asyncioreactor
                _loop = asyncio.SelectorEventLoop()
                asyncioreactor.install(_loop)  # type: ignore[no-untyped-call]
            _thread = threading.Thread(target=_run, name='SIPSimpleThread', daemon=True)
            _thread.start()
            atexit.register(_stop)
    _ready.wait()
    if _failure is not None:
        raise RuntimeError(f'the SDK thread failed to start: {_failure}') from _failure


def _run() -> None:
    global _failure
    try:
        _serve()
    except BaseException as error:
        _log.exception('the SDK thread failed')
        if not _ready.is_set():
            _failure = error
            _ready.set()            # start() waits for it


def _serve() -> None:
    global _ident
    from twisted.internet import reactor

    from sipsimple.threading import coros
    assert _loop is not None
    _ident = threading.get_ident()
    asyncio.set_event_loop(_loop)
    coros.set_hub(_loop)
    _loop.call_soon(_ready.set)
    reactor.run(installSignalHandlers=False)  # type: ignore[call-arg]


def _stop() -> None:
    """At interpreter exit: end the loop before the modules it uses go."""
    thread = _thread
    if thread is None or _loop is None or not thread.is_alive() or is_current():
        return
    from twisted.internet import reactor
    try:
        _loop.call_soon_threadsafe(reactor.stop)
    except RuntimeError:
        return
    thread.join(2)


def is_running() -> bool:
    """True once the thread serves calls."""
    return _ready.is_set()


def is_current() -> bool:
    """True in the SDK thread, green threads included."""
    return _ident == threading.get_ident()


def get_thread() -> threading.Thread:
    """The SDK thread. RuntimeError before start()."""
    if _thread is None:
        raise RuntimeError('the SDK thread was not started')
    return _thread


def get_loop() -> asyncio.AbstractEventLoop:
    """The asyncio loop of the SDK thread. RuntimeError before start()."""
    if _loop is None:
        raise RuntimeError('the SDK thread was not started')
    return _loop


def get_reactor() -> AsyncioSelectorReactor:
    """Twisted's reactor. RuntimeError before start()."""
    if _loop is None:
        raise RuntimeError('the SDK thread was not started')
    from twisted.internet import reactor
    return reactor  # type: ignore[return-value]


def _logged(function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        function(*args, **kwargs)
    except BaseException:           # also SystemExit: asyncio would end the loop
        _log.exception('a call failed in the SDK thread: %r', function)


def call_from_thread(function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call it in the SDK thread, started if need be, in the order of the requests; exceptions are logged."""
    if _loop is None:
        start()
    assert _loop is not None
    if _ident == threading.get_ident():
        _loop.call_soon(_logged, function, args, kwargs)        # nobody to wake
        return
    try:
        _loop.call_soon_threadsafe(_logged, function, args, kwargs)
    except RuntimeError:
        if not _loop.is_closed():
            raise
        _log.debug('the SDK thread is over, dropped %r', function)


def call_later(seconds: float, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> asyncio.TimerHandle:
    """Call it after a delay. Thread: the SDK thread. The result has cancel()."""
    return get_loop().call_later(seconds, _logged, function, args, kwargs)
