"""What ./build_inplace does about Debian packages, with an apt that only notes what it is asked."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import pytest

from buildtools import inplace, report, requirements

APT_GET = '''#!/bin/sh
echo "$@" >> "$LOG"
case "$*" in
*update*) touch "$LISTS" ;;
*install*conflicting*) echo "E: Unable to satisfy dependencies" >&2; exit 100 ;;
*install*broken*) echo "Reading package lists..."; echo "E: Unable to locate package broken" >&2; exit 100 ;;
esac
'''
APT_CACHE = '''#!/bin/sh
shift
for name in "$@"; do
    [ -f "$LISTS" ] || continue
    case $name in nosuch*) ;; *) printf '%s:\\n  Installed: (none)\\n  Candidate: 1.0\\n' "$name" ;; esac
done
'''


class Apt:
    """Calls of apt-get."""

    def __init__(self, folder: Path) -> None:
        self.log, self.lists = folder / 'log', folder / 'lists'

    def calls(self) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [re.sub(r'^-q -o \S+ ', '', line) for line in lines if ' -s ' not in line]         # -s: only tries


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    programs = tmp_path / 'bin'
    programs.mkdir()
    for name, text in (('apt-get', APT_GET), ('apt-cache', APT_CACHE)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    apt = Apt(tmp_path)
    monkeypatch.setenv('PATH', f'{programs}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.setenv('LOG', str(apt.log))
    monkeypatch.setenv('LISTS', str(apt.lists))
    monkeypatch.setattr(inplace, 'ROOT', tmp_path)
    monkeypatch.setattr(inplace, '_privileged', list)
    monkeypatch.setattr(inplace, '_no_services', lambda prefix: contextlib.nullcontext())
    return apt


def test_a_machine_without_lists_gets_them_and_everything_in_one_go(apt: Apt) -> None:
    assert inplace._install(['gcc', 'make'], ['extra']) == '3 installed'
    assert apt.calls() == ['update', 'install -y --no-install-recommends gcc make extra']


def test_lists_that_are_there_are_not_fetched(apt: Apt) -> None:
    apt.lists.touch()
    assert inplace._install(['gcc'], []) == '1 installed'
    assert apt.calls() == ['install -y --no-install-recommends gcc']


def test_what_the_archive_does_not_have_is_looked_for_once(apt: Apt) -> None:
    assert inplace._install([], ['nosuch', 'extra']) == '1 installed, not available: nosuch'
    assert apt.calls() == ['update', 'install -y --no-install-recommends extra']
    assert inplace._install([], ['nosuch']) == 'up to date, not available: nosuch'
    assert apt.calls() == []


def test_an_optional_package_that_cannot_be_installed_does_not_keep_out_the_others(apt: Apt) -> None:
    apt.lists.touch()
    assert inplace._install(['gcc'], ['conflicting', 'extra']) == '2 installed, not available: conflicting'
    assert apt.calls() == ['install -y --no-install-recommends gcc extra']


def test_apt_says_why(apt: Apt) -> None:
    with pytest.raises(report.BuildError) as caught:
        inplace._install(['broken'], [])
    assert str(caught.value) == 'apt-get install failed with status 100: Unable to locate package broken'


def test_without_rights_the_one_command_is_told(apt: Apt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(inplace, '_privileged', lambda: None)
    with pytest.raises(report.BuildError) as caught:
        inplace._install(['gcc'], ['extra'])
    assert str(caught.value) == 'run this as root first: apt-get install -y --no-install-recommends gcc extra'
    assert inplace._install([], ['extra']) == 'some optional ones missing'          # goes on
    assert 'apt-get install -y --no-install-recommends extra' in capsys.readouterr().out
    assert apt.calls() == []


def test_without_apt_the_packages_are_told(apt: Apt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(report.BuildError, match='are missing: gcc$'):
        inplace._install(['gcc'], [])
    assert inplace._install([], ['extra']).startswith('no apt here')


@pytest.mark.parametrize(('sudo', 'prefix'), [('exit 0', ['sudo', '-n']), ('exit 1', None), (None, None)])
def test_sudo_is_used_when_it_does_not_ask(sudo: str | None, prefix: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sudo is not None:
        (tmp_path / 'sudo').write_text(f'#!/bin/sh\n{sudo}\n')
        (tmp_path / 'sudo').chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}')
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    monkeypatch.setattr('sys.stdin', open(os.devnull))          # noqa: SIM115 - no terminal to ask on
    assert inplace._privileged() == prefix


def test_a_wrong_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Using another one than the user asked for would hide the mistake."""
    monkeypatch.setenv('CC', 'nosuchcc -m64')
    with pytest.raises(report.BuildError, match=r"^the C compiler that \$CC names, 'nosuchcc', is not installed$"):
        requirements.check_toolchain()
    monkeypatch.setenv('CC', 'false')
    with pytest.raises(report.BuildError, match="^the C compiler 'false' does not work: it ends with status 1$"):
        requirements.check_toolchain()
