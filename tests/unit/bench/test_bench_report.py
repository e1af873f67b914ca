"""The arithmetic of the benchmark's table."""

from bench.report import Figure, Row, percentile, table


def row(ours=(), peer=(), **kwargs):
    return Row('name', 'us', Figure(list(ours)), Figure(list(peer)), **kwargs)


def test_the_median_counts_and_the_spread_is_told():
    figure = Figure([1.0, 100.0, 2.0])
    assert figure.median == 2.0
    assert figure.spread == 99 / 2
    assert Figure().median is None and Figure().spread == 0


def test_percentiles_are_values_that_occurred():
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, 50) == 51
    assert percentile(values, 99) == 100
    assert percentile([7.0], 99) == 7


def test_targets_of_ratios_and_of_values():
    assert row([6], [10], target=0.6, at_least=True).met is True
    assert row([5.9], [10], target=0.6, at_least=True).met is False
    assert row([11], [10], target=1.1).met is True
    assert row([12], [10], target=1.1).met is False
    assert row([161], [1], target=160, absolute=True).met is False
    assert row([5], [10]).met is None
    assert row([], [10], target=1).met is None


def test_a_missed_target_stands_out_in_the_table():
    text = table([row([5], [10], target=0.6, at_least=True), row([1, 2, 3])])
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[2].split('|')[1:-1]] == ['name', 'us', '5', '10', '0.50', '≥ 0.6×', 'NO']
    assert [cell.strip() for cell in lines[3].split('|')[1:-1]] == ['name', 'us', '2 ±50%', '-', '', '', '']
