"""Print the state machines of the source as tables and diagrams.

    python tools/state_diagrams.py                  all, as text
    python tools/state_diagrams.py --mermaid NAME   one, as a Mermaid diagram
    python tools/state_diagrams.py --write          put tables and diagrams into docs/states.md
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
PAGE = ROOT / 'docs' / 'states.md'
BEGIN, END = '<!-- {}: tools/state_diagrams.py -->', '<!-- end of {} -->'

# name on the page -> module and table
MACHINES = {
    'application': ('sipsimple.application.application', 'TRANSITIONS'),
    'session': ('sipsimple.session.states', 'TRANSITIONS'),
    'transfer': ('sipsimple.session.transfer', 'TRANSFER_TRANSITIONS'),
    'participant': ('sipsimple.session.participants', 'PARTICIPANT_TRANSITIONS'),
    'stream': ('sipsimple.streams.rtp.base', 'TRANSITIONS'),
    'ice-restart': ('sipsimple.streams.rtp.restart', 'TRANSITIONS'),
    'msrp-stream': ('sipsimple.streams.msrp.base', 'TRANSITIONS'),
    'file-transfer': ('sipsimple.streams.msrp.filehandler', 'TRANSITIONS'),
    'registration': ('sipsimple.account.registration', 'TRANSITIONS'),
    'xcap-manager': ('sipsimple.account.xcap.states', 'TRANSITIONS'),
    'keeper': ('sipsimple.account.keeper', 'TRANSITIONS'),
    'xcap': ('sipsimple.account.xcap.states', 'TRANSITIONS'),
    'bonjour-registration': ('sipsimple.account.bonjour.registration', 'TRANSITIONS'),
    'bonjour-discovery': ('sipsimple.account.bonjour.discovery', 'TRANSITIONS'),
    'bonjour-neighbour': ('sipsimple.account.bonjour.neighbour', 'NEIGHBOUR_TRANSITIONS'),
    'invitation': ('sipsimple.core.invitation_state', 'TRANSITIONS'),
    'sub-state': ('sipsimple.core.invitation_state', 'SUB_TRANSITIONS'),
    'subscription': ('sipsimple.core.subscriber', 'TRANSITIONS'),
    'incoming-subscription': ('sipsimple.core.notifier', 'TRANSITIONS'),
}

Row = tuple[str, str, str]              # state, input ('' when the table has none), next state


def _name(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def _input(value: Any) -> str:
    """An input by what it means: its value when that is a text."""
    return value.value if isinstance(value.value, str) else value.name


def _inputs(table: Mapping[tuple[Any, Any], Any]) -> list[Row]:
    """Rows of a table (state, input) -> next state, or -> (method, next state)."""
    return [(_name(state), _input(what), _name(following[1] if isinstance(following, tuple) else following)) for (state, what), following in table.items()]


def _followers(table: Mapping[Any, Iterable[Any]]) -> list[Row]:
    """Rows of a table state -> next states."""
    return [(_name(state), '', _name(following)) for state, followers in table.items() for following in sorted(map(str, followers))]


def machines() -> dict[str, list[Row]]:
    """Return name -> rows of every machine, in the order of the documentation."""
    found = {}
    for name, (module, table) in MACHINES.items():
        transitions = getattr(importlib.import_module(module), table)
        found[name] = (_inputs if all(isinstance(key, tuple) for key in transitions) else _followers)(transitions)
    return found


def text_table(rows: list[Row]) -> str:
    """Return a table in Markdown: a line for each state and input; of followers without input, a line for each state."""
    if any(what for _, what, _ in rows):
        return '\n'.join(['| state | input | next state |', '|---|---|---|', *(f'| {state} | {what} | {following} |' for state, what, following in rows)])
    grouped: dict[str, list[str]] = {}
    for state, _, following in rows:
        grouped.setdefault(state, []).append(following)
    return '\n'.join(['| state | next states |', '|---|---|', *(f'| {state} | {", ".join(followers)} |' for state, followers in grouped.items())])


def mermaid(rows: list[Row]) -> str:
    """Return a Mermaid state diagram; inputs between the same two states share an arrow, those that stay are left out."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, what, following in rows:
        if state != following:
            arrows.setdefault((state, following), []).append(what)
    lines = ['stateDiagram-v2']
    names = {'None': '[*]'}
    if any(following == 'None' for _, following in arrows):
        names = {}                      # as a target, [*] would be the end
        lines.append('    [*] --> None')
    for (state, following), inputs in arrows.items():
        label = ' / '.join(text.replace(':', ',').replace(';', ',') for text in inputs if text)
        lines.append(f'    {names.get(state, state)} --> {names.get(following, following)}' + (f': {label}' if label else ''))
    return '\n'.join(lines)


def page_with(page: str, found: Mapping[str, list[Row]]) -> str:
    """Return a page with the part of every machine replaced. ValueError: it lacks one."""
    for name, rows in found.items():
        begin, end = BEGIN.format(name), END.format(name)
        before, found_begin, rest = page.partition(begin)
        _, found_end, after = rest.partition(end)
        if not found_begin or not found_end:
            raise ValueError(f'the page has no {begin} ... {end}')
        page = f'{before}{begin}\n\n```mermaid\n{mermaid(rows)}\n```\n\n{text_table(rows)}\n\n{end}{after}'
    return page


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--mermaid', metavar='NAME', help='print one machine as a Mermaid diagram')
    parser.add_argument('--write', action='store_true', help='write docs/states.md')
    options = parser.parse_args(arguments)
    found = machines()
    if options.mermaid:
        if options.mermaid not in found:
            parser.error(f'there are: {", ".join(found)}')
        print(mermaid(found[options.mermaid]))
    elif options.write:
        PAGE.write_text(page_with(PAGE.read_text(encoding='utf-8'), found), encoding='utf-8')
    else:
        for name, rows in found.items():
            print(f'{name}\n\n{text_table(rows)}\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
