"""What most files here begin with: an engine on loopback, a peer that speaks UDP to it, and what the engine tells."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sipsimple.core import Engine
from tests.support.engine import Seen, running_engine
from tests.support.sip_peer import UDPPeer


@pytest.fixture(scope='module')
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The engine of a file, with the options that the file has in `ENGINE_OPTIONS`."""
    with running_engine(**getattr(request.module, 'ENGINE_OPTIONS', {})) as engine:
        yield engine


@pytest.fixture
def seen() -> Iterator[Seen]:
    """All notifications that a test may wait for."""
    seen = Seen()
    yield seen
    seen.stop()


@pytest.fixture
def peer(engine: Engine) -> Iterator[UDPPeer]:
    """Somebody beside the engine."""
    with UDPPeer(engine.udp_port) as peer:
        yield peer
