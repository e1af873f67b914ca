"""A VNC viewer without a screen, a process of its own: `python -m sipsimple.demo.viewer HOST PORT`.

It ends with its input, or when it is terminated. Each line of its standard input is a command, answered with a line: `all FILE` asks the server for the
whole screen, `changes FILE` for what has changed since, which may take until something does; both save what the viewer has then. It is vncdotool that speaks
RFB, no code of ours.
"""

from __future__ import annotations

import sys

LIMIT = 60      # seconds


def main(host: str, port: str) -> None:
    """Show what comes, until the input ends."""
    from vncdotool import api
    client = api.connect(f'{host}::{port}', timeout=LIMIT)
    for line in sys.stdin:
        what, _, file = line.rstrip('\n').partition(' ')
        client.captureScreen(file, incremental=what == 'changes')
        print('done', flush=True)
    client.disconnect()
    api.shutdown()


if __name__ == '__main__':
    main(*sys.argv[1:])
