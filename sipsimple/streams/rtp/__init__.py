"""Streams over RTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipsimple.streams.rtp.context import AudioContext, set_audio_context

if TYPE_CHECKING:
    from sipsimple.streams.rtp.audio import AudioStream as AudioStream

__all__ = ['AudioContext', 'AudioStream', 'set_audio_context']


def __getattr__(name: str) -> Any:
    if name == 'AudioStream':
        from sipsimple.streams.rtp.audio import AudioStream
        return AudioStream
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
