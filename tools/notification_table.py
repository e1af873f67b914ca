"""Compare what a run of the tests posted with the documented notifications.

    pytest --notification-report report.json
    python tools/notification_table.py report.json [--missing] [--section NAME ...]

The table is docs/notifications.toml. Each line says whether a notification was seen with all its fields, with some, or not at
all; those of parts that are still planned are not asked for. With --missing only what lacks something is printed, with --section only
what a section of the API document lists, "Session" for example. Exit status: 0 when all others were seen with all fields, else 1.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

STATES = ('complete', 'partial', 'missing', 'planned')
TABLE = Path(__file__).resolve().parents[1] / 'docs' / 'notifications.toml'


def compare(table: dict[str, Any], report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(name, 'complete', 'partial', 'missing' or 'planned', what lacks) for each documented notification."""
    rows = []
    for name, entry in table.items():
        seen = report.get(name)
        if entry.get('planned') or seen is None:        # a test may post one that the source does not yet
            rows.append((name, 'planned' if entry.get('planned') else 'missing', ', '.join(entry['sections'])))
            continue
        lacking = [field for field in entry['fields'] if field not in seen['fields']]
        rows.append((name, 'partial' if lacking else 'complete', ', '.join(lacking)))
    return rows


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('report', type=Path)
    parser.add_argument('--table', type=Path, default=TABLE)
    parser.add_argument('--missing', action='store_true', help='print only what lacks something')
    parser.add_argument('--section', action='append', help='ask for the notifications of this section only; may be repeated')
    options = parser.parse_args(arguments)
    table = tomllib.loads(options.table.read_text(encoding='utf-8'))
    known = set(table)
    if options.section is not None:
        unknown = set(options.section) - {section for entry in table.values() for section in entry['sections']}
        if unknown:
            parser.error(f'no such section: {", ".join(sorted(unknown))}')
        table = {name: entry for name, entry in table.items() if set(options.section) & set(entry['sections'])}
    report = json.loads(options.report.read_text(encoding='utf-8'))
    rows = compare(table, report)
    for name, state, lack in rows:
        if state in ('partial', 'missing') or not options.missing:
            print(f'{state:9} {name}' + (f': {lack}' if lack else ''))
    counts = {state: sum(row[1] == state for row in rows) for state in STATES}
    print(f'{len(rows)} documented: ' + ', '.join(f'{count} {state}' for state, count in counts.items())
          + f'; {len(report.keys() - known)} others were posted')
    return 1 if counts['partial'] or counts['missing'] else 0


if __name__ == '__main__':
    raise SystemExit(main())
