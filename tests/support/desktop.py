"""A desktop to be shared: an X server with a VNC server in it.

    desktop = desktop_fixture()

    def test_it(desktop):
        expected = desktop.paint(1)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sipsimple.demo.desktop import Desktop
from tests.support.require import require, require_module

__all__ = ['desktop_fixture']


def desktop_fixture(**options: Any) -> Any:
    """A fixture for the tests of a module: a `sipsimple.demo.desktop.Desktop`."""
    @pytest.fixture(scope='module')
    def desktop() -> Iterator[Desktop]:
        require('Xtigervnc')
        for name in ('vncdotool', 'Xlib', 'PIL'):
            require_module(name)
        made = Desktop(**options)
        try:
            yield made
        finally:
            made.stop()
    return desktop
