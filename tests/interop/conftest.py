"""Fixtures of several modules."""

from __future__ import annotations

import pytest

from tests.support.lab import Lab
from tests.support.sdk import SDK


@pytest.fixture(scope='session')
def idle_accounts():
    """A server, and a process with accounts registered over TCP and TLS that do nothing: (lab, sdk, names, since when).

    What they are for needs more than half a minute. The first module that asks for them starts the clock, the tests of registrations read it.
    """
    names = {'dave@lab.test': 'tcp', 'eve@lab.test': 'tls'}
    with Lab('kamailio') as lab, SDK('idle') as sdk:
        sdk.start(settings={'sip.transport_list': ['tcp', 'tls'], 'tls.verify_server': True, 'tls.ca_list': str(lab.certs / 'ca.pem')})
        since = 0.0
        for name, transport in names.items():
            proxy = f'127.0.0.1:{lab.port("SIPS" if transport == "tls" else "SIP")};transport={transport}'
            sdk.account(name, {'auth.password': f'{name.partition("@")[0]}-pw', 'sip.outbound_proxy': proxy, 'enabled': True})
            since = sdk.wait('SIPAccountRegistrationDidSucceed', name).time
        yield lab, sdk, list(names), since
