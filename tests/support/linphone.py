"""linphonec, driven by its command line.

    with Linphone(folder, source) as peer:
        peer.dial('sip:alice@127.0.0.1:5062')
        peer.wait('connected')

What it says is `source`, a .wav file; what it hears goes to the file that `record` named last. It binds to 127.0.0.1 only, and has no TCP there.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Self

from tests.support.programs import environment, free_ports
from tests.support.require import require

__all__ = ['Linphone']

LIMIT = 30.0
PROMPT = 'linphonec> '
CONFIGURATION = '''
[sip]
sip_port={port}
sip_tcp_port=0
sip_tls_port=0
bind_address=127.0.0.1
contact=sip:linphone@127.0.0.1:{port}
guess_hostname=0
register_only_when_network_is_up=0
use_ipv6=0
ipv6_migration_done=1
media_encryption={encryption}
media_encryption_mandatory={mandatory}
inc_timeout=120

[rtp]
audio_rtp_port={rtp}
bind_address=127.0.0.1

[sound]
echocancellation=0
'''


class Linphone:
    """A process of linphonec. A context manager.

    Args:
        folder: for its configuration, log and home; made when it is not there.
        source: the .wav file it plays in every call, longer than any of them.
        srtp: 'wanted', 'mandatory' or None.

    Attributes:
        uri: to call it at.
    """

    def __init__(self, folder: Path, source: Path, srtp: str | None = None) -> None:
        require('linphonec')
        self.folder = folder
        self.port = free_ports()
        self.uri = f'sip:linphone@127.0.0.1:{self.port}'
        # It keeps a history of calls there, and complains without.
        (folder / '.local' / 'share' / 'linphone').mkdir(parents=True, exist_ok=True)
        (folder / 'linphonerc').write_text(CONFIGURATION.format(
            port=self.port, rtp=free_ports(2), encryption='srtp' if srtp else 'none', mandatory=int(srtp == 'mandatory')))
        self._changed = threading.Condition()
        self._lines: list[str] = []
        self._taken: set[int] = set()
        self._prompts = self._mark = 0
        self._ended = False
        self._process = subprocess.Popen(['linphonec', '-c', str(folder / 'linphonerc'), '-d', '6', '-l', str(folder / 'log')], cwd=folder,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                         env={**environment(), 'HOME': str(folder)})
        self._reader = threading.Thread(target=self._read, name='reader of linphonec', daemon=True)
        self._reader.start()
        try:
            self._prompted(0, 'its start')
            self.command('soundcard use files')
            self.command(f'play {source}')
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(b'quit\n')
            self._process.stdin.close()
            self._process.wait(LIMIT)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._reader.join(LIMIT)
        self._process.stdout.close()

    def said(self) -> str:
        """What it has written since the mark, and the SIP messages at the end of its log."""
        with self._changed:
            lines = self._lines[self._mark:]
        log = self.folder / 'log'
        tail = log.read_text(errors='replace')[-3000:] if log.exists() else ''
        return '\n'.join(lines) + '\n' + tail

    def _read(self) -> None:
        assert self._process.stdout is not None
        text = ''
        while data := os.read(self._process.stdout.fileno(), 65536):
            text += data.decode('utf-8', 'replace')         # of a line, or a prompt, that is not complete yet
            with self._changed:
                self._prompts += text.count(PROMPT)
                *lines, text = text.replace(PROMPT, '').split('\n')
                self._lines += [line.strip() for line in lines if line.strip()]
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    # ---- commands ------------------------------------------------------------------------------------------------

    def _prompted(self, before: int, text: str) -> None:
        with self._changed:
            answered = self._changed.wait_for(lambda: self._prompts > before or self._ended, LIMIT) and not self._ended
        assert answered, f'linphonec: no prompt after {text}: {self.said()}'

    def command(self, text: str) -> None:
        """Carry out a command."""
        assert self._process.stdin is not None
        with self._changed:
            before = self._prompts
        self._process.stdin.write(text.encode() + b'\n')
        self._process.stdin.flush()
        self._prompted(before, text)

    def enable_codec(self, name: str) -> None:
        """Have it offer and accept a codec, for example 'G722 (8000)', beside those it has anyway: opus, speex, PCMU, PCMA, G.729."""
        self.command('codec list')
        number, _, _ = self.wait(f': {name} ').partition(':')
        self.command(f'codec enable {number}')

    def calls(self) -> list[int]:
        """The numbers of its calls, oldest first."""
        with self._changed:
            before = len(self._lines)
        self.command('calls')
        with self._changed:
            rows = [line.split('|')[0].strip() for line in self._lines[before:] if '|' in line]
        return sorted(int(number) for number in rows if number.isdigit())

    def dial(self, uri: str) -> None:
        self.command(f'call {uri}')

    def accept(self) -> None:
        self.command('answer')

    def hang_up(self) -> None:
        """End all calls, or refuse those that come in."""
        self.command('terminate all')

    def hold(self) -> None:
        self.command('pause')

    def resume(self) -> None:
        self.command('resume')

    def send_digits(self, digits: str) -> None:
        for digit in digits:
            self.command(digit)

    def record(self, path: Path) -> None:
        """Let what it hears go to a file from now on; what is there already stays in front."""
        self.command(f'record {path}')

    # ---- what happens --------------------------------------------------------------------------------------------

    def mark(self) -> None:
        """Forget what has happened until now."""
        with self._changed:
            self._mark = len(self._lines)

    def wait(self, *parts: str, unless: str | None = None) -> str:
        """Wait for a line with all these parts in it; each line is found once."""
        until = time.monotonic() + LIMIT
        with self._changed:
            while True:
                for index in range(self._mark, len(self._lines)):
                    line = self._lines[index]
                    if index not in self._taken and all(part in line for part in parts):
                        self._taken.add(index)
                        return line
                    assert unless is None or unless not in line, f'linphonec: no {parts}, but {line!r}'
                left = until - time.monotonic()
                if left <= 0 or self._ended:
                    break
                self._changed.wait(left)
        raise AssertionError(f'linphonec: no line with {parts}: {self.said()}')

    def digits(self, count: int) -> str:
        """The next DTMF digits that it hears."""
        return ''.join(self.wait('Receiving tone ').partition('Receiving tone ')[2][0] for _ in range(count))
