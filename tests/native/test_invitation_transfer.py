"""Call transfer inside a dialog: REFER in both roles (RFC 3515, 4488, 5589)."""

import pytest

from sipsimple.core import DialogID, Header, SIPCoreError, SIPURI
from tests.support.engine import nothing_left
from tests.support.sip_calls import Outgoing

FRAG = 'Content-Type: message/sipfrag;version=2.0\r\n'


def notify(call, cseq, frag, state='active;expires=60'):
    """The peer tells how the transfer goes."""
    call.peer.send(call.in_dialog('NOTIFY', cseq=cseq, headers=f'Event: refer\r\nSubscription-State: {state}\r\n{FRAG}', body=frag))
    return call.peer.receive().code


def states(call):
    """The changes of the transfer's state so far."""
    return [(past.data.prev_state, past.data.state) for past in call.seen.past if past.name == 'SIPInvitationTransferChangedState']


def test_outgoing_transfer(peer, seen):
    call = Outgoing(peer, seen).connect()
    call.invitation.transfer(SIPURI(host='example.com', user='carol'))
    with pytest.raises(SIPCoreError):
        call.invitation.transfer(SIPURI(host='example.com', user='dave'))
    refer = peer.expect('REFER')
    assert refer.get('refer-to') == '<sip:carol@example.com>' and refer.get('referred-by') == '<sip:alice@example.com>'
    data = seen.wait('SIPInvitationTransferNewOutgoing', sender=call.invitation).data
    assert data.method == 'REFER' and data.request_uri.user == 'peer' and data.headers['Refer-To'].uri == 'sip:carol@example.com'
    assert call.invitation.transfer_state == 'SENT'
    peer.answer(refer, 202)
    seen.wait('SIPInvitationTransferDidStart', sender=call.invitation)
    for cseq, state, frag in ((1, 'active', 'SIP/2.0 100 Trying'), (2, 'terminated;reason=noresource', 'SIP/2.0 200 OK')):
        peer.send(call.in_dialog('NOTIFY', cseq=cseq, headers=f'Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag;version=2.0\r\n',
                                 body=frag))
        assert peer.expect(200)
        assert seen.wait('SIPInvitationTransferGotNotify', sender=call.invitation).data.body == frag.encode()
    seen.wait('SIPInvitationTransferDidEnd', sender=call.invitation)
    assert states(call) == [(None, 'SENT'), ('SENT', 'ACCEPTED'), ('ACCEPTED', 'ACTIVE'), ('ACTIVE', 'TERMINATED')]
    assert call.invitation.transfer_state == 'TERMINATED'
    call.end()


def test_subscribe_inside_a_dialog_with_a_transfer(peer, seen):
    """It may be about the transfer; there is nothing else to subscribe to, before, during and after it."""
    call = Outgoing(peer, seen).connect()
    cseqs = iter(range(1, 20))

    def subscribe(event):
        peer.send(call.in_dialog('SUBSCRIBE', cseq=next(cseqs), headers=f'{event}Expires: 60\r\n'))
        while (code := peer.receive().code) is None:        # a NOTIFY that comes again
            pass
        return code
    assert (subscribe('Event: presence\r\n'), subscribe('Event: refer\r\n'), subscribe('')) == (489, 481, 489)
    peer.send(call.in_dialog('REFER', cseq=next(cseqs), headers='Refer-To: <sip:carol@example.com>\r\n'))
    assert peer.expect(202)
    notify = peer.expect('NOTIFY')
    assert notify.get('event').startswith('refer')
    peer.answer(notify, 200)
    seen.wait('SIPInvitationTransferChangedState', sender=call.invitation, state='ACTIVE')
    assert (subscribe('Event: presence\r\n'), subscribe('Event: refer;id=nonsense\r\n'), subscribe('o: dialog\r\n'), subscribe('')) == (489, 481, 489, 489)
    call.invitation.notify_transfer_progress(486)
    notify = peer.expect('NOTIFY')
    assert '486' in notify.body
    peer.answer(notify, 200)
    assert (subscribe('Event: presence\r\n'), subscribe('Event: refer\r\n')) == (489, 481)
    assert call.invitation.state == 'connected'
    call.end()


def test_attended_transfer(peer, seen):
    call = Outgoing(peer, seen).connect()
    call.invitation.transfer(SIPURI(host='example.com', user='carol'), DialogID('id@host', 'here', 'there'), [Header('Referred-By', '<sip:boss@example.com>')])
    refer = peer.expect('REFER')
    assert refer.get('refer-to') == '<sip:carol@example.com?Replaces=id%40host%3Bfrom-tag%3Dhere%3Bto-tag%3Dthere>'
    assert refer.headers['referred-by'] == ['<sip:boss@example.com>']
    peer.answer(refer, 603)
    seen.wait('SIPInvitationTransferDidFail', sender=call.invitation)
    call.invitation.transfer(SIPURI(host='example.com', user='carol'), DialogID('id@host', 'here', None))
    assert '?' not in peer.expect('REFER').get('refer-to')
    call.end()


def test_failed_transfer_and_another_one(peer, seen):
    """The peer's last NOTIFY leaves the subscription active; a new transfer is possible all the same."""
    call = Outgoing(peer, seen).connect()
    for cseq in (1, 3):
        call.invitation.transfer(SIPURI(host='example.com', user='carol'))
        peer.answer(peer.expect('REFER'), 202)
        assert notify(call, cseq, 'SIP/2.0 100 Trying') == 200
        assert notify(call, cseq + 1, 'SIP/2.0 486 Busy Here') == 200
        data = seen.wait('SIPInvitationTransferDidFail', sender=call.invitation).data
        assert (data.code, data.reason) == (486, 'Busy Here')
    assert notify(call, 9, 'SIP/2.0 200 OK') == 481
    call.end()


def test_subscription_that_ends_without_a_result(peer, seen):
    call = Outgoing(peer, seen).connect()
    call.invitation.transfer(SIPURI(host='example.com', user='carol'))
    peer.answer(peer.expect('REFER'), 202)
    assert notify(call, 1, 'SIP/2.0 100 Trying') == 200
    assert notify(call, 2, 'SIP/2.0 180 Ringing', 'terminated;reason=giveup') == 200
    assert seen.wait('SIPInvitationTransferDidFail', sender=call.invitation).data.code == 0
    call.end()


def test_hang_up_during_a_transfer(peer, seen):
    call = Outgoing(peer, seen).connect()
    call.invitation.transfer(SIPURI(host='example.com', user='carol'))
    peer.answer(peer.expect('REFER'), 202)
    seen.wait('SIPInvitationTransferDidStart', sender=call.invitation)
    call.end()
    names = [past.name for past in seen.past]
    assert names.index('SIPInvitationTransferDidFail') < len(names) - 1         # before `disconnected`


def test_accepted_without_subscription(peer, seen):
    """RFC 4488: nothing more is to be learnt."""
    call = Outgoing(peer, seen).connect()
    call.invitation.transfer(SIPURI(host='example.com', user='carol'), extra_headers=[Header('Refer-Sub', 'false')])
    peer.answer(peer.expect('REFER'), 202, headers='Refer-Sub: false\r\n')
    seen.wait('SIPInvitationTransferDidEnd', sender=call.invitation)
    call.end()


def test_challenged_transfer(peer, seen):
    from sipsimple.core import Credentials
    call = Outgoing(peer, seen, credentials=Credentials('alice', 'secret')).connect()
    call.invitation.transfer(SIPURI(host='example.com', user='carol'))
    peer.answer(peer.expect('REFER'), 407, headers='Proxy-Authenticate: Digest realm="example.com", nonce="n", qop="auth"\r\n')
    again = peer.expect('REFER')
    assert again.get('proxy-authorization')
    peer.answer(again, 202)
    seen.wait('SIPInvitationTransferDidStart', sender=call.invitation)
    assert sum(past.name == 'SIPInvitationTransferNewOutgoing' for past in seen.past) == 1
    call.end()


def test_refused_transfer_and_a_second_try(peer, seen):
    call = Outgoing(peer, seen).connect()
    for code in (603, 500):
        call.invitation.transfer(SIPURI(host='example.com', user='carol'))
        peer.answer(peer.expect('REFER'), code)
        assert seen.wait('SIPInvitationTransferDidFail', sender=call.invitation).data.code == code
    call.end()


def test_incoming_transfer(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('REFER', cseq=1))
    assert peer.expect(400)
    peer.send(call.in_dialog('REFER', cseq=2, headers='Refer-To: <tel:+1234>\r\n'))
    assert peer.expect(400)
    peer.send(call.in_dialog('REFER', cseq=3, headers='Refer-To: <sip:carol@example.com>\r\n'))
    assert peer.expect(202)
    data = seen.wait('SIPInvitationTransferNewIncoming', sender=call.invitation).data
    assert data.headers['Refer-To'].uri == 'sip:carol@example.com'
    notify = peer.expect('NOTIFY')
    assert notify.body.startswith('SIP/2.0 100')
    peer.answer(notify, 200)
    peer.send(call.in_dialog('REFER', cseq=4, headers='Refer-To: <sip:dave@example.com>\r\n'))
    assert peer.expect(480)
    call.invitation.notify_transfer_progress(180)
    notify = peer.expect('NOTIFY')
    assert notify.body.startswith('SIP/2.0 180')
    peer.answer(notify, 200)
    call.invitation.notify_transfer_progress(200)
    notify = peer.expect('NOTIFY')
    assert notify.body.startswith('SIP/2.0 200') and 'terminated' in notify.get('subscription-state')
    peer.answer(notify, 200)
    seen.wait('SIPInvitationTransferDidEnd', sender=call.invitation)
    call.end()


def test_incoming_transfer_that_fails(peer, seen):
    call = Outgoing(peer, seen).connect()
    for cseq in (1, 2):
        peer.send(call.in_dialog('REFER', cseq=cseq, headers='Refer-To: <sip:carol@example.com>\r\nReferred-By: <sip:peer@example.com>\r\n'))
        peer.expect(202)
        peer.answer(peer.expect('NOTIFY'), 200)
        data = seen.wait('SIPInvitationTransferNewIncoming', sender=call.invitation).data
        assert data.method == 'REFER' and data.headers['Referred-By'].body == '<sip:peer@example.com>'
        seen.wait('SIPInvitationTransferChangedState', sender=call.invitation, state='ACTIVE')
        call.invitation.notify_transfer_progress(486, 'Engaged ' + 'x' * 300)
        last = peer.expect('NOTIFY')
        assert last.body.startswith('SIP/2.0 486 Engaged') and last.get('subscription-state').startswith('terminated')
        peer.answer(last, 200)
        data = seen.wait('SIPInvitationTransferDidFail', sender=call.invitation).data
        assert data.code == 486 and data.reason.startswith('Engaged')
    with pytest.raises(SIPCoreError):
        call.invitation.notify_transfer_progress(200)
    call.end()


def test_peer_forgets_about_its_transfer(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('REFER', cseq=1, headers='Refer-To: <sip:carol@example.com>\r\n'))
    peer.expect(202)
    peer.answer(peer.expect('NOTIFY'), 481)
    assert seen.wait('SIPInvitationTransferDidFail', sender=call.invitation).data.code == 481
    call.end()


def test_incoming_transfer_without_subscription(peer, seen):
    call = Outgoing(peer, seen).connect()
    peer.send(call.in_dialog('REFER', cseq=1, headers='Refer-To: <sip:carol@example.com>\r\nRefer-Sub: false\r\n'))
    assert peer.expect(202).get('refer-sub') == 'false'
    seen.wait('SIPInvitationTransferNewIncoming', sender=call.invitation)
    peer.send(call.in_dialog('REFER', cseq=2, headers='Refer-To: <sip:dave@example.com>\r\n'))
    assert peer.expect(480)
    call.invitation.notify_transfer_progress(180)
    call.invitation.notify_transfer_progress(200)
    seen.wait('SIPInvitationTransferDidEnd', sender=call.invitation)
    assert peer.silent()
    call.end()


def test_nothing_is_left(engine):
    assert nothing_left()


def test_reason_written_twice(peer, seen):
    """As Linphone 5 ends the subscription."""
    call = Outgoing(peer, seen).connect()
    call.invitation.transfer(SIPURI(host='example.com', user='carol'))
    peer.answer(peer.expect('REFER'), 202)
    assert notify(call, 1, 'SIP/2.0 100 Trying') == 200
    assert notify(call, 2, 'SIP/2.0 200 OK', 'terminated;reason=reason=noresource') == 200
    seen.wait('SIPInvitationTransferDidEnd', sender=call.invitation)
    call.end()
