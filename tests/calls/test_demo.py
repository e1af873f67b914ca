"""The demo as its users run it, the examples of the documentation, and what the demo judges with."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import re
import socket
import subprocess
import sys
import time
from array import array
from pathlib import Path

import pytest

from sipsimple.demo import ladder, sound
from sipsimple.demo.__main__ import parse
from sipsimple.demo.desktop import Viewer, missing
from sipsimple.demo.machine import ProcessorWait
from sipsimple.demo.process import AgentProcess, DemoError
from tests.support.child import environment
from tests.support.desktop import desktop_fixture
from tests.support.namespaces import Network, require_namespaces
from tests.support.require import in_ci
from tests.support.sdk import SDK

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 60          # seconds

shared_desktop = desktop_fixture()

# An example, run so that it asks no name server, and does not talk for as long as a person would.
RUN = '''
import runpy, sys, time
wait = time.sleep
time.sleep = lambda seconds: wait(min(seconds, 1))
from sipsimple.lookup import DNSManager
dns = DNSManager()
dns.probe_domain, dns.public_nameservers, dns.nameservers = None, [], []
if not sys.argv[1].endswith('neighbours.py'):
    from sipsimple.account.settings import BonjourDiscoverySettings
    BonjourDiscoverySettings.enabled.default = False
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
'''


def start(*words, **options):
    options.setdefault('env', environment())
    return subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def finish(process):
    try:
        output, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f'it does not end: {process.communicate()[0]}')
    return process.returncode, output


@pytest.fixture(scope='module')
def demos(tmp_path_factory):
    """Three demos at once, with different options: name -> (status, output, folder)."""
    variants = {
        'default': [],
        'plain': ['--codec', 'PCMU', '--srtp', 'off', '--transport', 'tcp'],
        'ice': ['--ice', '--srtp', 'mandatory', '--codec', 'G722'],
    }

    def begin(name):
        folder = tmp_path_factory.mktemp(name)
        # The second one has no espeak-ng, as a fresh machine would.
        more = {'PATH': str(folder)} if name == 'plain' else {}
        return start('-m', 'sipsimple.demo', '--keep', str(folder), *variants[name], env=environment(**more)), folder

    running = {name: begin(name) for name in variants}
    results = {name: (*finish(process), folder) for name, (process, folder) in running.items()}
    for name in variants:
        for _ in range(4):              # sound in real time is torn on a machine that has other things to do; the demo knows from the kernel
            if results[name][0] != 0 and 'This machine is very busy' in results[name][1]:
                process, folder = begin(name)
                results[name] = (*finish(process), folder)
    return results


@pytest.mark.parametrize('name', ['default', 'plain', 'ice'])
def test_the_demo_succeeds(demos, name):
    status, output, folder = demos[name]
    assert status == 0, output
    assert 'FAILED' not in output and output.rstrip().endswith('Everything is as it should be.')
    for file in ('alice-said', 'alice-heard', 'bob-played', 'bob-heard'):
        rate, samples = sound.read_wave(folder / f'{file}.wav')
        assert len(samples) > rate


def test_what_the_demo_prints(demos):
    _, output, _ = demos['default']
    lines = [re.sub(r' +', ' ', re.sub(r'-{3,}', '--', line)) for line in output.splitlines()]
    messages = [line.partition(' | ')[2].rstrip(' |') for line in lines if ' | ' in line]
    port, other = (re.search(name + r' listens on 127\.0\.0\.1:(\d+)', output)[1] for name in ('bob', 'alice'))
    # A file in each direction.
    to_bob = [f'INVITE sip:bob@127.0.0.1:{port} + SDP -->', '<-- 200 OK (INVITE) + SDP', f'ACK sip:bob@127.0.0.1:{port} -->']
    to_alice = [f'<-- INVITE sip:alice@127.0.0.1:{other} + SDP', '200 OK (INVITE) + SDP -->', f'<-- ACK sip:alice@127.0.0.1:{other}']
    assert [message for message in messages if '100' not in message] == [
        f'INVITE sip:bob@127.0.0.1:{port} + SDP -->', '<-- 180 Ringing (INVITE)', '<-- 200 OK (INVITE) + SDP', f'ACK sip:bob@127.0.0.1:{port} -->',
        *to_bob, *to_alice,
        # The desktop comes, and goes.
        *[f'INVITE sip:bob@127.0.0.1:{port} + SDP -->', '<-- 200 OK (INVITE) + SDP', f'ACK sip:bob@127.0.0.1:{port} -->'] * (2 if not missing() else 0),
        f'BYE sip:bob@127.0.0.1:{port} -->', '<-- 200 OK (BYE)']
    assert 'alice opus at 48000 Hz, SRTP/SDES, AES' in output and ' 0 lost' in output
    assert 'DTMF at bob: 2580#' in output and 'DTMF at alice: *741' in output
    assert output.count('is told that it was delivered (200 OK)') == 2 and 'bob has read: Bob, can you read this? Ä, ß, ☎\n' in output
    if in_ci() or not missing():
        assert "alice has seen bob's desktop, every pixel of it\n" in output and 'alice has seen what moved on it, every pixel of it\n' in output
    assert 'bob has alice-sent.bin, 5 MB, with the hash it was announced with' in output and 'alice has bob-sent.bin, 5 MB' in output
    times = [float(line.split()[0]) for line in output.splitlines() if re.match(r' *\d+\.\d{3}  \|', line)]
    assert times == sorted(times)


def test_options_have_their_effect(demos):
    plain, ice = demos['plain'][1], demos['ice'][1]
    assert 'PCMU at 8000 Hz, not encrypted' in plain and '(tcp)' in plain and "alice's tones" in plain
    assert 'bob shares no desktop; for that, install Xtigervnc (apt-get install tigervnc-standalone-server)' in plain
    assert 'G722 at 16000 Hz, SRTP/SDES' in ice and 'ICE (HOST)' in ice


def test_a_dying_process_fails_the_demo():
    demo = start('-m', 'sipsimple.demo')
    output = ''
    for line in demo.stdout:
        output += line
        if 'bob: connected' in line:
            break
    children = Path(f'/proc/{demo.pid}/task/{demo.pid}/children').read_text().split()
    assert len(children) == 2, output
    os.kill(int(children[1]), 9)
    status, rest = finish(demo)
    assert status == 1 and re.search('The demo failed. bob: the process (ended with status -9|has ended)\n', rest)
    assert 'INVITE' in rest                     # what was said until then is shown
    assert not Path(f'/proc/{children[0]}').exists()


def test_a_codec_that_was_not_built_in():
    status, output = finish(start('-m', 'sipsimple.demo', '--codec', 'AMR-WB'))
    assert status == 1 and re.search('The demo failed. (alice|bob): this build does not have the codec AMR-WB\n', output)


def test_recordings_need_a_folder(tmp_path):
    (tmp_path / 'file').write_text('')
    status, output = finish(start('-m', 'sipsimple.demo', '--keep', str(tmp_path / 'file')))
    assert status == 1 and output.rstrip().endswith(f'The demo failed. {tmp_path}/file cannot be the folder for the recordings: File exists')


def test_waiting_for_a_processor_is_seen(tmp_path):
    counters = {name: tmp_path / name / 'schedstat' for name in ('1', '2')}

    def count(**waited):
        for name, counter in counters.items():
            counter.parent.mkdir(exist_ok=True)
            counter.write_text(f'123456 {waited["t" + name]} 7\n')
        wait.look()
    wait = ProcessorWait(tmp_path)
    count(t1=5_000_000_000, t2=0)       # before we looked
    assert wait.longest == 0.0
    count(t1=5_001_000_000, t2=300_000_000)
    assert wait.longest == 0.3
    count(t1=5_101_000_000, t2=300_000_000)
    assert wait.longest == 0.3
    ProcessorWait(tmp_path / 'nowhere').look()         # a kernel that does not count


def test_one_process_hears_what_is_wrong_with_the_other():
    alice, bob = agent('alice'), agent('bob')
    alice.partner, bob.partner = bob, alice
    try:
        alice.do('nonsense')
        with pytest.raises(DemoError, match="^alice: nonsense: AttributeError"):
            bob.wait('incoming')
    finally:
        alice.end()
        bob.end()


@pytest.mark.parametrize('options', [['--codec', 'nosuch'], ['--server', '127.0.0.1'], ['--call', 'sip:bob@example.com'], ['--transport', 'tls'],
                                     ['--account', 'nobody'], ['--account', 'a@b', '--server', '127.0.0.1;transport=sctp'],
                                     ['--account', 'a@b', '--call', 'sip:'], ['--account', 'a@b', '--server', 'h;transport=tcp', '--transport', 'udp'], ['--srtp', 'perhaps'], ['nonsense']])
def test_bad_options(options, capsys):
    with pytest.raises(SystemExit) as info:
        parse(options)
    assert info.value.code == 2 and 'error:' in capsys.readouterr().err


# ---- an account ----------------------------------------------------------------------------------------------------


def agent(name, **more):
    return AgentProcess({'name': name, 'local': True, 'transports': ['udp'], 'codecs': None, 'srtp': None, 'ice': False, 'verbose': False, **more})


@pytest.fixture
def listener():
    """Bob, who waits for a call."""
    bob = agent('bob')
    yield bob
    bob.end()


def test_nobody_is_there(listener):
    """An agent tells why a call failed."""
    port = listener.wait('ready')['ports']['udp']
    caller = agent('alice')
    try:
        caller.wait('ready')
        caller.do('call', target=f'sip:carol@127.0.0.1:{port}', address='127.0.0.1', port=port)
        with pytest.raises(DemoError, match='^alice: the call failed: 404 Not Found$'):
            caller.wait('connected')
    finally:
        caller.end()


def _lab_module():
    spec = importlib.util.spec_from_file_location('sipsimple_tests_lab', ROOT / 'tests' / 'support' / 'lab.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def registrar():
    with _lab_module().Lab('kamailio', settings={'LAB_FORCE_ACTIVE': '1'}) as lab:      # presence without rules
        yield f'127.0.0.1:{lab.port("SIP")}'


def with_account(registrar, *options, user='alice', password='alice-pw'):
    return finish(start('-m', 'sipsimple.demo', '--account', f'{user}@lab.test', '--password', password, '--server', registrar, *options))


@pytest.mark.interop
def test_account_is_registered_and_unregistered(registrar):
    status, output = with_account(registrar)
    assert status == 0, output
    assert f'registered at sip:{registrar} for 600 s' in output and 'unregistered' in output
    assert output.count('200 OK (REGISTER)') == 2


@pytest.mark.interop
def test_wrong_password(registrar):
    status, output = with_account(registrar, password='wrong')
    assert status == 1 and output.rstrip().endswith('The demo failed. alice: the registration failed: Authentication failed')


@pytest.mark.interop
def test_call_through_an_account(registrar):
    bob = agent('bob', local=False, account='bob@lab.test', password='bob-pw', username=None, proxy=registrar, offline=True)
    try:
        bob.wait('registered')
        calling = start('-m', 'sipsimple.demo', '--account', 'alice@lab.test', '--password', 'alice-pw', '--server', registrar, '--call', 'bob@lab.test')
        bob.wait('incoming')
        bob.do('answer')
        status, output = finish(calling)
    finally:
        bob.end()
    assert status == 0, output
    assert 'connected, over udp' in output and '+ SDP' in output and 'opus' in output


# ---- the examples --------------------------------------------------------------------------------------------------


def example(name, *arguments):
    return start('-c', RUN, str(ROOT / 'examples' / name), *arguments)


def test_example_that_calls(listener):
    port = listener.wait('ready')['ports']['udp']
    calling = example('call.py', f'sip:bob@127.0.0.1:{port}')
    listener.wait('incoming')
    listener.do('answer')
    listener.wait('connected')
    listener.do('report')
    assert listener.wait('report')['srtp'] == 'SRTP/SDES'
    assert listener.wait('ended')['originator'] == 'remote'
    status, output = finish(calling)
    assert (status, output) == (0, 'talking to sip:bob@127.0.0.1 with opus\n')


def test_example_that_finds_neighbours():
    """On a machine of their own, that has no network: they find each other, and hear of it when one goes."""
    require_namespaces()
    with Network('alone') as network:
        prefix = network.host('alone').prefix
        alice, bob = (subprocess.Popen([*prefix, sys.executable, '-c', RUN, str(ROOT / 'examples' / 'neighbours.py'), name], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()) for name in ('Alice', 'Bob'))
        try:
            where = rf"{re.escape(socket.gethostname().partition('.')[0])}, sip:[a-z]{{8}}@127.0.0.1:\d+, available \(waiting for neighbours\)\n"
            assert re.fullmatch(f'here: Bob at {where}', alice.stdout.readline())
            assert re.fullmatch(f'here: Alice at {where}', bob.stdout.readline())
            assert finish(bob)[0] == 0
            assert re.fullmatch(f'gone: Bob at {where}', alice.stdout.readline())
            assert finish(alice)[0] == 0
        finally:
            for process in (alice, bob):
                process.kill()
                process.wait()


def test_example_that_calls_and_is_refused(listener):
    port = listener.wait('ready')['ports']['udp']
    status, output = finish(example('call.py', f'sip:nobody@127.0.0.1:{port}'))
    assert (status, output) == (0, 'no call: 404 Not Found\n')


def test_example_that_answers(tmp_path):
    """Alice calls the machine, hears its greeting, speaks and presses keys."""
    greeting, speech, heard = tmp_path / 'greeting.wav', tmp_path / 'speech.wav', tmp_path / 'heard.wav'
    folder = tmp_path / 'recordings'
    sound.make_melody(greeting)
    sound.make_melody(speech, sound.BURSTS)
    machine, alice = example('answer.py', str(greeting), str(folder)), agent('alice')
    try:
        target = machine.stdout.readline().split()[1]
        port = int(target.rpartition(':')[2])
        alice.wait('ready')
        alice.do('call', target=target, address='127.0.0.1', port=port)
        alice.wait('connected')
        alice.do('record', filename=str(heard))
        alice.wait('recording')
        time.sleep(2.5)                         # the length of the greeting: this is real time
        alice.do('stop_recording')
        alice.wait('recorded')
        alice.do('play', filename=str(speech))
        alice.wait('played')
        time.sleep(0.3)
        alice.do('dtmf', digits='42')
        assert [machine.stdout.readline() for _ in '42'] == ['pressed 4\n', 'pressed 2\n']
        alice.do('hang_up')
        alice.wait('ended')
        assert machine.stdout.readline() == 'call ended\n'
        status, _ = finish(machine)
        assert status == 0
    finally:
        alice.end()
        with contextlib.suppress(OSError):
            machine.kill()
    notes = [frequency for frequency, _ in sound.MELODY]
    assert sound.hear_notes(heard)[-3:] == notes[-3:]           # the first ones may come before the recording
    [recording] = folder.glob('*.wav')
    assert 784.0 not in sound.hear_notes(recording)             # the machine's own voice is not in it
    rate, samples = sound.read_wave(recording)
    sound.write_wave(tmp_path / 'rest.wav', rate, samples[rate * 2:])       # it begins with silence
    assert sound.compare(speech, tmp_path / 'rest.wav').good


def test_example_that_chats():
    """One waits and answers, the other sends a text and prints the answer."""
    waiting = example('chat.py')
    try:
        target = waiting.stdout.readline().split()[-1]
        status, output = finish(example('chat.py', target, 'Is anybody there?'))
        assert status == 0
        assert [line.partition(': ')[2] or line for line in sorted(output.splitlines()[1:])] == ['delivered', 'You said: Is anybody there?']
        told = [waiting.stdout.readline().rstrip() for _ in range(2)]
        assert [line.partition(': ')[2] or line for line in sorted(told)] == ['delivered', 'Is anybody there?']
        status, _ = finish(waiting)
        assert status == 0
    finally:
        with contextlib.suppress(OSError):
            waiting.kill()


def test_example_that_shares_a_desktop(shared_desktop, tmp_path):
    serving = example('desktop.py', str(shared_desktop.port))
    try:
        target = serving.stdout.readline().split()[-1]
        viewing = example('desktop.py', target)
        assert 'reachable' in viewing.stdout.readline()
        host, _, port = viewing.stdout.readline().split()[-1].partition('::')
        assert serving.stdout.readline().startswith('the desktop is seen by sip:desktop@')
        painted = shared_desktop.paint(1)
        viewer = Viewer((host, int(port)))
        try:
            assert viewer.see('all', tmp_path / 'seen.png') == painted
        finally:
            viewer.stop()
        status, output = finish(viewing)            # it ends with its viewer
        assert status == 0 and output.startswith('the desktop is gone: ')
        status, _ = finish(serving)
        assert status == 0
    finally:
        with contextlib.suppress(OSError):
            serving.kill()


def test_example_that_sends_a_file(tmp_path):
    """One waits for files, the other sends one."""
    file, folder = tmp_path / 'letter.txt', tmp_path / 'inbox'
    file.write_bytes(b'Dear Bob\n' * 100_000)
    waiting = example('files.py', str(folder))
    try:
        target = waiting.stdout.readline().split()[-1]
        status, output = finish(example('files.py', target, str(file)))
        assert status == 0 and output.splitlines()[-2:] == ['900000 of 900000 bytes', f'complete: {file}']
        status, output = finish(waiting)
        assert status == 0 and output.splitlines()[0].endswith(' sends letter.txt, 900000 bytes')
        assert output.splitlines()[-1] == f'complete: {folder / "letter.txt"}' and (folder / 'letter.txt').read_bytes() == file.read_bytes()
    finally:
        with contextlib.suppress(OSError):
            waiting.kill()


def test_example_that_hosts_a_conference(tmp_path):
    """Alice calls it and has bob called; both hear of that and each other; bob is thrown out again."""
    plain = {'accounts': {'bonjour': {'rtp.encryption.enabled': False}}}
    notes = [(523.0, 0.3), (659.0, 0.3), (784.0, 0.3), (1047.0, 0.3)]
    sound.make_melody(tmp_path / 'notes.wav', notes)
    focus = example('conference.py')
    try:
        with SDK('alice') as alice, SDK('bob') as bob:
            alice.start(**plain)
            bob.start(**plain)
            bob.do('answer', steps=['accept'])
            target = focus.stdout.readline().split()[1]
            alice.do('connect', session='out', account='bonjour', uri=target)
            alice.wait('SIPSessionDidStart', 'out', unless='SIPSessionDidFail')
            alice.wait('SIPSessionGotConferenceInfo', 'out')
            uri = f'sip:{bob.get("bonjour", "contact.username")}@127.0.0.1:{bob.ports["udp"]}'
            alice.call('out/conference', 'add_participant', uri)
            assert alice.wait('SIPConferenceDidAddParticipant', 'out', unless='SIPConferenceDidNotAddParticipant').participant == uri
            bob.wait('SIPSessionDidStart', 'in1')
            for participant in (alice, bob):
                participant.wait('SIPSessionGotConferenceInfo')
            bob.do('record', recorder='recorder', session='in1', filename=str(tmp_path / 'heard.wav'))
            alice.do('play', player='player', session='out', filename=str(tmp_path / 'notes.wav'))
            alice.wait('WavePlayerDidEnd')
            bob.do('sleep', seconds=0.5)                # what is on its way
            bob.do('stop_record', recorder='recorder')
            assert sound.hear_notes(tmp_path / 'heard.wav') == [frequency for frequency, _ in notes]
            alice.call('out/conference', 'remove_participant', uri)
            assert bob.wait('SIPSessionDidEnd', 'in1').originator == 'remote'
            alice.wait('SIPConferenceDidRemoveParticipant', 'out')
            alice.call('out/conference', 'remove_participant', uri)
            assert alice.wait('SIPConferenceDidNotRemoveParticipant', 'out').code == 404
            alice.do('end_sessions')
        status, output = finish(focus)
        assert (status, output) == (0, '')
    finally:
        with contextlib.suppress(OSError):
            focus.kill()


def test_example_that_mixes(tmp_path):
    first, second, mixed = (tmp_path / name for name in ('first.wav', 'second.wav', 'mixed.wav'))
    sound.make_melody(first, [(440.0, 1.0)])
    sound.make_melody(second, [(880.0, 1.0)])
    status, output = finish(example('mix.py', str(first), str(second), str(mixed)))
    assert (status, output) == (0, '')
    rate, samples = sound.read_wave(mixed)
    middle = samples[len(samples) // 2 - rate // 10:len(samples) // 2 + rate // 10]
    assert sound.goertzel(middle, rate, 440.0) > 0.4 and sound.goertzel(middle, rate, 880.0) > 0.4


@pytest.mark.interop
def test_example_that_registers(registrar):
    status, output = finish(example('register.py', 'alice@lab.test', 'wrong', registrar))
    assert (status, output) == (0, 'not registered: Authentication failed\n')
    registering = example('register.py', 'alice@lab.test', 'alice-pw', registrar)
    output, _ = registering.communicate('\n', timeout=LIMIT)
    assert registering.returncode == 0 and output == f'registered at sip:{registrar} for 600 seconds\nEnter ends it: '


@pytest.mark.interop
def test_example_that_shows_presence(registrar):
    bob = example('presence.py', 'bob@lab.test', 'bob-pw', registrar, 'in a meeting')
    try:
        alice = example('presence.py', 'alice@lab.test', 'alice-pw', registrar, 'at work', 'sip:bob@lab.test')
        try:
            while (line := alice.stdout.readline()) != 'sip:bob@lab.test active in a meeting\n':
                assert line, 'alice has ended'
        finally:
            output, _ = alice.communicate('\n', timeout=LIMIT)
        assert alice.returncode == 0, output
    finally:
        output, _ = bob.communicate('\n', timeout=LIMIT)
    assert bob.returncode == 0, output


# ---- what the demo judges with -------------------------------------------------------------------------------------


def write(path, samples, rate=sound.RATE):
    sound.write_wave(path, rate, array('h', (max(-32768, min(32767, round(sample))) for sample in samples)))
    return path


@pytest.fixture(scope='module')
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp('sound') / 'original.wav'
    sound.make_melody(path, sound.BURSTS)
    return path


def test_a_noisy_late_and_quiet_copy_is_recognised(original, tmp_path):
    rate, samples = sound.read_wave(original)
    noise = random.Random(1)
    copy = write(tmp_path / 'copy.wav', [0] * (rate // 2) + [sample * 0.3 + noise.gauss(0, 60) for sample in samples], rate)
    match = sound.compare(original, copy)
    assert match.good and abs(match.delay - 0.5) < 0.006


def test_another_sample_rate_is_recognised(original, tmp_path):
    _, samples = sound.read_wave(original)
    assert sound.compare(original, write(tmp_path / 'half.wav', [samples[i] for i in range(0, len(samples), 2)], sound.RATE // 2)).good


def test_what_is_not_the_original_is_refused(original, tmp_path):
    _, samples = sound.read_wave(original)
    size = len(samples)
    noise = random.Random(1)
    cut = list(samples)
    cut[size // 3:size * 2 // 3] = [0] * len(cut[size // 3:size * 2 // 3])
    other = tmp_path / 'other.wav'
    sound.make_melody(other, sound.BURSTS[::-1])
    wrong = {
        'silence': write(tmp_path / 'silence.wav', [0] * size),
        'noise': write(tmp_path / 'noise.wav', [noise.gauss(0, 5000) for _ in range(size)]),
        # The right loudness curve and nothing else of it.
        'noise like it': write(tmp_path / 'like.wav', [sample * noise.choice((-1, 1)) for sample in samples]),
        'with a gap': write(tmp_path / 'cut.wav', cut),
        'half of it': write(tmp_path / 'short.wav', samples[:size // 2]),
        'backwards': write(tmp_path / 'backwards.wav', samples[::-1]),
        'something else': other,
    }
    assert [name for name, path in wrong.items() if sound.compare(original, path).good] == []


def test_notes(tmp_path):
    path = tmp_path / 'notes.wav'
    sound.make_melody(path)
    notes = [frequency for frequency, _ in sound.MELODY]
    assert sound.hear_notes(path) == notes
    sound.make_melody(path, sound.MELODY[:3])
    assert sound.hear_notes(path) == notes[:3]
    sound.make_melody(path, [(600.0, 0.5), (0.0, 0.2)])
    assert sound.hear_notes(path) == []
    noise = random.Random(1)
    assert sound.hear_notes(write(path, [noise.gauss(0, 5000) for _ in range(sound.RATE)])) == []


def test_goertzel_of_a_pure_tone(tmp_path):
    path = tmp_path / 'tone.wav'
    sound.make_melody(path, [(500.0, 1.0)])
    rate, samples = sound.read_wave(path)
    middle = samples[rate // 4:rate // 2]
    assert sound.goertzel(middle, rate, 500.0) == pytest.approx(1, abs=0.01)
    assert sound.goertzel(middle, rate, 600.0) < 0.01 and sound.goertzel([0] * 100, rate, 500.0) == 0


@pytest.mark.parametrize('data', [b'', b'RIFF', b'RIFF\0\0\0\0WAVE'])
def test_broken_file(tmp_path, data):
    path = tmp_path / 'broken.wav'
    path.write_bytes(data)
    with pytest.raises(ValueError):
        sound.read_wave(path)


def sip(when, received, first, method, body=''):
    content = 'Content-Type: application/sdp\r\n' if body else ''
    return {'time': when, 'received': received, 'message': f'{first}\r\nCSeq: 1 {method}\r\n{content}\r\n{body}'}


def test_ladder_has_a_message_before_its_answer():
    """The left side was late to tell that it had sent."""
    bye, answer = ('BYE sip:bob@h SIP/2.0', 'BYE'), ('SIP/2.0 200 OK', 'BYE')
    left = [sip(2.0, False, *bye), sip(2.1, True, *answer)]
    right = [sip(1.0, True, *bye), sip(1.1, False, *answer)]
    assert [(message.text, message.time) for message in ladder.merge(left, right)] == [('BYE sip:bob@h', 1.0), ('200 OK (BYE)', 1.1)]


def test_ladder():
    invite, ringing, bye = ('INVITE sip:bob@h;transport=tcp SIP/2.0', 'INVITE', 'v=0'), ('SIP/2.0 180 Ringing', 'INVITE'), ('BYE sip:bob@h SIP/2.0', 'BYE')
    left = [sip(1.0, False, *invite), sip(2.5, True, *ringing), sip(3.0, False, *bye), {'time': 1.5, 'received': False, 'message': '\r\n\r\n'}]
    right = [sip(1.1, True, *invite), sip(2.0, False, *ringing)]
    messages = ladder.merge(left, right)
    assert [(message.text, message.to_right, message.arrived) for message in messages] == [
        ('INVITE sip:bob@h + SDP', True, True), ('180 Ringing (INVITE)', False, True), ('BYE sip:bob@h', True, False)]
    title, *lines = ladder.draw(messages, ('alice', 'bob'), 0.5)
    assert title.split() == ['alice', 'bob'] and len({len(line) for line in [*lines]}) == 1
    assert lines[0].startswith('  0.500  | INVITE sip:bob@h + SDP ---') and lines[0].endswith('-> |')
    assert lines[1].startswith('  1.500  | <---') and lines[2].endswith('-x |')
    assert [message.to_right for message in ladder.merge(left, None)] == [True, False, True]
