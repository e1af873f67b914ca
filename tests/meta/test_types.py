"""Types: every module is annotated, mypy is content, and the stubs of the native modules say what the built extension has."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from tests.support.require import native_core, not_installed

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / 'sipsimple' / 'core'
# What Cython puts into every module and class.
ALLOWED = [r'.*\.__test__', r'.*\.__reduce_cython__', r'.*\.__setstate_cython__', r'.*\.__pyx_.*']


def mypy(*words):
    if importlib.util.find_spec('mypy') is None or importlib.util.find_spec('mypy_zope') is None:
        not_installed('mypy and mypy-zope are not installed: pip install -e .[test]')
    done = subprocess.run([sys.executable, '-m', *words], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    return done.returncode, done.stdout + done.stderr


def test_mypy_is_content():
    status, output = mypy('mypy', '--strict', 'sipsimple', 'msrplib')
    assert status == 0, output


def test_every_native_module_has_a_stub():
    assert {path.stem for path in CORE.glob('_*.pyx')} == {path.stem for path in CORE.glob('_*.pyi')}


def test_stubs_agree_with_the_built_extension(tmp_path):
    native_core()
    (tmp_path / 'allowed').write_text('\n'.join(ALLOWED) + '\n')
    names = [f'sipsimple.core.{path.stem}' for path in sorted(CORE.glob('_*.pyi'))]
    status, output = mypy('mypy.stubtest', '--ignore-disjoint-bases', '--ignore-unused-allowlist', '--allowlist', str(tmp_path / 'allowed'),
                          '--mypy-config-file', 'pyproject.toml', *names)
    assert status == 0, output


def test_the_test_of_stubs_sees_what_it_should(tmp_path):
    """A stub that has something the module has not, or in another form, is refused."""
    (tmp_path / 'shape.py').write_text('class Shape:\n    def area(self, scale=1): return scale\n')
    (tmp_path / 'shape.pyi').write_text('class Shape:\n    def area(self, factor: int = 1) -> int: ...\n    def volume(self) -> int: ...\n')
    environment = {**os.environ, 'MYPYPATH': str(tmp_path), 'PYTHONPATH': str(tmp_path)}
    if importlib.util.find_spec('mypy') is None:
        not_installed('mypy is not installed: pip install -e .[test]')
    done = subprocess.run([sys.executable, '-m', 'mypy.stubtest', 'shape'], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 1 and 'Shape.volume is not present at runtime' in done.stdout and 'factor' in done.stdout, done.stdout


def test_the_packages_say_that_they_have_types():
    assert (ROOT / 'sipsimple' / 'py.typed').exists() and (ROOT / 'msrplib' / 'py.typed').exists()
    assert '"py.typed"' in (ROOT / 'pyproject.toml').read_text(encoding='utf-8')
