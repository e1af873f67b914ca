"""Codecs and RTP ports of the Engine."""

from __future__ import annotations

import pytest

from sipsimple.core import _media_endpoint
from sipsimple.core.engine import Engine
from sipsimple.core.errors import SIPCoreError
from tests.native.audio_support import engine

__all__ = ['engine']


def test_codecs(engine: Engine) -> None:
    available = engine.available_codecs
    assert {'opus', 'speex', 'G722', 'GSM', 'PCMU', 'PCMA', 'L16'} <= set(available)
    assert len(available) == len(set(available))
    assert engine.codecs == ['G722', 'speex', 'PCMU', 'PCMA']
    for wanted in (['PCMA'], ['opus', 'speex', 'G722', 'PCMU'], list(reversed(available)), available):
        engine.codecs = wanted
        assert engine.codecs == wanted
    _media_endpoint.set_codecs(['pcmu', 'OPUS'])        # names compare without case, and are told as PJSIP writes them
    assert engine.codecs == ['PCMU', 'opus']


def test_bad_codecs_change_nothing(engine: Engine) -> None:
    engine.codecs = ['PCMU', 'GSM']
    with pytest.raises(ValueError):
        engine.codecs = ['PCMU', 'PCMU']
    with pytest.raises(SIPCoreError):
        engine.codecs = ['PCMA', 'MP3']
    assert engine.codecs == ['PCMU', 'GSM']
    engine.codecs = []
    assert engine.codecs == []


@pytest.mark.parametrize('start, stop', [(-2, 10), (50000, 50001), (50001, 50003), (70000, 70010), (50000, 65537), (50010, 50000), (0, 3)])
def test_bad_port_ranges(engine: Engine, start: int, stop: int) -> None:
    with pytest.raises(SIPCoreError):
        _media_endpoint.set_rtp_port_range(start, stop)


def test_port_ranges(engine: Engine) -> None:
    for start, stop in ((50001, 50004), (0, 4), (65534, 65536), (50000, 50500)):
        _media_endpoint.set_rtp_port_range(start, stop)


def test_without_engine() -> None:
    import subprocess
    import sys
    from pathlib import Path
    script = '''
from sipsimple.core import _media_endpoint, _sound_devices
from sipsimple.core._mixer import AudioMixer
from sipsimple.core.errors import SIPCoreError
assert _media_endpoint.available_codecs() == [] and _media_endpoint.generation() == 0
assert _sound_devices.sound_devices() == []
for call in (lambda: _media_endpoint.set_codecs(['PCMU']), lambda: AudioMixer(None, None, 16000, 0), _sound_devices.refresh):
    try:
        call()
    except SIPCoreError:
        pass
    else:
        raise AssertionError
print('fine')
'''
    done = subprocess.run([sys.executable, '-X', 'faulthandler', '-c', script], cwd=Path(__file__).resolve().parents[2], timeout=30,
                          check=False, capture_output=True, text=True)
    assert done.stdout == 'fine\n', done.stderr
