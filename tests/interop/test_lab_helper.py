"""The lab helper itself: what it starts it stops, and a missing server is a skip here and a failure in CI."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.support import lab as module
from tests.support.lab import Lab, LabError, lab_script, missing_requirements, require
from tests.support.programs import free_ports


def processes(folder: Path) -> list[int]:
    return [int(path.read_text()) for path in (folder / 'run').glob('*.pid')]


def alive(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


def test_ports_are_not_given_twice():
    """A program binds some of them only when it gets to it."""
    ports = [first + number for first in (free_ports(4) for _ in range(200)) for number in range(4)]
    assert len(set(ports)) == len(ports)


def test_no_lab_is_a_skip(monkeypatch, tmp_path):
    for ci in ('', 'true'):
        monkeypatch.setenv('CI', ci)
        monkeypatch.setenv('SIPSIMPLE_LAB', str(tmp_path / 'lab'))
        assert lab_script() is None
        with pytest.raises(pytest.skip.Exception, match='SIPSIMPLE_LAB'):
            require('dns')


def test_a_missing_package_is_a_skip_but_a_failure_in_ci(monkeypatch, tmp_path):
    script = tmp_path / 'lab'
    script.write_text('')
    monkeypatch.setenv('SIPSIMPLE_LAB', str(script))
    monkeypatch.setattr(module, 'SEARCH_PATH', str(tmp_path))
    monkeypatch.setenv('CI', '')
    with pytest.raises(pytest.skip.Exception, match='dnsmasq-base'):
        require('dns')
    monkeypatch.setenv('CI', 'true')
    with pytest.raises(pytest.fail.Exception, match='dnsmasq-base'):
        require('dns')
    assert missing_requirements('kamailio', 'msrp') == ['openssl (openssl)', 'kamailio and its modules (kamailio)']


def test_unknown_components_are_refused():
    for components in ((), ('dnsmasq',)):
        with pytest.raises(ValueError):
            Lab(*components)


def test_two_labs_stand_side_by_side_and_leave_nothing_behind():
    with Lab('dns') as first, Lab('dns', settings={'LAB_DOMAIN': 'lab.test'}) as second:
        folders = [first.dir, second.dir]
        pids = processes(first.dir) + processes(second.dir)
        assert len(pids) == 2 and all(alive(pid) for pid in pids)
        assert first.port('DNS') != second.port('DNS')
        assert (first.certs / 'ca.pem').is_file() and 'dnsmasq' in first.log('dns')
        second.stop_component('dns')
        assert [alive(pid) for pid in pids] == [True, False]
        second.start_component('dns')
        restarted = processes(second.dir)
        assert alive(restarted[0])
    assert not any(alive(pid) for pid in pids + restarted)
    assert not any(folder.exists() for folder in folders)
    with pytest.raises(LabError):
        assert first.dir
    first.stop()


def test_ports_in_use_are_avoided():
    with Lab('dns') as lab:
        offset = int(lab.settings['LAB_PORT_OFFSET'])
        port = lab.port('DNS')
    with socket.create_server(('127.0.0.1', port)), Lab('dns') as lab:
        assert int(lab.settings['LAB_PORT_OFFSET']) != offset and lab.port('DNS') != port


def test_what_a_failed_start_printed_is_told(monkeypatch, tmp_path):
    script = tmp_path / 'lab'
    script.write_text('[ "$1" = env ] && { echo LAB_DNS_PORT=$((15353 + LAB_PORT_OFFSET)); exit; }; [ "$1" = stop ] && exit; echo it broke >&2; exit 3')
    monkeypatch.setenv('SIPSIMPLE_LAB', str(script))
    lab = Lab('dns')
    with pytest.raises(LabError, match='(?s)start dns failed with 3.*it broke'):
        lab.start()
    with pytest.raises(LabError):
        assert lab.dir
    assert os.environ.get('LAB_DIR') is None
