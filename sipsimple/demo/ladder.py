"""The SIP messages between two processes as a ladder diagram in text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ['Message', 'draw', 'merge']

WIDTH = 54                              # columns between the two lines


@dataclass(frozen=True)
class Message:
    """A message on its way.

    Attributes:
        time: seconds since the epoch.
        to_right: whether it goes to the right-hand side.
        text: request or status line, in short.
        arrived: whether the other side has it as well; True when nobody looked.
    """

    time: float
    to_right: bool
    text: str
    arrived: bool


def _title(message: str) -> str:
    """Request or status line in short, the method a response is for, and what the body is."""
    head, _, body = message.partition('\r\n\r\n')
    lines = head.split('\r\n')
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(':') for line in lines[1:])}
    method = fields.get('cseq', '').partition(' ')[2]
    first = lines[0]
    if first.startswith('SIP/2.0 '):
        title = f'{first[8:]} ({method})'
    else:
        title = first.removesuffix(' SIP/2.0').partition(';')[0]
    content = fields.get('content-type', fields.get('c', '')) if body else ''
    if content == 'application/sdp':
        return f'{title} + SDP'
    return f'{title} + {content}' if content else title


def merge(left: Iterable[Mapping[str, Any]], right: Iterable[Mapping[str, Any]] | None) -> list[Message]:
    """Make one list of the "sip" events of two agents, or of one (`right` is None) and somebody who was not asked.

    An event has the time at which it was told of, which may be a moment late: a message is as early as the first of its two ends says. So it
    stands before what it caused.
    """
    left = list(left)
    arrivals: dict[tuple[bool, str], list[float]] = {}
    for to_right, receiver in ((True, right), (False, left)):
        for event in receiver or ():
            if event['received']:
                arrivals.setdefault((to_right, event['message']), []).append(event['time'])
    messages = []
    for to_right, sender in ((True, left), (False, right)):
        for event in sender or ():
            if event['received'] or not event['message'].strip():
                continue                # keep-alives are blank
            times = arrivals.get((to_right, event['message']), [])
            arrived = times.pop(0) if times else None
            messages.append(Message(event['time'] if arrived is None else min(event['time'], arrived), to_right, _title(event['message']),
                                    arrived is not None or right is None))
    if right is None:
        messages += [Message(event['time'], False, _title(event['message']), True) for event in left if event['received'] and event['message'].strip()]
    return sorted(messages, key=lambda message: message.time)


def draw(messages: Iterable[Message], names: tuple[str, str], zero: float) -> list[str]:
    """Return the lines of the diagram; times are seconds since `zero`."""
    left, right = names
    lines = [f'{"":9}{left:<{WIDTH - len(right) + 2}}{right}']
    for message in messages:
        text = message.text if len(message.text) <= WIDTH - 6 else message.text[:WIDTH - 9] + '...'
        rule = '-' * (WIDTH - 4 - len(text))
        arrow = f'{text} {rule}{">" if message.arrived else "x"}' if message.to_right else f'{"<" if message.arrived else "x"}{rule} {text}'
        lines.append(f'{message.time - zero:7.3f}  | {arrow} |')
    return lines
