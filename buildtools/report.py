"""Progress on a terminal, one kind of error for the reader, and the few process helpers the build shares."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

__all__ = ['BuildError', 'Step', 'cache_folder', 'file_lock', 'jobs', 'run', 'say', 'step']


class BuildError(Exception):
    """The build cannot go on. The text is one line for a human: what is wrong and what to do about it."""


def say(text: str, stream: TextIO | None = None) -> None:
    """Print one line at once, also when the output is a pipe."""
    print(text, file=stream or sys.stdout, flush=True)


class Step:
    """Handed out by step(): lets the body replace the closing word (default 'done')."""

    def __init__(self) -> None:
        self.outcome = 'done'


_depth = 0


@contextlib.contextmanager
def step(title: str) -> Iterator[Step]:
    """Show `title` while the body runs, then how it ended and how long it took. Steps inside steps are indented."""
    global _depth
    indent = '  ' * _depth
    terminal = sys.stdout.isatty()
    if terminal:
        print(f'{indent}- {title} ...', end='', flush=True)
    current = Step()
    began = time.monotonic()
    depth_before, _depth = _depth, _depth + 1
    nested_mark = _counter[0]
    try:
        yield current
    except BaseException:
        current.outcome = 'failed'
        raise
    finally:
        _depth = depth_before
        elapsed = time.monotonic() - began
        start = '\r' if terminal and _counter[0] == nested_mark else ''
        _counter[0] += 1
        say(f'{start}{indent}- {title}: {current.outcome} ({elapsed:.1f} s)')


_counter = [0]


def run(command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, what: str = '', log: Path | None = None,
        input: str | None = None) -> str:
    """Run a command quietly and return its output (stdout and stderr together).

    Args:
        what: names the action in the error text; default: the program's name.
        log: where the output is kept as well (appended).

    Raises:
        BuildError: the program is missing or ended with an error; the tail of its output is in the text.
    """
    words = [str(word) for word in command]
    what = what or words[0]
    if os.environ.get('SIPSIMPLE_BUILD_VERBOSE'):
        say('+ ' + shlex.join(words))
    try:
        done = subprocess.run(words, cwd=cwd, env=env, input=input, stdin=None if input is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors='replace', check=False)
    except FileNotFoundError:
        raise BuildError(f'{what}: the program {words[0]!r} is not installed') from None
    if log is not None:
        with log.open('a', encoding='utf-8') as file:
            file.write('+ ' + shlex.join(words) + '\n' + done.stdout)
    if done.returncode:
        where = f'; the whole output is in {log}' if log is not None else ''
        tail = '\n'.join(done.stdout.rstrip().splitlines()[-30:])
        raise BuildError(f'{what} failed with status {done.returncode}{where}\n{tail}')
    return done.stdout


def jobs() -> int:
    """How many compilers run at once: $SIPSIMPLE_BUILD_JOBS, default one per core and at least two."""
    value = os.environ.get('SIPSIMPLE_BUILD_JOBS', '')
    if value.isdigit() and int(value) > 0:
        return int(value)
    return max(2, os.cpu_count() or 1)


def cache_folder() -> Path:
    """The user's cache folder of this project: $XDG_CACHE_HOME/sipsimple, default ~/.cache/sipsimple."""
    base = os.environ.get('XDG_CACHE_HOME', '')
    return (Path(base) if os.path.isabs(base) else Path.home() / '.cache') / 'sipsimple'


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` between processes; says so when it has to wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('a') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f'  (waiting for another build that holds {path})')
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
