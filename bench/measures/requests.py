"""OPTIONS and MESSAGE with a Python handler, beside pjsip-perf as a stateful server; pjsip-perf is the client of both."""

from __future__ import annotations

from bench.context import Bench
from bench.programs import Subject
from bench.report import Row

COUNT = 20000
WINDOW = 100


def measure(bench: Bench) -> list[Row]:
    rows = []
    for method, answered in (('OPTIONS', True), ('MESSAGE', True), ('MESSAGE', False)):
        what = f'{method} {"answered by" if answered else "handed to"} a Python handler'
        cost = Row(f'{what}: CPU each', 'us')
        rate = Row(f'{what}: rate', '/s', target=0.6 if method == 'MESSAGE' else None, at_least=True)
        rows += [cost, rate]
        for _ in bench.turns():
            _ours(bench, method, answered, cost, rate)
            _peer(bench, method, cost, rate)
    return rows


def _ours(bench: Bench, method: str, answered: bool, cost: Row, rate: Row) -> None:
    with Subject('requests', answer=[method] if answered else []) as subject:
        port = subject.ready()['port']
        bench.peers.perf_load(subject, f'sip:1@127.0.0.1:{port}', method, bench.count(COUNT) // 10, WINDOW)         # warm
        subject.do('report')
        load = bench.peers.perf_load(subject, f'sip:1@127.0.0.1:{port}', method, bench.count(COUNT), WINDOW)
        report = subject.do('report')
    if load.failed or report['count'] != load.requests:
        bench.remark(f'{method}: {load.failed} of {load.requests} were not answered with 200, the handler had {report["count"]}')
    cost.ours.values.append(load.server_cost)
    # It counts when the handler has had them all, not when the core has answered.
    rate.ours.values.append(load.requests / max(load.seconds, report['seconds']))


def _peer(bench: Bench, method: str, cost: Row, rate: Row) -> None:
    server, port = bench.peers.perf_server()
    with server:
        bench.peers.perf_load(server, f'sip:1@127.0.0.1:{port}', method, bench.count(COUNT) // 10, WINDOW)
        load = bench.peers.perf_load(server, f'sip:1@127.0.0.1:{port}', method, bench.count(COUNT), WINDOW)
    cost.peer.values.append(load.server_cost)
    rate.peer.values.append(load.rate)
