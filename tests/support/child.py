"""Child processes that import the project from this checkout, whatever folder they are in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ['ROOT', 'environment', 'run_script']

ROOT = Path(__file__).resolve().parents[2]


def environment(**more: str) -> dict[str, str]:
    """The environment for a child process."""
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')])), **more}


def run_script(code: str, *arguments: str, timeout: float = 120, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end; `more` goes into its environment."""
    return subprocess.run([sys.executable, '-c', code, *arguments], cwd=ROOT, env=environment(**more), capture_output=True, text=True, timeout=timeout, check=False)
