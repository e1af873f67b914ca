"""What a run with atheris has found worth keeping is tried again, and some damage at random; `tools/fuzz_msrp.py` does it for as long as wanted."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope='module')
def fuzz():
    spec = importlib.util.spec_from_file_location('sipsimple_tools_fuzz_msrp', ROOT / 'tools' / 'fuzz_msrp.py')
    tool = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_kept_inputs(fuzz):
    inputs = fuzz.seeds()
    assert len(inputs) > 150
    for data in inputs:
        fuzz.check(data)


def test_damage_at_random(fuzz, tmp_path, capsys):
    fuzz.plain(1, tmp_path, 5)
    assert 'nothing wrong' in capsys.readouterr().out and list(tmp_path.iterdir()) == []


def test_what_is_wrong_is_seen(fuzz, monkeypatch, tmp_path):
    """Were a total accepted that is smaller than what has come, as once was, the kept inputs would tell."""
    monkeypatch.setattr('msrplib.reassembly.Ranges.end', property(lambda ranges: 0))
    with pytest.raises(AssertionError):
        for data in fuzz.seeds():
            fuzz.check(data)
