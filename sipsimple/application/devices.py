"""The two mixers of the application, their devices and bridges, and what changes them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sipsimple.audio import AudioDevice, RootAudioBridge
from sipsimple.configuration.settings import SIPSimpleSettings
from sipsimple.core import AudioMixer, SIPCoreError
from sipsimple.threading import call_in_thread

if TYPE_CHECKING:
    from sipsimple.application.application import SIPApplication

__all__ = ['AudioDevices']

log = logging.getLogger('sipsimple.application')

VOICE_SLOTS = 2048
"""What the voice mixer has room for: a slot for each audio stream, player and recorder, two for each bridge in another one."""
ALERT_SLOTS = 254

Devices = tuple[str | None, str | None]


def _choices(input_device: str | None, output_device: str | None) -> list[Devices]:
    """What to try in order: these devices, the default ones, none; a direction that is not wanted stays out."""
    default = 'system_default' if input_device is not None else None, 'system_default' if output_device is not None else None
    return list(dict.fromkeys(((input_device, output_device), default, (None, None))))


class AudioDevices:
    """Makes and keeps the voice and alert mixers; a machine without sound hardware gets mixers without a device.

    Devices are opened in the device-io thread; the user's choice in the settings is never overwritten.
    """

    def __init__(self, application: SIPApplication) -> None:
        self.application = application

    def start(self) -> None:
        """Make mixers, devices and bridges. Thread: green."""
        self._make()

    def _make(self) -> None:
        app, settings = self.application, SIPSimpleSettings()
        rate = settings.audio.sample_rate
        app.voice_audio_mixer = self._mixer(settings.audio.input_device, settings.audio.output_device, rate, self._tail_length(), VOICE_SLOTS)
        app.voice_audio_mixer.muted = settings.audio.muted
        app.voice_audio_device = AudioDevice(app.voice_audio_mixer)
        app.voice_audio_bridge = RootAudioBridge(app.voice_audio_mixer)
        app.voice_audio_bridge.add(app.voice_audio_device)
        app.alert_audio_mixer = self._mixer(None, settings.audio.alert_device, rate, 0, ALERT_SLOTS)
        app.alert_audio_mixer.output_volume = 0 if settings.audio.silent else 100
        app.alert_audio_device = AudioDevice(app.alert_audio_mixer)
        app.alert_audio_bridge = RootAudioBridge(app.alert_audio_mixer)
        app.alert_audio_bridge.add(app.alert_audio_device)

    @staticmethod
    def _tail_length() -> int:
        canceller = SIPSimpleSettings().audio.echo_canceller
        return int(canceller.tail_length) if canceller.enabled else 0

    @staticmethod
    def _mixer(input_device: str | None, output_device: str | None, rate: int, tail_length: int, slots: int) -> AudioMixer:
        """A mixer on these devices, else on the default ones, else on none."""
        for devices in _choices(input_device, output_device):
            try:
                return AudioMixer(devices[0], devices[1], rate, tail_length, slots)
            except SIPCoreError as error:
                if devices == (None, None):
                    raise
                log.warning('the sound devices %s cannot be used: %s', devices, error)
        raise AssertionError

    def stop(self) -> None:
        """Let everything go."""
        app = self.application
        for bridge in (app.voice_audio_bridge, app.alert_audio_bridge):
            if bridge is not None:
                bridge.stop()
        app.voice_audio_bridge = app.voice_audio_device = app.voice_audio_mixer = None
        app.alert_audio_bridge = app.alert_audio_device = app.alert_audio_mixer = None

    # ---- changes -----------------------------------------------------------------------------------------------

    def settings_changed(self, modified: Iterable[str]) -> None:
        """Apply changed audio settings."""
        app, settings = self.application, SIPSimpleSettings()
        changed = {name for name in modified if name.startswith('audio.')}
        if 'audio.sample_rate' in changed:
            # The old ones go when the new ones are there: other threads look at them meanwhile.
            old = app.voice_audio_bridge, app.alert_audio_bridge
            self._make()
            for bridge in old:
                if bridge is not None:
                    bridge.stop()
            return
        if 'audio.muted' in changed and app.voice_audio_mixer is not None:
            app.voice_audio_mixer.muted = settings.audio.muted
        if 'audio.silent' in changed and app.alert_audio_mixer is not None:
            app.alert_audio_mixer.output_volume = 0 if settings.audio.silent else 100
        if changed & {'audio.input_device', 'audio.output_device', 'audio.echo_canceller.enabled', 'audio.echo_canceller.tail_length'}:
            self._reopen_voice()
        if 'audio.alert_device' in changed:
            self._reopen_alert()

    def _reopen_voice(self) -> None:
        settings = SIPSimpleSettings()
        call_in_thread('device-io', self._set_devices, self.application.voice_audio_mixer, settings.audio.input_device,
                       settings.audio.output_device, self._tail_length())

    def _reopen_alert(self) -> None:
        call_in_thread('device-io', self._set_devices, self.application.alert_audio_mixer, None, SIPSimpleSettings().audio.alert_device, 0)

    @staticmethod
    def _set_devices(mixer: AudioMixer | None, input_device: str | None, output_device: str | None, tail_length: int) -> None:
        if mixer is None:
            return
        for devices in _choices(input_device, output_device):
            try:
                mixer.set_sound_devices(devices[0], devices[1], tail_length)
                return
            except SIPCoreError as error:
                log.warning('the sound devices %s cannot be used: %s', devices, error)

    def devices_changed(self, old_devices: list[str], new_devices: list[str]) -> None:
        """Leave devices that vanished for the default ones; additions alone change nothing."""
        gone = set(old_devices) - set(new_devices)
        app = self.application
        if app.voice_audio_mixer is not None and gone & {app.voice_audio_mixer.real_input_device, app.voice_audio_mixer.real_output_device}:
            self._reopen_voice()
        if app.alert_audio_mixer is not None and app.alert_audio_mixer.real_output_device in gone:
            self._reopen_alert()

    def default_changed(self, changed_input: bool, changed_output: bool) -> None:
        """Reopen the mixers that follow the system's default devices."""
        settings = SIPSimpleSettings()
        if (changed_input and settings.audio.input_device == 'system_default'
                or changed_output and settings.audio.output_device == 'system_default'):
            self._reopen_voice()
        if changed_output and settings.audio.alert_device == 'system_default':
            self._reopen_alert()
