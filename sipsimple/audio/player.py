"""Playing a .wav file, perhaps again and again with pauses.

The player has three conditions: idle, playing (it has a WaveFile and a slot), pausing (it waits in the reactor for the next play).
What ends a play or a pause carries the number of the run it belongs to; those of a run that is over are dropped. Nothing polls: the
end of the file is a notification, a pause is a timer of the reactor.
"""

from __future__ import annotations

import threading
from weakref import ref

from zope.interface import implementer

from sipsimple.audio.ports import IAudioPort, post_slots_changed
from sipsimple.core._mixer import AudioMixer
from sipsimple.core._wave import WaveFile
from sipsimple.core.errors import SIPCoreError
from sipsimple.notification import IObserver, Notification, NotificationCenter, ObserverWeakrefProxy, TimestampedNotificationData
from sipsimple.threading import call_in_twisted_thread, reactor
from sipsimple.threading.green import Event, run_in_waitable_green_thread

__all__ = ['WavePlayer', 'WavePlayerError']


class WavePlayerError(Exception):
    """The file could not be played, or the player was active already."""


@implementer(IAudioPort, IObserver)
class WavePlayer:
    """Plays a .wav file into the bridges it is in; reusable.

    The parameters are attributes too; those of a player that is active should not be changed.

    Args:
        mixer: the AudioMixer.
        filename: full path of the file.
        volume: percent.
        loop_count: how many times to play, 0 = until stopped.
        pause_time: seconds between two plays.
        initial_play: play at once when started; False waits pause_time first.
    Notifications: WavePlayerDidStart when the file plays for the first time after start(); then WavePlayerDidEnd after the last play
        or stop(), or WavePlayerDidFail (`error`: what the WaveFile raised) when it cannot be played; all with `timestamp`.
    Thread: any.
    """

    consumer_slot: None = None

    def __init__(self, mixer: AudioMixer, filename: str, volume: int = 100, loop_count: int = 1, pause_time: float = 0,
                 initial_play: bool = True) -> None:
        self._mixer = mixer
        self.filename = filename
        self.volume = volume
        self.loop_count = loop_count
        self.pause_time = pause_time
        self.initial_play = initial_play
        self._lock = threading.RLock()
        self._observer = ObserverWeakrefProxy(self)
        self._run = 0                       # number of the present run; odd while active
        self._plays = 0                     # of this run
        self._wave: WaveFile | None = None
        self._slot: int | None = None       # as announced last
        self._announcing = False            # between the start of a play and the end of its notifications
        self._over_early = False            # the play ended in between
        self._waiter: Event[Exception] | None = None

    @property
    def mixer(self) -> AudioMixer:
        """The mixer it plays into."""
        return self._mixer

    @property
    def producer_slot(self) -> int | None:
        """Slot of the file while it plays, else None, also in pauses."""
        return self._slot

    @property
    def is_active(self) -> bool:
        """True from start() until the last play is over or the player is stopped; also during pauses."""
        return self._run % 2 == 1

    def start(self) -> None:
        """Start playing; no-op when active. A file that cannot be played is reported by WavePlayerDidFail."""
        self._begin(None)

    def stop(self) -> None:
        """Stop at once; no-op when not active."""
        with self._lock:
            run = self._run
        if run % 2 == 1:
            self._end(run, None)

    @run_in_waitable_green_thread
    def play(self) -> None:
        """Start playing, and end when the playback has ended: `player.play().wait()` green-blocks until then.

        Raises (from wait()):
            WavePlayerError: the player is active already, or the file cannot be played.
        """
        done: Event[Exception] = Event()
        if not self._begin(done):
            raise WavePlayerError('already playing')
        error = done.wait()
        if error is not None:
            raise WavePlayerError(str(error)) from error

    # ---- one run -----------------------------------------------------------------------------------------------

    def _begin(self, waiter: Event[Exception] | None) -> bool:
        with self._lock:
            if self.is_active:
                return False
            self._run += 1
            run = self._run
            self._plays = 0
            self._waiter = waiter
        if self.initial_play:
            self._play(run)
        else:
            self._pause(run)
        return True

    def _play(self, run: int) -> None:
        """Play once."""
        error: Exception | None = None
        with self._lock:
            if run != self._run:
                return
            first = self._plays == 0
            self._plays += 1
            try:
                self._wave = wave = WaveFile(self._mixer, self.filename)
                wave.volume = self.volume
                NotificationCenter().add_observer(self._observer, name='WaveFileDidFinishPlaying', sender=wave)
                wave.start()
            except (SIPCoreError, ValueError, TypeError) as failure:
                error = failure
                self._wave = None
            else:
                self._slot = slot = wave.slot
                self._announcing = True
                self._over_early = False
        if error is not None:
            self._end(run, error)
            return
        post_slots_changed(self, producer=(None, slot))
        if first:
            NotificationCenter().post_notification('WavePlayerDidStart', sender=self, data=TimestampedNotificationData())
        with self._lock:
            over = self._over_early and run == self._run
            self._announcing = self._over_early = False
        if over:
            self._play_over(run)

    def _pause(self, run: int) -> None:
        if self.pause_time > 0:
            if not reactor.is_running():
                reactor.start()
            call_in_twisted_thread(_call_later, self.pause_time, ref(self), run)
        else:
            self._play(run)

    def handle_notification(self, notification: Notification) -> None:
        """WaveFileDidFinishPlaying: a play is over."""
        with self._lock:
            if notification.sender is not self._wave:
                return                      # of a run that was stopped
            run = self._run
            if self._announcing:
                self._over_early = True     # a very short file: its end is not told before its start
                return
        self._play_over(run)

    def _play_over(self, run: int) -> None:
        with self._lock:
            if run != self._run:
                return
            last = 0 < self.loop_count <= self._plays
            if not last:
                old = self._silence()
        if last:
            self._end(run, None)
        else:
            post_slots_changed(self, producer=(old, None))
            self._pause(run)

    def _silence(self) -> int | None:
        """Let go of the WaveFile; the slot it had. Locked."""
        wave, slot = self._wave, self._slot
        self._wave = self._slot = None
        if wave is not None:
            NotificationCenter().discard_observer(self._observer, name='WaveFileDidFinishPlaying', sender=wave)
            wave.stop()
        return slot

    def _end(self, run: int, error: Exception | None) -> None:
        with self._lock:
            if run != self._run:
                return
            self._run += 1
            old = self._silence()
            waiter, self._waiter = self._waiter, None
        post_slots_changed(self, producer=(old, None))
        center = NotificationCenter()
        if error is None:
            center.post_notification('WavePlayerDidEnd', sender=self, data=TimestampedNotificationData())
        else:
            center.post_notification('WavePlayerDidFail', sender=self, data=TimestampedNotificationData(error=error))
        if waiter is not None:
            call_in_twisted_thread(waiter.send, error)


def _call_later(seconds: float, player_ref: ref[WavePlayer], run: int) -> None:
    """Go on after the pause, if anybody still holds the player then. Reactor thread."""
    def resume() -> None:
        player = player_ref()
        if player is not None:
            player._play(run)

    reactor.call_later(seconds, resume)
