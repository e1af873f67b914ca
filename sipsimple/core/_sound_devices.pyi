def input_devices() -> list[str]:
    """Names of the devices that can capture; the null device is hidden."""
def output_devices() -> list[str]:
    """Names of the devices that can play."""
def sound_devices() -> list[str]:
    """Names of all devices."""
def encode_name(name: str) -> bytes:
    """The native form of a device name: the system's own bytes for a listed device."""
def resolve_input(name: bytes) -> str:
    """The device that a mixer asked for `name` captures from. PJSIPError when there is none."""
def resolve_output(name: bytes) -> str:
    """The device that a mixer asked for `name` plays to. PJSIPError when there is none."""
def default_input_device() -> str:
    """Name of the default capture device. PJSIPError when there is none."""
def default_output_device() -> str:
    """Name of the default playback device. PJSIPError when there is none."""
def refresh() -> None:
    """Enumerate the devices anew; mixers go on with those they have.

    Notifications: DefaultAudioDeviceDidChange (sender: the Engine) when a default device changed.
    Raises:
        PJSIPError: the Engine is not running, or the sound system failed.
    """
