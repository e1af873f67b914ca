"""sipp: scenarios built from steps, run against the SDK or a server, whose outcome is checked by sipp itself.

    steps = [receive('INVITE'), reply(180), reply(200, sdp=sdp()), receive('ACK'), receive('BYE'), reply(200)]
    with Sipp(folder, steps) as peer:
        ...                                 # call sip:peer@127.0.0.1:{peer.port}
        peer.finish()                       # every message was as the scenario wants it

The sound that comes in is sent back (`-rtp_echo`), telephone events as well. sipp 3.6 of Debian has no TLS.
"""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self
from xml.sax.saxutils import quoteattr

from tests.support.programs import environment, free_ports, is_bound
from tests.support.require import require

__all__ = ['FORMATS', 'Sipp', 'ack', 'ack_failure', 'ack_within', 'cancel', 'invite', 'pause', 'receive', 'receive_authorized', 'receive_first', 'receive_invite',
           'receive_within', 'register', 'reply', 'reply_late',
           'reply_within', 'request', 'sdp', 'send']

LIMIT = 30.0
FORMATS = {'PCMU': ('0', '0 PCMU/8000'), 'PCMA': ('8', '8 PCMA/8000'), 'G722': ('9', '9 G722/8000'), 'opus': ('96', '96 opus/48000/2')}
CALLER = 'peer@[local_ip]:[local_port]'
CONTACT = 'Contact: <sip:peer@[local_ip]:[local_port];transport=[transport]>\n'
VIA = 'Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n'
_variables = itertools.count(1)


# ---- steps ---------------------------------------------------------------------------------------------------------


def sdp(*codecs: str, direction: str = 'sendrecv', version: int = 1, address: str = '[media_ip]', extra: str = '') -> str:
    """A session description; no codec means PCMU. `extra` are further lines, each with its end."""
    formats = [FORMATS[codec] for codec in codecs or ('PCMU',)]
    return (f'v=0\no=sipp 1 {version} IN IP4 [local_ip]\ns=sipp\nc=IN IP4 {address}\nt=0 0\n'
            f'm=audio [media_port] RTP/AVP {" ".join(number for number, _ in formats)} 101\n'
            + ''.join(f'a=rtpmap:{line}\n' for _, line in formats)
            + f'a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na={direction}\n{extra}')


def send(text: str, retransmit: bool = False, **attributes: str) -> str:
    """Send a message as it is written."""
    more = ''.join(f' {name}={quoteattr(value)}' for name, value in attributes.items())
    return f'<send{" retrans=" + quoteattr("500") if retransmit else ""}{more}><![CDATA[\n\n{text}\n]]></send>'


def _via(again: int = 0) -> str:
    return VIA.replace('[branch]', f'[branch-{again}]') if again else VIA


def _body(text: str | None, content_type: str = 'application/sdp') -> str:
    return 'Content-Length: 0\n\n' if text is None else f'Content-Type: {content_type}\nContent-Length: [len]\n\n{text}'


def reply(code: int, reason: str = 'Test', sdp: str | None = None, headers: str = '', tag: str = 'sipp', contact: str | None = None) -> str:
    """Answer the request received last."""
    to = '[last_To:]' if code == 100 else f'[last_To:];tag={tag}[call_number]'
    where = CONTACT if contact is None else f'Contact: {contact}\n'
    return send(f'SIP/2.0 {code} {reason}\n[last_Via:]\n[last_Record-Route:]\n[last_From:]\n{to}\n[last_Call-ID:]\n[last_CSeq:]\n'
                f'{where}{headers}{_body(sdp)}', retransmit=code >= 200 and sdp is not None)


def reply_late(code: int, reason: str = 'Test', sdp: str | None = None, headers: str = '') -> str:
    """Answer the last request of `receive_first` or `receive_within`, after others have come."""
    return send(f'SIP/2.0 {code} {reason}\nVia: [$via_value]\nFrom: [$from_value]\nTo: [$to_value];tag=sipp[call_number]\n[last_Call-ID:]\n'
                f'CSeq: [$cseq_value]\n{CONTACT}{headers}{_body(sdp)}')


def reply_within(code: int, reason: str = 'OK', sdp: str | None = None, headers: str = '') -> str:
    """Answer a request within the dialog, whose To has its tag already."""
    return send(f'SIP/2.0 {code} {reason}\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n'
                f'{CONTACT}{headers}{_body(sdp)}', retransmit=sdp is not None)


def receive(what: str | int, optional: bool = False, checks: Mapping[str, str] | None = None, **attributes: str) -> str:
    """Expect a request or a response; `checks` are regular expressions for its header fields, '' for the whole message."""
    kind = 'response' if isinstance(what, int) else 'request'
    values = {kind: str(what), **({'optional': 'true'} if optional else {}), **attributes}
    actions = ''
    for header, expression in (checks or {}).items():
        place = f'search_in="hdr" header={quoteattr(header + ":")}' if header else 'search_in="msg"'
        number = next(_variables)
        actions += f'<ereg regexp={quoteattr(expression)} {place} check_it="true" assign_to="v{number}"/><log message="[$v{number}]"/>'
    text = ''.join(f' {name}={quoteattr(value)}' for name, value in values.items())
    return f'<recv{text}><action>{actions}</action></recv>' if actions else f'<recv{text}/>'


def pause(seconds: float) -> str:
    """Wait."""
    return f'<pause milliseconds="{round(seconds * 1000)}"/>'


def request(method: str, cseq: int, sdp: str | None = None, headers: str = '', uri: str | None = None, caller: str = CALLER,
            content_type: str = 'application/sdp', again: int = 0) -> str:
    """A request in the dialog: of a call that we made to `uri`, or (None) that came to us, by `receive_first`. With `again` it is that of so many
    steps before, sent once more."""
    if uri is None:
        parties = 'From: [$to_value];tag=sipp[call_number]\nTo: [$from_value]'
    else:
        parties = f'From: <sip:{caller}>;tag=sipp[call_number]\nTo: <{uri}>[peer_tag_param]'
    return send(f'{method} [next_url] SIP/2.0\n{_via(again)}[routes]\n{parties}\nCall-ID: [call_id]\nCSeq: {cseq} {method}\nMax-Forwards: 70\n'
                f'{CONTACT}{headers}{_body(sdp, content_type)}', retransmit=method != 'ACK')


def _with_actions(step: str, actions: str) -> str:
    return step.replace('<action>', f'<action>{actions}') if '<action>' in step else step.replace('/>', f'><action>{actions}</action></recv>')


def _remembered(*headers: str) -> str:
    return ''.join(f'<ereg regexp=".*" search_in="hdr" header="{header}:" assign_to="{header.lower()}_value"/>' for header in headers)


def receive_first(method: str, checks: Mapping[str, str] | None = None) -> str:
    """Expect a request that begins a dialog and remember what requests of ours in it, and late answers, need."""
    return _with_actions(receive(method, checks=checks, rrs='true'), _remembered('From', 'To', 'Via', 'CSeq'))


def receive_invite(checks: Mapping[str, str] | None = None) -> str:
    """Expect an INVITE: see `receive_first`."""
    return receive_first('INVITE', checks)


def receive_within(method: str, checks: Mapping[str, str] | None = None) -> str:
    """Expect a request in the dialog of `receive_first`, to be answered by `reply_late`."""
    return _with_actions(receive(method, checks=checks), _remembered('Via', 'CSeq'))


def receive_authorized(method: str, username: str, password: str, checks: Mapping[str, str] | None = None) -> str:
    """Expect a request whose first credentials are right, which sipp computes itself."""
    number = next(_variables)
    action = f'<verifyauth assign_to="v{number}" username={quoteattr(username)} password={quoteattr(password)}/>'
    # Not right: the end of the scenario is a request that nobody sends.
    return (f'{_with_actions(receive(method, checks=checks, rrs="true"), action)}\n<nop next="right{number}" test="v{number}"/>\n'
            f'<recv request="{method}" timeout="1"/>\n<label id="right{number}"/>')


def invite(uri: str, sdp: str | None, caller: str = CALLER, cseq: int = 1, headers: str = '', again: int = 0) -> str:
    """The first INVITE of a call that we make. With `again` it is that of so many steps before, sent once more."""
    return send(f'INVITE {uri} SIP/2.0\n{_via(again)}From: <sip:{caller}>;tag=sipp[call_number]\nTo: <{uri}>\nCall-ID: [call_id]\nCSeq: {cseq} INVITE\n'
                f'Max-Forwards: 70\nUser-Agent: sipp\n{CONTACT}{headers}{_body(sdp)}', retransmit=True)


def ack(uri: str, caller: str = CALLER, cseq: int = 1, sdp: str | None = None, again: int = 0) -> str:
    """The ACK of a 2xx to the INVITE of a call that we made."""
    return request('ACK', cseq, sdp, uri=uri, caller=caller, again=again)


def ack_failure(uri: str, caller: str = CALLER, cseq: int = 1) -> str:
    """The ACK of another answer, which belongs to the transaction of the INVITE."""
    return send(f'ACK {uri} SIP/2.0\n[last_Via:]\nFrom: <sip:{caller}>;tag=sipp[call_number]\n[last_To:]\nCall-ID: [call_id]\nCSeq: {cseq} ACK\n'
                'Max-Forwards: 70\nContent-Length: 0\n\n')


def ack_within(cseq: int) -> str:
    """The ACK of an answer other than 2xx to an INVITE of ours in the dialog of a call that came to us."""
    return send(f'ACK [next_url] SIP/2.0\n[last_Via:]\nFrom: [$to_value];tag=sipp[call_number]\nTo: [$from_value]\nCall-ID: [call_id]\n'
                f'CSeq: {cseq} ACK\nMax-Forwards: 70\nContent-Length: 0\n\n')


def cancel(uri: str, caller: str = CALLER, cseq: int = 1) -> str:
    """Take the INVITE back, after a provisional response."""
    return send(f'CANCEL {uri} SIP/2.0\n[last_Via:]\nFrom: <sip:{caller}>;tag=sipp[call_number]\nTo: <{uri}>\nCall-ID: [call_id]\nCSeq: {cseq} CANCEL\n'
                'Max-Forwards: 70\nContent-Length: 0\n\n', retransmit=True)


def register(user: str, password: str, domain: str, expires: int = 60) -> list[str]:
    """Register our contact at a registrar that asks for credentials."""
    def text(cseq: int, more: str) -> str:
        return send(f'REGISTER sip:{domain} SIP/2.0\n{VIA}From: <sip:{user}@{domain}>;tag=r[call_number]\nTo: <sip:{user}@{domain}>\nCall-ID: [call_id]\n'
                    f'CSeq: {cseq} REGISTER\nMax-Forwards: 70\n{CONTACT}Expires: {expires}\n{more}Content-Length: 0\n\n', retransmit=True)
    return [text(1, ''), receive(401, auth='true'), text(2, f'[authentication username={user} password={password}]\n'), receive(200)]


# ---- the process ---------------------------------------------------------------------------------------------------


class Sipp:
    """One run of a scenario, one call. A context manager, which ends it.

    Args:
        folder: for scenario and logs.
        steps: of the scenario.
        target: "host:port" of whom it calls; None: it waits for a call.
        transport: 'udp' or 'tcp'.
        port: None for any.
        retransmissions: send again what is not answered, and take nothing for the same message twice.

    Attributes:
        port: SIP port; media_port: of the RTP that is echoed.
    """

    _numbers = itertools.count(1)

    def __init__(self, folder: Path, steps: Iterable[str], target: str | None = None, transport: str = 'udp', port: int | None = None,
                 retransmissions: bool = True) -> None:
        require('sipp')
        number = next(self._numbers)
        self.folder = folder / f'sipp-{number}'
        self.folder.mkdir(parents=True)
        self.port = port or free_ports()
        self.media_port = free_ports(4)
        text = '\n'.join(steps)
        names = sorted({word.split('"')[0] for word in text.split('assign_to="')[1:]})
        reference = f'<Reference variables="{",".join(names)}"/>' if names else ''
        (self.folder / 'scenario.xml').write_text(f'<?xml version="1.0" encoding="ISO-8859-1"?>\n<scenario name="test">\n{text}\n{reference}\n</scenario>\n')
        command = ['sipp', '-sf', 'scenario.xml', '-i', '127.0.0.1', '-p', str(self.port), '-mi', '127.0.0.1', '-mp', str(self.media_port), '-m', '1',
                   '-nostdin', '-rtp_echo', '-t', 't1' if transport == 'tcp' else 'u1',
                   '-timeout', str(round(LIMIT)), '-timeout_error', '-trace_msg', '-message_file',
                   'messages', '-trace_err', '-error_file', 'errors', '-cid_str', f'{number}-%u-%p@%s', *([] if retransmissions else ['-nr']), *([target] if target else [])]
        self._output = open(self.folder / 'output', 'wb')       # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self._output,
                                         stderr=subprocess.STDOUT, env=environment())
        if target is None:
            until = time.monotonic() + LIMIT
            while not is_bound(self.port, transport):
                assert self._process.poll() is None and time.monotonic() < until, f'sipp does not start: {self.trace()}'
                time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def trace(self) -> str:
        """What it has written: errors, then messages."""
        parts = [(self.folder / name).read_text(errors='replace') for name in ('errors', 'messages', 'output') if (self.folder / name).exists()]
        return '\n'.join(parts)[:6000]

    def messages(self) -> str:
        """All SIP messages, sent and received."""
        return (self.folder / 'messages').read_text(errors='replace')

    def finish(self) -> None:
        """Wait for the end. AssertionError: the call was not as in the scenario."""
        try:
            status = self._process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'sipp does not end: {self.trace()}') from None
        assert status == 0, f'sipp has ended with {status}: {self.trace()}'
