"""A world without network for sessions: scripted invitations and streams, a clock, and a record of all notifications."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer

from sipsimple.core import (
    DialogID,
    FrozenReferToHeader,
    FrozenSDPSession,
    FrozenSIPURI,
    FrozenToHeader,
    Header,
    Route,
    SDPAttribute,
    SDPConnection,
    SDPMediaStream,
    SDPSession,
    SIPCoreError,
    SIPCoreInvalidStateError,
    SIPURI,
    ToHeader,
)
from sipsimple.notification import IObserver, NotificationCenter, NotificationData, TimestampedNotificationData
from sipsimple.session import Session, SessionManager, active
from sipsimple.session.base import SessionBase
from sipsimple.session.manager import _OBSERVED
from sipsimple.streams import IMediaStream, InvalidStreamError, UnknownStreamError


class Timer:
    def __init__(self, call):
        self._call = call

    def cancel(self):
        if self._call.active():
            self._call.cancel()


class InlineScheduler:
    """The reactor thread is this one; time is a `Clock`."""

    def __init__(self):
        self.clock = Clock()

    def call(self, function, *args):
        function(*args)

    call_soon = call

    def call_later(self, seconds, function, *args):
        return Timer(self.clock.callLater(seconds, function, *args))


@implementer(IObserver)
class Recorder:
    def __init__(self):
        self.events = []
        self.reactions = {}

    def handle_notification(self, notification):
        if notification.name.startswith(('SIPSession', 'MediaStream')):
            self.events.append((notification.name, notification.data))
            reaction = self.reactions.get(notification.name)
            if reaction is not None:
                reaction(notification)

    @property
    def names(self):
        """The names of the sessions' notifications, without the prefix they share."""
        return [name.removeprefix('SIPSession') for name, _ in self.events if name.startswith('SIPSession') and 'Manager' not in name]

    def all(self, name):
        return [data for each, data in self.events if each == name]

    def one(self, name):
        found = self.all(name)
        assert len(found) == 1, (name, self.names)
        return found[0]


class FakeInvitation:
    """Behaves as core-api describes; the peer is played by `peer_*` and `change`."""

    def __init__(self, world, offer=None):
        self.world = world
        self.state = None
        self.sub_state = None
        self.direction = None
        self.transport = 'udp'
        self.peer_address = SimpleNamespace(ip='127.0.0.1', port=5060)
        self.local_identity = self.remote_user_agent = self.route_header = None
        self.remote_identity = FrozenToHeader(FrozenSIPURI('example.com', user='you'))
        self.local_contact_header = self.remote_contact_header = None
        self.call_id = f'call-{id(self)}'
        self.dialog_id = DialogID(self.call_id, 'here', 'there')
        self.sdp = SimpleNamespace(proposed_local=None, proposed_remote=offer, active_local=None, active_remote=None)
        self.sent = []                  # (method, arguments) of all calls
        self.fail_send = None           # an exception for the next send
        self._untold = []
        self.transferring = False

    def _post(self, name, **fields):
        NotificationCenter().post_notification(name, sender=self, data=NotificationData(**fields))

    def change(self, state, originator='remote', sub_state=None, **fields):
        fields = {'code': 200, 'reason': 'OK', 'headers': {}, 'body': None, **fields}
        previous, previous_sub = self.state, self.sub_state
        self.state, self.sub_state = state, sub_state if state == 'connected' else None
        if previous == 'connected':
            fields['prev_sub_state'] = previous_sub
        if state == 'connected':
            self.sub_state = fields['sub_state'] = sub_state or 'normal'
        self._post('SIPInvitationChangedState', prev_state=previous, state=state, originator=originator, **fields)

    def _tell(self, *arguments):
        if self.world.late:
            self._untold.append(arguments)
        else:
            self.change(*arguments)

    def tell(self):
        """Report what the engine thread had not come to report yet."""
        untold, self._untold = self._untold, []
        for arguments in untold:
            self.change(*arguments)

    def gone(self, originator='remote', code=200, reason='', disconnect_reason='user request', **fields):
        self.change('disconnected', originator, code=code, reason=reason, disconnect_reason=disconnect_reason, **fields)

    def bye(self, disconnect_reason='user request'):
        self.gone(method='BYE', disconnect_reason=disconnect_reason)

    def negotiated(self, local, remote):
        local, remote = FrozenSDPSession.new(local), FrozenSDPSession.new(remote)
        self.sdp.active_local, self.sdp.active_remote = local, remote
        self.sdp.proposed_local = self.sdp.proposed_remote = None
        self._post('SIPInvitationGotSDPUpdate', succeeded=True, local_sdp=local, remote_sdp=remote)

    def _send(self, method, allowed, **arguments):
        if self.fail_send is not None:
            error, self.fail_send = self.fail_send, None
            raise error
        if not allowed:
            raise SIPCoreInvalidStateError(f'{method} in {self.state}/{self.sub_state}')
        self.sent.append((method, SimpleNamespace(**arguments)))

    @property
    def methods(self):
        return [method for method, _ in self.sent]

    def last(self, method):
        return [arguments for each, arguments in self.sent if each == method][-1]

    def send_invite(self, request_uri, from_header, to_header, route_header, contact_header, sdp, credentials=None, extra_headers=(), timeout=None):
        self._send('INVITE', self.state is None, request_uri=request_uri, from_header=from_header, to_header=to_header, route_header=route_header,
                   contact_header=contact_header, sdp=FrozenSDPSession.new(sdp), credentials=credentials, extra_headers=list(extra_headers), timeout=timeout)
        self.direction = 'outgoing'
        self.sdp.proposed_local = FrozenSDPSession.new(sdp)
        self._tell('outgoing', 'local')

    def send_response(self, code, reason=None, contact_header=None, sdp=None, extra_headers=()):
        allowed = self.direction == 'incoming' and self.state in ('incoming', 'early') or self.sub_state in ('received_proposal', 'received_proposal_request')
        frozen = FrozenSDPSession.new(sdp) if sdp is not None else None
        self._send(code, allowed, reason=reason, contact_header=contact_header, sdp=frozen, extra_headers=list(extra_headers))
        self.sdp.proposed_local = frozen
        if code == 100:
            return
        offer = self.sdp.proposed_remote
        if self.state == 'connected':
            if code >= 300:
                self.sdp.proposed_remote = None
                self.change('connected', 'local', code=code)
            elif offer is not None and code >= 200:
                self.negotiated(frozen, offer)
                self.change('connected', 'local', code=code)
        elif code < 200:
            self.change('early', 'local', code=code)
        elif code < 300:
            if offer is not None:
                self.negotiated(frozen, offer)
            self.change('connecting', 'local', code=code)
        else:
            self.change('disconnecting', 'local', code=code)
            if self.world.ack:
                self.gone('local', code=code, disconnect_reason='', method='ACK')

    def send_reinvite(self, contact_header=None, sdp=None, extra_headers=()):
        self._send('re-INVITE', self.state == 'connected' and self.sub_state == 'normal', contact_header=contact_header, sdp=FrozenSDPSession.new(sdp))
        self.sdp.proposed_local = FrozenSDPSession.new(sdp)
        self._tell('connected', 'local', 'sent_proposal')

    def cancel_reinvite(self):
        self._send('CANCEL re-INVITE', self.sub_state == 'sent_proposal')

    def send_message(self, content_type, content, extra_headers=()):
        self._send('MESSAGE', self.state in ('early', 'connected'), content_type=content_type, content=content)

    def transfer(self, target_uri, replaced_dialog_id=None, extra_headers=()):
        self._send('REFER', self.state == 'connected' and not self.transferring, target_uri=target_uri, replaced_dialog_id=replaced_dialog_id,
                   extra_headers=list(extra_headers))
        self.transferring = True

    def notify_transfer_progress(self, code, reason=None):
        self._send('NOTIFY', self.transferring, code=code, reason=reason)
        if code >= 200 and not self.world.late:
            self.end_transfer(code, reason or '')

    def end_transfer(self, code, reason=''):
        """The transfer of the dialog is over: what the core says then."""
        self.transferring = False
        if 200 <= code < 300:
            self._post('SIPInvitationTransferDidEnd')
        else:
            self._post('SIPInvitationTransferDidFail', code=code, reason=reason)

    def peer_refers(self, target='sip:carol@example.com', **headers):
        self.transferring = True
        fields = {'Refer-To': FrozenReferToHeader(target), **{name.replace('_', '-'): Header(name.replace('_', '-'), body) for name, body in headers.items()}}
        self._post('SIPInvitationTransferNewIncoming', method='REFER', request_uri=None, headers=fields, body=None)
        self._post('SIPInvitationTransferDidStart')

    def peer_notifies(self, status_line):
        self._post('SIPInvitationTransferGotNotify', body=status_line.encode(), headers={})

    def end(self, extra_headers=(), timeout=None):
        if self.state == 'disconnected':
            return
        method = 'CANCEL' if self.state in (None, 'outgoing', 'early') else 'BYE'
        self._send(method, self.direction == 'outgoing' or self.state in ('connecting', 'connected'), extra_headers=list(extra_headers), timeout=timeout)
        self.change('disconnecting', 'local')
        if self.world.answer_end:
            if method == 'CANCEL':
                self.gone('remote', 487, 'Request Terminated')
            else:
                self.gone('local', 200, 'OK')

    # The peer of an outgoing call

    def peer_rings(self, code=180, reason='Ringing'):
        self.change('early', code=code, reason=reason)

    def peer_answers(self, media=None):
        local = self.sdp.proposed_local
        self.negotiated(local, self.world.sdp(*(media or [(line.media, 30000) for line in local.media])))
        self.change('connecting')
        self.change('connected', 'local')

    # The peer of any connected call

    def peer_offers(self, offer):
        self.sdp.proposed_remote = FrozenSDPSession.new(offer) if offer is not None else None
        self.change('connected', 'remote', 'received_proposal' if offer is not None else 'received_proposal_request')

    def peer_delays_reinvite(self, code, reason):
        self._post('SIPInvitationGotProvisionalResponse', code=code, reason=reason, headers={}, body=None)

    def peer_answers_reinvite(self, code=200, reason='OK', remote=None):
        if code < 300:
            local = self.sdp.proposed_local
            self.negotiated(local, remote if remote is not None else self.world.sdp(*[(line.media, 30000 if line.port else 0) for line in local.media]))
        self.change('connected', 'remote', code=code, reason=reason)


@implementer(IMediaStream)
class FakeStream:
    """A stream that does at once what it is asked for, unless told otherwise."""

    type = 'audio'
    priority = 1
    hold_supported = True

    def __init__(self, account=None, script=''):
        self.account = account
        self.script = script            # words: 'slow-init', 'slow-start', 'bad-init', 'bad-start', 'refuse-update', 'raise-init'
        self.session = self.index = None
        self.on_hold_by_local = self.on_hold_by_remote = False
        self.calls = []
        self.holding = False

    def __repr__(self):
        return f'<FakeStream {self.type} {self.script}>'

    @property
    def on_hold(self):
        return self.on_hold_by_local or self.on_hold_by_remote

    @classmethod
    def new_from_sdp(cls, account, remote_sdp, stream_index):
        media = remote_sdp.media[stream_index]
        if media.media != cls.type:
            raise UnknownStreamError
        if media.port == 13:
            raise InvalidStreamError('unlucky port')
        return cls(account)

    def post(self, name, **fields):
        NotificationCenter().post_notification(name, sender=self, data=TimestampedNotificationData(**fields))

    def fail(self, reason='broken'):
        self.post('MediaStreamDidFail', context='test', reason=reason, failure=None)

    def get_local_media(self, for_offer):
        self.calls.append('offer' if for_offer else 'answer')
        return SDPMediaStream(self.type, 20000, 'RTP/AVP', formats=['0'], attributes=[SDPAttribute('sendonly' if self.holding else 'sendrecv', '')])

    def renew_offer(self):
        self.calls.append('renew')

    def initialize(self, session, direction):
        self.session = session
        self.calls.append(f'initialize {direction}')
        if 'raise-init' in self.script:
            raise ValueError('cannot')
        if 'bad-init' in self.script:
            self.fail('no device')
        elif 'slow-init' not in self.script:
            self.post('MediaStreamDidInitialize')

    def start(self, local_sdp, remote_sdp, stream_index):
        self.calls.append('start')
        if 'bad-start' in self.script:
            self.fail('no codec')
        elif 'slow-start' not in self.script:
            self.post('MediaStreamDidStart')

    def validate_update(self, remote_sdp, stream_index):
        return 'refuse-update' not in self.script

    def update(self, local_sdp, remote_sdp, stream_index):
        self.calls.append('update')
        local, remote = local_sdp.media[stream_index].direction, remote_sdp.media[stream_index].direction
        self.on_hold_by_local = local in ('sendonly', 'inactive')
        self.on_hold_by_remote = remote in ('sendonly', 'inactive')

    def hold(self):
        if not self.holding:
            self.calls.append('hold')
        self.holding = True

    def unhold(self):
        if self.holding:
            self.calls.append('unhold')
        self.holding = False

    def reset(self, stream_index):
        self.calls.append('reset')

    def deactivate(self):
        self.calls.append('deactivate')

    def end(self):
        self.calls.append('end')
        self.post('MediaStreamWillEnd')
        self.post('MediaStreamDidEnd', error=None)


class FakeText(FakeStream):
    """Another type of stream, which cannot be held."""

    type = 'text'
    hold_supported = False


class FakeContact:
    def __init__(self):
        self.missing = self.gruu = False

    def __getitem__(self, key):
        if self.missing or not isinstance(key, tuple) or isinstance(key[1], str):
            raise KeyError(key)
        return SIPURI('example.com', user='me', parameters={'gr': 'x'}) if self.gruu else SIPURI('127.0.0.1', user='me', port=5070)


class World:
    """All a test needs."""

    SIPCoreError = SIPCoreError
    Stream = FakeStream
    Text = FakeText
    Route = Route

    def __init__(self, monkeypatch):
        self.scheduler = InlineScheduler()
        self.recorder = Recorder()
        self.ack = True                 # negative answers of ours are acknowledged
        self.answer_end = True          # the peer answers our BYE and CANCEL
        self.late = False               # what follows from a call is told later: `invitation.tell()`
        self.invitations = []
        self.settings = SimpleNamespace(user_agent='test', sip=SimpleNamespace(invite_timeout=90, transport_list=['udp', 'tcp']))
        self.account = SimpleNamespace(contact=FakeContact(), uri=SIPURI('example.com', user='me'), display_name='Me', credentials=None,
                                       sip=SimpleNamespace(outbound_proxy=None, always_use_my_proxy=False), id=SimpleNamespace(domain='example.com'))
        monkeypatch.setattr(SessionBase, 'scheduler', self.scheduler)
        monkeypatch.setattr('sipsimple.session.outgoing.Invitation', self._new_invitation)
        for module in ('outgoing', 'incoming', 'proposals', 'routing'):
            monkeypatch.setattr(f'sipsimple.session.{module}.settings', lambda: self.settings)
        for module in ('incoming',):
            monkeypatch.setattr(f'sipsimple.session.{module}.MediaStreamRegistry', [FakeStream, FakeText])
        self.manager = SessionManager()
        monkeypatch.setattr(self.manager, 'find_account', lambda uri: self.account if uri.user == 'me' else None)

    def _new_invitation(self):
        self.invitations.append(FakeInvitation(self))
        return self.invitations[-1]

    @property
    def invitation(self):
        return self.invitations[-1]

    def sdp(self, *media, direction='sendrecv', address='127.0.0.1', port=30000):
        """A description of the peer: pairs of media type and port, or just types."""
        lines = []
        for item in media:
            media_type, line_port = item if isinstance(item, tuple) else (item, port)
            lines.append(SDPMediaStream(media_type, line_port, 'RTP/AVP', formats=['0'], attributes=[SDPAttribute(direction, '')]))
        return FrozenSDPSession.new(SDPSession(address, id=1, version=1, connection=SDPConnection(address), media=lines))

    def route(self, port=5060):
        return Route('127.0.0.1', port=port)

    def outgoing(self, *streams, routes=None, **arguments):
        session = Session(self.account)
        session.connect(ToHeader(SIPURI('example.com', user='you')), routes or [self.route()], list(streams) or [FakeStream()], **arguments)
        return session

    def incoming(self, *media, user='me', offer=True, headers=None):
        """An INVITE; returns the invitation, and the session if one was announced."""
        if self.manager.state != 'stopping':
            self.manager.start()
        invitation = FakeInvitation(self, self.sdp(*(media or ['audio'])) if offer else None)
        invitation.direction = 'incoming'
        before = self.manager.sessions
        invitation.change('incoming', request_uri=SIPURI('127.0.0.1', user=user), method='INVITE', headers=headers or {})
        new = [session for session in self.manager.sessions if session not in before]
        return invitation, new[0] if new else None

    def connected(self, *streams):
        """A running outgoing session with its invitation; what happened so far is forgotten."""
        session = self.outgoing(*streams)
        self.invitation.peer_answers()
        assert session.state == 'connected', (session.state, self.recorder.events)
        self.recorder.events.clear()
        self.invitation.sent.clear()
        for stream in session.streams:
            stream.calls.clear()
        return session, self.invitation

    def advance(self, seconds):
        self.scheduler.clock.advance(seconds)


@pytest.fixture
def world(monkeypatch):
    world = World(monkeypatch)
    NotificationCenter().add_observer(world.recorder)
    yield world
    NotificationCenter().remove_observer(world.recorder)
    if world.manager.state == 'started':
        for name in _OBSERVED:
            NotificationCenter().discard_observer(world.manager, name=name)
        world.manager.state = None
    active._sessions.clear()
    active._when_empty.clear()


class Lookup:
    """DNSLookup whose answer is known, and which needs no thread; with `late` it is given by `tell`."""

    def __init__(self, routes):
        self.routes = routes
        self.error = None
        self.asked = []             # (URI, transports)
        self.errors = {}            # host -> the error of that one
        self.late = None            # or a list of what was asked

    def __call__(self):
        return self

    def lookup_sip_proxy(self, uri, transports, tls_name=None):
        self.asked.append((uri, transports))
        return self

    def wait(self):
        error = self.errors.get(self.asked[-1][0].host, self.error)
        if error is not None:
            raise error
        return self.routes


@pytest.fixture
def lookup(world, monkeypatch):
    import sipsimple.session.routing as routing
    import sipsimple.session.transferee as transferee
    lookup = Lookup([world.route()])
    monkeypatch.setattr('sipsimple.account.routes.DNSLookup', lookup)
    monkeypatch.setattr(transferee, 'AudioStream', world.Stream)
    monkeypatch.setattr(transferee, '_look_up', transferee._look_up.__wrapped__)
    look_up = routing._look_up.__wrapped__
    monkeypatch.setattr(routing, '_look_up', lambda *question: look_up(*question) if lookup.late is None else lookup.late.append(question))
    lookup.tell = lambda: look_up(*lookup.late.pop(0))
    return lookup
