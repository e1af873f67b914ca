"""Options of the whole suite."""

from __future__ import annotations

import importlib.util
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# The folders in the order in which they run: what is fast and near to the code first, so that a broken commit shows in seconds.
FOLDERS = ('unit', 'meta', 'native', 'application', 'calls', 'interop', 'network', 'load')

# How long one example takes says more about the machine than about the code. In CI, Hypothesis has a profile of its own: the same, and every run
# tries the same examples.
if hypothesis.settings.get_current_profile_name() == 'default':
    hypothesis.settings.register_profile('default', deadline=None)
    hypothesis.settings.load_profile('default')


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption('--notification-report', metavar='FILE',
                     help='add the notifications that were posted, also by child processes, to a JSON file; see tools/notification_table.py')


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(select, 'poll'):
        config.pluginmanager.register(_support('rerun').Rerun(), 'rerun')


def place(item: pytest.Item) -> int:
    """When a test runs: the place of its folder. What is not in this tree is a test of the tests, and alone."""
    here = Path(__file__).parent
    return FOLDERS.index(item.path.relative_to(here).parts[0]) if item.path.is_relative_to(here) else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=place)


def _support(name: str) -> Any:
    """A module of tests/support, which is no package."""
    spec = importlib.util.spec_from_file_location(f'sipsimple_tests_{name}', Path(__file__).parent / 'support' / f'{name}.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='session', autouse=True)
def notification_report(request: pytest.FixtureRequest) -> Any:
    path = request.config.getoption('--notification-report')
    if path is None:
        yield None
        return
    module = _support('notification_report')
    report = module.NotificationReport()
    report.start()
    with module.with_children(report, f'{path}.journal'):
        yield report
    report.stop()
    report.write(path)


@pytest.fixture(autouse=True)
def sanitizer_reports() -> Iterator[None]:
    """With --asan, a test fails in which a process had something reported, even if nobody looks at that process's status or output.

    What outlives a test, in processes of a whole module, is found at the end of the run (buildtools/inplace.py).
    """
    prefix = os.environ.get('SIPSIMPLE_SANITIZER_REPORT')
    if prefix is None:
        yield
        return

    def reports() -> dict[Path, int]:
        return {path: path.stat().st_size for path in Path(prefix).parent.glob(f'{Path(prefix).name}.*')}
    before = reports()
    yield
    new = [path for path, size in reports().items() if size > before.get(path, 0)]
    if new:
        texts = [path.read_text(encoding='utf-8', errors='replace')[before.get(path, 0):][:6000] for path in new]
        pytest.fail('the sanitizers reported:\n' + '\n'.join(texts), pytrace=False)
