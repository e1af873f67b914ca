"""A client on a network of its own, and a server beside it with Kamailio and the peer of calls."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.kamailio import Kamailio
from tests.support.namespaces import Host, Network, require_namespaces
from tests.support.require import require
from tests.support.sdk import SDK


@dataclass(frozen=True)
class Addresses:
    """Who is where: the server, the client, and the client after its network was another one."""

    server: str
    client: str
    elsewhere: str
    prefix: int

    def of(self, address: str) -> str:
        """As it is given to an interface."""
        return f'{address}/{self.prefix}'

    @property
    def host(self) -> str:
        """The server in a URI."""
        return f'[{self.server}]' if ':' in self.server else self.server


IPV4 = Addresses('10.20.0.1', '10.20.0.2', '10.20.0.3', 24)
IPV6 = Addresses('fd20::1', 'fd20::2', 'fd20::3', 64)
SERVER, CLIENT, ELSEWHERE = IPV4.server, IPV4.client, IPV4.elsewhere
PORTS = {'udp': 5060, 'tcp': 5060, 'tls': 5061}
LIMIT = 30.0            # seconds


def until(condition: Any, what: str, limit: float = LIMIT) -> Any:
    """Wait until something is so; for what no notification tells of."""
    end = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.05)
    return found


class Server(Kamailio):
    """The registrar and proxy, in a host of its own."""

    def __init__(self, host: Host, folder: Path, addresses: Addresses = IPV4) -> None:
        Authority(folder).issue('server', 'lab.test', addresses.server)
        super().__init__(Path(__file__).parent / 'kamailio.cfg', {'ADDRESS': addresses.host}, folder, (addresses.server, 5060),
                         popen=lambda command, **options: host.popen(*command, **options), call=host.call)


class Rig:
    """The hosts `client` and `server`, and what runs on them."""

    def __init__(self, network: Network, folder: Path, addresses: Addresses = IPV4, **spoiling: Any) -> None:
        self.client, self.server = network.host('client'), network.host('server')
        self.folder = folder
        self.addresses = addresses
        self.link: Any = network.spoiled_link('client', 'server', **spoiling) if spoiling else network.link('client', 'server')
        self.server.add_address(addresses.of(addresses.server))
        self.client.add_address(addresses.of(addresses.client), gateway=addresses.server)
        self.kamailio = Server(self.server, folder, addresses)
        self.stack = contextlib.ExitStack()
        self.stack.callback(self.kamailio.kill)

    def sdk(self, name: str, host: Host, **arguments: Any) -> SDK:
        """A process with the whole SDK on a host, without an account."""
        sdk = self.stack.enter_context(SDK(name, prefix=host.prefix))
        sdk.do('evaluate', expression="importlib.import_module('sipsimple.application.network').__dict__.update(SETTLING_TIME=0.5, SETTLED_TIME=0.2)")
        settings = {'sip.transport_list': ['udp', 'tcp', 'tls'], 'tls.verify_server': True, 'tls.ca_list': str(self.folder / 'ca.pem'), 'rtp.audio_codec_list': ['PCMU'], **arguments.pop('settings', {})}
        return sdk.start(ip_address=None, settings=settings, **arguments)

    def user(self, name: str, host: Host, transport: str = 'udp', **values: Any) -> SDK:
        """The same with an account, registered at Kamailio by that transport."""
        sdk = self.sdk(name, host, settings=values.pop('settings', {}))
        sdk.account(f'{name}@lab.test', {'sip.outbound_proxy': f'{self.addresses.host};transport={transport}', 'enabled': True, **values})
        sdk.wait('SIPAccountRegistrationDidSucceed', f'{name}@lab.test')
        return sdk

    def route(self, transport: str) -> list[Any]:
        """The way to Kamailio by that transport."""
        return [self.addresses.server, PORTS[transport], transport]

    def move(self) -> None:
        """Give the client another address."""
        addresses = self.addresses
        self.client.delete_address(addresses.of(addresses.client))
        self.client.add_address(addresses.of(addresses.elsewhere), gateway=addresses.server)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    require_namespaces()
    require('kamailio')
    with Network('client', 'server') as network:
        rig = Rig(network, tmp_path)
        with rig.stack:
            rig.kamailio.start()
            yield rig
