"""Give the stubs of the native modules the docstrings of the built extension: editors read stubs, help() reads the extension.

    python tools/stub_docs.py           name the stubs that are not current
    python tools/stub_docs.py --write   write them

The text is written once, in the .pyx. What cannot have one there (a TypedDict, a `cdef readonly` attribute) keeps the docstring of its stub.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
STUBS = ROOT / 'sipsimple' / 'core'

SIGNATURE = re.compile(r'\A[\w.]+\([^\n]*(?:\n\s*\n|\Z)')     # Cython puts it above the docstring (embedsignature)

Node = ast.ClassDef | ast.FunctionDef


def _nodes(body: list[ast.stmt], owner: Any) -> Iterator[tuple[Node, Any]]:
    """The public classes, functions, methods and properties of a stub, each with what the extension has under that name."""
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith('_'):
            decorators = {ast.unparse(decorator).rpartition('.')[2] for decorator in node.decorator_list}
            found = getattr(owner, node.name, None)
            if found is not None and not decorators & {'setter', 'overload'}:
                yield node, found
                if isinstance(node, ast.ClassDef):
                    yield from _nodes(node.body, found)


def _quoted(text: str, indent: str) -> str:
    lines = inspect.cleandoc(text.rstrip()).splitlines()
    quote = 'r"""' if '\\' in text else '"""'
    if len(lines) == 1:
        return f'{indent}{quote}{lines[0]}"""\n'
    return ''.join([f'{indent}{quote}{lines[0]}\n', *(f'{indent}{line}'.rstrip() + '\n' for line in lines[1:]), f'{indent}"""\n'])


def with_docs(stub: str, module: Any) -> str:
    """The text of a stub with the docstrings of `module`."""
    lines = stub.splitlines(keepends=True)
    for node, found in reversed(list(_nodes(ast.parse(stub).body, module))):
        text = SIGNATURE.sub('', found.__doc__ or '', count=1)
        if not text:
            continue
        first = node.body[0]
        docstring = _quoted(text, ' ' * (node.col_offset + 4))
        if ast.get_docstring(node) is not None:
            lines[first.lineno - 1:first.end_lineno] = [docstring]
        elif isinstance(node, ast.FunctionDef):         # def f() -> int: ...
            line = first.lineno - 1
            lines[line:first.end_lineno] = [lines[line][:first.col_offset].rstrip() + '\n', docstring]
        else:
            lines.insert(min([first.lineno, *(decorator.lineno for decorator in getattr(first, 'decorator_list', []))]) - 1, docstring)
    return ''.join(lines)


def outdated() -> dict[Path, str]:
    """The stubs that differ from what they should be, with what they should be."""
    found = {}
    for path in sorted(STUBS.glob('_*.pyi')):
        stub = path.read_text(encoding='utf-8')
        text = with_docs(stub, importlib.import_module(f'sipsimple.core.{path.stem}'))
        if text != stub:
            found[path] = text
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--write', action='store_true', help='write the stubs')
    options = parser.parse_args(arguments)
    stubs = outdated()
    for path, text in stubs.items():
        print(path.relative_to(ROOT))
        if options.write:
            path.write_text(text, encoding='utf-8')
    return 0 if options.write or not stubs else 1


if __name__ == '__main__':
    sys.exit(main())
