"""Accounts against a registrar that does as the test says: what a well-kept server does not show, or not in time."""

from __future__ import annotations

import pytest

from tests.support.certificates import Authority
from tests.support.dns_server import ScriptedServer
from tests.support.registrar import ScriptedRegistrar, answer, challenge, granted, silence
from tests.support.sdk import SDK
from tests.support.waiting import wait_until

NAME = 'alice@registrar.test'
SOON = (0.2, 0.3)
RETRY_AFTER = {'no address': SOON, 'not made': SOON, 'not sent': SOON, 'too short': (60, 61), 'refused': SOON, 'expired': SOON}


def tell_registrar(what):
    """Expression that gives the registrar of the account an input."""
    return f'''__import__('sipsimple.threading', fromlist=['_']).call_in_twisted_thread(
        AccountManager().get_account({NAME!r})._registrar._inputs.put, __import__('sipsimple.account.registration', fromlist=['_']).Input.{what})'''


RETRY_NOW, REFRESH_NOW = tell_registrar('RETRY'), tell_registrar('REFRESH')


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('certificates'))


@pytest.fixture(scope='module')
def sdk(authority):
    with SDK() as sdk:
        sdk.start(settings={'sip.transport_list': ['udp', 'tcp', 'tls'], 'tls.verify_server': True, 'tls.ca_list': str(authority.file)})
        sdk.do('patch', module='sipsimple.account.registration', values={'RETRY_AFTER': RETRY_AFTER})
        yield sdk


@pytest.fixture
def registrar():
    with ScriptedRegistrar() as registrar:
        yield registrar


@pytest.fixture(autouse=True)
def fresh(sdk, registrar):
    sdk.mark()
    yield
    registrar.script = [granted(60)]            # the account is unregistered while it is still there
    if sdk.call('manager', 'has_account', NAME):
        sdk.call(NAME, 'delete')
        sdk.wait('SIPAccountManagerDidRemoveAccount')


def add(sdk, registrar, **values):
    sdk.account(NAME, {'auth.password': 'secret', 'sip.outbound_proxy': registrar.proxy, 'enabled': True, **values})


def success(sdk):
    return sdk.wait('SIPAccountRegistrationDidSucceed', NAME)


def failure(sdk):
    return sdk.wait('SIPAccountRegistrationDidFail', NAME)


# ---- answers -------------------------------------------------------------------------------------------------------


def test_interval_too_brief(sdk, registrar):
    """RFC 3261 section 10.2.8: asked again at once with what the registrar wants, and so from then on."""
    registrar.script = [answer(423, 'Interval Too Brief', 'Min-Expires: 60'), granted(60)]
    add(sdk, registrar, **{'sip.register_interval': 1})
    assert success(sdk).expires == 60
    sdk.do('evaluate', expression=REFRESH_NOW)
    registrar.wait(3)
    assert [request.get('expires') for request in registrar.requests] == ['1', '60', '60']
    assert [event.code for event in sdk.events('SIPAccountRegistrationGotAnswer', NAME)][:2] == [423, 200]
    assert sdk.wait('SIPAccountRegistrationWillRefresh', NAME)
    sdk.account(NAME, {'sip.register_interval': 2})         # what one registrar wanted need not be what the next one wants
    assert registrar.wait(5).get('expires') == '2'


@pytest.mark.parametrize('headers', [['Min-Expires: 600'], []])
def test_interval_that_is_always_too_brief(sdk, registrar, headers):
    registrar.script = [answer(423, 'Interval Too Brief', *headers)]
    add(sdk, registrar)
    failed = failure(sdk)
    assert failed.error == 'Interval too short' and 60 <= failed.retry_after <= 61 and len(registrar.requests) == 1


def test_stale_nonce(sdk, registrar):
    registrar.script = [challenge('one'), challenge('two', stale=True), granted(60)]
    add(sdk, registrar)
    success(sdk)
    assert ['nonce="two"' in (request.get('authorization') or '') for request in registrar.requests] == [False, False, True]
    assert [event.code for event in sdk.events('SIPAccountRegistrationGotAnswer', NAME)] == [200]


def test_wrong_password_is_given_ever_more_rarely(sdk, registrar):
    """Servers lock out who insists. Another password is tried at once."""
    registrar.script = [challenge('one'), challenge('two')] * 4
    add(sdk, registrar)
    waits = [failure(sdk).retry_after]
    for _ in range(2):
        sdk.do('evaluate', expression=RETRY_NOW)
        waits.append(failure(sdk).retry_after)
    assert 60 <= waits[0] <= 120 <= waits[1] <= 240 <= waits[2] <= 480
    sdk.account(NAME, {'auth.password': 'another'})
    assert 60 <= failure(sdk).retry_after <= 120


def test_server_says_when_to_come_back(sdk, registrar):
    registrar.script = [answer(503, 'Maintenance', 'Retry-After: 90')]
    add(sdk, registrar)
    failed = failure(sdk)
    assert (failed.error, failed.retry_after) == ('Maintenance', 90)
    answered = sdk.wait('SIPAccountRegistrationGotAnswer', NAME)
    assert (answered.code, answered.reason) == (503, 'Maintenance')


def test_contact_that_is_not_stored(sdk, registrar):
    registrar.script = [answer(200, 'OK', 'Expires: 0'), granted(60)]
    add(sdk, registrar)
    assert failure(sdk).error == 'The contact was not stored'
    success(sdk)


def test_contact_has_its_own_time(sdk, registrar):
    registrar.script = [granted(2, 'Expires: 600')]
    add(sdk, registrar)
    assert success(sdk).expires == 2
    sdk.wait('SIPAccountRegistrationWillRefresh', NAME)
    assert success(sdk).expires == 2


def test_refresh_that_fails(sdk, registrar):
    """The registration is given up and made anew; nobody is told that it was refreshed."""
    registrar.script = [granted(60), answer(500, 'Trouble'), granted(60)]
    add(sdk, registrar)
    success(sdk)
    sdk.do('evaluate', expression=REFRESH_NOW)
    assert failure(sdk).error == 'Trouble' and sdk.get(NAME, 'registered') is False
    success(sdk)
    assert registrar.requests[0].get('call-id') == registrar.requests[1].get('call-id') != registrar.requests[2].get('call-id')
    assert [name.removeprefix('SIPAccount') for name in sdk.names(NAME, 'SIPAccount')][2:] == [
        'WillRegister', 'RegistrationGotAnswer', 'RegistrationDidSucceed', 'RegistrationWillRefresh', 'RegistrationGotAnswer', 'RegistrationDidFail',
        'WillRegister', 'RegistrationGotAnswer', 'RegistrationDidSucceed']


# ---- silence -------------------------------------------------------------------------------------------------------


def test_stop_during_an_attempt(sdk, registrar):
    """What the registrar has stored meanwhile is taken out again, however late its answer."""
    registrar.script = [silence]
    add(sdk, registrar)
    waiting = registrar.wait(1)
    sdk.set(NAME, enabled=False)
    registrar.script = [silence, granted(60), granted(60)]
    registrar.send_late(waiting, granted(60))
    sdk.wait('SIPAccountDidDeactivate', NAME)
    assert registrar.wait(2).get('expires') == '0'
    sdk.wait('SIPAccountRegistrationDidEnd', NAME)


def test_stop_right_after_other_settings(sdk, registrar):
    """The attempt with the new settings is not waited for."""
    add(sdk, registrar)
    success(sdk)
    registrar.script = [granted(60), granted(60), silence]
    with ScriptedRegistrar() as silent:
        silent.script = [silence]
        sdk.do('evaluate', expression=f'''[agent.assign(AccountManager().get_account({NAME!r}), values)
            for values in ({{"sip.outbound_proxy": {silent.proxy!r}}}, {{"enabled": False}})]''')
        sdk.wait('SIPAccountDidDeactivate', NAME, timeout=8)
        sdk.wait('SIPAccountRegistrationDidEnd', NAME)


def test_stop_during_an_attempt_that_is_not_answered(sdk, registrar):
    registrar.script = [silence]
    add(sdk, registrar)
    registrar.wait(1)
    sdk.set(NAME, enabled=False)
    sdk.wait('SIPAccountDidDeactivate', NAME, timeout=10)
    assert sdk.names(NAME, 'SIPAccountRegistration') == []


def test_unregistering_without_an_answer(sdk, registrar):
    registrar.script = [granted(60), silence]
    add(sdk, registrar)
    success(sdk)
    sdk.set(NAME, enabled=False)
    end = sdk.wait('SIPAccountRegistrationDidNotEnd', NAME)
    assert (end.code, end.reason) == (408, 'Request Timeout')
    assert end.types == {'code': 'int', 'reason': 'str', 'registration': 'Registration', 'timestamp': 'datetime'}
    sdk.wait('SIPAccountDidDeactivate', NAME)


def test_settings_changed_during_an_attempt(sdk, registrar):
    """They are used at once, and the attempt with the old ones is given up."""
    registrar.script = [silence]
    add(sdk, registrar)
    registrar.wait(1)
    with ScriptedRegistrar() as other:
        sdk.account(NAME, {'sip.outbound_proxy': other.proxy})
        success(sdk)
        assert sdk.events('SIPAccountRegistrationDidFail', NAME) == []


def test_name_server_that_does_not_answer(sdk):
    """The end of an account does not wait for it."""
    with ScriptedServer(lambda query, transport: []) as server:
        nameservers = sdk.do('evaluate', expression='DNSManager().nameservers')
        sdk.do('evaluate', expression=f'setattr(DNSManager(), "nameservers", [{server.endpoint!r}])')
        try:
            sdk.account(NAME, {'enabled': True})
            sdk.wait('SIPAccountWillRegister', NAME)
            sdk.set(NAME, enabled=False)
            sdk.wait('SIPAccountDidDeactivate', NAME, timeout=5)
        finally:
            sdk.do('evaluate', expression=f'setattr(DNSManager(), "nameservers", {nameservers!r})')


# ---- connections ---------------------------------------------------------------------------------------------------


def test_connection_that_breaks(sdk, authority):
    """The server cannot reach us any more: another connection is made soon, not at the time to refresh; more slowly when it breaks at once again."""
    with ScriptedRegistrar('tcp') as registrar:
        add(sdk, registrar)
        waits = []
        for _ in range(2):
            success(sdk)
            registrar.disconnect()
            failed = failure(sdk)
            assert failed.error == 'Connection lost'
            waits.append(failed.retry_after)
        assert 1 <= waits[0] <= 2 <= waits[1] <= 4
        success(sdk)


# ---- flows (RFC 5626) ----------------------------------------------------------------------------------------------

OUTBOUND = granted(60, 'Require: outbound')
CONTACT = f'str(AccountManager().get_account({NAME!r}).contact["udp"])'


@pytest.fixture
def fast_pings(sdk):
    """Keep-alives follow each other fast, and silence is noticed soon."""
    names = ('STREAM_INTERVAL', 'DATAGRAM_INTERVAL', 'PING_LIMIT')
    before = sdk.do('evaluate', expression=f'[getattr(importlib.import_module("sipsimple.core.registration"), name) for name in {names!r}]')
    sdk.do('patch', module='sipsimple.core.registration', values={'STREAM_INTERVAL': [0.1, 0.2], 'DATAGRAM_INTERVAL': [0.1, 0.2], 'PING_LIMIT': 1.5})
    yield
    sdk.do('patch', module='sipsimple.core.registration', values=dict(zip(names, before, strict=True)))


def test_outbound_is_offered(sdk, registrar):
    """One that does not know of it leaves all as it was."""
    add(sdk, registrar)
    success(sdk)
    request = registrar.requests[0]
    instance = sdk.get('settings', 'instance_id')
    assert request.get('supported') == 'gruu, outbound, path'
    assert f';+sip.instance="<{instance}>"' in request.get('contact') and ';reg-id=1' in request.get('contact')
    assert registrar.pings == 0 and ';ob' not in sdk.do('evaluate', expression=CONTACT)


def test_first_hop_that_does_not_know_of_flows(sdk, registrar):
    """RFC 5626 section 4.2.1: without it then, at once and from then on, until something changes."""
    registrar.script = [answer(439, 'First Hop Lacks Outbound Support'), granted(60)]
    add(sdk, registrar)
    success(sdk)
    sdk.do('evaluate', expression=REFRESH_NOW)
    registrar.wait(3)
    assert [('reg-id' in request.get('contact'), request.get('supported')) for request in registrar.requests[:3]] == [
        (True, 'gruu, outbound, path'), (False, 'gruu'), (False, 'gruu')]
    assert sdk.events('SIPAccountRegistrationDidFail', NAME) == []
    sdk.call(NAME, 'reregister')
    assert wait_until(lambda: 'reg-id=1' in registrar.requests[-1].get('contact'))


@pytest.mark.parametrize('transport', ['udp', 'tls'])
def test_flow_that_fails(sdk, authority, fast_pings, transport):
    """A server that does not answer keep-alives any more: told within seconds, and registered anew, as the same flow of the same instance."""
    with ScriptedRegistrar(transport, authority.issue('flows', '127.0.0.1') if transport == 'tls' else None) as registrar:
        registrar.script = [OUTBOUND]
        add(sdk, registrar)
        success(sdk)
        assert wait_until(lambda: registrar.pings > 5)
        registrar.answers_pings = False
        failed = failure(sdk)
        assert failed.error == 'Connection lost' and 1 <= failed.retry_after <= 2 and sdk.get(NAME, 'registered') is False
        registrar.answers_pings = True
        success(sdk)
        first, last = registrar.requests[0], registrar.requests[-1]
        assert first.get('call-id') != last.get('call-id')
        assert [request.get('contact').partition('>')[2] for request in (first, last)] == [first.get('contact').partition('>')[2]] * 2
        sdk.call(NAME, 'delete')
        sdk.wait('SIPAccountManagerDidRemoveAccount')


def test_flow_of_another_address(sdk, fast_pings, registrar):
    """Behind a NAT: dialogs come by the flow. When the NAT forgets the way, the account registers anew."""
    registrar.script = [OUTBOUND]
    registrar.seen = '192.0.2.1', 4000
    add(sdk, registrar)
    success(sdk)
    assert sdk.do('evaluate', expression=CONTACT).endswith(';ob')
    sdk.do('evaluate', expression=REFRESH_NOW)
    success(sdk)
    assert len(registrar.requests) == 2 and all(';ob' not in request.get('contact') for request in registrar.requests)
    pings = registrar.pings
    assert wait_until(lambda: registrar.pings > pings + 2)
    registrar.seen = '192.0.2.1', 4001
    assert failure(sdk).error == 'Connection lost'
    assert ';ob' not in sdk.do('evaluate', expression=CONTACT)
    success(sdk)


def test_flow_that_cannot_be_made_again(sdk, registrar):
    """RFC 5626 section 4.5: all clients of such a server are there at once, so each waits ever longer."""
    registrar.script = [OUTBOUND, answer(500, 'Trouble')]
    add(sdk, registrar)
    success(sdk)
    sdk.do('evaluate', expression=REFRESH_NOW)
    waits = [failure(sdk).retry_after]
    for _ in range(2):
        sdk.do('evaluate', expression=RETRY_NOW)
        waits.append(failure(sdk).retry_after)
    assert 30 <= waits[0] <= 60 <= waits[1] <= 120 <= waits[2] <= 240


# ---- certificates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name, names, options, reason', [
    ('wrongname', ['other.test'], {}, 'The server identity does not match to any identities specified in the certificate'),
    ('expired', ['127.0.0.1'], {'expired': True}, 'The certificate has expired or not yet valid'),
    ('selfsigned', ['127.0.0.1'], {'self_signed': True}, 'The certificate is untrusted')])
def test_refused_certificate(sdk, authority, name, names, options, reason):
    with ScriptedRegistrar('tls', authority.issue(name, *names, **options)) as registrar:
        add(sdk, registrar)
        assert failure(sdk).error == f'Certificate refused: {reason}'
        assert sdk.wait('SIPEngineTransportGotCertificateError').certificate_errors == [reason]
        assert registrar.requests == []


def test_certificate_of_another_name(sdk, authority):
    """`sip.tls_name`: the name to find in the certificate, when it is not that of the proxy; it is also the one asked for (SNI)."""
    with ScriptedRegistrar('tls', authority.issue('named', 'sip.provider.test')) as registrar:
        add(sdk, registrar, **{'sip.tls_name': 'sip.provider.test'})
        assert success(sdk).registrar == f'sip:127.0.0.1:{registrar.port};transport=tls;tls_name=sip.provider.test'
        assert registrar.server_names == ['sip.provider.test']
        sdk.set(NAME, sip__tls_name='other.test')
        assert failure(sdk).error.startswith('Certificate refused: The server identity does not match')


def test_certificate_is_not_looked_at(sdk, authority):
    sdk.set('settings', tls__verify_server=False)
    try:
        with ScriptedRegistrar('tls', authority.issue('untrusted', 'other.test', self_signed=True)) as registrar:
            add(sdk, registrar)
            success(sdk)
    finally:
        sdk.set('settings', tls__verify_server=True)
