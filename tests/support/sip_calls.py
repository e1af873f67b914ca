"""Calls between an Invitation of the engine and the scripted peer, seen from both sides."""

from __future__ import annotations

from typing import Any, Self

from sipsimple.core import ContactHeader, FromHeader, Invitation, RouteHeader, SDPSession, SIPURI, ToHeader
from tests.support.engine import Seen
from tests.support.sip_peer import SIPText, UDPPeer, audio_sdp, tag_of

SDP_HEADERS = 'Content-Type: application/sdp\r\n'


class Outgoing:
    """An INVITE of ours and the peer's view of it."""

    def __init__(self, peer: UDPPeer, seen: Seen, sdp: str | None = audio_sdp(4000), **kwargs: Any) -> None:
        self.peer, self.seen = peer, seen
        self.invitation: Any = Invitation()
        uri = SIPURI(host='127.0.0.1', user='peer', port=peer.port)
        self.invitation.send_invite(uri, FromHeader(SIPURI(host='example.com', user='alice'), 'Alice'), ToHeader(uri),
                                    RouteHeader(SIPURI(host='127.0.0.1', port=peer.port)),
                                    ContactHeader(SIPURI(host='127.0.0.1', user='alice', port=peer.engine[1])),
                                    None if sdp is None else SDPSession.parse(sdp), **kwargs)
        self.request = peer.expect('INVITE')

    def state(self, state: str, **fields: Any) -> Any:
        """Data of the next change to that state."""
        return self.seen.wait('SIPInvitationChangedState', sender=self.invitation, state=state, **fields).data

    def answer(self, code: int, reason: str = 'Test', sdp: str | None = None, **kwargs: str) -> None:
        """Answer the INVITE in `request`."""
        if sdp is not None:
            kwargs.update(headers=kwargs.get('headers', '') + SDP_HEADERS, body=sdp)
        self.peer.answer(self.request, code, reason, **kwargs)

    def connect(self, headers: str = '') -> Self:
        self.answer(200, 'OK', sdp=audio_sdp(5000), headers=headers)
        self.peer.expect('ACK')
        self.state('connected', sub_state='normal')
        return self

    def in_dialog(self, method: str, cseq: int = 1, **kwargs: Any) -> str:
        """A request of the peer inside the dialog."""
        return self.peer.request(method, uri=f'sip:alice@127.0.0.1:{self.peer.engine[1]}', call_id=self.request.get('call-id'), cseq=cseq,
                                 from_tag='peer-to', to_tag=tag_of(self.request.get('from')), to='sip:alice@example.com', **kwargs)

    def end(self) -> Any:
        self.invitation.end()
        bye = self.peer.expect('BYE')
        self.peer.answer(bye, 200)
        return self.state('disconnected')


class Incoming:
    """An INVITE of the peer."""

    def __init__(self, peer: UDPPeer, seen: Seen, headers: str = '', body: str | None = None, **kwargs: Any) -> None:
        self.peer, self.seen = peer, seen
        body = audio_sdp(5000) if body is None else body
        self.text = peer.request('INVITE', headers=headers + (SDP_HEADERS if body else ''), body=body, **kwargs)
        peer.send(self.text)
        notification = seen.wait('SIPInvitationChangedState', state='incoming')
        self.invitation: Any = notification.sender
        self.data = notification.data
        self.ok: SIPText
        self.tag: str
        self.call_id = self.invitation.call_id

    def state(self, state: str, **fields: Any) -> Any:
        """Data of the next change to that state."""
        return self.seen.wait('SIPInvitationChangedState', sender=self.invitation, state=state, **fields).data

    def in_dialog(self, method: str, cseq: int, to_tag: str | None = None, **kwargs: Any) -> str:
        """A request of the peer inside the dialog."""
        return self.peer.request(method, call_id=self.call_id, cseq=cseq, to_tag=to_tag or self.tag, **kwargs)

    def connect(self, sdp: SDPSession | None = None) -> Self:
        self.invitation.send_response(200, sdp=sdp if sdp is not None else SDPSession.parse(audio_sdp(4000)))
        self.ok = self.peer.expect(200)
        self.tag = tag_of(self.ok.get('to'))
        self.peer.send(self.in_dialog('ACK', 1, self.tag))
        self.state('connected', sub_state='normal')
        return self
