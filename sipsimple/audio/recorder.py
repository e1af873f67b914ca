"""Recording to a .wav file."""

from __future__ import annotations

import os
import threading

from zope.interface import implementer

from sipsimple.audio.ports import IAudioPort, post_slots_changed
from sipsimple.core._mixer import AudioMixer
from sipsimple.core._wave import RecordingWaveFile

__all__ = ['WaveRecorder']


@implementer(IAudioPort)
class WaveRecorder:
    """Records what the bridges it is in carry; reusable, but the same filename is overwritten.

    Args:
        mixer: the AudioMixer.
        filename: full path of the file; missing folders are created by start().
    Thread: any.
    """

    producer_slot: None = None

    def __init__(self, mixer: AudioMixer, filename: str) -> None:
        self._mixer = mixer
        self.filename = filename
        self._lock = threading.Lock()
        self._file: RecordingWaveFile | None = None
        self._slot: int | None = None

    @property
    def mixer(self) -> AudioMixer:
        """The mixer it records from."""
        return self._mixer

    @property
    def consumer_slot(self) -> int | None:
        """Slot of the file while it records, else None."""
        return self._slot

    @property
    def is_active(self) -> bool:
        """True between start() and stop()."""
        return self._file is not None

    def start(self) -> None:
        """Start recording; no-op when active. Nothing is written while the recorder is in no bridge.

        Raises:
            OSError: the folder cannot be created.
            SIPCoreError: the file cannot be written, or the Engine is not running.
        """
        with self._lock:
            if self._file is not None:
                return
            file = RecordingWaveFile(self._mixer, self.filename)
            folder = os.path.dirname(self.filename)
            if folder:
                os.makedirs(folder, exist_ok=True)
            file.start()
            self._file = file
            self._slot = slot = file.slot
        post_slots_changed(self, consumer=(None, slot))

    def stop(self) -> None:
        """Stop recording; the file is complete afterwards. No-op when not active.

        Raises:
            PJSIPError: not everything could be written (a full disk).
        """
        with self._lock:
            file, slot = self._file, self._slot
            self._file = self._slot = None
        if file is None:
            return
        try:
            file.stop()
        finally:
            post_slots_changed(self, consumer=(slot, None))
