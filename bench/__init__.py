"""Measurements: sipsimple beside programs in C that use the same build of PJSIP. `python -m bench --help`; docs/performance.md has results.

`programs` starts processes and reads what they used, `report` has statistics and the table, `measures` one module a subject of measurement, `subjects`
what runs on our side, each in a process of its own.
"""
