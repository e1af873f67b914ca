# cython: language_level=3
"""Sound devices of the machine, by name. Names that occur more than once carry a number: "USB Headset (2)"."""

from libc.stdlib cimport free, malloc

from sipsimple.core._check cimport check
from sipsimple.core._core cimport pj_status_t, ss_ensure_thread
from sipsimple.core._media cimport (
    SS_DEVICE_NAME_SIZE, SS_EV_AUDIO_DEVICES, SS_INPUT, SS_OUTPUT, ss_sound_list, ss_sound_refresh, ss_sound_resolve)

from sipsimple.core._events import register

DEF LIST_SIZE = 32768


cdef str _text(bytes name):
    try:
        return name.decode('utf-8')
    except UnicodeDecodeError:
        return name.decode('latin-1')


cdef list _raw_names(int direction):
    cdef char *buffer = <char *>malloc(LIST_SIZE)
    cdef size_t length
    if buffer is NULL:
        raise MemoryError
    try:
        with nogil:
            ss_ensure_thread()
            length = ss_sound_list(direction, buffer, LIST_SIZE)
        return buffer[:length].split(b'\n') if length else []
    finally:
        free(buffer)


cdef list _list(int direction):
    return [_text(name) for name in _raw_names(direction)]


def encode_name(str name):
    """The native form of a device name: the system's own bytes for a listed device."""
    for raw in _raw_names(SS_INPUT | SS_OUTPUT):
        if _text(raw) == name:
            return raw
    return name.encode('utf-8', 'surrogateescape').replace(b'\0', b'?')     # unknown, or "system_default"


def input_devices():
    """Names of the devices that can capture; the null device is hidden."""
    return _list(SS_INPUT)


def output_devices():
    """Names of the devices that can play."""
    return _list(SS_OUTPUT)


def sound_devices():
    """Names of all devices."""
    return _list(SS_INPUT | SS_OUTPUT)


cdef str _resolve(int direction, bytes name, str what):
    cdef char buffer[SS_DEVICE_NAME_SIZE]
    cdef const char *wanted = name
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_sound_resolve(direction, wanted, buffer, SS_DEVICE_NAME_SIZE)
    check(status, what)
    return _text(<bytes>buffer)


def resolve_input(bytes name):
    """The device that a mixer asked for `name` captures from. PJSIPError when there is none."""
    return _resolve(SS_INPUT, name, 'find the input device')


def resolve_output(bytes name):
    """The device that a mixer asked for `name` plays to. PJSIPError when there is none."""
    return _resolve(SS_OUTPUT, name, 'find the output device')


def default_input_device():
    """Name of the default capture device. PJSIPError when there is none."""
    return _resolve(SS_INPUT, b'system_default', 'find the default input device')


def default_output_device():
    """Name of the default playback device. PJSIPError when there is none."""
    return _resolve(SS_OUTPUT, b'system_default', 'find the default output device')


def refresh():
    """Enumerate the devices anew; mixers go on with those they have.

    Notifications: DefaultAudioDeviceDidChange (sender: the Engine) when a default device changed.
    Raises:
        PJSIPError: the Engine is not running, or the sound system failed.
    """
    cdef pj_status_t status
    with nogil:
        ss_ensure_thread()
        status = ss_sound_refresh()
    check(status, 'refresh the sound devices')


def _on_devices(obj, event):
    changed_input, changed_output = bool(event.num[0]), bool(event.num[1])
    if changed_input or changed_output:
        from sipsimple.core.engine import Engine
        from sipsimple.notification import NotificationCenter, NotificationData
        NotificationCenter().post_notification(
            'DefaultAudioDeviceDidChange', sender=Engine(),
            data=NotificationData(changed_input=changed_input, changed_output=changed_output))


register(SS_EV_AUDIO_DEVICES, _on_devices)
