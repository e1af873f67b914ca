"""The SDK thread: an asyncio loop, where green threads run, and Twisted's reactor for those who use it.

A reactor cannot run twice in a process, so the thread is a daemon that lives as long as the process: an application that
stops only parks it. Twisted costs 20 MB and a tenth of a second, most of it for TLS, so its reactor is made on our loop by the first import
of `twisted.internet.reactor`, ours or anybody's, in any thread.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
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
_REACTOR = 'twisted.internet.reactor'


class _ReactorImporter:
    """Answers the import of Twisted's reactor with one that runs on the loop of the SDK thread.

    It starts in the importing thread: waiting for the SDK thread there could deadlock on the locks of modules under import.
    """

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name == _REACTOR else None        # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """The usual empty module; it gives way at once."""

    def exec_module(self, module: ModuleType) -> None:
        del sys.modules[_REACTOR]           # Twisted puts its reactor there, if there is none
        from twisted.internet import asyncioreactor, main
        from twisted.python import threadable
        reactor = asyncioreactor.AsyncioSelectorReactor(_loop)
        reactor.startRunning(installSignalHandlers=False)
        threadable.ioThread = _ident        # type: ignore[assignment]      # not the thread that imports
        main.installReactor(reactor)  # type: ignore[no-untyped-call]


def start() -> None:
    """Start the SDK thread and wait until it serves calls; idempotent.

    RuntimeError: Twisted uses another reactor, or runs it in another thread, or the thread could not start.
    """
    global _thread, _loop, _ident
    with _lock:
        if _thread is None:
            installed: Any = sys.modules.get(_REACTOR)
            if installed is not None:
                if not hasattr(installed, '_asyncioEventloop'):
                    raise RuntimeError('Twisted has another reactor installed already; sipsimple needs its AsyncioSelectorReactor')
                if installed.running:
                    raise RuntimeError('Twisted runs in another thread already; start sipsimple first')
                _loop = installed._asyncioEventloop
            else:
                _loop = asyncio.SelectorEventLoop()
            _thread = threading.Thread(target=_run, args=(installed,), name='SIPSimpleThread', daemon=True)
            _thread.start()
            _ident = _thread.ident
            if installed is None:
                sys.meta_path.insert(0, _ReactorImporter())
                if 'twisted.internet.main' in sys.modules:
                    get_reactor()           # the program uses Twisted anyway, and must not install another one
            atexit.register(_stop)
    _ready.wait()
    if _failure is not None:
        raise RuntimeError(f'the SDK thread failed to start: {_failure}') from _failure


def _run(installed: Any) -> None:
    global _failure
    try:
        _serve(installed)
    except BaseException as error:
        _log.exception('the SDK thread failed')
        if not _ready.is_set():
            _failure = error
            _ready.set()            # start() waits for it


def _serve(installed: Any) -> None:
    global _ident
    from sipsimple.threading import coros
    assert _loop is not None
    _ident = threading.get_ident()
    asyncio.set_event_loop(_loop)
    coros.set_hub(_loop)
    _loop.call_soon(_ready.set)
    if installed is not None:
        installed.run(installSignalHandlers=False)
    else:
        _loop.run_forever()


def _stop() -> None:
    """At interpreter exit: end the loop before the modules it uses go."""
    thread = _thread
    if thread is None or _loop is None or not thread.is_alive() or is_current():
        return
    reactor: Any = sys.modules.get(_REACTOR)
    try:
        _loop.call_soon_threadsafe(reactor.stop if getattr(reactor, '_asyncioEventloop', None) is _loop else _loop.stop)
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
    """Twisted's reactor, which the first call makes. RuntimeError before start(), or when the program has installed another one since."""
    loop = get_loop()
    from twisted.internet import reactor
    if getattr(reactor, '_asyncioEventloop', None) is not loop:
        raise RuntimeError('Twisted has another reactor installed; start sipsimple first')
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
