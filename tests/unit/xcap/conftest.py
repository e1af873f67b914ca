"""Settings for managers of XCAP documents."""

import pytest

from sipsimple.configuration import ConfigurationManager
from sipsimple.configuration.backend.memory import MemoryBackend
from sipsimple.configuration.objects import forget_static_objects


@pytest.fixture(autouse=True, scope='module')
def configuration():
    ConfigurationManager().start(MemoryBackend())
    yield
    ConfigurationManager().reset()
    forget_static_objects()
