"""The benchmark runs: short, and without looking at its figures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.child import environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_every_measure_gives_figures_for_both_sides(tmp_path):
    figures = tmp_path / 'figures.json'
    done = subprocess.run([sys.executable, '-m', 'bench', '--rounds', '1', '--scale', '0.01', '--flavour', 'develop', '--json', str(figures)], cwd=ROOT,
                          env=environment(),
                          capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr         # 1: a target is missed, which is no matter for a test
    assert figures.is_file(), done.stderr
    assert 'remark' not in done.stdout, done.stdout
    rows = json.loads(figures.read_text(encoding='utf-8'))['rows']
    assert len(rows) > 20
    assert all(row['ours'] and all(value >= 0 for value in row['ours']) for row in rows)
    alone = {row['name'] for row in rows if not row['peer']}
    assert alone == {'import sipsimple.application', 'idle: connect() to SIPSessionDidStart, p50', *(f'MSRP in memory: {what}' for what in (
        'one message, chunks of 1 MiB', 'one message, chunks of 10 kB', 'short messages with reports')), *(f'MSRP over {name}: {what}' for name in ('TCP', 'TLS')
        for what in ('short messages with reports', 'most memory of either side'))}
