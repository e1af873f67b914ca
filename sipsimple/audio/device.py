"""The sound device of a mixer."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from sipsimple.audio.ports import IAudioPort, post_slots_changed
from sipsimple.core._mixer import AudioMixer

__all__ = ['AudioDevice']

DEVICE_SLOT = 0


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f'{name} must be True or False, not {value!r}')
    return value


@implementer(IAudioPort)
class AudioDevice:
    """The input and output device of `mixer` as an audio port.

    Args:
        mixer: the AudioMixer whose device this is.
        input_muted: the device gives no audio (is no producer).
        output_muted: the device takes no audio (is no consumer).
    Raises:
        ValueError: a flag that is not a bool.
    """

    def __init__(self, mixer: AudioMixer, input_muted: bool = False, output_muted: bool = False) -> None:
        self._mixer = mixer
        self._input_muted = _flag('input_muted', input_muted)
        self._output_muted = _flag('output_muted', output_muted)

    @property
    def mixer(self) -> AudioMixer:
        """The mixer whose device this is."""
        return self._mixer

    @property
    def consumer_slot(self) -> int | None:
        """Slot of the loudspeaker, None while `output_muted`."""
        return None if self._output_muted else DEVICE_SLOT

    @property
    def producer_slot(self) -> int | None:
        """Slot of the microphone, None while `input_muted`."""
        return None if self._input_muted else DEVICE_SLOT

    @property
    def input_muted(self) -> bool:
        """Whether the device gives no audio; changing it posts AudioPortDidChangeSlots."""
        return self._input_muted

    @input_muted.setter
    def input_muted(self, value: bool) -> None:
        old = self.producer_slot
        self._input_muted = _flag('input_muted', value)
        post_slots_changed(self, producer=(old, self.producer_slot))

    @property
    def output_muted(self) -> bool:
        """Whether the device takes no audio; changing it posts AudioPortDidChangeSlots."""
        return self._output_muted

    @output_muted.setter
    def output_muted(self, value: bool) -> None:
        old = self.consumer_slot
        self._output_muted = _flag('output_muted', value)
        post_slots_changed(self, consumer=(old, self.consumer_slot))
