"""Start-up: what the import costs, when the first OPTIONS is answered, and how much memory that takes."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

from bench.context import Bench
from bench.programs import BenchError, Program, Subject, free_port
from bench.report import Row

OPTIONS = ('OPTIONS sip:0@127.0.0.1:{to} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bK-{number}\r\nMax-Forwards: 70\r\n'
           'From: <sip:bench@127.0.0.1>;tag=1\r\nTo: <sip:0@127.0.0.1>\r\nCall-ID: start-{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n')
IMPORT = 'import time; begin = time.perf_counter(); import sipsimple.application; print(time.perf_counter() - begin)'


def import_time() -> float:
    """Seconds `import sipsimple.application` takes in a new interpreter."""
    done = subprocess.run([sys.executable, '-c', IMPORT], capture_output=True, text=True, check=True)
    return float(done.stdout)


def first_answer(program: Program, port: int) -> float:
    """Seconds from the start of the process to its answer to an OPTIONS."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(('127.0.0.1', 0))
        peer.connect(('127.0.0.1', port))
        peer.settimeout(0.002)
        number = 0
        while time.perf_counter() - program.started < 20:
            number += 1
            try:
                peer.send(OPTIONS.format(to=port, port=peer.getsockname()[1], number=number).encode())
                answer = peer.recv(65536)
            except ConnectionRefusedError:
                time.sleep(0.002)           # the port is not open yet
                continue
            except TimeoutError:
                continue
            if answer.startswith(b'SIP/2.0 200'):
                return time.perf_counter() - program.started
    raise BenchError('OPTIONS is not answered')


def measure(bench: Bench) -> list[Row]:
    imports = Row('import sipsimple.application', 's', target=0.25, absolute=True)
    engine = Row('start of the process to first answer, Engine', 's')
    application = Row('start of the process to first answer, application', 's', target=0.4, absolute=True)
    memory = Row('resident memory after the first answer', 'MB', target=50, absolute=True)
    import_time()                           # once, for the files to be in the page cache
    for _ in bench.turns():
        imports.ours.values.append(import_time())
        for row, what in ((engine, 'engine'), (application, 'application')):
            port = free_port()
            with Subject('startup', what=what, port=port) as subject:
                row.ours.values.append(first_answer(subject, port))
                if what == 'application':
                    time.sleep(0.5)         # what a start puts off is part of the memory
                    memory.ours.values.append(subject.memory() / 1e6)
        port = free_port()
        server = bench.peers.perf_program(port)
        with server:
            seconds = first_answer(server, port)
            engine.peer.values.append(seconds)
            application.peer.values.append(seconds)
            memory.peer.values.append(server.memory() / 1e6)
    return [imports, engine, application, memory]
