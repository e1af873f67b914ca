"""Transfers: the side that asks, and the side that is asked."""

from types import SimpleNamespace

import pytest

from sipsimple.core import DialogID, Header, SIPCoreError, SIPURI
from sipsimple.lookup import DNSLookupError
from sipsimple.session import IllegalDirectionError, IllegalStateError
from sipsimple.session.transfer import TRANSFER_TRANSITIONS, TransferHandler, TransferInput, TransferState

CAROL = SIPURI('example.com', user='carol')


# ---- the side that asks ----------------------------------------------------------------------------------------------


def test_blind_transfer(world):
    session, invitation = world.connected()
    session.transfer(CAROL)
    new = world.recorder.one('SIPSessionTransferNewOutgoing')
    assert new.transfer_destination == CAROL and new.transfer_source == world.account.uri
    assert invitation.last('REFER').target_uri == CAROL and invitation.last('REFER').replaced_dialog_id is None
    assert (session.transfer_handler.direction, session.transfer_handler.state) == ('outgoing', 'starting')
    invitation._post('SIPInvitationTransferDidStart')
    assert session.transfer_handler.state == 'started'
    for line in ('SIP/2.0 100 Trying', 'SIP/2.0 180 Ringing', 'SIP/2.0 200 OK'):
        invitation.peer_notifies(line)
    invitation.end_transfer(200)
    assert [(data.code, data.reason) for data in world.recorder.all('SIPSessionTransferGotProgress')] == [(100, 'Trying'), (180, 'Ringing'), (200, 'OK')]
    assert session.transfer_handler.state == 'ended' and session.state == 'terminated' and 'BYE' in invitation.methods
    assert world.recorder.names == ['TransferNewOutgoing', 'TransferDidStart', *3 * ['TransferGotProgress'], 'TransferDidEnd', 'WillEnd',
                                    'DidProcessTransaction', 'DidEnd']


def test_attended_transfer(world):
    replaced, _ = world.connected()
    session, invitation = world.connected()
    session.transfer('sip:carol@example.com', replaced, [Header('X-Why', 'because')])
    sent = invitation.last('REFER')
    assert sent.replaced_dialog_id is replaced.dialog_id and [header.name for header in sent.extra_headers] == ['X-Why']
    invitation.end_transfer(200)
    assert session.state == 'terminated' and replaced.state == 'connected'         # its own peer ends that


def test_session_without_dialog_cannot_be_replaced(world):
    session, invitation = world.connected()
    fresh = world.outgoing()
    world.invitation.dialog_id = None
    with pytest.raises(IllegalStateError):
        session.transfer(CAROL, fresh)
    assert session.transfer_handler.direction is None and 'REFER' not in invitation.methods


def test_bad_target_changes_nothing(world):
    session, _ = world.connected()
    for target in ('', 'carol', 'http://example.com', 'sip:'):
        with pytest.raises((ValueError, SIPCoreError)):
            session.transfer(target)
    assert session.transfer_handler.state is None


def test_failed_transfer_and_another_one(world):
    session, invitation = world.connected()
    for code in (486, 603):
        session.transfer(CAROL)
        with pytest.raises(IllegalStateError):
            session.transfer(CAROL)
        invitation.end_transfer(code, 'No')
        assert world.recorder.all('SIPSessionTransferDidFail')[-1].code == code
        assert session.transfer_handler.state == 'failed' and session.state == 'connected'


def test_transfer_that_the_core_refuses(world):
    session, invitation = world.connected()
    invitation.fail_send = SIPCoreError('no')
    session.transfer(CAROL)
    data = world.recorder.one('SIPSessionTransferDidFail')
    assert (data.code, data.reason) == (500, 'no') and session.state == 'connected'


def test_session_ends_during_our_transfer(world):
    session, invitation = world.connected()
    session.transfer(CAROL)
    invitation.bye()
    assert world.recorder.one('SIPSessionTransferDidFail').code == 0
    assert world.recorder.names.index('TransferDidFail') < world.recorder.names.index('DidEnd')


def test_where_a_transfer_is_legal(world):
    session = world.outgoing()
    with pytest.raises(IllegalStateError):
        session.transfer(CAROL)
    world.invitation.peer_answers()
    with pytest.raises(IllegalDirectionError):
        session.accept_transfer()
    with pytest.raises(IllegalDirectionError):
        session.reject_transfer()
    session.transfer(CAROL)
    with pytest.raises(IllegalDirectionError):
        session.accept_transfer()
    session.end()
    for call in (session.accept_transfer, session.reject_transfer, lambda: session.transfer(CAROL)):
        with pytest.raises(IllegalStateError):
            call()


# ---- the side that is asked ------------------------------------------------------------------------------------------


def notified(invitation):
    return [arguments.code for method, arguments in invitation.sent if method == 'NOTIFY']


def test_transfer_followed(world, lookup):
    session, invitation = world.connected()
    invitation.peer_refers('sip:carol@example.com;transport=tcp?Replaces=id%40x%3Bto-tag%3Dt%3Bfrom-tag%3Df', Referred_By='<sip:boss@example.com>')
    data = world.recorder.one('SIPSessionTransferNewIncoming')
    assert data.transfer_destination == CAROL and data.transfer_source == SIPURI('example.com', user='you')
    assert (session.transfer_handler.direction, session.transfer_handler.state) == ('incoming', 'starting') and notified(invitation) == []
    session.accept_transfer()
    new = session.transfer_handler.new_session
    assert new.state == 'outgoing' and new.account is session.account and session.transfer_handler.state == 'started'
    assert new.transfer_info.referred_by == '<sip:boss@example.com>' and new.transfer_info.replaced_dialog_id == DialogID('id@x', 'f', 't')
    invite = world.invitation.last('INVITE')
    assert str(invite.to_header.uri) == 'sip:carol@example.com;transport=tcp'
    assert {header.name: header.body for header in invite.extra_headers} == {'Referred-By': '<sip:boss@example.com>', 'Replaces': 'id@x;from-tag=f;to-tag=t'}
    world.invitation.peer_rings()
    assert session.state == 'connected'
    world.invitation.peer_answers()
    assert notified(invitation) == [180, 200] and new.state == 'connected'
    assert session.state == 'terminated' and session.transfer_handler.state == 'ended'
    names = world.recorder.names
    assert names.index('TransferDidStart') < names.index('NewOutgoing') < names.index('TransferDidEnd') < names.index('WillEnd')
    with pytest.raises(IllegalStateError):
        session.accept_transfer()


@pytest.mark.parametrize('focus, target, both', [
    (True, 'sip:carol@example.com;method=INVITE', True), (True, 'sip:carol@example.com', False), (False, 'sip:carol@example.com;method=INVITE', False),
    (True, 'sip:carol@example.com;method=invite?Replaces=id%40x%3Bto-tag%3Dt%3Bfrom-tag%3Df', False)])
def test_participant_of_our_conference_asks_for_another_one(world, lookup, focus, target, both):
    """Who says the method adds somebody (RFC 4579 section 5.5); who does not is transferred."""
    session, invitation = world.connected()
    session.local_focus = focus
    invitation.peer_refers(target)
    session.accept_transfer()
    new = session.transfer_handler.new_session
    assert new.local_focus is both and ('isfocus' in world.invitation.last('INVITE').contact_header.parameters) is both
    world.invitation.peer_rings()
    world.invitation.peer_answers()
    assert notified(invitation) == [180, 200] and new.state == 'connected' and session.transfer_handler.state == 'ended'
    assert session.state == ('connected' if both else 'terminated')
    assert ('DidEnd' in world.recorder.names) is not both


def test_removal_inside_the_call_is_refused(world):
    session, invitation = world.connected()
    session.local_focus = True
    invitation.peer_refers('sip:carol@example.com;method=BYE')
    assert notified(invitation) == [400] and 'TransferNewIncoming' not in world.recorder.names


@pytest.mark.parametrize('proxy, own, transports, expected', [
    (None, False, ['udp'], 'sip:carol@example.org'),
    (None, True, ['udp'], 'sip:example.com'),
    (SimpleNamespace(host='proxy.example.com', port=5080, transport='tcp'), True, ['tcp'], 'sip:proxy.example.com:5080;transport=tcp'),
    (SimpleNamespace(host='proxy.example.com', port=5080, transport='tcp'), False, ['udp'], 'sip:carol@example.org'),
])
def test_next_hop(world, lookup, proxy, own, transports, expected):
    world.account.sip.outbound_proxy, world.account.sip.always_use_my_proxy = proxy, own
    world.settings.sip.transport_list = transports
    session, invitation = world.connected()
    invitation.peer_refers('sip:carol@example.org')
    session.accept_transfer()
    assert [(str(uri), names) for uri, names in lookup.asked] == [(expected, transports)]
    assert session.transfer_handler.new_session.transfer_info.referred_by == '<sip:you@example.com>'


def test_target_is_busy(world, lookup):
    session, invitation = world.connected()
    for _ in range(2):                      # and then there is a second try
        invitation.peer_refers()
        session.accept_transfer()
        world.invitation.gone(code=486, reason='Busy Here', disconnect_reason='Busy Here')
        assert notified(invitation)[-1] == 486
        data = world.recorder.all('SIPSessionTransferDidFail')[-1]
        assert (data.code, data.reason) == (486, 'Busy Here')
        assert session.state == 'connected' and session.transfer_handler.state == 'failed'


def test_name_that_is_not_found(world, lookup):
    lookup.error = DNSLookupError('no such name')
    session, invitation = world.connected()
    invitation.peer_refers()
    session.accept_transfer()
    data = world.recorder.one('SIPSessionTransferDidFail')
    assert notified(invitation) == [480] and (data.code, data.reason) == (0, 'no such name') and session.state == 'connected'


def test_no_route(world, lookup):
    lookup.routes = []
    session, invitation = world.connected()
    invitation.peer_refers()
    session.accept_transfer()
    assert notified(invitation) == [500] and session.transfer_handler.state == 'failed'


def test_rejected(world):
    session, invitation = world.connected()
    invitation.peer_refers()
    with pytest.raises(ValueError):
        session.reject_transfer(200)
    session.reject_transfer()
    data = world.recorder.one('SIPSessionTransferDidFail')
    assert notified(invitation) == [486] and (data.code, data.reason) == (486, 'Busy Here')
    with pytest.raises(IllegalStateError):
        session.accept_transfer()
    invitation.peer_refers()
    session.reject_transfer(603, 'Never')
    assert invitation.last('NOTIFY').reason == 'Never' and world.recorder.all('SIPSessionTransferDidFail')[-1].reason == 'Never'
    assert session.state == 'connected'


@pytest.mark.parametrize('target', ['http://example.com', 'sip:carol@example.com;method=MESSAGE', 'sip:carol@example.com?Replaces=x', 'tel:123'])
def test_target_that_cannot_be_called(world, target):
    session, invitation = world.connected()
    invitation.peer_refers(target)
    assert notified(invitation) == [400] and session.transfer_handler.state is None and session.state == 'connected'
    assert world.recorder.all('SIPSessionTransferNewIncoming') == []


def test_hang_up_before_the_answer(world):
    session, invitation = world.connected()
    invitation.peer_refers()
    invitation.end_transfer(0, 'the dialog ended')
    invitation.bye()
    assert world.recorder.one('SIPSessionTransferDidFail').code == 0 and session.transfer_handler.state == 'failed'


def test_hang_up_while_the_target_rings(world, lookup):
    """A blind transfer often ends so: the peer is gone, the new call is made all the same."""
    session, invitation = world.connected()
    invitation.peer_refers()
    session.accept_transfer()
    invitation.end_transfer(0, 'the dialog ended')
    invitation.bye()
    assert session.state == 'terminated' and session.transfer_handler.state == 'started'
    world.invitation.peer_rings()
    world.invitation.peer_answers()
    assert session.transfer_handler.state == 'ended' and session.transfer_handler.new_session.state == 'connected'
    assert world.recorder.all('SIPSessionTransferDidFail') == []


def test_ours_waits_for_the_end_of_the_peers(world):
    """The dialog has one transfer at a time; what the core still has to say of the peer's is not taken for news of ours."""
    session, invitation = world.connected()
    invitation.peer_refers()
    world.late = True
    session.reject_transfer()
    session.transfer(CAROL)
    assert 'REFER' not in invitation.methods
    invitation.end_transfer(486)
    assert 'REFER' in invitation.methods and session.transfer_handler.state == 'starting'
    assert len(world.recorder.all('SIPSessionTransferDidFail')) == 1


# ---- the table -------------------------------------------------------------------------------------------------------


def test_every_state_can_be_left():
    reached = {None, *TRANSFER_TRANSITIONS.values()}
    assert reached == {None, *TransferState}
    assert {state for state, _ in TRANSFER_TRANSITIONS} == reached
    assert {what for _, what in TRANSFER_TRANSITIONS} == set(TransferInput)
    for state in TransferState:
        assert state.partition('_')[0] in ('incoming', 'outgoing') and state.partition('_')[2] in ('starting', 'started', 'ended', 'failed')


def test_handler_says_what_it_is():
    handler = TransferHandler()
    assert (handler.direction, handler.state, handler.new_session, handler.active) == (None, None, None, False)
    assert repr(handler) == '<TransferHandler unused>'
    assert handler._try(TransferInput.ASKED) and handler.active
    assert repr(handler) == '<TransferHandler incoming_starting>'
