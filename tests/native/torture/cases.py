"""What a torture case is: the bytes of a message, and what must come of it.

Answers to requests that are good stand as codes of final responses; an INVITE that reaches the application is INCOMING. A message that must change nothing and get
no answer is SILENCE.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent

INCOMING = 'incoming'           # the application has the call, and refuses it
SILENCE = 'silence'
WAITS = 'waits for the rest'    # of a message on a stream that is not complete yet

Outcome = int | str


@dataclass(frozen=True)
class Case:
    """One message of an RFC.

    Attributes:
        name: what the RFC calls it.
        section: of the RFC.
        message: every byte as it is sent.
        udp, tcp: what comes of it.
        ends: a connection that it came over is closed, as nobody knows where the next message begins.
        headers: what headers of the answer are, by name.
        second: what comes of a second message that follows in the same bytes; of TCP only, as the rest of a datagram is not looked at.
        why: where the RFC leaves a choice, or we do otherwise.
    """

    name: str
    section: str
    message: bytes
    udp: Outcome
    tcp: Outcome
    ends: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    second: Outcome | None = None
    why: str = ''


def message(text: str, body: bytes | str = b'', **values: str) -> bytes:
    """The bytes of a message that is written with plain line breaks. A value replaces its name in angle brackets, such as <LONG>."""
    text = dedent(text).strip('\n')
    for name, value in values.items():
        assert f'<{name}>' in text
        text = text.replace(f'<{name}>', value)
    head = text.replace('\n', '\r\n') + '\r\n\r\n'
    return head.encode() + (body if isinstance(body, bytes) else lines(body))


def lines(text: str) -> bytes:
    """Text with plain line breaks, as bytes with CRLF."""
    return dedent(text).lstrip('\n').replace('\n', '\r\n').encode()


def sdp(address: str, *, connection: str | None = None, time: str = '0 0') -> bytes:
    """The session description that most messages of RFC 4475 carry: audio, and video of a codec with a number that is not its own."""
    return lines(f'''
        v=0
        o=mhandley 29739 7272939 IN IP4 {address}
        s=-
        c=IN IP4 {connection or address}
        t={time}
        m=audio 49217 RTP/AVP 0 12
        m=video 3227 RTP/AVP 31
        a=rtpmap:31 LPC
    ''')
