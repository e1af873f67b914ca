"""Small things that several parts share: singletons, Null, timestamps, multilingual text, a doubling timer."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any as Anything, ClassVar

if TYPE_CHECKING:
    from sipsimple._sha1 import sha1 as sha1
    from sipsimple.core.helpers import Route as Route

__all__ = ['All', 'Any', 'Any_', 'ExponentialTimer', 'ISOTimestamp', 'MultilingualText', 'Null', 'NullType', 'Route', 'Singleton', 'collector_paused',
           'settle_collector', 'sha1', 'user_info']


class MarkerType(type):
    """Classes that stand for themselves."""

    def __repr__(cls) -> str:
        return cls.__name__


class All(metaclass=MarkerType):
    """Marker: everything."""


class Any(metaclass=MarkerType):
    """Marker: anything."""


Any_ = Any


class Singleton(type):
    """Metaclass of classes with one instance; the first call makes it. Thread: any."""

    _lock: ClassVar[threading.RLock] = threading.RLock()

    def __call__(cls, *args: Anything, **kwargs: Anything) -> Anything:
        try:
            return cls.__dict__['_singleton_instance']
        except KeyError:
            with Singleton._lock:
                if '_singleton_instance' not in cls.__dict__:
                    cls._singleton_instance = super().__call__(*args, **kwargs)
                return cls.__dict__['_singleton_instance']


class NullType:
    """An object that is false, takes any call and has any attribute, all of them itself; stands where nothing is."""

    _instance: ClassVar[NullType | None] = None

    def __new__(cls) -> NullType:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __call__(self, *args: Anything, **kwargs: Anything) -> NullType:
        return self

    def __getattr__(self, name: str) -> NullType:
        if name.startswith('__') and name.endswith('__'):
            raise AttributeError(name)
        return self

    def __setattr__(self, name: str, value: object) -> None:
        pass

    def __delattr__(self, name: str) -> None:
        pass

    def __getitem__(self, key: object) -> NullType:
        return self

    def __iter__(self) -> Iterator[Anything]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NullType)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return 'Null'

    def __reduce__(self) -> tuple[type[NullType], tuple[()]]:
        return NullType, ()


Null = NullType()


MANY_OBJECTS = 100_000
_pause_lock = threading.Lock()
_pauses = 0
_is_unsettled = False


@contextmanager
def collector_paused() -> Iterator[None]:
    """Make many objects that all stay: the cyclic garbage collector, which would look at all of them again and again, waits until the end of the block.

    If they were many they count as old then, which it seldom looks at: else it would look thrice, in the middle of what comes next. It is one for the
    process, and stays off if it was. Thread: any.
    """
    global _pauses, _is_unsettled
    with _pause_lock:
        if _pauses or gc.isenabled():
            gc.disable()
            _pauses += 1
            counted = True
        else:
            counted = False
    try:
        yield
    finally:
        with _pause_lock:
            if counted:
                _pauses -= 1
                if not _pauses:
                    gc.enable()
                    if gc.get_count()[0] > MANY_OBJECTS and not gc.get_freeze_count():
                        gc.freeze()
                        gc.unfreeze()                   # into the oldest generation, whatever their age
                        _is_unsettled = True


def settle_collector() -> None:
    """Collect cyclic garbage if `collector_paused` has left many objects uncounted: the collector would do that soon, at a worse moment. Thread: any."""
    global _is_unsettled
    with _pause_lock:
        unsettled, _is_unsettled = _is_unsettled, False
    if unsettled:
        gc.collect()


class ISOTimestamp(datetime):
    """An aware datetime; made from ISO 8601 text, from a datetime (naive: local time), or like datetime (zone: local)."""

    def __new__(cls, *args: Anything, **kwargs: Anything) -> ISOTimestamp:
        if len(args) == 1 and not kwargs and isinstance(args[0], (str, datetime)):
            moment = args[0] if isinstance(args[0], datetime) else datetime.fromisoformat(args[0].strip())
        else:
            moment = datetime(*args, **kwargs)      # noqa: DTZ001 - made aware below
        if moment.tzinfo is None:
            moment = moment.astimezone()
        return super().__new__(cls, moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second,
                               moment.microsecond, moment.tzinfo, fold=moment.fold)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> ISOTimestamp:
        """The present moment, in local time unless a zone is given."""
        return cls(datetime.now(tz or UTC).astimezone(tz))

    @classmethod
    def utcnow(cls) -> ISOTimestamp:
        """The present moment in UTC."""
        return cls(datetime.now(UTC))

    def __str__(self) -> str:
        return self.isoformat()

    def __reduce_ex__(self, protocol: Anything) -> tuple[Anything, ...]:
        return ISOTimestamp, (self.isoformat(),)


class MultilingualText(str):
    """A text with translations; the text value is the positional argument, else the `en` translation, else ''."""

    translations: dict[str, str]

    def __new__(cls, *args: str, **translations: str) -> MultilingualText:
        if len(args) > 1:
            raise TypeError(f'MultilingualText takes one text, {len(args)} given')
        default = args[0] if args else translations.get('en', '')
        self = super().__new__(cls, default)
        self.translations = translations
        return self

    def get_translation(self, language: str) -> str:
        """The text in that language, else the default one."""
        return self.translations.get(language, str(self))


class ExponentialTimer:
    """Posts ExponentialTimerDidTimeout (sender: itself) after an interval that doubles each time.

    Thread: start() and stop() from any; the notification comes on the SDK thread.
    """

    def __init__(self) -> None:
        self._handle: Anything = None
        self._iterations: int | None = None
        self._deadline: float | None = None
        self._generation = 0            # odd while active; a call on its way for an older one does nothing
        self._lock = threading.Lock()

    @property
    def active(self) -> bool:
        """True while it is going to fire again."""
        return self._generation % 2 == 1

    def start(self, base_interval: float, immediate: bool = False, iterations: int | None = None, time_limit: float | None = None) -> None:
        """(Re)start it.

        Args:
            base_interval: seconds until the first expiry, or the second with `immediate`.
            iterations: how often to fire; time_limit: seconds after which it does not fire any more. None: no limit.
        Raises:
            ValueError: an interval of 0 or less, iterations below 1.
        """
        from sipsimple.threading import call_in_twisted_thread
        if not base_interval > 0:
            raise ValueError(f'the interval must be positive: {base_interval!r}')
        if iterations is not None and iterations < 1:
            raise ValueError(f'it must fire at least once: {iterations!r}')
        with self._lock:
            self._generation += 1 if not self.active else 2
            generation = self._generation
        call_in_twisted_thread(self._begin, generation, base_interval, immediate, iterations, time_limit)

    def stop(self) -> None:
        """Do not fire any more."""
        from sipsimple.threading import call_in_twisted_thread
        with self._lock:
            if not self.active:
                return
            self._generation += 1
            generation = self._generation
        call_in_twisted_thread(self._cancel, generation)

    def _cancel(self, generation: int) -> None:
        if self._handle is not None and generation == self._generation:
            self._handle.cancel()
            self._handle = None

    def _begin(self, generation: int, interval: float, immediate: bool, iterations: int | None, time_limit: float | None) -> None:
        from sipsimple.threading import reactor
        if generation != self._generation:
            return
        self._cancel(generation)
        self._iterations = iterations
        self._deadline = None if time_limit is None else reactor.get_loop().time() + time_limit
        self._schedule(generation, 0 if immediate else interval, interval if immediate else interval * 2)

    def _schedule(self, generation: int, delay: float, following: float) -> None:
        from sipsimple.threading import reactor
        if self._deadline is not None and reactor.get_loop().time() + delay > self._deadline:
            self._end(generation)
            return
        self._handle = reactor.call_later(delay, self._fire, generation, following)

    def _end(self, generation: int) -> None:
        with self._lock:
            if generation == self._generation:
                self._generation += 1

    def _fire(self, generation: int, following: float) -> None:
        from sipsimple.notification import NotificationCenter
        if generation != self._generation:
            return
        if self._iterations is not None:
            self._iterations -= 1
            if self._iterations <= 0:
                self._end(generation)
        if generation == self._generation:
            self._schedule(generation, following, following * 2)
        NotificationCenter().post_notification('ExponentialTimerDidTimeout', sender=self)


class _UserInfo:
    """The operating system's user."""

    @property
    def username(self) -> str:
        """Login name."""
        import getpass
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            return 'user'

    @property
    def fullname(self) -> str:
        """The user's name as the system knows it, else the login name."""
        try:
            import pwd
            name = pwd.getpwuid(os.getuid()).pw_gecos.split(',', 1)[0]
        except (ImportError, KeyError, AttributeError):
            name = ''
        return name or self.username


user_info = _UserInfo()


def __getattr__(name: str) -> Anything:
    if name == 'Route':
        from sipsimple.core.helpers import Route
        return Route
    if name == 'sha1':
        from sipsimple._sha1 import sha1
        return sha1
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
