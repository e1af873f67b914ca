"""Damage done to packets, the same for the same seed."""

from __future__ import annotations

import random
import re

NUMBERS = (b'0', b'-1', b'255', b'256', b'65535', b'65536', b'2147483647', b'2147483648', b'4294967295', b'4294967296', b'18446744073709551616', b'9' * 300)
TEXTS = (b'%n%n%s', b'\0', b'\r\n\r\n', b'\xff\xfe', b'"', b'<', b'>', b';;;;', b':' * 20, b'(' * 100, b'\\', b'A' * 5000, b'::::1]', b'\t \t', b'=', b'\x80')


class Mutator:
    """Truncates packets, flips bits, and does what text formats suffer from; one to three things at a time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def binary(self, data: bytes) -> bytes:
        """For RTP, RTCP and anything else."""
        return self._several(data, (self._truncate, self._flip, self._flip, self._flip_head, self._cut_out, self._repeat, self._overwrite))

    def text(self, data: bytes) -> bytes:
        """For SIP and SDP."""
        return self._several(data, (self._truncate, self._flip, self._flip, self._cut_out, self._repeat, self._overwrite, self._number, self._insert,
                                    self._lines, self._lines))

    def sdp(self, message: bytes) -> bytes:
        """A SIP message whose body is damaged, and whose Content-Length is right, so that the damage gets to where SDP is read."""
        head, separator, body = message.partition(b'\r\n\r\n')
        body = self.text(body)
        return re.sub(rb'(?im)^(Content-Length:\s*)\d+', lambda match: match[1] + str(len(body)).encode(), head) + separator + body

    def _several(self, data, ways):
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            data = self.random.choice(ways)(data) or b'\0'
        return data

    def _span(self, data, longest):
        start = self.random.randrange(len(data))
        return start, min(len(data), start + self.random.randint(1, longest))

    def _truncate(self, data):
        return data[:self.random.randrange(len(data))]

    def _flip(self, data):
        changed = bytearray(data)
        for _ in range(self.random.choice((1, 1, 2, 4, 16))):
            changed[self.random.randrange(len(changed))] ^= 1 << self.random.randrange(8)
        return bytes(changed)

    def _flip_head(self, data):
        changed = bytearray(data)
        changed[self.random.randrange(min(16, len(changed)))] ^= 1 << self.random.randrange(8)
        return bytes(changed)

    def _cut_out(self, data):
        start, end = self._span(data, 40)
        return data[:start] + data[end:]

    def _repeat(self, data):
        start, end = self._span(data, 60)
        return data[:start] + data[start:end] * self.random.choice((2, 3, 30)) + data[end:]

    def _overwrite(self, data):
        start, end = self._span(data, 20)
        return data[:start] + self.random.randbytes(end - start) + data[end:]

    def _number(self, data):
        found = list(re.finditer(rb'\d+', data))
        if not found:
            return data
        match = self.random.choice(found)
        return data[:match.start()] + self.random.choice(NUMBERS) + data[match.end():]

    def _insert(self, data):
        place = self.random.randrange(len(data))
        return data[:place] + self.random.choice(TEXTS) + data[place:]

    def _lines(self, data):
        lines = data.split(b'\r\n')
        first, second = self.random.randrange(len(lines)), self.random.randrange(len(lines))
        what = self.random.randrange(4)
        if what == 0:
            lines[first], lines[second] = lines[second], lines[first]
        elif what == 1:
            del lines[first]
        elif what == 2:
            lines[first:first] = [lines[second]] * self.random.choice((1, 5, 70))
        else:
            lines[first] = lines[first].rpartition(self.random.choice((b':', b'=', b' ', b';')))[0]
        return b'\r\n'.join(lines)
