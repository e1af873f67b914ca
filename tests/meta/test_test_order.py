"""The fast tests come first, and every folder has its place."""

from __future__ import annotations

import importlib.util
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def suite():
    spec = importlib.util.spec_from_file_location('sipsimple_tests_conftest', TESTS / 'conftest.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_folder_has_its_place():
    assert {path.parent.relative_to(TESTS).parts[0] for path in TESTS.glob('*/**/test_*.py')} == set(suite().FOLDERS)


def test_folders_are_sorted_and_tests_in_them_are_not():
    class Item:
        def __init__(self, path):
            self.path = TESTS / path

    items = [Item(path) for path in ('load/test_b.py', 'calls/test_z.py', 'unit/core_values/test_c.py', 'calls/test_a.py', 'meta/test_d.py', 'unit/test_a.py')]
    suite().pytest_collection_modifyitems(items)
    assert [str(item.path.relative_to(TESTS)) for item in items] == [
        'unit/core_values/test_c.py', 'unit/test_a.py', 'meta/test_d.py', 'calls/test_z.py', 'calls/test_a.py', 'load/test_b.py']
