from sipsimple.core._mixer import AudioMixer, MixerSlot

class WaveFile(MixerSlot):
    """Plays a .wav file once for each start(): PCM of 8 to 32 bits, float, A-law or u-law, any rate; channels are mixed down.

    Args:
        mixer: the AudioMixer; None -> ValueError.
        filename: any str; None -> ValueError, another type -> TypeError.
    Notifications: WaveFileDidFinishPlaying, once for each start(), at the end of the file or after stop().
    """
    volume: int
    def __init__(self, mixer: AudioMixer, filename: str) -> None: ...
    @property
    def filename(self) -> str:
        """The file, as given."""
    def start(self) -> None:
        """Start playing.

        Raises:
            SIPCoreError: it plays already, or the Engine is not running.
            PJSIPError: the file cannot be read or is no usable wave file, or the mixer is full.
        """
    def stop(self) -> None:
        """Stop playing; idempotent."""

class RecordingWaveFile(MixerSlot):
    """Records what is connected to its slot into a .wav file: 16-bit mono PCM at the mixer's rate.

    The file is complete when stop() returns. Its header is brought up to date every second, so that what a killed process leaves
    behind can be played. Silence of connected slots is recorded; without a connection nothing is.

    Args, errors: as WaveFile.
    """
    def __init__(self, mixer: AudioMixer, filename: str) -> None: ...
    @property
    def filename(self) -> str:
        """The file, as given."""
    def start(self) -> None:
        """Create the file (an existing one is overwritten) and record; once only.

        Raises:
            SIPCoreError: it was started before, or the Engine is not running.
            PJSIPError: the file cannot be written, or the mixer is full.
        """
    def stop(self) -> None:
        """Complete the file and give the slot back; idempotent.

        Raises:
            PJSIPError: something could not be written (a full disk); the file holds what could.
        """
