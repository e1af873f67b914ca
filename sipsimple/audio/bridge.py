"""Bridges: full meshes of audio ports.

A bridge remembers, for each port, the slots it connected. So it can undo that when the port has changed its slots since, or is gone:
ports are held weakly, and a dead one cannot be asked.

The same two slots may be connected by several bridges (the device and a stream in the stream's own bridge and in the application's).
So connections are counted for each mixer, and undone when the last bridge lets go. Slot numbers are used again as soon as they are
free; a late "disconnect" for the former owner then only takes back its own count.

Locks: a bridge's own, then the mixer's table. Ports are asked for their slots with the bridge's lock held (a port that is itself a
bridge then takes its own), so nobody posts a notification with a bridge's lock held.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from weakref import WeakKeyDictionary, ref

from zope.interface import implementer, implementer_only

from sipsimple.audio.ports import IAudioPort, post_slots_changed
from sipsimple.core._mixer import AudioMixer, MixerPort
from sipsimple.core.errors import SIPCoreError
from sipsimple.notification import IObserver, Notification, NotificationCenter, ObserverWeakrefProxy

__all__ = ['AudioBridge', 'RootAudioBridge']

_log = logging.getLogger('sipsimple.audio')


class _Connections:
    """Connections of one mixer, with how many bridges want each."""

    _tables: ClassVar[WeakKeyDictionary[AudioMixer, _Connections]] = WeakKeyDictionary()
    _tables_lock = threading.Lock()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[int, int], int] = {}

    @classmethod
    def of(cls, mixer: AudioMixer) -> _Connections:
        with cls._tables_lock:
            return cls._tables.setdefault(mixer, cls())

    def connect(self, mixer: AudioMixer, source: int, sink: int) -> None:
        with self._lock:
            self._counts[source, sink] = self._counts.get((source, sink), 0) + 1
            try:
                mixer.connect_slots(source, sink)   # also when counted: the count may be a former owner's
            except SIPCoreError as error:
                # A port that just ended tells so by a notification; then it is disconnected, which takes the count back.
                _log.debug('cannot connect slot %d to slot %d: %s', source, sink, error)

    def disconnect(self, mixer: AudioMixer, source: int, sink: int) -> None:
        with self._lock:
            count = self._counts.get((source, sink), 0) - 1
            if count > 0:
                self._counts[source, sink] = count
                return
            self._counts.pop((source, sink), None)
            try:
                mixer.disconnect_slots(source, sink)
            except SIPCoreError:
                pass                                # the slot went with its port, and the connection with it


class _Member:
    """A port in a bridge, and the slots it was connected with."""

    __slots__ = ('consumer', 'port', 'producer')

    def __init__(self, port: ref[Any]) -> None:
        self.port = port
        self.consumer: int | None = None
        self.producer: int | None = None


@implementer(IAudioPort, IObserver)
class AudioBridge:
    """Connects all its ports with each other: every producer with every consumer but itself. Itself a port.

    Ports are held weakly: one that is no longer referenced elsewhere leaves the bridge. A bridge takes slots for itself only when it
    is used as a port, that is when it is in another bridge (or somebody asks for its slots). Bridges must not form cycles.

    Args:
        mixer: the AudioMixer; only ports of the same mixer can be added.
    Thread: any.
    """

    def __init__(self, mixer: AudioMixer) -> None:
        self._mixer = mixer
        self._lock = threading.RLock()
        self._members: dict[int, _Member] = {}          # by id(port)
        self._dead: deque[int] = deque()
        self._changing = False
        self._stopped = False
        self._connections = _Connections.of(mixer)
        self._observer = ObserverWeakrefProxy(self)
        self._parents = 0
        self._multiplexer: MixerPort | None = None      # hears all ports: what the bridge produces
        self._demultiplexer: MixerPort | None = None    # all ports hear it: what the bridge consumes

    def __contains__(self, port: object) -> bool:
        with self._lock:
            member = self._members.get(id(port))
            return member is not None and member.port() is port

    @property
    def mixer(self) -> AudioMixer:
        """The mixer of the bridge and of all its ports."""
        return self._mixer

    @property
    def consumer_slot(self) -> int | None:
        """Slot that all ports of the bridge hear; taken from the mixer when first asked for, None after stop()."""
        self._activate()
        demultiplexer = self._demultiplexer
        return None if demultiplexer is None else demultiplexer.slot

    @property
    def producer_slot(self) -> int | None:
        """Slot that hears all ports of the bridge; taken from the mixer when first asked for, None after stop()."""
        self._activate()
        multiplexer = self._multiplexer
        return None if multiplexer is None else multiplexer.slot

    # ---- ports -------------------------------------------------------------------------------------------------

    def add(self, port: Any) -> None:
        """Connect `port` with all ports of the bridge; no-op when it is a member.

        Raises:
            TypeError: not an IAudioPort.
            ValueError: a port of another mixer, or the bridge itself.
            RuntimeError: the bridge was stopped.
        """
        if not IAudioPort.providedBy(port):
            raise TypeError(f'not an IAudioPort: {port!r}')
        if port.mixer is not self._mixer:
            raise ValueError('the port uses another mixer than the bridge')
        if port is self:
            raise ValueError('a bridge cannot be added to itself')
        with self._exclusive():
            if self._stopped:
                raise RuntimeError('the bridge was stopped')
            if port in self:
                return
            if isinstance(port, AudioBridge):
                port._join()
            key = id(port)
            old = self._members.pop(key, None)          # a dead one that had the same address
            if old is not None:
                self._change(old, None, None)
            reference: ref[Any] = ref(port, self._make_reaper(key))
            self._members[key] = member = _Member(reference)
            NotificationCenter().add_observer(self._observer, name='AudioPortDidChangeSlots', sender=port)
            self._change(member, port.consumer_slot, port.producer_slot)

    def remove(self, port: Any) -> None:
        """Disconnect `port`. ValueError when it is not in the bridge."""
        with self._exclusive():
            if port not in self:
                raise ValueError(f'not in the bridge: {port!r}')
            self._change(self._members.pop(id(port)), None, None)
            NotificationCenter().discard_observer(self._observer, name='AudioPortDidChangeSlots', sender=port)
        if isinstance(port, AudioBridge):
            port._leave()

    def stop(self) -> None:
        """Disconnect everything and give the bridge's own slots back; the bridge cannot be used again. Idempotent."""
        with self._exclusive():
            self._stopped = True
            ports = [member.port() for member in self._members.values()]
        for port in ports:
            if port is not None and port in self:
                self.remove(port)
        self._deactivate()

    def handle_notification(self, notification: Notification) -> None:
        """AudioPortDidChangeSlots: follow the port."""
        port: Any = notification.sender
        with self._exclusive():
            member = self._members.get(id(port))
            if member is not None and port in self:
                self._change(member, port.consumer_slot, port.producer_slot)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Lock the bridge for a change, and keep dead ports from being taken out in the middle of it."""
        with self._lock:
            nested = self._changing
            self._changing = True
            try:
                yield
            finally:
                self._changing = nested
        if not nested:
            self._bury()

    # ---- mesh (all locked) -------------------------------------------------------------------------------------

    def _change(self, member: _Member, consumer: int | None, producer: int | None) -> None:
        """Reconnect a member from its remembered slots to these."""
        mixer, connections = self._mixer, self._connections
        others = [other for other in self._members.values() if other is not member]
        sinks = [other.consumer for other in others]
        sources = [other.producer for other in others]
        if self._multiplexer is not None and self._demultiplexer is not None:
            sinks.append(self._multiplexer.slot)
            sources.append(self._demultiplexer.slot)
        if producer != member.producer:
            for source, action in ((member.producer, connections.disconnect), (producer, connections.connect)):
                for sink in sinks:
                    if source is not None and sink is not None and source != sink:
                        action(mixer, source, sink)
            member.producer = producer
        if consumer != member.consumer:
            for sink, action in ((member.consumer, connections.disconnect), (consumer, connections.connect)):
                for source in sources:
                    if source is not None and sink is not None and source != sink:
                        action(mixer, source, sink)
            member.consumer = consumer

    def _make_reaper(self, key: int) -> Any:
        bridge_ref = ref(self)

        def reap(dead: ref[Any]) -> None:
            # Runs in whatever thread collects, perhaps in the middle of our own work.
            bridge = bridge_ref()
            if bridge is not None:
                bridge._dead.append(key)
                bridge._bury()

        return reap

    def _bury(self) -> None:
        """Take dead ports out, unless a change is under way: whoever makes it calls this at its end."""
        while self._dead:
            if not self._lock.acquire(blocking=False):
                return                      # its holder comes here when it is done
            try:
                if self._changing:
                    return
                self._changing = True
                try:
                    while self._dead:
                        key = self._dead.popleft()
                        member = self._members.get(key)
                        if member is not None and member.port() is None:
                            del self._members[key]
                            self._change(member, None, None)
                finally:
                    self._changing = False
            finally:
                self._lock.release()

    # ---- the bridge as a port ----------------------------------------------------------------------------------

    def _join(self) -> None:
        self._activate()
        with self._lock:
            self._parents += 1

    def _leave(self) -> None:
        with self._lock:
            self._parents -= 1
            last = self._parents <= 0
        if last:
            self._deactivate()

    def _activate(self) -> None:
        """Take the two slots that make the bridge a port."""
        with self._exclusive():
            if self._multiplexer is not None or self._stopped:
                return
            multiplexer, demultiplexer = MixerPort(self._mixer), MixerPort(self._mixer)
            multiplexer.start()
            try:
                demultiplexer.start()
            except SIPCoreError:
                multiplexer.stop()
                raise
            for member in self._members.values():
                if member.producer is not None and multiplexer.slot is not None:
                    self._connections.connect(self._mixer, member.producer, multiplexer.slot)
                if member.consumer is not None and demultiplexer.slot is not None:
                    self._connections.connect(self._mixer, demultiplexer.slot, member.consumer)
            self._multiplexer, self._demultiplexer = multiplexer, demultiplexer

    def _deactivate(self) -> None:
        with self._exclusive():
            multiplexer, demultiplexer = self._multiplexer, self._demultiplexer
            if multiplexer is None or demultiplexer is None:
                return
            produced, consumed = multiplexer.slot, demultiplexer.slot
            self._multiplexer = self._demultiplexer = None
            for member in self._members.values():
                if member.producer is not None and produced is not None:
                    self._connections.disconnect(self._mixer, member.producer, produced)
                if member.consumer is not None and consumed is not None:
                    self._connections.disconnect(self._mixer, consumed, member.consumer)
            multiplexer.stop()
            demultiplexer.stop()
        post_slots_changed(self, consumer=(consumed, None), producer=(produced, None))


@implementer_only(IObserver)
class RootAudioBridge(AudioBridge):
    """A bridge that is no port itself: the application's and conferences' own."""

    @property
    def consumer_slot(self) -> int | None:
        """None: it cannot be put into another bridge."""
        return None

    @property
    def producer_slot(self) -> int | None:
        """None: it cannot be put into another bridge."""
        return None
