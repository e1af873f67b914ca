"""What is said of a file in SDP (RFC 5547 section 6): `FileSelector` for `a=file-selector`, and the values of `a=file-date` and `a=file-range`.

What comes from a peer is limited in size, and the name of a file is reduced to its last part before anybody sees it.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import IO, Any, Final, NamedTuple

from sipsimple.streams.msrp.filenames import base_name

__all__ = ['ALGORITHMS', 'COMPUTE', 'DEFAULT_TYPE', 'FileRange', 'FileSelector', 'format_dates', 'hash_file', 'parse_dates']

# Textual names of hash functions (the IANA registry that RFC 5547 refers to) -> those of hashlib; the later, the stronger. RFC 5547 knows the first only.
ALGORITHMS: Final = {'sha-1': 'sha1', 'sha-256': 'sha256'}
_OTHER_NAMES: Final = {'sha1': 'sha-1', 'sha256': 'sha-256'}            # as old programs write them
DEFAULT_TYPE: Final = 'application/octet-stream'
COMPUTE: Final = 'compute'          # for `FileSelector.for_file`
MAX_TEXT = 8192                     # characters of an attribute
MAX_SIZE = (1 << 63) - 1            # bytes of a file
BLOCK = 1 << 20                     # bytes that are read at once

_SELECTOR = re.compile(r'([A-Za-z0-9!#$%&\'*+.^_`{|}~-]+):((?:"[^"\0\r\n]*"|[^\s"])*)(?= |$)')
_DATE = re.compile(r'(creation|modification|read):"([^"\0\r\n]{1,100})"(?= |$)', re.IGNORECASE)
_RANGE = re.compile(r'([0-9]{1,19}) ?- ?([0-9]{1,19}|\*)')
_TYPE = re.compile(r'[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(?:;(?:[^\s"]|"[^"]*")+)?')
_BROKEN = re.compile('[\ud800-\udc7f\udd00-\udfff]')            # no text; the others of this kind are bytes of a name that is none
_ESCAPED = re.compile('["%\\x00-\\x1f\\x7f\udc80-\udcff]')


class FileSelector:
    """What a file is known by. Two parties need not both know all of it.

    Args:
        name: of the file, without its folder.
        type: MIME type.
        size: bytes.
        hash: as `sha-1:AA:BB:...` or `sha-256:...`; the names without a hyphen will do.
        fd: the file itself, open for reading in binary mode, for the side that sends it.
    Raises:
        ValueError: the hash is malformed, or made by an unknown function; the size is negative.
    Attributes:
        name, type, size, fd: as above.
        hash: the one everybody knows, SHA-1, else another one; None without. To set it sets the only one.
        hashes: all of them by the names of their functions, as bytes.
        hashing: whether a stream that sends the file computes what is missing of the hashes.
    """

    def __init__(self, name: str | None = None, type: str | None = None, size: int | None = None, hash: str | None = None, fd: IO[bytes] | None = None) -> None:
        if size is not None and not 0 <= size <= MAX_SIZE:
            raise ValueError(f'no size of a file: {size}')
        self.name = name
        self.type = type
        self.size = size
        self.hashes: dict[str, bytes] = {}
        self.hashing = True
        self.fd = fd
        self.hash = hash

    def __repr__(self) -> str:
        return f'<{self.__class__.__name__} {self.sdp_repr}>'

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FileSelector):
            return NotImplemented
        return (self.name, self.type, self.size, self.hashes) == (other.name, other.type, other.size, other.hashes)

    __hash__ = None         # type: ignore[assignment]      # it changes as more becomes known

    @property
    def hash(self) -> str | None:
        """The hash that is shown."""
        name = next((name for name in ALGORITHMS if name in self.hashes), None)
        return None if name is None else _hash_text(name, self.hashes[name])

    @hash.setter
    def hash(self, value: str | None) -> None:
        self.hashes = {}
        if value is not None:
            name, digest = _parse_hash(value)
            if digest is None:
                raise ValueError(f'unknown hash function: {name}')
            self.hashes[name] = digest

    @property
    def strongest(self) -> str | None:
        """The name of the strongest function there is a hash of."""
        return next((name for name in reversed(ALGORITHMS) if name in self.hashes), None)

    @classmethod
    def for_file(cls, path: str | os.PathLike[str], type: str | None = None, hash: str | None = COMPUTE) -> FileSelector:
        """A selector for a file of ours, which is opened. Whoever makes a stream of it need not close it.

        Args:
            type: MIME type; guessed from the name by default.
            hash: by default it is computed when a stream needs it, in a thread; a hash that is known, or None for none.
        Raises:
            OSError: it cannot be opened. ValueError: it is no regular file, or the hash is malformed.
        """
        if os.path.exists(path) and not os.path.isfile(path):       # a pipe would not even open
            raise ValueError(f'no regular file: {os.fspath(path)}')
        fd = open(path, 'rb')       # noqa: SIM115 - the stream closes it
        try:
            name = os.path.basename(os.path.abspath(path))
            selector = cls(name, type or guess_type(name), os.fstat(fd.fileno()).st_size, None if hash == COMPUTE else hash, fd)
        except BaseException:
            fd.close()
            raise
        selector.hashing = hash == COMPUTE
        return selector

    def compute_hash(self) -> None:
        """Compute the hashes of the file. Takes long for a big one: a stream does it in a thread when it is initialised.

        Raises:
            ValueError: there is no file. OSError: it cannot be read.
        """
        if self.fd is None:
            raise ValueError('there is no file')
        self.hashes = {name: value.digest() for name, value in hash_file(self.fd.fileno(), None, ALGORITHMS).items()}

    @classmethod
    def parse(cls, text: str) -> FileSelector:
        """Read the value of `a=file-selector`. Selectors and hash functions that are not known are left out.

        Raises:
            ValueError: it is malformed, or contradicts itself.
        """
        if len(text) > MAX_TEXT:
            raise ValueError('the selector is too long')
        selector = cls()
        for key, value in _split(text):
            if key == 'name':
                name = base_name(_unquote(value))
                _once(selector.name, name or None, 'name')
                selector.name = name or None
            elif key == 'type':
                if not _TYPE.fullmatch(value):
                    raise ValueError(f'malformed type: {value[:80]}')
                _once(selector.type, value, 'type')
                selector.type = value
            elif key == 'size':
                if not re.fullmatch('[0-9]{1,19}', value) or int(value) > MAX_SIZE:
                    raise ValueError(f'malformed size: {value[:80]}')
                _once(selector.size, int(value), 'size')
                selector.size = int(value)
            elif key == 'hash':
                function, digest = _parse_hash(value)
                if digest is not None:
                    _once(selector.hashes.get(function), digest, 'hash')
                    selector.hashes[function] = digest
        return selector

    @property
    def sdp_repr(self) -> str:
        """The value of `a=file-selector`."""
        words = []
        name = _BROKEN.sub('?', os.path.basename(self.name or ''))
        if name:
            escaped = _ESCAPED.sub(lambda match: '%' + match[0].encode('utf-8', 'surrogateescape').hex().upper(), name)
            words.append(f'name:"{escaped}"')
        if self.type:
            words.append(f'type:{self.type}')
        if self.size is not None:
            words.append(f'size:{self.size}')
        words += [f'hash:{_hash_text(name, self.hashes[name])}' for name in ALGORITHMS if name in self.hashes]
        return ' '.join(words)

    def contradicts(self, other: FileSelector) -> str | None:
        """What both know of the file and is not the same: 'size', or the name of a hash function; None if it may be the same file."""
        if None not in (self.size, other.size) and self.size != other.size:
            return 'size'
        return next((name for name, digest in self.hashes.items() if other.hashes.get(name, digest) != digest), None)

    def complete_from(self, other: FileSelector) -> None:
        """Take over what is not known here."""
        self.name = self.name or other.name
        self.type = self.type or other.type
        self.size = other.size if self.size is None else self.size
        self.hashes = {**other.hashes, **self.hashes}


def guess_type(name: str) -> str:
    """The MIME type of a file, by its name."""
    content_type, encoding = mimetypes.guess_type(name)
    if encoding is not None:
        return f'application/x-{encoding}'
    return content_type or DEFAULT_TYPE


def hash_file(fd: int, size: int | None, functions: Iterable[str], progress: Callable[[int], object] | None = None) -> dict[str, Any]:
    """Hash a file from its beginning; by names of functions, objects of hashlib that can go on.

    Args:
        size: bytes to be read; None for all. There may be fewer.
        progress: called after each block with the number of bytes so far; an exception of it ends the work.
    Raises:
        OSError: it cannot be read.
    """
    hashes = {name: hashlib.new(ALGORITHMS[name], usedforsecurity=False) for name in functions}
    position = 0
    while size is None or position < size:
        block = os.pread(fd, BLOCK if size is None else min(BLOCK, size - position), position)
        if not block:
            break
        for value in hashes.values():
            value.update(block)
        position += len(block)
        if progress is not None:
            progress(position)
    return hashes


class FileRange(NamedTuple):
    """Which bytes of a file are meant: the first one, from 1 on, and the last one, None for the end."""

    start: int = 1
    stop: int | None = None

    def __str__(self) -> str:
        return f'{self.start}-{"*" if self.stop is None else self.stop}'

    @classmethod
    def parse(cls, text: str) -> FileRange:
        """Read the value of `a=file-range`.

        Raises:
            ValueError: it is malformed.
        """
        match = _RANGE.fullmatch(text)
        if match is None:
            raise ValueError(f'malformed range: {text[:80]}')
        start, stop = int(match[1]), None if match[2] == '*' else int(match[2])
        if not 1 <= start <= MAX_SIZE or (stop is not None and not start - 1 <= stop <= MAX_SIZE):
            raise ValueError(f'impossible range: {text[:80]}')
        return cls(start, stop)


def parse_dates(text: str) -> dict[str, datetime]:
    """Read the value of `a=file-date`: 'creation', 'modification' and 'read', those that are there.

    Raises:
        ValueError: it is malformed.
    """
    dates: dict[str, datetime] = {}
    position = 0
    text = text.strip(' ')
    while position < len(text):
        match = _DATE.match(text, position)
        if match is None or match[1].lower() in dates:
            raise ValueError(f'malformed dates: {text[:80]}')
        moment = parsedate_to_datetime(match[2])
        dates[match[1].lower()] = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        position = match.end() + 1
    return dates


def format_dates(dates: dict[str, datetime]) -> str:
    """The value of `a=file-date`."""
    return ' '.join(f'{name}:"{format_datetime(dates[name].astimezone(UTC), usegmt=False)}"' for name in ('creation', 'modification', 'read') if name in dates)


def _split(text: str) -> list[tuple[str, str]]:
    """Selectors as keys and values."""
    found = []
    position = 0
    text = text.strip(' ')
    while position < len(text):
        if text[position] == ' ':
            position += 1
            continue
        match = _SELECTOR.match(text, position)
        if match is None:
            raise ValueError(f'malformed selector: {text[position:position + 80]}')
        found.append((match[1].lower(), match[2]))
        position = match.end()
    return found


def _once(known: Any, value: Any, what: str) -> None:
    if known is not None and known != value:
        raise ValueError(f'the {what} comes twice')


def _unquote(value: str) -> str:
    """A file name as it was meant; a percent sign that escapes nothing stays, as some do not escape it."""
    if len(value) < 3 or not (value[0] == value[-1] == '"') or '"' in value[1:-1]:
        raise ValueError(f'malformed name: {value[:80]}')
    data = re.sub(rb'%([0-9A-Fa-f]{2})', lambda match: bytes.fromhex(match[1].decode()), value[1:-1].encode('utf-8', 'surrogateescape'))
    return data.decode('utf-8', 'replace')


def _parse_hash(text: str) -> tuple[str, bytes | None]:
    """Name of the function and hash; None for one of an unknown function."""
    name, colon, value = text.partition(':')
    name = _OTHER_NAMES.get(name.lower(), name.lower())
    if not colon or not re.fullmatch('[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*', value):
        raise ValueError(f'malformed hash: {text[:80]}')
    if name not in ALGORITHMS:
        return name, None
    digest = bytes.fromhex(value.replace(':', ''))
    if len(digest) != hashlib.new(ALGORITHMS[name], usedforsecurity=False).digest_size:
        raise ValueError(f'the hash has another length: {text[:80]}')
    return name, digest


def _hash_text(name: str, digest: bytes) -> str:
    return f'{name}:' + ':'.join(f'{byte:02X}' for byte in digest)
