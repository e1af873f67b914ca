"""Our end of calls with sipp, whose echo tells that sound goes both ways."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.programs import Notes, hear
from tests.support.sdk import SDK, Event
from tests.support.sipp import Sipp
from tests.support.waiting import wait_until

__all__ = ['NOTES', 'Call']

NOTES: Notes = ((523.0, 0.2), (659.0, 0.2), (784.0, 0.2), (1047.0, 0.2))


class Call(NamedTuple):
    """Our end of the calls of a test.

    Attributes:
        folder: `notes.wav` there has the notes and then a pause, as it takes a moment until the last one is back.
        notes: of that file.
    """

    sdk: SDK
    folder: Path
    notes: Notes = NOTES

    def uri(self, transport: str = 'udp') -> str:
        """To call us at."""
        return f'sip:{self.sdk.get("bonjour", "contact.username")}@127.0.0.1:{self.sdk.ports[transport]};transport={transport}'

    def peer(self, steps: Iterable[str], **options: Any) -> Sipp:
        """Somebody who waits for a call."""
        return Sipp(self.folder, steps, **options)

    def caller(self, steps: Iterable[str], transport: str = 'udp') -> Sipp:
        """Somebody who calls us."""
        return Sipp(self.folder, steps, target=f'127.0.0.1:{self.sdk.ports[transport]}', transport=transport)

    def start(self, peer: Sipp, transport: str = 'udp', **arguments: Any) -> None:
        self.sdk.do('connect', session='out', account='bonjour', uri=f'sip:peer@127.0.0.1:{peer.port};transport={transport}', **arguments)

    def started(self, session: str = 'out') -> Event:
        return self.sdk.wait('SIPSessionDidStart', session, unless='SIPSessionDidFail')

    def connect(self, peer: Sipp, transport: str = 'udp', **arguments: Any) -> None:
        self.start(peer, transport, **arguments)
        self.started()

    def answer(self, behind_server: Sipp | None = None, **arguments: Any) -> str:
        """Ring, and accept the call. One from behind a server of several processes is let ring first: our 200 might overtake the 180 there."""
        session = self.sdk.wait('SIPSessionNewIncoming').sender
        self.sdk.call(session, 'send_ring_indication')
        if behind_server is not None:
            assert wait_until(lambda: 'SIP/2.0 180' in behind_server.messages()), behind_server.trace()
        self.sdk.do('accept', session=session, **arguments)
        self.started(session)
        return session

    def talk(self, session: str = 'out', digit: str | None = '5', stream: int = 0) -> None:
        """Say something and press a key: both come back, over RTP in both directions."""
        heard = self.folder / 'heard.wav'
        self.sdk.do('record', recorder='recorder', session=session, stream=stream, filename=str(heard))
        self.sdk.do('play', player='player', session=session, stream=stream, filename=str(self.folder / 'notes.wav'))
        self.sdk.wait('WavePlayerDidEnd')
        if digit:
            self.sdk.call(f'{session}/streams.{stream}', 'send_dtmf', digit)
            assert self.sdk.wait('AudioStreamGotDTMF', session).digit == digit
        self.sdk.do('stop_record', recorder='recorder')
        notes = [note for note, _ in groupby(hear(heard, self.notes))]         # a busy machine may tear one in two
        assert notes == [frequency for frequency, _ in self.notes], f'heard {notes}'

    def hang_up(self, peer: Sipp, session: str = 'out') -> None:
        self.sdk.call(session, 'end')
        assert self.sdk.wait('SIPSessionDidEnd', session).fields == {'originator': 'local', 'end_reason': 'user_request'}
        peer.finish()

    def ended(self, peer: Sipp, session: str = 'out') -> None:
        """The peer has hung up."""
        assert self.sdk.wait('SIPSessionDidEnd', session).fields == {'originator': 'remote', 'end_reason': 'user_request'}
        peer.finish()
