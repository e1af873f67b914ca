"""The documentation says what is true: its generated parts are current, its code runs, its links lead somewhere."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.child import run_script
from tests.support.require import native_core

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').glob('*.md')])
EXAMPLES = {path.name: path.read_text(encoding='utf-8') for path in sorted((ROOT / 'examples').glob('*.py'))}
QUIET = '''
from sipsimple.lookup import DNSManager
dns = DNSManager()
dns.probe_domain, dns.public_nameservers, dns.nameservers = None, [], []
'''
ALONE = '''
from sipsimple.account.settings import BonjourDiscoverySettings
BonjourDiscoverySettings.enabled.default = False
'''


def tool(name):
    spec = importlib.util.spec_from_file_location(f'sipsimple_tools_{name}', ROOT / 'tools' / f'{name}.py')
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def snippets():
    for page in PAGES:
        for number, code in enumerate(re.findall(r'^```python\n(.*?)^```$', page.read_text(encoding='utf-8'), re.MULTILINE | re.DOTALL), 1):
            yield pytest.param(code, id=f'{page.name}-{number}')


@pytest.mark.parametrize('code', list(snippets()))
def test_code_runs(code):
    """A snippet is part of an example, which other tests run, or a program that runs as it is."""
    if any(code in text for text in EXAMPLES.values()):
        return
    done = run_script(QUIET + (ALONE if 'SIPApplication' in code else '') + code, timeout=60)
    assert done.returncode == 0 and 'Traceback' not in done.stderr, done.stderr


def test_examples_are_tested():
    tests = (ROOT / 'tests' / 'calls' / 'test_demo.py').read_text(encoding='utf-8')
    assert [name for name in EXAMPLES if f"'{name}'" not in tests] == []


def test_the_readme_has_the_whole_call():
    assert EXAMPLES['call.py'] in (ROOT / 'README.md').read_text(encoding='utf-8')


def test_list_of_notifications_is_current():
    lister = tool('list_notifications')
    page = lister.PAGE.read_text(encoding='utf-8')
    assert lister.with_table(page, lister.table(lister.scan())) == page, 'run: python tools/list_notifications.py --write'


def test_the_lister_follows_fields(tmp_path):
    package = tmp_path / 'sipsimple' / 'session'
    package.mkdir(parents=True)
    (tmp_path / 'msrplib').mkdir()
    (package / 'x.py').write_text('''
def _base(event):
    return {'a': 1}
class X:
    def _post(self, name, **data):
        center.post_notification(name, sender=self, data=NotificationData(**data))
    def f(self, unknown):
        self._post('ThingDidStart', streams=1)
        data = {'b': 2}
        data['c'] = 3
        center.post_notification('ThingDidEnd', sender=self, data=NotificationData(**data, **_base(1)))
        name = 'ThingWillStart' if unknown else 'ThingWillEnd'
        self.post(name, **unknown)
        self.post(f'{self.prefix}GotThing', thing=1)
        self.post_office('ThingNewLetter')
        call_later(0, self._post, 'ThingWillRing', NotificationData(d=4))
''')
    (package / 'y.pyx').write_text("cdef f():\n    center.post_notification(\n        'TapDidDrip', sender=1,\n        data=NotificationData(drops=g(2)))\n")
    found = tool('list_notifications').scan(tmp_path)
    assert {name: list(entry.fields) for name, entry in found.items()} == {
        'ThingDidStart': ['streams'], 'ThingDidEnd': ['b', 'c', 'a'], 'ThingWillStart': ['...'], 'ThingWillEnd': ['...'],
        'AudioStreamGotThing': ['thing'], 'TapDidDrip': ['drops'],
        'ThingWillRing': ['d']}


def test_documented_notifications_have_their_fields():
    """Those of the API document which the source posts have the fields it gives them."""
    found = tool('list_notifications').scan()
    documented = tomllib.loads((ROOT / 'docs' / 'notifications.toml').read_text(encoding='utf-8'))
    lacking = {name: missing for name, entry in documented.items() if name in found and '...' not in found[name].fields
               and (missing := set(entry['fields']) - set(found[name].fields) - {'timestamp'})}
    assert lacking == {}


def test_documented_notifications_are_posted():
    """By the source, unless they belong to a part that is marked as planned; a mark that is out of date fails too."""
    found = tool('list_notifications').scan()
    documented = tomllib.loads((ROOT / 'docs' / 'notifications.toml').read_text(encoding='utf-8'))
    assert [name for name, entry in documented.items() if (name in found) is bool(entry.get('planned'))] == []


def test_page_of_states_is_current():
    native_core()
    diagrams = tool('state_diagrams')
    page = diagrams.PAGE.read_text(encoding='utf-8')
    assert diagrams.page_with(page, diagrams.machines()) == page, 'run: python tools/state_diagrams.py --write'


def test_page_of_states_has_every_table():
    """Tables are dict literals named TRANSITIONS or ..._TRANSITIONS, at the top of a module."""
    found = set()
    for path in (ROOT / 'sipsimple').rglob('*.py'):
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
            names = [target.id for target in targets if isinstance(target, ast.Name) and re.fullmatch(r'([A-Z]+_)*TRANSITIONS', target.id)]
            found |= {('.'.join(path.relative_to(ROOT).with_suffix('').parts), name) for name in names}
    assert found == set(tool('state_diagrams').MACHINES.values())


def test_links_lead_somewhere():
    broken = []
    for page in PAGES:
        for target in re.findall(r'\]\(([^)#]+)(?:#[^)]*)?\)', page.read_text(encoding='utf-8')):
            if '://' not in target and not (page.parent / target).exists():
                broken.append(f'{page.name}: {target}')
    assert broken == []


def test_paths_that_are_named_exist():
    """In backticks, what looks like a path of the tree; made from the root or from sipsimple/."""
    missing = []
    for page in (ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *(ROOT / 'docs').glob('*.md')):
        for name in re.findall(r'`((?:sipsimple|tests|tools|docs|deps|buildtools|examples|core|native|configuration|account)/[\w./-]+)`', page.read_text(encoding='utf-8')):
            if not any((ROOT / place / name.rstrip('/')).exists() for place in ('', 'sipsimple', 'sipsimple/core')) and 'NN_' not in name:
                missing.append(f'{page.name}: {name}')
    assert missing == []
