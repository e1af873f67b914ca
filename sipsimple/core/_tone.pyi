from collections.abc import Iterable

from sipsimple.core._mixer import AudioMixer, MixerSlot

DTMF_DIGITS: str

class ToneGenerator(MixerSlot):
    """Plays tones and DTMF digits into the mixer; may be started and stopped any number of times.

    Args:
        mixer: the AudioMixer; None -> ValueError.
    Notifications: ToneGeneratorDidFinishPlaying, when all tones given so far are played, or after stop() cut them short.
    """
    volume: int
    def __init__(self, mixer: AudioMixer) -> None: ...
    @property
    def is_busy(self) -> bool:
        """Whether tones are being played."""
    def start(self) -> None:
        """Take a slot; SIPCoreError when started already, PJSIPError when the mixer is full."""
    def stop(self) -> None:
        """Give the slot back; tones under way are cut. Idempotent."""
    def play_tones(self, tones: Iterable[tuple[int, int, int]]) -> None:
        """Play after what is playing already.

        Args:
            tones: up to 32 of (freq1, freq2, ms); freq2 0 = one frequency, freq1 0 = silence after the tone before.
        Raises:
            SIPCoreError: not started, or more than 32 tones wait.
            ValueError, TypeError: not tones.
        """
    def play_dtmf(self, digit: str) -> None:
        """Play a DTMF digit (0-9, *, #, A-D) for 200 ms. SIPCoreError when not started or not a digit."""
