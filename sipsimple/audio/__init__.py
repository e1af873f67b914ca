"""Audio objects: devices, bridges, players and recorders, connected through the slots of an AudioMixer."""

from __future__ import annotations

from sipsimple.audio.bridge import AudioBridge, RootAudioBridge
from sipsimple.audio.device import AudioDevice
from sipsimple.audio.player import WavePlayer, WavePlayerError
from sipsimple.audio.ports import IAudioPort
from sipsimple.audio.recorder import WaveRecorder

__all__ = ['AudioBridge', 'AudioDevice', 'IAudioPort', 'RootAudioBridge', 'WavePlayer', 'WavePlayerError', 'WaveRecorder']
