"""Accounts against the lab's Kamailio: what an application sees of registrations over UDP, TCP and TLS."""

from __future__ import annotations

import time

import pytest

from tests.support.lab import lab_fixture
from tests.support.sdk import SDK
from tests.support.sip_peer import UDPPeer

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures('idle_accounts')]

lab = lab_fixture('dns', 'kamailio', 'kamailio256')
TRANSPORTS = ('udp', 'tcp', 'tls')
SHA256 = 100                                # what the ports of that server are higher by
IDLE = 36                                   # seconds, after which PJSIP would have closed a connection that nobody uses
# The SDK waits at least 15 seconds after a failure; a test cannot.
SOON = {'no address': (0.2, 0.4), 'not made': (0.2, 0.4), 'not sent': (0.2, 0.4), 'too short': (0.2, 0.4), 'refused': (0.2, 0.4), 'expired': (0.2, 0.4)}
SETTINGS = {'sip.transport_list': list(TRANSPORTS), 'tls.verify_server': True}


def proxy(lab, transport, shift=0):
    port = lab.port('SIPS' if transport == 'tls' else 'SIP') + shift
    return f'127.0.0.1:{port};transport={transport}'


def password(name):
    return f'{name.partition("@")[0]}-pw'


@pytest.fixture(scope='module')
def sdk(lab):
    with SDK() as sdk:
        sdk.start(nameservers=lab.nameservers, settings={**SETTINGS, 'tls.ca_list': str(lab.certs / 'ca.pem')})
        sdk.do('patch', module='sipsimple.account.registration', values={'RETRY_AFTER': SOON})
        sdk.do('evaluate', expression="importlib.import_module('sipsimple.account.registration').BACKOFFS.update(flow=(0.2, 0.2))")
        yield sdk


@pytest.fixture(autouse=True)
def fresh(sdk):
    """Every test begins without accounts."""
    sdk.mark()
    yield
    for name in sdk.do('evaluate', expression='[account.id for account in AccountManager().get_accounts() if account is not BonjourAccount()]'):
        sdk.call(name, 'delete')
        sdk.wait('SIPAccountManagerDidRemoveAccount', account=f'Account({name!r})')


def add(sdk, lab, name='alice@lab.test', transport='udp', **values):
    values = {'auth.password': password(name), 'sip.outbound_proxy': proxy(lab, transport), 'enabled': True, **values}
    sdk.account(name, values)


def registered(sdk, name='alice@lab.test', **fields):
    return sdk.wait('SIPAccountRegistrationDidSucceed', name, unless='SIPAccountRegistrationDidFail', **fields)


# ---- registering ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('transport', TRANSPORTS)
def test_register_and_unregister(sdk, lab, transport):
    """The notifications of the document with their fields, from the start of an account to its end."""
    name = 'alice@lab.test'
    add(sdk, lab, name, transport)
    success = registered(sdk, name)
    port = lab.port('SIPS' if transport == 'tls' else 'SIP')
    parameters = {'udp': '', 'tcp': ';transport=tcp', 'tls': ';transport=tls;tls_name=127.0.0.1'}[transport]
    contact = sdk.do('evaluate', expression=f'AccountManager().get_account({name!r}).contact[{transport!r}]')
    assert success.registrar == f'sip:127.0.0.1:{port}{parameters}' and success.types['registrar'] == 'Route'
    assert success.contact_header.startswith(f'Contact: <{contact}>') and success.types['contact_header'] == 'FrozenContactHeader'
    assert len(success.contact_header_list) == 1 and f'<{contact}>' in success.contact_header_list[0]
    assert (success.expires, success.types['expires'], success.types['timestamp']) == (600, 'int', 'datetime')
    assert sdk.get(name, 'registered') is True
    answer = sdk.wait('SIPAccountRegistrationGotAnswer', name)
    assert (answer.code, answer.reason, answer.registrar) == (200, 'OK', success.registrar)
    assert answer.types == {'code': 'int', 'reason': 'str', 'registration': 'Registration', 'registrar': 'Route', 'timestamp': 'datetime'}
    sdk.set(name, enabled=False)
    end = sdk.wait('SIPAccountRegistrationDidEnd', name)
    assert end.types == {'registration': 'Registration', 'timestamp': 'datetime'} and end.registration == answer.registration
    sdk.wait('SIPAccountDidDeactivate', name)
    assert sdk.get(name, 'registered') is False
    assert sdk.names(name, 'SIPAccount') == [
        'SIPAccountWillActivate', 'SIPAccountDidActivate', 'SIPAccountWillRegister', 'SIPAccountRegistrationGotAnswer', 'SIPAccountRegistrationDidSucceed',
        'SIPAccountWillDeactivate', 'SIPAccountRegistrationDidEnd', 'SIPAccountDidDeactivate']
    assert 'Expires: 0\r\n' in [message for message in sdk.messages(received=False) if message.startswith('REGISTER')][-1]


def test_domain_finds_the_registrar(sdk, lab):
    """No proxy: NAPTR, SRV and A of the domain; the certificate must be the domain's, at whatever address it is presented."""
    name = 'alice@lab.test'
    sdk.account(name, {'auth.password': password(name), 'enabled': True})
    assert registered(sdk, name).registrar == f'sip:127.0.0.1:{lab.port("SIP")}'        # the first of the transport list
    sdk.set('settings', sip__transport_list=['tls'])
    try:
        success = registered(sdk, name)
        assert success.registrar == f'sip:127.0.0.1:{lab.port("SIPS")};transport=tls;tls_name=lab.test'
        check = sdk.wait('SIPEngineTransportDidVerifyCertificate')
        assert (check.remote_hostname, check.remote_ip, check.verified) == ('lab.test', '127.0.0.1', True)
        request = [message for message in sdk.messages(received=False) if message.startswith('REGISTER')][-1]
        assert 'Route: <sip:127.0.0.1' in request and 'tls_name' not in request         # nobody else's business
    finally:
        sdk.set('settings', sip__transport_list=list(TRANSPORTS))


@pytest.mark.parametrize('transport', TRANSPORTS)
def test_sha256(sdk, lab, transport):
    add(sdk, lab, 'alice@lab.test', transport, **{'sip.outbound_proxy': proxy(lab, transport, SHA256)})
    registered(sdk)
    assert 'algorithm=SHA-256' in [message for message in sdk.messages(received=False) if 'Authorization: Digest' in message][-1]


def test_gruu(sdk, lab):
    """RFC 5627: both kinds are learnt, and gone with the registration."""
    add(sdk, lab)
    registered(sdk)
    instance = sdk.get('settings', 'instance_id')
    facts = sdk.facts('alice@lab.test', 'contact.public_gruu', 'contact.temporary_gruu')
    assert facts['contact.public_gruu'] == f'sip:alice@lab.test;gr={instance}'
    assert facts['contact.temporary_gruu'].startswith('sip:') and facts['contact.temporary_gruu'].endswith('@lab.test;gr')
    sdk.set('alice@lab.test', enabled=False)
    sdk.wait('SIPAccountDidDeactivate', 'alice@lab.test')
    assert set(sdk.facts('alice@lab.test', 'contact.public_gruu', 'contact.temporary_gruu').values()) == {None}


def test_two_accounts_at_once(sdk, lab):
    for name in ('alice@lab.test', 'bob@lab.test'):
        add(sdk, lab, name)
    contacts = {name: registered(sdk, name).contact_header for name in ('alice@lab.test', 'bob@lab.test')}
    assert len(set(contacts.values())) == 2
    sdk.set('alice@lab.test', enabled=False)
    sdk.wait('SIPAccountRegistrationDidEnd', 'alice@lab.test')
    assert sdk.get('bob@lab.test', 'registered') is True


def test_authentication_name(sdk, lab):
    """The name to authenticate with may be another one; this registrar does not want it for this address."""
    add(sdk, lab, 'alice@lab.test', **{'auth.username': 'bob', 'auth.password': 'bob-pw'})
    failure = sdk.wait('SIPAccountRegistrationDidFail', 'alice@lab.test')
    assert failure.error == 'Wrong user' and sdk.wait('SIPAccountRegistrationGotAnswer', 'alice@lab.test').code == 403


# ---- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name, given', [('alice@lab.test', 'wrong'), ('nobody@lab.test', 'x')])
def test_wrong_credentials(sdk, lab, name, given):
    """One attempt, and no other for at least a minute; a corrected password is tried at once."""
    add(sdk, lab, name, **{'auth.password': given})
    failure = sdk.wait('SIPAccountRegistrationDidFail', name)
    assert failure.error == 'Authentication failed' and 60 <= failure.retry_after <= 120 and failure.types['retry_after'] == 'float'
    answer = sdk.wait('SIPAccountRegistrationGotAnswer', name)
    assert (answer.code, answer.reason) == (401, 'Unauthorized')
    assert sdk.get(name, 'registered') is False
    assert sum(message.startswith('REGISTER') for message in sdk.messages(received=False)) == 2       # without and with credentials
    if name == 'alice@lab.test':
        sdk.set(name, auth__password='alice-pw')
        registered(sdk, name)


def test_refresh(sdk, lab):
    """The registrar grants 10 seconds, whatever less is asked for: refreshed in time, again and again."""
    add(sdk, lab, **{'sip.register_interval': 3})
    first = registered(sdk)
    assert first.expires == 10
    will = sdk.wait('SIPAccountRegistrationWillRefresh', 'alice@lab.test')
    second = registered(sdk)
    assert first.time + 4 < will.time <= second.time < first.time + 10 and second.expires == 10
    assert second.contact_header == first.contact_header and sdk.get('alice@lab.test', 'registered') is True
    assert sdk.names('alice@lab.test', 'SIPAccountWillRegister') == ['SIPAccountWillRegister']


# ---- changes while registered --------------------------------------------------------------------------------------


@pytest.mark.parametrize('values', [{'auth.password': 'alice-pw '}, {'sip.register_interval': 700}, {'sip.outbound_proxy': 'tcp'}])
def test_changed_settings_register_anew(sdk, lab, values):
    name = 'alice@lab.test'
    add(sdk, lab, name)
    registered(sdk, name)
    if 'sip.outbound_proxy' in values:
        values = {'sip.outbound_proxy': proxy(lab, 'tcp')}
    sdk.account(name, values)
    sdk.wait('SIPAccountRegistrationDidEnd', name)
    if 'auth.password' in values:
        assert sdk.wait('SIPAccountRegistrationDidFail', name).error == 'Authentication failed'
        return
    success = registered(sdk, name)
    assert success.expires == values.get('sip.register_interval', 600)
    assert ('transport=tcp' in success.registrar) is ('sip.outbound_proxy' in values)
    assert sdk.names(name, 'SIPAccount').count('SIPAccountWillRegister') == 2


def test_saved_with_the_activation(sdk, lab):
    """Settings that change together with `enabled` are those it registers with: once."""
    name = 'alice@lab.test'
    add(sdk, lab, name, enabled=False)
    sdk.account(name, {'enabled': True, 'sip.register_interval': 700, 'auth.password': 'alice-pw'})
    assert registered(sdk, name).expires == 700
    sdk.account(name, {'enabled': False})
    sdk.wait('SIPAccountDidDeactivate', name)
    assert sdk.names(name, 'SIPAccountRegistration') == ['SIPAccountRegistrationGotAnswer', 'SIPAccountRegistrationDidSucceed', 'SIPAccountRegistrationDidEnd']


def test_switched_off_and_on_in_no_time(sdk, lab):
    """The account may not notice that it was off, but that other settings have changed with it."""
    name = 'alice@lab.test'
    add(sdk, lab, name)
    registered(sdk, name)
    sdk.do('evaluate', expression=f'''[agent.assign(AccountManager().get_account({name!r}), values)
        for values in ({{"enabled": False}}, {{"enabled": True, "sip.register_interval": 700}})]''')
    assert registered(sdk, name).expires == 700


def test_registering_can_be_switched(sdk, lab):
    name = 'alice@lab.test'
    add(sdk, lab, name, **{'sip.register.enabled': False})
    sdk.wait('SIPAccountDidActivate', name)
    sdk.account(name, {'sip.register.enabled': True})
    registered(sdk, name)
    sdk.account(name, {'sip.register.enabled': False})
    sdk.wait('SIPAccountRegistrationDidEnd', name)
    assert not sdk.events('SIPAccountWillDeactivate', name)


def test_another_id(sdk, lab):
    """The old address is unregistered, the new one registered, and known to the manager."""
    add(sdk, lab, 'alice@lab.test', **{'auth.username': 'bob', 'auth.password': 'bob-pw', 'sip.register.enabled': False})
    sdk.wait('SIPAccountDidActivate', 'alice@lab.test')
    sdk.account('alice@lab.test', {'id': 'bob@lab.test', 'sip.register.enabled': True})
    registered(sdk, 'bob@lab.test')
    assert sdk.call('manager', 'has_account', 'bob@lab.test') and not sdk.call('manager', 'has_account', 'alice@lab.test')


def test_ports_of_the_engine(sdk, lab):
    """Another port is another contact."""
    add(sdk, lab)
    before = registered(sdk).contact_header
    port = sdk.do('evaluate', expression='__import__("socket").create_server(("127.0.0.1", 0)).getsockname()[1]')
    try:
        sdk.set('settings', sip__udp_port=port)
        after = registered(sdk).contact_header
        assert f':{port}>' in after and after != before
    finally:
        sdk.set('settings', sip__udp_port=0)
    registered(sdk)


def test_network_conditions(sdk, lab):
    """What the application tells of the network: everything is registered anew after it has settled."""
    add(sdk, lab)
    registered(sdk)
    sdk.do('evaluate', expression='NotificationCenter().post_notification("NetworkConditionsDidChange", sender=SIPApplication(), data=None)')
    sdk.wait('SIPAccountRegistrationDidEnd', 'alice@lab.test')
    registered(sdk)


# ---- servers that fail ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize('transport', ['tcp', 'udp'])
def test_failover(sdk, lab, transport):
    """failover.test: nobody listens at the first target of its SRV records."""
    sdk.do('patch', module='sipsimple.account.registration', values={'ROUTE_LIMITS': (1.0, 1.0)})
    name = 'alice@failover.test'
    sdk.set('settings', sip__transport_list=[transport])
    try:
        sdk.account(name, {'auth.password': 'alice-pw', 'enabled': True})
        success = registered(sdk, name)
    finally:
        sdk.do('patch', module='sipsimple.account.registration', values={'ROUTE_LIMITS': (1.0, 10.0)})
        sdk.set('settings', sip__transport_list=list(TRANSPORTS))
    assert f':{lab.port("SIP")}' in success.registrar
    answers = sdk.events('SIPAccountRegistrationGotAnswer', name)
    assert [event.code for event in answers] == [503 if transport == 'tcp' else 408, 200]
    assert f':{lab.env["LAB_DEAD_PORT"]}' in answers[0].registrar


def test_unknown_domain(sdk):
    name = 'alice@missing.test'
    sdk.account(name, {'enabled': True})
    failure = sdk.wait('SIPAccountRegistrationDidFail', name)
    assert failure.error.startswith('DNS lookup failed: ') and 1 <= failure.retry_after <= 2
    again = sdk.wait('SIPAccountRegistrationDidFail', name)
    assert 2 <= again.retry_after <= 4 and failure.retry_after - 0.1 <= again.time - failure.time


def test_server_that_restarts(sdk, lab):
    """Killed and started again: the account notices by itself, keeps trying, and comes back; over TCP as soon as the connection breaks."""
    sdk.do('patch', module='sipsimple.account.registration', values={'ROUTE_LIMITS': (1.0, 1.0)})
    for name, transport in (('alice@lab.test', 'tcp'), ('bob@lab.test', 'tls'), ('carol@lab.test', 'udp')):
        add(sdk, lab, name, transport)
    for name in ('alice@lab.test', 'bob@lab.test', 'carol@lab.test'):
        registered(sdk, name)
    sdk.mark()
    lab.stop_component('kamailio')
    try:
        for name in ('alice@lab.test', 'bob@lab.test'):
            assert sdk.wait('SIPAccountRegistrationDidFail', name).error == 'Connection lost'
            assert sdk.wait('SIPAccountRegistrationDidFail', name).error != 'Connection lost'       # refused, or not answered: as it ends
            assert sdk.get(name, 'registered') is False
        sdk.call('carol@lab.test', 'reregister')
        assert sdk.wait('SIPAccountRegistrationDidNotEnd', 'carol@lab.test').code == 408
        assert sdk.wait('SIPAccountRegistrationDidFail', 'carol@lab.test').error == 'Request timeout'
    finally:
        lab.start_component('kamailio')
        sdk.do('patch', module='sipsimple.account.registration', values={'ROUTE_LIMITS': (1.0, 10.0)})
    for name in ('alice@lab.test', 'bob@lab.test', 'carol@lab.test'):
        sdk.wait('SIPAccountRegistrationDidSucceed', name)
        assert sdk.get(name, 'registered') is True


# ---- the end -------------------------------------------------------------------------------------------------------


def test_deleted_account(sdk, lab):
    add(sdk, lab)
    registered(sdk)
    sdk.call('alice@lab.test', 'delete')
    sdk.wait('SIPAccountRegistrationDidEnd', 'alice@lab.test')
    sdk.wait('SIPAccountManagerDidRemoveAccount')
    assert not sdk.call('manager', 'has_account', 'alice@lab.test')
    names = sdk.names('alice@lab.test', 'SIPAccount')
    assert names[-3:] == ['SIPAccountWillDeactivate', 'SIPAccountRegistrationDidEnd', 'SIPAccountDidDeactivate']


def test_connections_stay(idle_accounts):
    """Who registered over TCP or TLS is reached over that connection only: it must outlive the time after which idle ones are closed."""
    lab, sdk, names, since = idle_accounts
    time.sleep(max(0.0, since + IDLE - time.monotonic()))       # what is tested is that nothing happens in this time
    assert not sdk.events('SIPEngineTransportDidDisconnect') and not sdk.events('SIPAccountRegistrationDidFail')
    with UDPPeer(lab.port('SIP')) as caller:
        for name in names:
            caller.send(caller.request('MESSAGE', uri=f'sip:{name}', headers='Content-Type: text/plain\r\n', body=f'to {name}'))
            assert caller.expect(200).get('cseq') == '1 MESSAGE'
            assert sdk.wait('SIPEngineGotMessage').body == f'to {name}'


def test_application_stops_and_starts_again(lab, tmp_path):
    """Stopping unregisters; what FileStorage has registers at the next start, in the same process as well."""
    with SDK() as sdk:
        sdk.start(nameservers=lab.nameservers, settings=SETTINGS, folder=str(tmp_path), accounts={
            'alice@lab.test': {'auth.password': 'alice-pw', 'sip.outbound_proxy': proxy(lab, 'udp'), 'enabled': True}})
        for _ in range(2):
            registered(sdk)
            sdk.mark()
            sdk.do('stop')
            sdk.wait('SIPAccountRegistrationDidEnd', 'alice@lab.test')
            names = [(event.name, event.sender) for event in sdk.events()]
            ends = [names.index(item) for item in (('SIPAccountRegistrationDidEnd', 'alice@lab.test'), ('SIPAccountDidDeactivate', 'alice@lab.test'),
                                                   ('SIPApplicationDidEnd', 'SIPApplication'))]
            assert ends == sorted(ends)
            sdk.start(nameservers=lab.nameservers, settings=SETTINGS, folder=str(tmp_path))
