"""The report of posted notifications and its comparison with the documented ones."""

import importlib.util
import json
import tomllib
from pathlib import Path

import pytest

from sipsimple.notification import NotificationCenter, NotificationData

ROOT = Path(__file__).resolve().parents[3]


def load(path):
    spec = importlib.util.spec_from_file_location(f'loaded_{path.stem}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


report_module = load(ROOT / 'tests' / 'support' / 'notification_report.py')
table_tool = load(ROOT / 'tools' / 'notification_table.py')


def record(*datas):
    report = report_module.NotificationReport()
    report.start()
    for data in datas:
        NotificationCenter().post_notification('TestReported', sender=report, data=data)
    report.stop()
    NotificationCenter().post_notification('TestReported', sender=report, data=NotificationData(late=1))
    return report


def test_a_report_merges_with_its_file(tmp_path):
    path = str(tmp_path / 'report.json')
    record(NotificationData(a=1, b=2), NotificationData(a=1)).write(path)
    record(NotificationData(a=1, c=3)).write(path)
    stored = json.loads((tmp_path / 'report.json').read_text())
    assert stored['TestReported'] == {'count': 3, 'fields': ['a', 'b', 'c'], 'always': ['a'], 'senders': ['NotificationReport']}
    assert [entry.name for entry in tmp_path.iterdir()] == ['report.json']
    (tmp_path / 'report.json').write_text('{"x": {}}')
    with pytest.raises(ValueError):
        record().write(path)


def test_the_table_tells_what_is_missing(tmp_path, capsys):
    (tmp_path / 'table.toml').write_text('[A]\nsections = ["S"]\nfields = ["x"]\n[B]\nsections = ["S"]\nfields = ["x", "y"]\n[C]\nsections = ["S"]\nfields = []\n')
    (tmp_path / 'report.json').write_text(json.dumps({'A': {'fields': ['x']}, 'B': {'fields': ['x']}, 'D': {'fields': []}}))
    arguments = [str(tmp_path / 'report.json'), '--table', str(tmp_path / 'table.toml')]
    assert table_tool.main(arguments) == 1
    assert capsys.readouterr().out.splitlines() == [
        'complete  A', 'partial   B: y', 'missing   C: S', '3 documented: 1 complete, 1 partial, 1 missing; 1 others were posted']
    assert table_tool.main([*arguments, '--missing']) == 1
    assert 'complete  A' not in capsys.readouterr().out


def test_the_documented_table_is_well_formed():
    table = tomllib.loads(table_tool.TABLE.read_text(encoding='utf-8'))
    assert len(table) > 100
    assert all(name.isidentifier() and entry['sections'] and all(field.isidentifier() for field in entry['fields']) for name, entry in table.items())
    assert table['SIPAccountRegistrationDidSucceed']['fields'] == ['contact_header', 'contact_header_list', 'expires', 'registrar']
