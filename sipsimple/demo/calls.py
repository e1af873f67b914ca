"""The course of the demo: a call between two processes of this machine, or a call through an account."""

from __future__ import annotations

import hashlib
import os
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from sipsimple.demo import desktop, ladder, sound
from sipsimple.demo.process import AgentProcess, DemoError
from sipsimple.demo.terminal import Terminal

__all__ = ['account_call', 'local_call']

ALICES_DIGITS = '2580#'
BOBS_DIGITS = '*741'
ALICES_TEXT = 'Bob, can you read this? Ä, ß, ☎'
BOBS_TEXT = 'Every word of it, Alice.'
FILE_SIZE = 5_000_000                   # bytes
TAIL = 0.3                              # seconds until what was played has passed the jitter buffer of the other side
LOSS_LIMIT = 0.01                       # of the packets
MIN_PACKETS = 50                        # a second of audio


def _configuration(options: Namespace, name: str, **more: Any) -> dict[str, Any]:
    return {'name': name, 'local': True, 'chat': True, 'transports': [options.transport] if options.transport else ['udp'], 'codecs': options.codec,
            'srtp': options.srtp, 'ice': options.ice, 'verbose': options.verbose, **more}


def local_call(terminal: Terminal, options: Namespace, folder: Path) -> None:
    """Alice calls Bob, each a process, over 127.0.0.1.

    Raises:
        DemoError: it did not get to the end. Checks that failed are in `terminal.failures`.
    """
    agents: list[AgentProcess] = []
    try:
        terminal.step('starting two processes, alice and bob, without a server and without a sound card')
        alice, bob = (AgentProcess(_configuration(options, name)) for name in ('alice', 'bob'))
        agents += [alice, bob]
        alice.partner, bob.partner = bob, alice
        speech, melody = folder / 'alice-said.wav', folder / 'bob-played.wav'
        kind = sound.make_speech(speech)
        sound.make_melody(melody)
        ports: dict[str, dict[str, int]] = {}
        for when, name, listening in sorted((ready['time'], agent.name, ready['ports']) for agent in agents for ready in [agent.wait('ready')]):
            ports[name] = listening
            terminal.step(f'{name} listens on ' + ', '.join(f'127.0.0.1:{port} ({transport})' for transport, port in listening.items()), when)
        transport, port = next(iter(ports['bob'].items()))
        target = f'sip:bob@127.0.0.1:{port}' + (f';transport={transport}' if transport != 'udp' else '')
        _establish(terminal, alice, bob, target, port, transport)
        bobs_recording = _speak(terminal, alice, bob, speech, folder / 'bob-heard.wav', kind)
        alices_recording = _speak(terminal, bob, alice, melody, folder / 'alice-heard.wav', 'a melody')
        terminal.step(f'alice presses {ALICES_DIGITS}, bob presses {BOBS_DIGITS}')
        alice.do('dtmf', digits=ALICES_DIGITS)
        bob.do('dtmf', digits=BOBS_DIGITS)
        digits = {'bob': bob.wait_digits(len(ALICES_DIGITS)), 'alice': alice.wait_digits(len(BOBS_DIGITS))}
        texts = {'bob': _write(terminal, alice, bob, ALICES_TEXT), 'alice': _write(terminal, bob, alice, BOBS_TEXT)}
        files = {'bob': _send(terminal, alice, bob, folder), 'alice': _send(terminal, bob, alice, folder)}
        screens = _show_desktop(terminal, alice, bob, folder)
        reports = {}
        for agent in agents:
            agent.do('report')
            reports[agent.name] = agent.wait('report')
        alice.do('hang_up')
        terminal.step('alice hangs up')
        for when, name, side in sorted((end['time'], agent.name, end['originator']) for agent in agents for end in [agent.wait('ended')]):
            terminal.step(f'{name}: the call is over (ended by the {side} side)', when)
        for agent in agents:
            agent.stop()
        terminal.step('both processes have ended')
    finally:
        for agent in agents:
            agent.end()
        if len(agents) == 2:
            _show_ladder(terminal, ladder.merge(alice.trace, bob.trace), ('alice', 'bob'))

    terminal.title('Media')
    for name, report in reports.items():
        _show_media(terminal, name, report)
    terminal.title('Checks')
    _check_sound(terminal, speech, bobs_recording, kind)
    notes = [frequency for frequency, _ in sound.MELODY]
    heard = _notes(alices_recording)
    terminal.check(heard == notes, f'the notes in alice\'s recording: {_hertz(heard)}' + ('' if heard == notes else f', but bob played {_hertz(notes)}'))
    for name, expected in (('bob', ALICES_DIGITS), ('alice', BOBS_DIGITS)):
        instead = '' if digits[name] == expected else f' instead of {expected}'
        terminal.check(digits[name] == expected, f'DTMF at {name}: {digits[name] or "nothing"}{instead}')
    for name, expected in (('bob', ALICES_TEXT), ('alice', BOBS_TEXT)):
        terminal.check(texts[name] == expected, f'{name} has read: {texts[name]}' + ('' if texts[name] == expected else f', but it was: {expected}'))
    for name, (original, received) in files.items():
        same = received.exists() and _digest(original) == _digest(received)
        terminal.check(same, f'{name} has {received.name}, {FILE_SIZE / 1e6:.0f} MB, with the hash it was announced with' if same else
                       f'{received} at {name} is not {original}')
    for what, different in screens.items():
        terminal.check(not different, f'alice has seen {what}, ' + (f'but {different} pixels are not the same' if different else 'every pixel of it'))
    for name, report in reports.items():
        _check_media(terminal, options, name, report)
    lost = [message.text for message in ladder.merge(alice.trace, bob.trace) if not message.arrived]
    terminal.check(not lost, 'every SIP message has arrived' if not lost else f'SIP messages were lost: {", ".join(lost)}')


def account_call(terminal: Terminal, options: Namespace, folder: Path) -> None:
    """Register the account; with `options.call`, call that address, speak, and record what comes back.

    Raises:
        DemoError: it did not get to the end. Checks that failed are in `terminal.failures`.
    """
    name = options.account.partition('@')[0]
    transports = [options.transport] if options.transport else ['udp', 'tcp', 'tls']
    # No chat: neighbours can connect to each other, through an account that takes a relay.
    agent = AgentProcess(_configuration(options, name, local=False, chat=False, transports=transports, account=options.account, password=options.password,
                                        username=options.username, proxy=options.outbound_proxy, offline=options.offline))
    try:
        agent.wait('ready')
        terminal.step(f'registering {options.account}')
        registered = agent.wait('registered', 45)
        terminal.step(f'registered at {registered["registrar"]} for {registered["expires"]} s', registered['time'])
        report = recording = None
        if options.call:
            target = options.call if ':' in options.call else f'sip:{options.call}'
            terminal.step(f'calling {target}')
            agent.do('call', target=target)
            connected = agent.wait('connected', 60)
            terminal.step(f'connected, over {connected["transport"]}; the other side uses {connected["user_agent"] or "an unnamed program"}', connected['time'])
            speech, recording = folder / f'{name}-said.wav', folder / f'{name}-heard.wav'
            kind = sound.make_speech(speech)
            agent.do('record', filename=str(recording))
            agent.wait('recording')
            _play(terminal, agent, speech, f'{name} says: {kind}')
            time.sleep(1)               # for an echo to come back
            agent.do('dtmf', digits='1')
            agent.do('stop_recording')
            agent.wait('recorded')
            agent.do('report')
            report = agent.wait('report')
            agent.do('hang_up')
            agent.wait('ended')
            terminal.step('the call is over')
        agent.stop()
        terminal.step('unregistered')
    finally:
        agent.end()
        _show_ladder(terminal, ladder.merge(agent.trace, None), (name, 'network'))

    if report is not None:
        terminal.title('Media')
        _show_media(terminal, name, report)
    terminal.title('Checks')
    terminal.check(True, f'{options.account} can be registered')
    if report is not None and recording is not None:
        _check_media(terminal, options, name, report)
        match = sound.compare(speech, recording)            # both directions are in it, our own at least
        terminal.check(match.loudness > 0.3, 'the recording of both directions has what was said')
        answers = [message.text for message in ladder.merge(agent.trace, None) if not message.to_right and message.text.endswith('(BYE)')]
        ended = any(answer.startswith('2') for answer in answers)
        terminal.check(ended, 'the other side has confirmed the end of the call' if ended else
                       f'the other side has not confirmed the end of the call: {answers[0] if answers else "no answer to BYE"}')


# ---- parts of a call ---------------------------------------------------------------------------------------------


def _establish(terminal: Terminal, alice: AgentProcess, bob: AgentProcess, target: str, port: int, transport: str) -> None:
    terminal.step(f'alice calls {target}')
    alice.do('call', target=target, address='127.0.0.1', port=port, transport=transport)
    incoming = bob.wait('incoming')
    terminal.step(f'bob is called by {incoming["peer"]} and rings', incoming['time'])
    if 'audio' not in incoming['streams']:
        raise DemoError('bob: there is no audio in the call that he can take; codec and encryption of both sides must fit')
    if 'chat' not in incoming['streams']:
        raise DemoError('bob: there is no chat in the call that he can take')
    ringing = alice.wait('ringing')
    terminal.step('alice hears that it rings', ringing['time'])
    bob.do('answer')
    events = [(agent.name, agent.wait('connected')['time']) for agent in (alice, bob)]
    for name, when in sorted(events, key=lambda event: event[1]):
        terminal.step(f'{name}: connected, audio and chat are running', when)


def _play(terminal: Terminal, agent: AgentProcess, file: Path, text: str) -> None:
    rate, samples = sound.read_wave(file)
    seconds = len(samples) / rate
    with terminal.lasting(f'{text} ({seconds:.1f} s)', seconds):
        agent.do('play', filename=str(file))
        agent.wait('played', seconds + 20)


def _speak(terminal: Terminal, speaker: AgentProcess, listener: AgentProcess, file: Path, recording: Path, kind: str) -> Path:
    listener.do('record', filename=str(recording))
    listener.wait('recording')
    _play(terminal, speaker, file, f'{speaker.name} plays {kind}, {listener.name} records')
    time.sleep(TAIL)
    listener.do('stop_recording')
    recorded = listener.wait('recorded')
    if recorded['problem']:
        raise DemoError(f'{listener.name}: the recording failed: {recorded["problem"]}')
    return recording


def _write(terminal: Terminal, writer: AgentProcess, reader: AgentProcess, text: str) -> str:
    """Send a text to the other side and wait for its report; returns what was read there."""
    terminal.step(f'{writer.name} writes to {reader.name}, over MSRP with TLS')
    writer.do('write', text=text)
    message = reader.wait('message')
    delivered = writer.wait('delivered')
    terminal.step(f'{writer.name} is told that it was delivered ({delivered["code"]} {delivered["reason"]})', delivered['time'])
    return str(message['text'])


def _show_desktop(terminal: Terminal, alice: AgentProcess, bob: AgentProcess, folder: Path) -> dict[str, int]:
    """Bob shows alice a desktop that changes; returns how many pixels she saw that are not so, by what she saw. Nothing if this machine lacks a desktop."""
    lacking = desktop.missing()
    if lacking:
        terminal.step(f'bob shares no desktop; for that, install {", ".join(lacking)}')
        return {}
    screen = desktop.Desktop()
    viewer = None
    try:
        painted = screen.paint(1)
        alice.do('view_desktop')
        terminal.step('alice asks for bob\'s desktop, in the running call')
        bob.wait('proposal')
        bob.do('share_desktop', port=screen.port)
        viewing = alice.wait('viewing')
        bob.wait('viewing')
        terminal.step('bob shares it: a VNC server there, a VNC viewer here, MSRP between them', viewing['time'])
        viewer = desktop.Viewer(viewing['address'])
        seen = viewer.see('all', folder / 'alice-saw.png')
        viewer.ask('changes', folder / 'alice-saw-then.png')
        painted_then = screen.paint(2, (80, 60, 160, 120))
        terminal.step('something moves on bob\'s desktop')
        viewer.wait()
        seen_then = viewer.see_changes(folder / 'alice-saw-then.png', painted_then)
        alice.do('close_desktop')
        for agent in (alice, bob):
            agent.wait('not_viewing')
        terminal.step('alice has seen enough')
        return {'bob\'s desktop': desktop.difference(painted, seen), 'what moved on it': desktop.difference(painted_then, seen_then)}
    finally:
        if viewer is not None:
            viewer.stop()
        screen.stop()


def _send(terminal: Terminal, sender: AgentProcess, receiver: AgentProcess, folder: Path) -> tuple[Path, Path]:
    """Send a file in the running call; returns it and what was received."""
    original, inbox = folder / f'{sender.name}-sent.bin', folder / f'{receiver.name}-received'
    original.write_bytes(os.urandom(FILE_SIZE))
    inbox.mkdir(exist_ok=True)
    receiver.do('take_files', folder=str(inbox))
    terminal.step(f'{sender.name} sends a file to {receiver.name}, over MSRP with TLS')
    sender.do('send_file', filename=str(original))
    received = receiver.wait('file_received')
    terminal.step(f'{receiver.name} has received it and checked its hash ({received["hash"][:20]}...)', received['time'])
    sent = sender.wait('file_sent')
    terminal.step(f'{sender.name} is told that it is complete', sent['time'])
    return original, Path(received['filename'])


def _digest(path: Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


# ---- results -----------------------------------------------------------------------------------------------------


def _show_ladder(terminal: Terminal, messages: list[ladder.Message], names: tuple[str, str]) -> None:
    if not messages:
        return
    terminal.title('SIP messages')
    for line in ladder.draw(messages, names, terminal.zero):
        terminal.line(line)


def _losses(report: dict[str, Any]) -> tuple[int, int]:
    """Packets received, packets lost on the way to us."""
    received = report['statistics']['rx']
    return received['packets'], received['packets_lost']


def _show_media(terminal: Terminal, name: str, report: dict[str, Any]) -> None:
    received, lost = _losses(report)
    statistics = report['statistics']
    encryption = f'{report["srtp"]}, {report["cipher"]}' if report['srtp'] else 'not encrypted'
    terminal.line(f'  {name:6}{report["codec"]} at {report["sample_rate"]} Hz, {encryption}' + (f', ICE ({report["candidate"]})' if report['ice'] else ''))
    terminal.line(f'  {"":6}{report["local"]} <-> {report["remote"]}: {statistics["tx"]["packets"]} packets sent, {received} received, {lost} lost, '
                  f'jitter {statistics["rx"]["jitter"]["avg"] / 1000:.1f} ms')


def _check_sound(terminal: Terminal, original: Path, recording: Path, kind: str) -> None:
    try:
        match = sound.compare(original, recording)
    except (ValueError, OSError) as error:
        terminal.check(False, f'bob\'s recording: {error}')
        return
    terminal.check(match.good, f'bob\'s recording is alice\'s {kind}: loudness curve {match.loudness:.0%}, wave form {match.waveform:.0%}, '
                   f'{match.found:.0%} of it found')


def _notes(recording: Path) -> list[float]:
    try:
        return sound.hear_notes(recording)
    except (ValueError, OSError):
        return []


def _hertz(notes: list[float]) -> str:
    return ' '.join(f'{note:.0f}' for note in notes) + ' Hz' if notes else 'none'


def _check_media(terminal: Terminal, options: Namespace, name: str, report: dict[str, Any]) -> None:
    received, lost = _losses(report)
    terminal.waited = max(terminal.waited, report['waited'])
    terminal.check(received >= MIN_PACKETS and lost <= LOSS_LIMIT * (received + lost), f'{name} received {received} packets, {lost} were lost')
    if options.codec:
        names = {codec.lower() for codec in options.codec}
        terminal.check(report['codec'].lower() in names, f'the codec of {name} is {report["codec"]}')
    if options.srtp == 'off':
        terminal.check(not report['srtp'], f'the audio of {name} is not encrypted, as wanted')
    elif options.srtp == 'mandatory' or not options.account:
        terminal.check(bool(report['srtp']), f'the audio of {name} is encrypted' if report['srtp'] else f'the audio of {name} is NOT encrypted')
    if options.ice and not options.account:
        terminal.check(report['ice'], f'{name}: ICE has chosen the addresses' if report['ice'] else f'{name}: ICE was not used')
