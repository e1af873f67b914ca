"""Style: the rules of pyproject.toml hold in the whole tree."""

import subprocess
import sys
from pathlib import Path

from tests.support.require import require_module

ROOT = Path(__file__).resolve().parents[2]


def ruff(*words, cwd=ROOT):
    require_module('ruff')
    return subprocess.run([sys.executable, '-m', 'ruff', 'check', '--no-cache', *words], cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def test_ruff_is_content():
    done = ruff('.')
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_in_force(tmp_path):
    (tmp_path / 'bad.py').write_text('import os\nclass A(object):\n    def f(self, x=[]): return dict([(y, y) for y in x])\n')
    done = ruff('--config', str(ROOT / 'pyproject.toml'), '--output-format', 'concise', 'bad.py', cwd=tmp_path)
    assert done.returncode == 1 and {rule for rule in ('F401', 'UP004', 'B006', 'C404') if f' {rule} ' not in done.stdout} == set(), done.stdout
