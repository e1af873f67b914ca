"""What audio streams need from the application: the mixer they play into, and where recordings go. The application registers it when it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from sipsimple.streams.interfaces import StreamError

if TYPE_CHECKING:
    from sipsimple.core import AudioMixer

__all__ = ['AudioContext', 'audio_context', 'recordings_directory', 'set_audio_context']


class AudioContext(Protocol):
    """What `set_audio_context` takes; `SIPApplication` has it. An attribute `recordings_directory`, a path, is used if there is one."""

    @property
    def voice_audio_mixer(self) -> AudioMixer | None:
        """The mixer new audio streams use."""


_context: AudioContext | None = None


def set_audio_context(context: AudioContext | None) -> None:
    """Register the context for all audio streams initialised from now on; None takes it away. Any thread."""
    global _context
    _context = context


def audio_context() -> AudioContext:
    """Return the registered context.

    Raises:
        StreamError: there is none, or it has no mixer (yet): the application is not running.
    """
    if _context is None or _context.voice_audio_mixer is None:
        raise StreamError('there is no audio mixer: the application is not running')
    return _context


def recordings_directory() -> str:
    """Return the directory for recordings without a name: that of the context, else of the settings, else `Recordings` in the user's home."""
    import os
    directory: Any = getattr(_context, 'recordings_directory', None)
    if not directory:
        from sipsimple.configuration.settings import SIPSimpleSettings
        audio = getattr(SIPSimpleSettings(), 'audio', None)
        directory = getattr(audio, 'recordings_directory', None) or getattr(audio, 'directory', None)
    if not directory:
        directory = os.path.join('~', 'Recordings')
    return os.path.abspath(os.path.expanduser(str(getattr(directory, 'normalized', directory))))
