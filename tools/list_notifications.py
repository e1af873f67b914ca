"""List the notifications that the source posts, with their data fields.

    python tools/list_notifications.py              print the table
    python tools/list_notifications.py --write      put it into docs/notifications.md

A call whose function is named `post...` or `_post...` counts when its first argument is the name, or a variable that has been given names in the same
function. Fields are the keywords of the call and of the NotificationData in it; what is handed over in a variable is followed within the function and
into functions that return a dict. A posting function that is handed over with its arguments counts too. Fields that cannot be found so
are shown as `...`.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'notifications.md'
BEGIN, END = '<!-- table: tools/list_notifications.py -->', '<!-- end of table -->'

NAME = re.compile(r'[A-Z]\w*'
                  r'(Did|Will|Got|Get|New|Had|Was|Has|Can|Trace|Log|Changed|Detected|Failed|Failure|Received|Sent|Answered)\w*\Z'
                  r'|SIPEngine(Log|SIPTrace)\Z|FileTransferHandler(Progress|Error)\Z|XCAPManagerClientError\Z')
POSTING = re.compile(r'_?post(_notification|_later|_for_account)?\Z')
OWN_ARGUMENTS = {'sender', 'data'}                  # of post_notification
PREFIX = 'AudioStream'                              # what `self.prefix` of streams is; there is one kind so far
SERVICES = ('MWISubscriber', 'PresenceWinfoSubscriber', 'DialogWinfoSubscriber', 'PresenceSubscriber', 'DialogSubscriber', 'SelfPresenceSubscriber',
            'PresencePublisher', 'DialogPublisher')
PREFIXES = {                                        # what `self._prefix` and the like are in a module of base classes
    ('refreshed_request', '_prefix'): ('SIPPublication', 'SIPRegistration'),
    ('subscriber', '_prefix'): ('SIPReferral', 'SIPSubscription'),
    ('notifier', '_prefix'): ('SIPIncomingReferral', 'SIPIncomingSubscription'),
    ('event_dialog', '_prefix'): ('SIPIncomingReferral', 'SIPIncomingSubscription', 'SIPReferral', 'SIPSubscription'),
    ('services', '_prefix'): SERVICES,
    ('services', '_subscription_prefix'): tuple(name.replace('Subscriber', 'Subscription') for name in SERVICES if name.endswith('Subscriber')),
    ('services', '_publisher_prefix'): tuple(name for name in SERVICES if name.endswith('Publisher')),
    ('services', '_publication_prefix'): tuple(name.replace('Publisher', 'Publication') for name in SERVICES if name.endswith('Publisher')),
}
OPEN = '...'

GROUPS = {
    'Application': ('sipsimple/application',),
    'Accounts': ('sipsimple/account',),
    'Sessions': ('sipsimple/session',),
    'Streams': ('sipsimple/streams',),
    'Audio': ('sipsimple/audio', 'sipsimple/conference.py'),
    'Addressbook': ('sipsimple/addressbook',),
    'Settings': ('sipsimple/configuration', 'sipsimple/storage.py'),
    'DNS': ('sipsimple/lookup',),
    'Core': ('sipsimple/core',),
    'Others': ('sipsimple',),
}


@dataclass
class Posted:
    """A notification: where it is posted and with which fields."""

    fields: dict[str, None] = field(default_factory=dict)           # an ordered set
    modules: dict[str, None] = field(default_factory=dict)


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ''


def _texts(node: ast.AST, scope: ast.AST) -> list[str]:
    """The texts an expression can have: literals, and what a variable is given in the function."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        first = node.values[0]
        if isinstance(first, ast.FormattedValue) and isinstance(first.value, ast.Attribute) and first.value.attr == 'prefix' and len(node.values) == 2:
            return [PREFIX + text for text in _texts(node.values[1], scope)]
        if isinstance(first, ast.FormattedValue) and isinstance(first.value, ast.Attribute) and len(node.values) == 2:
            prefixes = PREFIXES.get((getattr(scope, 'stem', ''), first.value.attr), ())
            return [prefix + text for prefix in prefixes for text in _texts(node.values[1], scope)]
        return []
    if isinstance(node, ast.IfExp):
        return _texts(node.body, scope) + _texts(node.orelse, scope)
    if isinstance(node, ast.Name):
        found = []
        for statement in ast.walk(scope):
            if isinstance(statement, ast.Assign) and any(isinstance(target, ast.Name) and target.id == node.id for target in statement.targets):
                found += _texts(statement.value, scope)
        return found
    return []


def _home(name: str, module: ast.AST) -> ast.AST:
    """The module that a function comes from: this one, or the one of the source that it is imported from."""
    for statement in ast.walk(module):
        if isinstance(statement, ast.ImportFrom) and statement.module and any(alias.name == name for alias in statement.names):
            path = ROOT.joinpath(*statement.module.split('.')).with_suffix('.py')
            if path.is_file():
                return ast.parse(path.read_text(encoding='utf-8'), str(path))
    return module


def _fields(node: ast.AST, scope: ast.AST, module: ast.AST, depth: int = 0) -> list[str]:
    """The fields an expression stands for: a NotificationData, a dict, or a variable with one."""
    if depth > 4:
        return [OPEN]
    if isinstance(node, ast.Dict):
        found = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                found += _fields(value, scope, module, depth + 1)
            elif isinstance(key, ast.Constant):
                found.append(str(key.value))
        return found
    if isinstance(node, ast.IfExp):
        return _fields(node.body, scope, module, depth + 1) + _fields(node.orelse, scope, module, depth + 1)
    if isinstance(node, ast.Call):
        name = _called(node)
        if name.endswith('NotificationData') or name == 'dict':
            return _keywords(node, scope, module, depth)
        for function in ast.walk(_home(name, module)):
            if isinstance(function, ast.FunctionDef) and function.name == name:
                returned = [part.value for part in ast.walk(function) if isinstance(part, ast.Return) and part.value is not None]
                return [text for value in returned for text in _fields(value, function, module, depth + 1)]
        return [OPEN]
    if isinstance(node, ast.Name):
        found, known = [], False
        for statement in ast.walk(scope):
            if isinstance(statement, (ast.Assign, ast.AnnAssign)):
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                for target in targets:
                    for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                        if isinstance(part, ast.Name) and part.id == node.id and statement.value is not None:
                            known = True
                            found += _fields(statement.value, scope, module, depth + 1)
                        elif isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name) and part.value.id == node.id \
                                and isinstance(part.slice, ast.Constant):
                            found.append(str(part.slice.value))
            elif isinstance(statement, ast.Call) and isinstance(statement.func, ast.Attribute) and statement.func.attr == 'update' \
                    and isinstance(statement.func.value, ast.Name) and statement.func.value.id == node.id:
                found += _keywords(statement, scope, module, depth)
        return found if known else [*found, OPEN]
    return [OPEN]


def _keywords(call: ast.Call, scope: ast.AST, module: ast.AST, depth: int = 0) -> list[str]:
    found = []
    for keyword in call.keywords:
        found += [keyword.arg] if keyword.arg is not None else _fields(keyword.value, scope, module, depth + 1)
    return found


def _calls(path: Path) -> Iterator[tuple[ast.Call, ast.AST, ast.AST]]:
    """The posting calls of a file: call, function around it, module."""
    text = path.read_text(encoding='utf-8')
    if path.suffix == '.py':
        module = ast.parse(text, str(path))
        for function in ast.walk(module):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                function.stem = path.stem           # type: ignore[union-attr]
                for call in ast.walk(function):
                    if isinstance(call, ast.Call):
                        if POSTING.match(_called(call)):
                            yield call, function, module
                        for number, argument in enumerate(call.args):
                            # Posted later: call_later(0, self._post, 'Name', data)
                            if isinstance(argument, (ast.Attribute, ast.Name)) and POSTING.match(_called(ast.Call(argument, [], []))):
                                yield ast.Call(argument, call.args[number + 1:], call.keywords), function, module
        return
    # Cython: the calls themselves are plain Python.
    for match in re.finditer(r'\b_?post(_notification|_later)?\(', text):
        depth, end = 0, match.end() - 1
        for end in range(match.end() - 1, len(text)):
            depth += {'(': 1, ')': -1}.get(text[end], 0)
            if not depth:
                break
        try:
            call = ast.parse(f'post{text[match.end() - 1:end + 1]}', mode='eval').body
        except SyntaxError:
            continue                                # a definition
        if isinstance(call, ast.Call):
            yield call, call, call


def scan(root: Path = ROOT) -> dict[str, Posted]:
    """Return name -> Posted of everything the source below `root` posts."""
    found: dict[str, Posted] = {}
    for path in sorted([*(root / 'sipsimple').rglob('*.py'), *(root / 'sipsimple').rglob('*.pyx'), *(root / 'msrplib').rglob('*.py')]):
        for call, function, module in _calls(path):
            if not call.args:
                continue
            fields = [name for name in _keywords(call, function, module) if name not in OWN_ARGUMENTS]
            data = [keyword.value for keyword in call.keywords if keyword.arg == 'data'] + \
                [argument for argument in call.args[1:]
                 if isinstance(argument, (ast.Call, ast.Dict)) or isinstance(argument, ast.Name) and argument.id == 'data']
            for value in data:
                fields += _fields(value, function, module)
            for name in _texts(call.args[0], function):
                if NAME.match(name):
                    entry = found.setdefault(name, Posted())
                    entry.fields.update(dict.fromkeys(fields))
                    entry.modules[path.relative_to(root).with_suffix('').as_posix().replace('/', '.')] = None
    # A stream hands these on from its transport.
    for name in [name for name in found if name.startswith('RTPTransportICE')]:
        entry = found.setdefault(name.replace('RTPTransport', PREFIX), Posted(dict(found[name].fields)))
        entry.modules['sipsimple.streams.rtp.base'] = None
    return found


def table(found: dict[str, Posted]) -> str:
    """Return the table in Markdown, by parts of the SDK."""
    lines = []
    left = dict(found)
    for title, places in GROUPS.items():
        modules = tuple(place.removesuffix('.py').replace('/', '.') for place in places)
        here = sorted(name for name, entry in left.items() if any(module == start or module.startswith(start + '.')
                                                                   for start in modules for module in [next(iter(entry.modules))]))
        if not here:
            continue
        lines += [f'### {title}', '', '| name | data |', '|---|---|']
        for name in here:
            entry = left.pop(name)
            names = [f'`{text}`' for text in entry.fields if text != OPEN] + ([OPEN] if OPEN in entry.fields else [])
            lines.append(f'| `{name}` | {", ".join(names)} |')
        lines.append('')
    return '\n'.join(lines)


def with_table(page: str, text: str) -> str:
    """Return a page with its table replaced. ValueError: it has no place for one."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f'the page has no {BEGIN} ... {END}')
    return f'{before}{BEGIN}\n\n{text}\n{END}{after}'


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--write', action='store_true', help='write docs/notifications.md')
    options = parser.parse_args(arguments)
    text = table(scan())
    if options.write:
        PAGE.write_text(with_table(PAGE.read_text(encoding='utf-8'), text), encoding='utf-8')
    else:
        print(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
