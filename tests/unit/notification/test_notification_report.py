"""The report of posted notifications and its comparison with the documented ones."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
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


THIS = 'tests/unit/notification/test_notification_report.py'
PRODUCT = NotificationData.__init__.__code__.co_filename


def product(source, **names):
    """What the source defines, as if it stood in a module of the product."""
    space = {'__name__': 'sipsimple.scratch', 'NotificationCenter': NotificationCenter, **names}
    exec(compile(source, PRODUCT.replace('notification', 'scratch'), 'exec'), space)
    return space


ENGINE = product('''
class Engine:
    def _post(self, name, data, sender=None):
        NotificationCenter().post_notification(name, sender=sender or self, data=data)

    def tell(self, name, data, sender=None):
        self._post(name, data, sender)
''')['Engine']


THIS = 'tests/unit/notification/test_notification_report.py'
PRODUCT = NotificationData.__init__.__code__.co_filename


def product(source, **names):
    """What the source defines, as if it stood in a module of the product."""
    space = {'__name__': 'sipsimple.scratch', 'NotificationCenter': NotificationCenter, **names}
    exec(compile(source, PRODUCT.replace('notification', 'scratch'), 'exec'), space)
    return space


ENGINE = product('''
class Engine:
    def _post(self, name, data, sender=None):
        NotificationCenter().post_notification(name, sender=sender or self, data=data)

    def tell(self, name, data, sender=None):
        self._post(name, data, sender)
''')['Engine']


def record(*datas):
    report = report_module.NotificationReport()
    engine = ENGINE()
    report.start()
    for data in datas:
        engine.tell('TestReported', data)
    report.stop()
    engine.tell('TestReported', NotificationData(late=1))
    return report


def test_a_report_merges_with_its_file(tmp_path):
    path = str(tmp_path / 'report.json')
    record(NotificationData(a=1, b=2), NotificationData(a=1)).write(path)
    record(NotificationData(a=1, c=None)).write(path)
    stored = json.loads((tmp_path / 'report.json').read_text())
    assert stored['TestReported'] == {'count': 3, 'foreign': 0, 'fields': ['a', 'b', 'c'], 'always': ['a'], 'seen': {THIS: {'Engine': ['a', 'b']}}}
    assert [entry.name for entry in tmp_path.iterdir()] == ['report.json']
    (tmp_path / 'report.json').write_text('{"x": {}}')
    with pytest.raises(ValueError):
        record().write(path)


def test_what_a_test_posts_does_not_count():
    """However it does: itself, through what the product has for posting, for a sender of the product, or by the product for a sender that is played."""
    report, engine, data = report_module.NotificationReport(), ENGINE(), NotificationData(a=1)

    class Played:
        pass
    report.start()
    NotificationCenter().post_notification('TestDirect', sender=engine, data=data)
    NotificationCenter().post_notification('TestNobody', data=data)
    engine._post('TestHelped', data)
    engine.tell('TestPlayed', data, Played())
    thread = threading.Thread(target=NotificationCenter().post_notification, args=('TestThread', engine, data))
    thread.start()
    thread.join()
    engine.tell('TestReal', data)
    thread = threading.Thread(target=engine._post, args=('TestLater', data))
    thread.start()
    thread.join()
    report.stop()
    seen = {name: (entry['count'], entry['foreign']) for name, entry in report.as_dict().items() if name.startswith('Test')}
    assert seen == {'TestDirect': (0, 1), 'TestNobody': (0, 1), 'TestHelped': (0, 1), 'TestPlayed': (0, 1), 'TestThread': (0, 1),
                    'TestReal': (1, 0), 'TestLater': (1, 0)}


def reported(fields, file='tests/calls/test_it.py', sender='It', count=1):
    return {'count': count, 'foreign': 0, 'fields': fields, 'always': fields, 'seen': {file: {sender: fields}}}


def test_the_table_tells_what_is_missing(tmp_path, capsys):
    (tmp_path / 'table.toml').write_text('[A]\nsections = ["S"]\nfields = ["x"]\n[B]\nsections = ["S"]\nfields = ["x", "y"]\n[C]\nsections = ["S"]\nfields = []\n'
                                        '[P]\nsections = ["S"]\nfields = ["z"]\nplanned = true\n')
    (tmp_path / 'report.json').write_text(json.dumps({
        'A': reported(['x']), 'B': reported(['x']), 'C': reported([], file='tests/unit/it/test_it.py'), 'D': reported([]), 'E': reported([], count=0),
        'P': reported([])}))
    arguments = [str(tmp_path / 'report.json'), '--table', str(tmp_path / 'table.toml')]
    assert table_tool.main(arguments) == 1
    assert capsys.readouterr().out.splitlines() == [
        'complete  A', 'partial   B: y', 'missing   C: S', 'planned   P: S',
        '4 documented: 1 complete, 1 partial, 1 missing, 1 planned; 1 others were posted']
    assert table_tool.main([*arguments, '--missing']) == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[:-1]] == ['partial', 'missing']
    (tmp_path / 'report.json').write_text(json.dumps({name: reported(['x', 'y']) for name in 'ABC'}))
    assert table_tool.main(arguments) == 0


def test_a_field_that_was_none_and_what_only_tests_post_are_missing(tmp_path, capsys):
    (tmp_path / 'table.toml').write_text('[A]\nsections = ["S"]\nfields = ["x", "y"]\n[B]\nsections = ["S"]\nfields = []\n[N]\nsections = ["S"]\nfields = ["y"]\nnone = ["y"]\n')
    empty = {'count': 0, 'foreign': 3, 'fields': [], 'always': [], 'seen': {}}
    partly = {**reported(['x', 'y']), 'seen': {'tests/calls/test_it.py': {'It': ['x']}}}
    (tmp_path / 'report.json').write_text(json.dumps({'A': partly, 'B': empty, 'N': {**partly, 'fields': ['y']}}))
    assert table_tool.main([str(tmp_path / 'report.json'), '--table', str(tmp_path / 'table.toml')]) == 1
    assert capsys.readouterr().out.splitlines()[:-1] == ['partial   A: y', 'missing   B: S', 'complete  N']
    (tmp_path / 'report.json').write_text(json.dumps({'A': partly, 'N': {**partly, 'fields': ['x']}}))
    table_tool.main([str(tmp_path / 'report.json'), '--table', str(tmp_path / 'table.toml'), '--missing'])
    assert 'partial   N: y' in capsys.readouterr().out


def test_each_sender_of_the_table_has_to_post_it(tmp_path, capsys):
    (tmp_path / 'table.toml').write_text('[A]\nsections = ["One", "Two"]\nfields = ["x"]\nsenders = ["One", "Two"]\n')
    arguments = [str(tmp_path / 'report.json'), '--table', str(tmp_path / 'table.toml')]
    both = reported(['x'], sender='One')
    (tmp_path / 'report.json').write_text(json.dumps({'A': both}))
    assert table_tool.main([*arguments, '--section', 'One']) == 0
    assert table_tool.main(arguments) == 1
    assert 'partial   A: from Two' in capsys.readouterr().out
    both['seen']['tests/calls/test_it.py']['Two'] = []
    (tmp_path / 'report.json').write_text(json.dumps({'A': both}))
    assert table_tool.main(arguments) == 1
    assert 'partial   A: from Two x' in capsys.readouterr().out
    both['seen']['tests/calls/test_other.py'] = {'Two': ['x']}
    both['seen']['tests/calls/test_nothing_new.py'] = {'One': ['x']}
    (tmp_path / 'report.json').write_text(json.dumps({'A': both}))
    assert table_tool.main([*arguments, '--files']) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[-2:]] == ['tests/calls/test_it.py', 'tests/calls/test_other.py']


def test_sections_of_the_table(tmp_path, capsys):
    (tmp_path / 'table.toml').write_text('[A]\nsections = ["S"]\nfields = ["x"]\n[B]\nsections = ["T", "U"]\nfields = ["y"]\n[C]\nsections = ["V"]\nfields = []\n')
    (tmp_path / 'report.json').write_text(json.dumps({'A': reported(['x']), 'C': reported([]), 'D': reported([])}))
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
    assert all(set(entry.get('none', ())) <= set(entry['fields']) for entry in table.values())
    assert all(set(entry.get('none', ())) <= set(entry['fields']) for entry in table.values())
    assert table['SIPAccountRegistrationDidSucceed']['fields'] == ['contact_header', 'contact_header_list', 'expires', 'registrar']


CHILD = '''
import sys
import sipsimple.notification
from sipsimple.notification import NotificationCenter, NotificationData
source = """
class Engine:
    def tell(self, number):
        NotificationCenter().post_notification('TestChild', sender=self, data=NotificationData(a=number))
"""
space = {'__name__': 'sipsimple.scratch', 'NotificationCenter': NotificationCenter, 'NotificationData': NotificationData}
exec(compile(source, sipsimple.notification.__file__.replace('notification', 'scratch'), 'exec'), space)
engine = space['Engine']()
for number in range(3):
    engine.tell(number)
    NotificationCenter().post_notification('TestChild', sender=engine, data=NotificationData(a=number))
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
    assert seen['TestChild'] == {'count': 6, 'foreign': 6, 'fields': ['a'], 'always': ['a'], 'seen': {THIS: {'Engine': ['a']}}}


def test_a_child_that_is_killed_has_told_what_it_saw(tmp_path):
    seen = children(tmp_path, CHILD + '# kill')
    assert seen['TestChild'] == {'count': 1, 'foreign': 1, 'fields': ['a'], 'always': ['a'], 'seen': {THIS: {'Engine': ['a']}}}


def test_the_hook_leaves_others_alone(tmp_path, monkeypatch):
    """A process without the bus starts no report, and another sitecustomize on the path is carried out too."""
    (tmp_path / 'sitecustomize.py').write_text('import sys\nsys.other = True\n')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    code = "import sys\nassert sys.other and 'sipsimple' not in sys.modules and 'asyncio' not in sys.modules\nprint('posted', flush=True)\n"
    assert children(tmp_path, code) == {}
    assert os.environ['PYTHONPATH'] == str(tmp_path)
