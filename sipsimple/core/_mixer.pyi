class AudioMixer:
    """Mixes audio between numbered slots; slot 0 is the sound device. Mono, 16 bit, frames of 20 ms.

    The device is open, and the mixer costs CPU time, only while another slot is used. Without a usable device the mixer runs on a
    timer of its own.

    Args:
        input_device, output_device: a device name, "system_default", or None for no device in that direction. An unknown name
            means the default; a machine without sound devices behaves like None.
        sample_rate: Hz, divisible by 50.
        ec_tail_length: tail of the echo canceller in ms, 0 = none; more than 5000 counts as 5000.
        slot_count: slots besides the device's.
    Raises:
        ValueError: a number out of range.
        SIPCoreError: the Engine is not running.
    """
    sample_rate: int
    slot_count: int
    ec_tail_length: int
    input_device: str | None
    output_device: str | None
    input_volume: int
    output_volume: int
    muted: bool
    def __init__(self, input_device: str | None, output_device: str | None, sample_rate: int, ec_tail_length: int = 200,
                 slot_count: int = 254) -> None: ...
    def _native_handle(self) -> int: ...
    def set_sound_devices(self, input_device: str | None, output_device: str | None, ec_tail_length: int) -> None:
        """Switch devices without disturbing the slots; returns when the new ones are open (or not needed at the moment).

        Raises:
            PJSIPError: none of the devices could be opened; the mixer goes on without.
        """
    @property
    def real_input_device(self) -> str | None:
        """Name of the device behind `input_device`; None without one, or when it could not be opened."""
    @property
    def real_output_device(self) -> str | None:
        """Name of the device behind `output_device`; None without one, or when it could not be opened."""
    @property
    def connected_slots(self) -> list[tuple[int, int]]:
        """Sorted list of (src, dst)."""
    @property
    def used_slot_count(self) -> int:
        """Slots in use, the device's not counted."""
    @property
    def frames_mixed(self) -> int:
        """Frames of 20 ms mixed so far; it stands still while no slot is used."""
    def reset_ec(self) -> None:
        """Make the echo canceller adapt anew."""
    def connect_slots(self, src_slot: int, dst_slot: int) -> None:
        """Let `dst_slot` hear `src_slot`; no-op when it does. ValueError for a negative slot, PJSIPError for an unused one."""
    def disconnect_slots(self, src_slot: int, dst_slot: int) -> None:
        """Undo connect_slots(); no-op when they are not connected. Errors as there."""
    def get_signal_level(self, slot: int) -> tuple[int, int]:
        """Loudness of the last frame, (tx, rx), each 0..255: tx = given to the slot, rx = coming from it."""

class MixerSlot:
    """What the objects that take a slot have in common: they own one native object from start to stop.

    The native object's events may come after stop(); `bound` has the handles that still lead to this object. Their owners end the
    native object when this one is dropped; they hold no Python object, so that works in the middle of a garbage collection too.
    """
    @property
    def mixer(self) -> AudioMixer:
        """The mixer the slot is in."""
    @property
    def slot(self) -> int | None:
        """The slot in the mixer, None while inactive."""
    @property
    def is_active(self) -> bool:
        """True between start() and the end."""

class MixerPort(MixerSlot):
    """A slot that hands out what is connected into it, mixed, one frame later.

    Raises:
        ValueError: mixer is None.
    """
    def __init__(self, mixer: AudioMixer) -> None: ...
    def start(self) -> None:
        """Take a slot; once only, else SIPCoreError. PJSIPError when the mixer is full."""
    def stop(self) -> None:
        """Give the slot back; idempotent."""

def check_volume(value: int) -> int:
    """A volume in percent, 100 = unchanged, more than 10000 counts as 10000; ValueError when negative."""
