"""baresip, driven by its `ctrl_tcp` module.

    with Baresip(folder) as peer:
        peer.add('sip:bob@lab.test', auth_pass='bob-pw', regint=60, outbound='sip:127.0.0.1:15060')
        peer.wait('REGISTER_OK')
        peer.dial('sip:alice@lab.test')

What it says is `source`, a .wav file of 8 kHz; what it has heard in the last call is `heard()`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.support.programs import environment, free_ports
from tests.support.require import require

__all__ = ['Baresip', 'BaresipEnded']

LIMIT = 30.0
MODULES = '/usr/lib/baresip/modules'
CONFIGURATION = '''
poll_method epoll
net_interface 127.0.0.1
sip_listen 127.0.0.1:{port}
{certificate}
call_local_timeout 120
call_max_calls 20
audio_source aufile,{source}
audio_player aubridge,player
audio_alert aubridge,alert
audio_level no
ausrc_srate 8000
ausrc_channels 1
audio_buffer 20-160
rtp_ports {rtp}-{rtp_end}
jitter_buffer_delay 2-10
snd_path {folder}/recordings
ctrl_tcp_listen 127.0.0.1:{control}
opus_stereo no
opus_sprop_stereo no
module_path {modules}
module g711.so
module g722.so
module opus.so
module aubridge.so
module aufile.so
module sndfile.so
module srtp.so
module dtls_srtp.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
'''


class BaresipEnded(AssertionError):
    """It is not there any more: once in some thousand calls its menu looks at one that has just ended, and it crashes."""


class Baresip:
    """A process of baresip. A context manager.

    Args:
        folder: for its configuration and recordings; made when it is not there.
        source: the .wav file it plays in every call, longer than any of them.
        certificate: a file with certificate and key, for TLS.

    Attributes:
        port: of SIP over UDP and TCP; TLS has the next one.
        ended: whether it has ended by itself.
    """

    def __init__(self, folder: Path, source: Path, certificate: Path | None = None) -> None:
        require('baresip')
        self.folder = folder
        self.port = free_ports(2)
        control = free_ports()
        rtp = free_ports(20)
        (folder / 'recordings').mkdir(parents=True, exist_ok=True)
        (folder / 'config').write_text(CONFIGURATION.format(
            port=self.port, folder=folder, source=source, control=control, rtp=rtp, rtp_end=rtp + 19, modules=MODULES,
            certificate=f'sip_certificate {certificate}' if certificate else ''))
        (folder / 'accounts').write_text('')
        (folder / 'contacts').write_text('')
        self._log = open(folder / 'log', 'wb')          # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(['baresip', '-4', '-v', '-f', str(folder)], stdin=subprocess.DEVNULL, stdout=self._log,
                                         stderr=subprocess.STDOUT, env=environment())
        self._changed = threading.Condition()
        self._events: list[dict[str, Any]] = []
        self._responses: dict[str, dict[str, Any]] = {}
        self._number = self._mark = 0
        self._accounts: list[str] = []
        self.ended = False
        self._connection: socket.socket | None = None
        try:
            self._connection = self._connect(control)
        except BaseException:
            self.close()
            raise
        self._reader = threading.Thread(target=self._read, name='reader of baresip', daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def log(self) -> str:
        """What it has written."""
        return (self.folder / 'log').read_text(errors='replace')

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        if self._connection is not None:
            self._connection.close()

    def _connect(self, port: int) -> socket.socket:
        until = time.monotonic() + LIMIT
        while True:
            try:
                connection = socket.create_connection(('127.0.0.1', port))
            except OSError:
                assert self._process.poll() is None, f'baresip has ended: {self.log()}'
                assert time.monotonic() < until, f'baresip does not start: {self.log()}'
                time.sleep(0.02)
            else:
                return connection

    def _read(self) -> None:
        """Netstrings of JSON."""
        data = b''
        while True:
            try:
                received = self._connection.recv(65536)
            except OSError:
                received = b''
            if not received:
                break
            data += received
            while (colon := data.find(b':')) >= 0 and len(data) > colon + 1 + int(data[:colon]):
                end = colon + 1 + int(data[:colon])
                message = json.loads(data[colon + 1:end].decode('utf-8', 'replace'))
                data = data[end + 1:]
                with self._changed:
                    if message.get('response'):
                        self._responses[message['token']] = message
                    else:
                        self._events.append(message)
                    self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    # ---- commands ------------------------------------------------------------------------------------------------

    def command(self, name: str, parameters: str = '') -> str:
        """Carry out a command and return what it prints."""
        self._number += 1
        token = str(self._number)
        body = json.dumps({'command': name, 'params': parameters, 'token': token}).encode()
        with contextlib.suppress(OSError):          # the reader notices, too
            self._connection.sendall(b'%d:%s,' % (len(body), body))
        with self._changed:
            answered = self._changed.wait_for(lambda: token in self._responses or self.ended, LIMIT)
            if self.ended:
                raise BaresipEnded(f'baresip has ended with {self._process.wait(LIMIT)} before {name}: {self.log()[-3000:]}')
            assert answered, f'no answer to {name}: {self.log()[-3000:]}'
            response = self._responses.pop(token)
        assert response['ok'], f'baresip: {name} {parameters}: {response["data"]}'
        data: str = response['data']
        return data

    def add(self, uri: str, transport: str = 'udp', **parameters: Any) -> str:
        """Make an account and use it from now on: answer by hand, do not register, play `source`, unless the parameters say otherwise.

        Returns:
            its address without parameters, as in `accountaor` of events.
        """
        values = {'regint': 0, 'answermode': 'manual', **parameters}
        text = ''.join(f';{name}={f"{chr(34)}{value}{chr(34)}" if ":" in str(value) else value}' for name, value in values.items() if value is not None)
        self.command('uanew', f'<{uri};transport={transport}>{text}')
        self._accounts.append(uri)
        self.use(uri)
        return uri

    def use(self, uri: str) -> None:
        """Make an account the one that dials."""
        self.command('uafind', uri)

    def remove_accounts(self, prefix: str = '') -> None:
        """End the accounts whose addresses begin so; registered ones unregister."""
        for uri in [uri for uri in self._accounts if uri.startswith(prefix)]:
            self.command('uadel', uri)
            self._accounts.remove(uri)

    def dial(self, uri: str) -> None:
        self.command('dial', uri)

    def accept(self) -> None:
        self.command('accept')

    def hang_up(self) -> None:
        """End the call, or refuse one that comes in."""
        self.command('hangup')

    def send_digits(self, digits: str) -> None:
        for digit in digits:
            self.command('sndcode', digit)

    # ---- events --------------------------------------------------------------------------------------------------

    def mark(self) -> None:
        """Forget what has happened until now, and what was recorded."""
        with self._changed:
            self._mark = len(self._events)
        for path in (self.folder / 'recordings').iterdir():
            path.unlink()

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """What has happened since the mark."""
        with self._changed:
            return [event for event in self._events[self._mark:] if name in (None, event['type'])]

    def wait(self, name: str, *, timeout: float = LIMIT, unless: str | None = None, **fields: str) -> dict[str, Any]:
        """Wait for an event with these fields; each is found once."""
        def matches(event: dict[str, Any]) -> bool:
            return 'taken' not in event and event['type'] == name and all(event.get(key) == value for key, value in fields.items())
        until = time.monotonic() + timeout
        with self._changed:
            while True:
                for event in self._events[self._mark:]:
                    if matches(event):
                        event['taken'] = True
                        return event
                    assert 'taken' in event or event['type'] != unless, f'baresip: no {name}, but {event}'
                left = until - time.monotonic()
                if left <= 0 or self.ended:
                    there = [event['type'] for event in self._events[self._mark:]]
                    raise AssertionError(f'baresip: no {name} {fields}; {there}; {self.log()[-3000:]}')
                self._changed.wait(left)

    def digits(self, count: int) -> str:
        """The DTMF digits received since the mark, when there are that many."""
        for _ in range(count - len([event for event in self.events('CALL_DTMF_START') if 'taken' in event])):
            self.wait('CALL_DTMF_START')
        return ''.join(event['param'] for event in self.events('CALL_DTMF_START'))

    # ---- sound ---------------------------------------------------------------------------------------------------

    def heard(self, direction: str = 'dec') -> Path:
        """The recording of the last call, complete when it is over: what came ('dec'), or what was sent ('enc')."""
        self._wait_closed()
        paths = sorted((self.folder / 'recordings').glob(f'*-{direction}.wav'), key=os.path.getmtime)
        assert paths, f'baresip has recorded nothing: {self.log()[-2000:]}'
        return paths[-1]

    def _wait_closed(self) -> None:
        """Wait until it has no recording open any more: the length stands in the header from then on."""
        def is_open() -> bool:
            folder = str(self.folder / 'recordings')
            links: list[str] = []
            for path in Path(f'/proc/{self._process.pid}/fd').iterdir():
                try:
                    links.append(os.readlink(path))
                except OSError:
                    pass
            return any(link.startswith(folder) for link in links)
        _wait_until(lambda: not is_open(), 'baresip does not close its recording')


def _wait_until(condition: Callable[[], bool], text: str) -> None:
    until = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < until, text
        time.sleep(0.02)
