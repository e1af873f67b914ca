"""Audio conferences on this machine: streams that hear each other and the local party."""

from __future__ import annotations

import threading
from typing import Any

from sipsimple.audio.bridge import RootAudioBridge
from sipsimple.audio.device import AudioDevice

__all__ = ['AudioConference']


class AudioConference:
    """A container of AudioStreams that connects them in a full mesh.

    Attributes:
        bridge: the AudioBridge of the conference; add a WavePlayer or a WaveRecorder to it to reach all participants.
        device: the sound device as it takes part in the conference.
        streams: the streams in the conference; not to be manipulated.
        on_hold: whether the local party is out of the conference.
    Raises:
        RuntimeError: the application has no voice mixer (it is not started).
    Thread: any.
    """

    def __init__(self) -> None:
        from sipsimple.application import SIPApplication
        mixer: Any = SIPApplication.voice_audio_mixer
        if mixer is None:
            raise RuntimeError('the application is not started: there is no voice mixer')
        self.bridge = RootAudioBridge(mixer)
        self.device = AudioDevice(mixer)
        self.streams: list[Any] = []
        self.on_hold = False
        self._lock = threading.RLock()
        self.bridge.add(self.device)

    def add(self, stream: Any) -> None:
        """Add an AudioStream: from now on it hears the conference instead of the device alone. No-op for a member."""
        with self._lock:
            if stream in self.streams:
                return
            self.bridge.add(stream.bridge)      # first: it raises for a stream of another mixer
            if stream.device in stream.bridge:
                stream.bridge.remove(stream.device)
            self.streams.append(stream)

    def remove(self, stream: Any) -> None:
        """Give an AudioStream its own connection with the device back. ValueError when it is not in the conference."""
        with self._lock:
            if stream not in self.streams:
                raise ValueError(f'not in the conference: {stream!r}')
            self.streams.remove(stream)
            if stream.bridge in self.bridge:
                self.bridge.remove(stream.bridge)
            try:
                stream.bridge.add(stream.device)
            except RuntimeError:
                pass                            # the stream has ended, and its bridge with it

    def hold(self) -> None:
        """Take the local party out: the others go on. Idempotent."""
        with self._lock:
            if not self.on_hold:
                self.bridge.remove(self.device)
                self.on_hold = True

    def unhold(self) -> None:
        """Bring the local party back. Idempotent."""
        with self._lock:
            if self.on_hold:
                self.bridge.add(self.device)
                self.on_hold = False
