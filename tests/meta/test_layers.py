"""A package imports its own or lower layers only; every module can be imported first.

Imports inside functions count too: a lazy upward import is still a dependency. Imports under `if TYPE_CHECKING` do not.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

from tests.support.require import native_core

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ('sipsimple', 'msrplib')

LAYERS = [
    ('util', 'logging', 'notification', 'statemachine', '__info__', '_sha1'),
    ('threading', 'payloads'),
    ('core', 'engine', 'lookup', 'configuration', 'storage'),
    ('audio', 'video'),
    ('streams', 'account'),
    ('session', 'addressbook', 'conference'),
    ('application',),
    ('demo',),
]
LEVEL = {name: level for level, names in enumerate(LAYERS, 1) for name in names}
LEVEL['msrplib'] = 2

# Lazy imports that point upward, each with its reason. Everything else is met by registration, notification or argument.
ALLOWED = {
    ('sipsimple.util', 'sipsimple.core'): 'util.Route is a lazy alias of the class in core: the mission document imports it from there',
    ('sipsimple.util', 'sipsimple.threading'): 'ExponentialTimer runs on the SDK thread, imported when a timer starts',
    ('sipsimple.storage', 'sipsimple.account'): 'a storage makes the XCAP storage of an account when it is asked for one',
    ('sipsimple.conference', 'sipsimple.application'): 'a conference made without a mixer takes the application\'s voice mixer when it is made',
}


def modules():
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob('*.py')):
            parts = path.relative_to(ROOT).with_suffix('').parts
            yield '.'.join(parts[:-1] if parts[-1] == '__init__' else parts), path


def imports(tree, module, is_package):
    """(line, imported module, inside a function) of every import that runs."""
    found = []

    def visit(node, lazy):
        if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.dump(node.test):
            for child in node.orelse:
                visit(child, lazy)
            return
        if isinstance(node, ast.Import):
            found.extend((node.lineno, alias.name, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                parents = module.split('.')
                parents = parents[:len(parents) - node.level + is_package]
                base = '.'.join([*parents, base] if base else parents)
            names = [f'{base}.{alias.name}' for alias in node.names] if base in PACKAGES else [base]
            found.extend((node.lineno, name, lazy) for name in names)
        lazy = lazy or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for child in ast.iter_child_nodes(node):
            visit(child, lazy)
    visit(tree, False)
    return found


CYTHON_IMPORT = re.compile(r'^( *)(?:from +([\w.]+) +c?import|c?import +([\w.]+))', re.MULTILINE)


def cython_imports(text):
    """The same of a Cython module: import and cimport."""
    return [(text.count('\n', 0, match.start()) + 1, match[2] or match[3], bool(match[1])) for match in CYTHON_IMPORT.finditer(text)]


def part(module):
    """The layered part of a module's name: sipsimple.core.engine -> core; msrplib.x -> msrplib."""
    names = module.split('.')
    return names[0] if names[0] == 'msrplib' else names[1] if names[0] == 'sipsimple' and len(names) > 1 else None


def upward(source, target, lazy):
    """Why the import is forbidden, or None."""
    here, there = part(source), part(target)
    if there is None or here is None or here == there:
        return None
    if source.startswith('msrplib') and target.startswith('sipsimple'):
        return 'msrplib stands alone'
    if there not in LEVEL:
        return f'{there} has no layer: add it to LAYERS'
    if LEVEL[there] <= LEVEL[here]:
        return None
    if lazy and any(source.startswith(origin) and target.startswith(goal) for origin, goal in ALLOWED):
        return None
    return f'layer {LEVEL[here]} imports layer {LEVEL[there]}'


def test_the_walk_sees_what_it_should():
    tree = ast.parse('''
from typing import TYPE_CHECKING
import sipsimple.session
from sipsimple import account
from . import sibling
from ..util import Null
if TYPE_CHECKING:
    import sipsimple.application
else:
    import sipsimple.audio
def function():
    from sipsimple.session import Session
''')
    assert imports(tree, 'sipsimple.core.engine', False) == [
        (2, 'typing', False), (3, 'sipsimple.session', False), (4, 'sipsimple.account', False), (5, 'sipsimple.core', False),
        (6, 'sipsimple.util', False), (10, 'sipsimple.audio', False), (12, 'sipsimple.session', True)]
    assert upward('sipsimple.core.engine', 'sipsimple.session', True) and upward('msrplib.uri', 'sipsimple.util', False)
    assert not upward('sipsimple.session.base', 'sipsimple.core', False) and not upward('sipsimple.util', 'sipsimple.core.helpers', True)
    assert upward('sipsimple.util', 'sipsimple.core.helpers', False)


def test_the_walk_sees_cython():
    assert cython_imports('cimport cython\nfrom sipsimple.core._x cimport (\n    y)\ncdef f():\n    import sipsimple.session\nextern from "x.h"\n') == [
        (1, 'cython', False), (2, 'sipsimple.core._x', False), (5, 'sipsimple.session', True)]


def test_every_package_has_a_layer():
    assert {part(name) for name, _ in modules()} - {None} <= set(LEVEL)


def test_nothing_imports_upward():
    wrong = []
    for name, path in modules():
        tree = ast.parse(path.read_text(encoding='utf-8'), str(path))
        for line, target, lazy in imports(tree, name, path.name == '__init__.py'):
            reason = upward(name, target, lazy)
            if reason:
                wrong.append(f'{path.relative_to(ROOT)}:{line}: {target}: {reason}')
    native = sorted([*(ROOT / 'sipsimple').rglob('*.pyx'), *(ROOT / 'sipsimple').rglob('*.pxd')])
    assert native
    for path in native:
        for line, target, _ in cython_imports(path.read_text(encoding='utf-8')):
            # Not even in a function: what is native is low, and stays there.
            reason = upward('.'.join(path.relative_to(ROOT).with_suffix('').parts), target, False)
            if reason:
                wrong.append(f'{path.relative_to(ROOT)}:{line}: {target}: {reason}')
    assert not wrong, '\n'.join(wrong)


def test_every_module_can_be_imported_first():
    """Each in a fresh interpreter, so that no import cycle hides behind the order of the others."""
    native_core()
    script = '''
import os, sys
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            __import__(name)
            code = 0
        except BaseException as error:
            print(f'{name}: {type(error).__name__}: {error}', flush=True)
        os._exit(code)
    os.waitpid(child, 0)
'''
    names = [name for name, _ in modules()]
    done = subprocess.run([sys.executable, '-c', script, *names], capture_output=True, text=True, timeout=600, cwd=ROOT, check=False)
    assert done.stdout == '', done.stdout
