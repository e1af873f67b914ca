r"""Bytes to chunks, incrementally: `Parser.feed` takes what came, in pieces of any size, and returns events.

A chunk that lies whole in what was fed, with a small body, is one `Whole`. Any other one is a `Begin` with its headers, a `Data` for each piece of its body
as it comes, and an `End`. The pieces are views of what was fed: nothing is copied, and no more than a possible beginning of the end-line is held back.

What is held is bounded by `Limits`: the first line and the headers of one chunk. A peer that exceeds them, or that sends too much that is not MSRP, ends
the parser with `Failed`; there is no way to find the beginning of the next chunk then. Other things that are wrong between chunks are told as `Illegal`, and
the parser looks for the next first line; single malformed header lines are left out and told, too.

Where the end of a chunk is (RFC 4975 section 7.1): the first `CRLF "-------" transaction-id flag CRLF`, whatever is before it. The body, if there is one, is
after the first empty line. So a body never needs a length, and looking for its end is one search for bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from msrplib.headers import HEADER_NAMES, canonical_name
from msrplib.message import MSRPData

__all__ = ['Begin', 'Data', 'End', 'Event', 'Failed', 'Illegal', 'Limits', 'Parser', 'Whole']

_FIRST_LINE = re.compile(rb'MSRP ([A-Za-z0-9][A-Za-z0-9.+%=\-]{3,31}) (?:([A-Z_]{1,32})|([0-9]{3})(?: ([^\r\n]*))?)')
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9!#$%&'*+\-.^_`|~]*")
_FLAGS = b'$+#'
_DASHES = b'\r\n-------'
# The longest end of a chunk: CRLF, dashes, transaction id, flag, CRLF.
_LONGEST_END = 2 + 7 + 32 + 1 + 2


@dataclass(frozen=True)
class Limits:
    """What the parser takes at most.

    Attributes:
        line: bytes in a line, of a header or the first one.
        lines: headers of a chunk.
        head: bytes of all lines before the body together.
        whole: bytes of the body of a chunk that is given out in one event.
        illegal: bytes in a row that are not MSRP.
    """

    line: int = 16384
    lines: int = 64
    head: int = 65536
    whole: int = 16384
    illegal: int = 65536


class Event:
    """Base of what `Parser.feed` returns."""

    __slots__ = ()


class Whole(Event):
    """A complete chunk; `chunk.data` is what it has of the body."""

    __slots__ = ('chunk',)

    def __init__(self, chunk: MSRPData) -> None:
        self.chunk = chunk

    def __repr__(self) -> str:
        return f'<Whole {self.chunk!r}>'


class Begin(Event):
    """The headers of a chunk whose body follows in `Data` events."""

    __slots__ = ('chunk',)

    def __init__(self, chunk: MSRPData) -> None:
        self.chunk = chunk

    def __repr__(self) -> str:
        return f'<Begin {self.chunk!r}>'


class Data(Event):
    """A piece of the body of the chunk that has begun: `data`, valid for as long as it is kept."""

    __slots__ = ('data',)

    def __init__(self, data: memoryview) -> None:
        self.data = data

    def __repr__(self) -> str:
        return f'<Data {len(self.data)} bytes>'


class End(Event):
    """The end of the chunk that has begun; `chunk.contflag` says how."""

    __slots__ = ('chunk',)

    def __init__(self, chunk: MSRPData) -> None:
        self.chunk = chunk

    def __repr__(self) -> str:
        return f'<End {self.chunk!r}>'


class Illegal(Event):
    """Something that is not MSRP was left out: `data` (its beginning), `reason`."""

    __slots__ = ('data', 'reason')

    def __init__(self, data: bytes, reason: str) -> None:
        self.data = data
        self.reason = reason

    def __repr__(self) -> str:
        return f'<Illegal {self.reason}: {self.data[:40]!r}>'


class Failed(Event):
    """A limit was exceeded, and nothing more can be made of this connection: `reason`."""

    __slots__ = ('reason',)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f'<Failed {self.reason}>'


class Parser:
    """Parses what comes over one connection.

    Attributes:
        failed: why it has given up, or None.
        chunk: the chunk whose body is coming, or None.
    """

    __slots__ = ('_buffer', '_illegal', '_marker', '_within_line', 'chunk', 'failed', 'limits')

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.failed: str | None = None
        self.chunk: MSRPData | None = None
        self._buffer = b''          # an unfinished head, or in a body what may be the beginning of its end
        self._marker = b''          # what ends the body that is coming
        self._illegal = 0           # bytes in a row that were no MSRP
        self._within_line = False   # the last of them were not the end of a line, so that no first line can follow

    @property
    def held(self) -> int:
        """How many bytes are kept until more comes."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """Take what was received and return what it was."""
        events: list[Event] = []
        if self.failed is not None:
            return events
        if self._buffer:
            data = self._buffer + data
            self._buffer = b''
        position, size = 0, len(data)
        while position < size:
            following = self._body(data, position, events) if self.chunk is not None else self._head(data, position, events)
            if self.failed is not None:
                break
            if following < 0:       # needs more
                break
            position = following
        return events

    def _fail(self, reason: str, events: list[Event]) -> int:
        self.failed = reason
        self.chunk = None
        self._buffer = b''
        events.append(Failed(reason))
        return -1

    @staticmethod
    def _find_end(data: bytes, marker: bytes, start: int, stop: int) -> int:
        """Where the end of the chunk begins before `stop`, -1 if it is not (wholly) there."""
        size = len(marker)
        while True:
            found = data.find(marker, start, stop)
            if found < 0:
                return -1
            rest = data[found + size:found + size + 3]
            if len(rest) == 3 and rest[0] in _FLAGS and rest[1:] == b'\r\n':
                return found
            start = found + 2

    # A body

    def _body(self, data: bytes, position: int, events: list[Event]) -> int:
        marker, chunk = self._marker, self.chunk
        assert chunk is not None
        end = self._find_end(data, marker, position, len(data))
        if end >= 0:
            if end > position:
                events.append(Data(memoryview(data)[position:end]))
            after = end + len(marker)
            chunk.contflag = chr(data[after])
            self.chunk = None
            events.append(End(chunk))
            return after + 3
        keep = self._possible_end(data, marker, position)
        if keep > position:
            events.append(Data(memoryview(data)[position:keep]))
        self._buffer = data[keep:]
        return -1

    @staticmethod
    def _possible_end(data: bytes, marker: bytes, position: int) -> int:
        """Where what may be the beginning of the end starts; the length of `data` if nothing is."""
        size, length = len(data), len(marker)
        start = max(position, size - length - 2)
        while True:
            start = data.find(b'\r', start)
            if start < 0:
                return size
            rest = data[start:]
            if marker.startswith(rest[:length]):
                tail = rest[length:]
                if not tail or (tail[0] in _FLAGS and tail[1:] in (b'', b'\r')):
                    return start
            start += 1

    # A head

    def _head(self, data: bytes, position: int, events: list[Event]) -> int:
        if self._within_line:
            return self._skip(data, position, events)
        limits = self.limits
        line_end = data.find(b'\r\n', position, position + limits.line + 2)
        if line_end < 0:
            return self._unfinished_line(data, position, events)
        match = _FIRST_LINE.fullmatch(data, position, line_end)
        if match is None:
            return self._skip(data, position, events)
        self._illegal = 0
        transaction_id = match[1]
        marker = _DASHES + transaction_id
        # Headers end with an empty line, or with the end of a chunk without a body. Neither can be far; the end of the body can, and is not looked for there.
        limit = line_end + limits.head
        end = self._find_end(data, marker, line_end, limit)
        empty = data.find(b'\r\n\r\n', line_end, limit if end < 0 else end + 2)
        if end < 0 and empty < 0:
            if len(data) - line_end >= limits.head:
                return self._fail('the headers are too big', events)
            self._buffer = data[position:] if position else data
            return -1
        body = empty >= 0
        if end < 0 and self._possible_end(data, marker, empty + 2) == empty + 2:
            # The empty line may be the beginning of the end: some leave out a body and its line end altogether.
            self._buffer = data[position:] if position else data
            return -1
        chunk = self._chunk(match, data[line_end + 2:empty if body else end], events)
        if chunk is None:
            return -1
        if end < 0 or (body and end - empty - 4 > limits.whole):
            self.chunk, self._marker = chunk, marker
            events.append(Begin(chunk))
            return empty + 4
        if body:
            chunk.data = data[empty + 4:end]
        after = end + len(marker)
        chunk.contflag = chr(data[after])
        events.append(Whole(chunk))
        return after + 3

    def _chunk(self, match: re.Match[bytes], lines: bytes, events: list[Event]) -> MSRPData | None:
        """The chunk of a first line and its headers."""
        texts: dict[str, str] = {}
        problem = None
        text = lines.decode('utf-8', 'replace')
        rows = text.split('\r\n') if text else []
        if len(rows) > self.limits.lines:
            self._fail('too many headers', events)
            return None
        usual = text.count('\r') == text.count('\n') == len(rows) - 1 and '\0' not in text and len(text) <= self.limits.line
        for row in rows:
            name, colon, value = row.partition(': ')
            if usual and name in HEADER_NAMES and name not in texts:
                texts[name] = value.strip(' \t')
                continue
            name, colon, value = row.partition(':')
            if not colon or not _HEADER_NAME.fullmatch(name) or len(row) > self.limits.line or '\r' in value or '\n' in value or '\0' in value:
                if row:
                    events.append(Illegal(row.encode('utf-8', 'replace')[:256], 'malformed header'))
                continue
            name = canonical_name(name)
            if name not in texts:
                texts[name] = value.strip(' \t')
            elif name == 'WWW-Authenticate':
                texts[name] += ', ' + value.strip(' \t')
            else:
                problem = f'{name[:40]} comes twice'
        method, code, comment = match[2], match[3], match[4]
        chunk = MSRPData.parsed(match[1].decode('ascii'), None if method is None else method.decode('ascii'), None if code is None else int(code),
                                None if comment is None else comment.decode('utf-8', 'replace'), texts)
        chunk.problem = problem
        return chunk

    # What is not MSRP

    def _unfinished_line(self, data: bytes, position: int, events: list[Event]) -> int:
        if len(data) - position > self.limits.line + 1:
            return self._skip(data, position, events)
        start = data[position:position + 5]
        if b'MSRP '.startswith(start) or data[position:] == b'\r':
            self._buffer = data[position:]
            return -1
        return self._skip(data, position, events)

    def _skip(self, data: bytes, position: int, events: list[Event]) -> int:
        """Leave out what is no first line, up to the next line that may be one."""
        if data.startswith(b'\r\n', position):
            self._within_line = False
            return position + 2         # some send empty lines to keep a connection open
        following = data.find(b'\nMSRP ', position) + 1
        self._within_line = not following
        if not following:
            # The beginning of a first line may be the last that came.
            following = len(data)
            line = data.rfind(b'\n', max(position, following - 5)) + 1
            if line > position and b'MSRP '.startswith(data[line:]):
                following, self._within_line = line, False
        self._illegal += following - position
        if self._illegal > self.limits.illegal:
            return self._fail('too much that is not MSRP', events)
        events.append(Illegal(data[position:min(following, position + 256)], 'not MSRP'))
        return following
