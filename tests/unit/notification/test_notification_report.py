"""The report of posted notifications and its comparison with the documented ones."""

import importlib.util
import json
import os
import subprocess
import sys
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
    (tmp_path / 'table.toml').write_text('[A]\nsections = ["S"]\nfields = ["x"]\n[B]\nsections = ["S"]\nfields = ["x", "y"]\n[C]\nsections = ["S"]\nfields = []\n'
                                        '[P]\nsections = ["S"]\nfields = ["z"]\nplanned = true\n')
    (tmp_path / 'report.json').write_text(json.dumps({'A': {'fields': ['x']}, 'B': {'fields': ['x']}, 'D': {'fields': []}, 'P': {'fields': []}}))
    arguments = [str(tmp_path / 'report.json'), '--table', str(tmp_path / 'table.toml')]
    assert table_tool.main(arguments) == 1
    assert capsys.readouterr().out.splitlines() == [
        'complete  A', 'partial   B: y', 'missing   C: S', 'planned   P: S',
        '4 documented: 1 complete, 1 partial, 1 missing, 1 planned; 1 others were posted']
    assert table_tool.main([*arguments, '--missing']) == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[:-1]] == ['partial', 'missing']
    (tmp_path / 'report.json').write_text(json.dumps({name: {'fields': ['x', 'y']} for name in 'ABC'}))
    assert table_tool.main(arguments) == 0


def test_sections_of_the_table(tmp_path, capsys):
    (tmp_path / 'table.toml').write_text('[A]\nsections = ["S"]\nfields = ["x"]\n[B]\nsections = ["T", "U"]\nfields = ["y"]\n[C]\nsections = ["V"]\nfields = []\n')
    (tmp_path / 'report.json').write_text(json.dumps({'A': {'fields': ['x']}, 'C': {'fields': []}, 'D': {'fields': []}}))
    arguments = [str(tmp_path / 'report.json'), '--table', str(tmp_path / 'table.toml')]
    assert table_tool.main([*arguments, '--section', 'S', '--section', 'V']) == 0
    assert capsys.readouterr().out.splitlines() == ['complete  A', 'complete  C', '2 documented: 2 complete, 0 partial, 0 missing, 0 planned; 1 others were posted']
    assert table_tool.main([*arguments, '--section', 'S', '--section', 'U']) == 1
    with pytest.raises(SystemExit):
        table_tool.main([*arguments, '--section', 'nonsense'])
    assert 'no such section: nonsense' in capsys.readouterr().err


def test_the_documented_table_is_well_formed():
    table = tomllib.loads(table_tool.TABLE.read_text(encoding='utf-8'))
    assert len(table) > 100
    assert all(name.isidentifier() and entry['sections'] and all(field.isidentifier() for field in entry['fields']) for name, entry in table.items())
    assert table['SIPAccountRegistrationDidSucceed']['fields'] == ['contact_header', 'contact_header_list', 'expires', 'registrar']


CHILD = '''
import os, sys
from sipsimple.notification import NotificationCenter, NotificationData
for number in range(3):
    NotificationCenter().post_notification('TestChild', sender=sys, data=NotificationData(a=number))
print('posted', flush=True)
sys.stdin.read()
'''


def children(tmp_path, *codes, **options):
    """The report of child processes that carry out `codes`, one after the other; they are killed when their standard input ends too late for them."""
    report = report_module.NotificationReport()
    before = dict(os.environ)               # this run may be writing a report itself
    with report_module.with_children(report, str(tmp_path / 'journal')):
        for code in codes:
            with subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, **options) as child:
                assert child.stdout.readline() == b'posted\n'
                if 'kill' in code:
                    child.kill()
                child.stdin.close()
    assert dict(os.environ) == before and not (tmp_path / 'journal').exists()
    return report.as_dict()


def test_child_processes_are_in_the_report(tmp_path):
    seen = children(tmp_path, CHILD, CHILD)
    assert seen['TestChild'] == {'count': 6, 'fields': ['a'], 'always': ['a'], 'senders': ['module']}


def test_a_child_that_is_killed_has_told_what_it_saw(tmp_path):
    assert children(tmp_path, CHILD + '# kill')['TestChild'] == {'count': 1, 'fields': ['a'], 'always': ['a'], 'senders': ['module']}


def test_the_hook_leaves_others_alone(tmp_path, monkeypatch):
    """A process without the bus starts no report, and another sitecustomize on the path is carried out too."""
    (tmp_path / 'sitecustomize.py').write_text('import sys\nsys.other = True\n')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    code = "import sys\nassert sys.other and 'sipsimple' not in sys.modules and 'asyncio' not in sys.modules\nprint('posted', flush=True)\n"
    assert children(tmp_path, code) == {}
    assert os.environ['PYTHONPATH'] == str(tmp_path)
