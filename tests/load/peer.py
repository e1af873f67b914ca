"""The other side: calls at the level of Invitations, an audio stream each, on a mixer at the rate of the codec. So it leaves the CPU to the process under test.

All calls hear one tone; what comes back is counted, and recorded for some.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from zope.interface import implementer

from sipsimple.core import (
    AudioMixer,
    AudioTransport,
    ContactHeader,
    Engine,
    FromHeader,
    Invitation,
    RecordingWaveFile,
    Route,
    RouteHeader,
    RTPTransport,
    SDPConnection,
    SDPSession,
    SIPCoreError,
    SIPURI,
    ToHeader,
    WaveFile,
)
from sipsimple.notification import IObserver, Notification, NotificationCenter
from tests.load.app import media_figures
from tests.load.child import Child

RATE = 8000
OBSERVED = ('SIPEngineDidStart', 'SIPEngineDidEnd', 'SIPEngineGotException', 'SIPInvitationChangedState', 'SIPInvitationGotSDPUpdate',
            'RTPAudioStreamGotDTMF')


class Call:
    def __init__(self, peer: Peer, invitation: Invitation) -> None:
        self.peer = peer
        self.invitation = invitation
        self.rtp: RTPTransport | None = None
        self.audio: AudioTransport | None = None
        self.started = False

    def open(self, offer: Any = None) -> SDPSession:
        """Sockets and stream; our description."""
        self.rtp = RTPTransport(self.peer.encryption)
        self.rtp.set_INIT()
        self.audio = AudioTransport(self.peer.mixer, self.rtp, offer, 0, codecs=self.peer.codecs)
        self.peer.by_stream[self.audio] = self
        media = self.audio.get_local_media(remote_sdp=offer, index=0)
        return SDPSession('127.0.0.1', connection=SDPConnection('127.0.0.1'), media=[media])

    def accept(self) -> None:
        sdp = self.open(self.invitation.sdp.proposed_remote)
        self.invitation.send_response(200, sdp=sdp)

    def negotiated(self, local: Any, remote: Any) -> None:
        assert self.audio is not None
        if self.started:
            self.audio.update_sdp(local, remote, 0)
            return
        self.started = True
        self.audio.start(local, remote, 0)
        if self.peer.tone is not None and self.peer.tone.slot is not None:
            self.peer.mixer.connect_slots(self.peer.tone.slot, self.audio.slot)

    def accept_proposal(self) -> None:
        assert self.audio is not None
        offer, active = self.invitation.sdp.proposed_remote, self.invitation.sdp.active_local
        assert offer is not None and active is not None
        media = self.audio.get_local_media(remote_sdp=offer, index=0)
        sdp = SDPSession.new(active)
        sdp.version = active.version + 1
        sdp.media = [media]
        self.invitation.send_response(200, sdp=sdp)

    def close(self) -> None:
        if self.audio is not None:
            self.peer.by_stream.pop(self.audio, None)
            self.audio.stop()
        self.audio = self.rtp = None


@implementer(IObserver)
class Peer(Child):
    mixer: Any

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[Invitation, Call] = {}
        self.by_stream: dict[AudioTransport, Call] = {}
        self.problems: list[str] = []
        self.answer = 'accept'
        self.encryption: str | None = None
        self.codecs = ['PCMU']
        self.tone: WaveFile | None = None
        self.recorders: list[RecordingWaveFile] = []

    def handle_notification(self, notification: Notification) -> None:
        name, sender, data = notification.name, notification.sender, notification.data
        if name == 'SIPInvitationChangedState':
            try:
                self._changed(sender, data)
            except SIPCoreError as error:
                if 'PJ_EGONE' in str(error):
                    self.count('too late')          # the caller has cancelled meanwhile, and that is on its way to us
                else:
                    self.problems.append(f'{data.state}: {error}')
        elif name == 'SIPInvitationGotSDPUpdate':
            call = self.calls.get(sender)
            if call is None:
                return
            if data.succeeded:
                call.negotiated(data.local_sdp, data.remote_sdp)
            else:
                self.problems.append(f'SDP: {data.error}')
        elif name == 'RTPAudioStreamGotDTMF':
            sender.send_dtmf(data.digit)
            self.count('digit')
        elif name == 'SIPEngineGotException':
            self.problems.append(data.traceback)
        else:
            self.count(name)

    def _changed(self, invitation: Invitation, data: Any) -> None:
        state = data.state
        if state == 'incoming':
            call = self.calls[invitation] = Call(self, invitation)
            self.count('incoming')
            if self.answer == 'accept':
                call.accept()
            elif self.answer == 'ring':
                invitation.send_response(180)
            elif isinstance(self.answer, int):
                invitation.send_response(self.answer)
        elif state == 'connected':
            if data.prev_state != 'connected':
                self.count('connected')
            elif data.sub_state in ('received_proposal', 'received_proposal_request'):
                self.calls[invitation].accept_proposal()
        elif state == 'disconnected':
            gone = self.calls.pop(invitation, None)
            if gone is not None:
                gone.close()
            self.count(f'disconnected_by_{data.originator}: {data.code} {data.disconnect_reason}')
            self.count('disconnected')

    # Life

    def do_start(self, srtp: bool = False, slots: int = 400, tone: str | None = None, ports: tuple[int, int] = (20000, 30000), codecs: list[str] | None = None,
                 port: int = 0) -> dict[str, Any]:
        self.encryption = 'sdes_optional' if srtp else None
        if codecs is not None:
            self.codecs = codecs
        for name in OBSERVED:
            NotificationCenter().add_observer(self, name=name)
        engine = Engine()
        engine.start(ip_address='127.0.0.1', udp_port=port, tcp_port=port, codecs=self.codecs, rtp_port_range=tuple(ports))
        assert self.wait_for('SIPEngineDidStart', 1, 20), 'the engine does not start'
        self.mixer = AudioMixer(None, None, RATE, 0, slots)
        if tone is not None:
            self.tone = WaveFile(self.mixer, tone)
        return {'udp': engine.udp_port, 'tcp': engine.tcp_port}

    def close(self) -> None:
        Engine().stop()
        self.wait_for('SIPEngineDidEnd', 1, 20)

    # Calls

    def do_set(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    def _call(self, port: int, transport: str, user: str) -> Invitation:
        invitation = Invitation()
        call = self.calls[invitation] = Call(self, invitation)
        target = SIPURI('127.0.0.1', user=user, port=port)
        own = SIPURI('127.0.0.1', user='peer', port=Engine().udp_port if transport == 'udp' else Engine().tcp_port)
        if transport != 'udp':
            own.parameters['transport'] = target.parameters['transport'] = transport
        route = RouteHeader(Route('127.0.0.1', port=port, transport=transport).uri)
        invitation.send_invite(target, FromHeader(own), ToHeader(target), route, ContactHeader(own), call.open())
        return invitation

    def do_call(self, count: int, port: int, user: str, transport: str = 'udp') -> None:
        for _ in range(count):
            self._call(port, transport, user)

    def do_call_and_end(self, count: int, port: int, user: str, step: float | None, transport: str = 'udp') -> None:
        """Call, and end the calls: the first at once, each other one so many seconds later after it began. Without `step` leave them alone."""
        for number in range(count):
            invitation = self._call(port, transport, user)
            if step is not None:
                time.sleep(step * number)
                try:
                    invitation.end()
                except SIPCoreError as error:
                    self.problems.append(f'end in {invitation.state}: {error}')

    def do_end(self, count: int | None = None) -> dict[str, Any]:
        invitations = list(self.calls)[:count]
        for invitation in invitations:
            invitation.end()
        return {'ended': len(invitations)}

    def do_sequence(self, count: int, port: int, user: str, kind: str = 'plain', transport: str = 'udp', limit: float = 20) -> dict[str, Any]:
        started = time.monotonic()
        for _ in range(count):
            connected, over = self.counts['connected'], self.counts['disconnected']
            invitation = self._call(port, transport, user)
            if kind == 'plain':
                assert self.wait_for('connected', connected + 1, limit), f'not connected: {dict(self.counts)} {self.problems}'
                invitation.end()
            elif kind == 'cancelled':
                time.sleep(0.01)
                invitation.end()
            assert self.wait_for('disconnected', over + 1, limit), f'not disconnected: {dict(self.counts)} {self.problems}'
        return {'seconds': time.monotonic() - started}

    # Media

    def do_play(self) -> None:
        assert self.tone is not None
        self.tone.start()
        for call in list(self.calls.values()):
            if call.audio is not None and call.audio.slot is not None:
                self.mixer.connect_slots(self.tone.slot, call.audio.slot)

    def do_record(self, count: int, folder: str) -> dict[str, Any]:
        files = []
        for number, call in enumerate(list(self.calls.values())[:count]):
            assert call.audio is not None
            files.append(str(Path(folder) / f'peer-{number}.wav'))
            recorder = RecordingWaveFile(self.mixer, files[-1])
            recorder.start()
            self.mixer.connect_slots(call.audio.slot, recorder.slot)
            self.recorders.append(recorder)
        return {'files': files}

    def do_stop_recording(self) -> None:
        while self.recorders:
            self.recorders.pop().stop()

    def do_media(self) -> dict[str, Any]:
        streams = [{'codec': call.audio.codec, 'srtp': bool(call.rtp is not None and call.rtp.srtp_active), **media_figures(call.audio.statistics or {})}
                   for call in list(self.calls.values()) if call.audio is not None and call.audio.is_active]
        return {'streams': streams, 'frames_mixed': self.mixer.frames_mixed}

    def do_facts(self) -> dict[str, Any]:
        return {'live': len(self.calls), 'problems': self.problems[:20], 'log': list(self.log.lines)}

    def do_quit(self) -> None:
        pass


if __name__ == '__main__':
    Peer().run()
