"""Sound devices, with an ALSA configuration that invents some; each test in a process of its own.

ALSA's null devices take and give samples without waiting, so frame rates mean nothing here and nothing runs for long.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PREAMBLE = '''
import sys
from pathlib import Path
from tests.native.audio_support import Inbox, eventually
from sipsimple.core.engine import Engine
from sipsimple.core._mixer import AudioMixer, MixerPort
from sipsimple.core.errors import PJSIPError
engine = Engine()
inbox = Inbox(sender=engine)
engine.start(udp_port=None)
inbox.wait('SIPEngineDidStart')
'''
END = '''
engine.stop()
inbox.wait('SIPEngineDidEnd')
print('fine')
'''


def device(name: str) -> str:
    return f'pcm.{"!" if name == "default" else ""}{name} {{ type null hint {{ show on description "{name}" }} }}\n'


def run(tmp_path: Path, config: str, script: str) -> None:
    path = tmp_path / 'asound.conf'
    path.write_text(config)
    done = subprocess.run([sys.executable, '-X', 'faulthandler', '-c', PREAMBLE + script + END, str(path)], cwd=ROOT, check=False,
                          env={**os.environ, 'ALSA_CONFIG_PATH': str(path)}, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == 'fine\n', done.stdout + done.stderr[-3000:]


def test_machine_without_sound(tmp_path: Path) -> None:
    run(tmp_path, '', '''
assert engine.sound_devices == engine.input_devices == engine.output_devices == []
for name in ('default_input_device', 'default_output_device'):
    try:
        getattr(engine, name)
    except PJSIPError:
        pass
    else:
        raise AssertionError(name)
mixer = AudioMixer('system_default', 'no such device', 16000, 100)
port = MixerPort(mixer)
port.start()
assert eventually(lambda: mixer.frames_mixed > 3)       # on its own clock
assert (mixer.real_input_device, mixer.real_output_device) == (None, None)
mixer.set_sound_devices('system_default', 'system_default', 100)
mixer.reset_ec()
del mixer, port
''')


def test_enumeration_and_choice(tmp_path: Path) -> None:
    run(tmp_path, ''.join(map(device, ('samplerate', 'first', 'surround51', 'default'))), '''
assert engine.sound_devices == ['first', 'default'], engine.sound_devices
assert engine.default_input_device == engine.default_output_device == 'default'
mixer = AudioMixer('system_default', 'first', 16000, 0)
assert (mixer.input_device, mixer.real_input_device, mixer.real_output_device) == ('system_default', 'default', 'first')
mixer = AudioMixer('missing', None, 16000, 0)
assert (mixer.input_device, mixer.real_input_device, mixer.real_output_device) == ('missing', 'default', None)
del mixer
''')


def test_switching_while_in_use(tmp_path: Path) -> None:
    run(tmp_path, ''.join(map(device, ('first', 'second', 'default'))), '''
mixer = AudioMixer('first', 'second', 16000, 100)
port = MixerPort(mixer)
port.start()
mixer.connect_slots(0, port.slot)
mixer.connect_slots(port.slot, 0)
for names in (('first', None), (None, 'second'), ('second', 'first'), (None, None), ('missing', 'missing')):
    mixer.set_sound_devices(*names, 20)
    real = tuple('default' if name == 'missing' else name for name in names)
    assert (mixer.real_input_device, mixer.real_output_device) == real
    frames = mixer.frames_mixed
    assert eventually(lambda: mixer.frames_mixed > frames)
    mixer.reset_ec()
    assert mixer.connected_slots == sorted([(0, port.slot), (port.slot, 0)])
port.stop()
assert eventually(lambda: mixer.used_slot_count == 0)
del mixer, port
''')


def test_refresh_finds_new_devices(tmp_path: Path) -> None:
    run(tmp_path, device('first'), f'''
assert engine.sound_devices == ['first']
Path(sys.argv[1]).write_text({device('first') + device('default')!r})
engine.refresh_sound_devices()
data = [inbox.wait().data for _ in range(2)]
lists = next(item for item in data if hasattr(item, 'new_devices'))
assert (lists.old_devices, lists.new_devices) == (['first'], ['first', 'default'])
changes = next(item for item in data if hasattr(item, 'changed_input'))
assert changes.changed_input and changes.changed_output
engine.refresh_sound_devices()
inbox.wait('AudioDevicesDidChange')
assert inbox.names() == []
''')


def test_device_that_does_not_open(tmp_path: Path) -> None:
    """It is listed, but refuses what we need: an error when asked for, and the mixer goes on with its own clock."""
    broken = 'pcm.broken { type plug slave { pcm { type hw card 31 } } hint { show on description "broken" } }\n'
    run(tmp_path, broken + device('default'), '''
assert engine.sound_devices == ['default']              # cannot be opened at all: not offered
mixer = AudioMixer('broken', 'broken', 16000, 0)
assert mixer.real_output_device == 'default'
del mixer
''')
