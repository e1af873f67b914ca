"""Every public name of the packages says what it is: its module, class, function, method or property has a docstring, or inherits one."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from zope.interface import implementedBy

from tests.support.require import native_core

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / 'sipsimple'
SOURCES = sorted([*PACKAGE.rglob('*.py'), *PACKAGE.rglob('*.pyi'), *(ROOT / 'msrplib').rglob('*.py')])

# Names without a docstring, each with the reason. What inherits one (an override, a method of an interface) needs no entry.
EXCEPTIONS: dict[str, str] = {}


def public(name: str) -> bool:
    return not name.startswith('_')


def undocumented(tree: ast.Module) -> Iterator[str]:
    """The public names without a docstring, dotted; those inside functions are nobody's business."""
    def walk(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, (ast.If, ast.Try)):
                yield from walk([*node.body, *node.orelse], prefix)
            elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and public(node.name):
                decorators = {ast.unparse(decorator).rpartition('.')[2] for decorator in node.decorator_list}
                if not decorators & {'setter', 'deleter', 'overload'} and not ast.get_docstring(node):
                    yield prefix + node.name
                if isinstance(node, ast.ClassDef):
                    yield from walk(node.body, f'{prefix}{node.name}.')
    yield from walk(tree.body, '')


def inherits(module: str, name: str) -> bool:
    """True when `Class.method` has a docstring in a base class or an interface of the class."""
    *owners, method = name.split('.')
    owner = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    if not isinstance(owner, type):
        return False
    bases = any(getattr(vars(base).get(method), '__doc__', None) for base in owner.__mro__[1:])
    return bases or any(method in interface and interface[method].__doc__ for interface in implementedBy(owner))


def module_of(path: Path) -> str:
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


@pytest.mark.parametrize('path', SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_public_names_have_docstrings(path):
    tree = ast.parse(path.read_text(encoding='utf-8'))
    lacking = list(undocumented(tree))
    if path.suffix == '.py':
        if lacking:
            native_core()
        lacking = [name for name in lacking if '.' not in name or not inherits(module_of(path), name)]
        if not ast.get_docstring(tree) and path.stat().st_size:
            lacking.insert(0, '(the module)')
    assert [name for name in lacking if f'{module_of(path)}.{name}' not in EXCEPTIONS] == []


def test_exceptions_are_needed():
    lacking = {f'{module_of(path)}.{name}' for path in SOURCES for name in undocumented(ast.parse(path.read_text(encoding='utf-8')))}
    assert set(EXCEPTIONS) <= lacking


def test_the_search_sees_what_it_should():
    source = '''
class Told:
    """Told."""
    def told(self):
        """Told."""
    def untold(self): pass
    @property
    def value(self): pass
    @value.setter
    def value(self, value): pass
    def _private(self): pass
    def __len__(self): pass
class Untold: pass
class _Private:
    def untold(self): pass
if True:
    async def conditional(): pass
def told():
    """Told."""
    def inner(): pass
'''
    assert list(undocumented(ast.parse(source))) == ['Told.untold', 'Told.value', 'Untold', 'conditional']


def test_stubs_have_the_docstrings_of_the_extension():
    native_core()
    spec = importlib.util.spec_from_file_location('sipsimple_tools_stub_docs', ROOT / 'tools' / 'stub_docs.py')
    assert spec is not None and spec.loader is not None
    tool = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert [path.name for path in tool.outdated()] == [], 'run: python tools/stub_docs.py --write'


def test_stub_docstrings_are_put_where_they_belong():
    spec = importlib.util.spec_from_file_location('sipsimple_tools_stub_docs', ROOT / 'tools' / 'stub_docs.py')
    assert spec is not None and spec.loader is not None
    tool = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    class Shape:
        """Shape(size)

        A thing with a size.
        """

        size = 0

        @property
        def area(self) -> int:
            """In square metres."""
            return 0

        def turn(self) -> None:
            """turn(self)"""

    class module:
        pass

    module.Shape = Shape
    stub = '''class Shape:
    size: int
    @property
    def area(self) -> int:
        """Out of date."""
    def turn(self, angle: int,
             way: str) -> None: ...
class OnlyHere:
    """Kept."""
'''
    told = stub.replace('class Shape:\n', 'class Shape:\n    """A thing with a size."""\n').replace('Out of date.', 'In square metres.')
    assert tool.with_docs(stub, module) == told and tool.with_docs(told, module) == told
