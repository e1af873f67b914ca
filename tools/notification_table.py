"""Compare what a run of the tests posted with the documented notifications.

    pytest --notification-report report.json
    python tools/notification_table.py report.json [--missing] [--section NAME ...] [--files]

The table is docs/notifications.toml. Each line says whether a notification was seen with all its fields, with some, or not at all; those of parts that are
still planned are not asked for. Seen is what the product posted outside of tests/unit, whose surroundings are played; a field has been seen when it was
something other than None, unless the table says that it may always be None; where the table names senders, each of them has to have posted it so. With
--missing only what lacks something is printed, with --section only what a section of the API document lists, "Session" for example; --files tells which of
the files that ran would do. Exit status: 0 when all others were seen with all fields, else 1.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

STATES = ('complete', 'partial', 'missing', 'planned')
TABLE = Path(__file__).resolve().parents[1] / 'docs' / 'notifications.toml'
PLAYED = 'tests/unit/'


def told_by(entry: dict[str, Any], files: Iterable[str] | None = None) -> dict[str, set[str]]:
    """Class of sender -> fields that were told in a file of tests that counts (and is among `files`)."""
    told: dict[str, set[str]] = {}
    for file, senders in entry['seen'].items():
        if not file.startswith(PLAYED) and (files is None or file in files):
            for sender, fields in senders.items():
                told.setdefault(sender, set()).update(fields)
    return told


def lacking(entry: dict[str, Any], told: dict[str, set[str]], there: Iterable[str]) -> list[str]:
    """What was not told: fields, senders, or fields from a sender. `there` are the fields that were there, if only as None."""
    fields = [field for field in entry['fields'] if field not in entry.get('none', ()) or field not in there]
    lack = []
    for sender in entry.get('senders', ()):
        missing = [field for field in fields if field not in told.get(sender, ())]
        if sender not in told or missing:
            lack.append(f'from {sender}' + (f' {" and ".join(missing)}' if sender in told else ''))
    anybody = set().union(*told.values())
    return [field for field in fields if field not in anybody] + lack


def compare(table: dict[str, Any], report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(name, 'complete', 'partial', 'missing' or 'planned', what lacks) for each documented notification."""
    rows = []
    for name, entry in table.items():
        seen = report.get(name)
        told = told_by(seen) if seen is not None else {}
        if entry.get('planned') or not told:            # a test may post one that the source does not yet
            rows.append((name, 'planned' if entry.get('planned') else 'missing', ', '.join(entry['sections'])))
            continue
        lack = lacking(entry, told, seen['fields'])
        rows.append((name, 'partial' if lack else 'complete', ', '.join(lack)))
    return rows


def enough_files(table: dict[str, Any], report: dict[str, Any]) -> list[tuple[str, int]]:
    """Files of tests that together show what all of them do, and how much each adds; those that add most come first, so it may not be the fewest."""
    shows: dict[str, set[tuple[str, str, str]]] = {}
    for name, entry in table.items():
        for file, senders in report.get(name, {'seen': {}})['seen'].items():
            if not file.startswith(PLAYED):
                asked = entry.get('senders', ())
                shows.setdefault(file, set()).update((name, sender if sender in asked else '', field) for sender, told in senders.items()
                                                     if not asked or sender in asked for field in ('', *told) if field in ('', *entry['fields']))
    chosen: list[tuple[str, int]] = []
    while True:
        file = max(sorted(shows), key=lambda file: len(shows[file]), default='')
        if not shows.get(file):
            return chosen
        added = shows.pop(file)
        chosen.append((file, len(added)))
        for rest in shows.values():
            rest -= added


def _of_sections(table: dict[str, Any], sections: list[str]) -> dict[str, Any]:
    """Those of some sections; of one that is in several, as those of both kinds of account are, with these senders only."""
    chosen = {}
    for name, entry in table.items():
        if set(sections) & set(entry['sections']):
            others = set(entry['sections']) - set(sections)
            chosen[name] = {**entry, 'senders': [sender for sender in entry.get('senders', ()) if sender not in others]}
    return chosen


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('report', type=Path)
    parser.add_argument('--table', type=Path, default=TABLE)
    parser.add_argument('--missing', action='store_true', help='print only what lacks something')
    parser.add_argument('--section', action='append', help='ask for the notifications of this section only; may be repeated')
    parser.add_argument('--files', action='store_true', help='tell also which of the files that ran show as much as all of them')
    options = parser.parse_args(arguments)
    table = tomllib.loads(options.table.read_text(encoding='utf-8'))
    known = set(table)
    if options.section is not None:
        unknown = set(options.section) - {section for entry in table.values() for section in entry['sections']}
        if unknown:
            parser.error(f'no such section: {", ".join(sorted(unknown))}')
        table = _of_sections(table, options.section)
    report = json.loads(options.report.read_text(encoding='utf-8'))
    rows = compare(table, report)
    for name, state, lack in rows:
        if state in ('partial', 'missing') or not options.missing:
            print(f'{state:9} {name}' + (f': {lack}' if lack else ''))
    counts = {state: sum(row[1] == state for row in rows) for state in STATES}
    print(f'{len(rows)} documented: ' + ', '.join(f'{count} {state}' for state, count in counts.items())
          + f'; {len({name for name in report if report[name]["count"]} - known)} others were posted')
    if options.files:
        for file, count in enough_files(table, report):
            print(f'{count:5} {file}')
    return 1 if counts['partial'] or counts['missing'] else 0


if __name__ == '__main__':
    raise SystemExit(main())
