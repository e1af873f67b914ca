"""Calls in both directions against pjsip-perf; what the measurements of invitations and of sessions share."""

from __future__ import annotations

from collections.abc import Callable

from bench.context import Bench
from bench.programs import Load, Program, Subject
from bench.report import Row

WINDOW = 32
NEGOTIATE = '--real-sdp'        # without it pjsip-perf negotiates one fixed description, and ours do not


def call(bench: Bench, server: Program, port: int, count: int) -> Load:
    """Let pjsip-perf call the program at `port`, and hang up at once."""
    return bench.peers.perf_load(server, f'sip:2@127.0.0.1:{port}', 'INVITE', count, WINDOW, NEGOTIATE)


def measure(bench: Bench, what: str, count: int, peer_count: int, start: Callable[[], Subject], target: float) -> list[Row]:
    """Rows of calls/s and CPU for both directions."""
    rows = {direction: (Row(f'{direction} {what}: CPU each', 'us'), Row(f'{direction} {what}: rate', '/s', target=target, at_least=True))
            for direction in ('incoming', 'outgoing')}
    for _ in bench.turns():
        _ours_incoming(bench, start, count, *rows['incoming'])
        _ours_outgoing(bench, start, count, *rows['outgoing'])
        _peer(bench, peer_count, rows)
    return [row for pair in rows.values() for row in pair]


def _ours_incoming(bench: Bench, start: Callable[[], Subject], count: int, cost: Row, rate: Row) -> None:
    with start() as subject:
        port = subject.ready()['port']
        call(bench, subject, port, count // 10)
        subject.do('report')
        load = call(bench, subject, port, count)
        report = subject.do('report')
    established = report.get('started', report.get('connected'))
    if load.failed or established != load.requests:
        bench.remark(f'{cost.name}: of {load.requests} calls {load.failed} were not answered with 200, {established} were established')
    cost.ours.values.append(load.server_cost)
    rate.ours.values.append(load.rate)


def _ours_outgoing(bench: Bench, start: Callable[[], Subject], count: int, cost: Row, rate: Row) -> None:
    server, port = bench.peers.perf_server(NEGOTIATE)
    with server, start() as subject:
        subject.ready()
        subject.do('dial', port=port, count=max(WINDOW, count // 10), window=WINDOW)
        answer = subject.do('dial', port=port, count=count, window=WINDOW)
    established = answer.get('started', answer.get('connected'))
    if answer['failed'] or established != count:
        bench.remark(f'{cost.name}: of {count} calls {answer["failed"]} failed, {established} were established')
    cost.ours.values.append(answer['cpu'] / count * 1e6)
    rate.ours.values.append(count / answer['seconds'])


def _peer(bench: Bench, count: int, rows: dict[str, tuple[Row, Row]]) -> None:
    server, port = bench.peers.perf_server(NEGOTIATE)
    with server:
        call(bench, server, port, count // 10)
        load = call(bench, server, port, count)
    for direction, value in (('incoming', load.server_cost), ('outgoing', load.client_cost)):
        cost, rate = rows[direction]
        cost.peer.values.append(value)
        rate.peer.values.append(load.rate)

