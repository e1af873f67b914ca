"""FileBackend: the tree as an indented text file.

    Accounts:
        alice@example.com:
            display_name = "Alice, Smith"
            enabled = true
            rtp:
                audio_codec_list = opus, PCMA

Saving is atomic: a sibling file is written, flushed to the disk and renamed over the target, and the folder is flushed
too; a process killed at any moment leaves the old file or the new one; what it leaves of an unfinished sibling is removed
at the next load. A file that cannot be read is never overwritten.

A big tree with a small change is saved fast: the text of each second-level group (an account), and of each of the many groups
that one may consist of (a contact), is kept for as long as the group is the same Tree, which cannot change.
"""

from __future__ import annotations

import codecs
import os
import re
import secrets
import sys
from typing import Any

from zope.interface import implementer

from sipsimple.configuration.backend import ConfigurationBackendError, IConfigurationBackend
from sipsimple.configuration.tree import Tree

__all__ = ['FileBackend', 'FileBuilderError', 'FileParserError']

INDENT = '    '
SPECIAL = frozenset(',"\'=: #\\\t\v\f\n\r')
MAX_SIZE = 64 * 1024 * 1024
MAX_DEPTH = 64
SPACE = ' \t\v\f'
_plain = re.compile(r'[!$-&(-+\--9;<>-\[\]-~]+').fullmatch      # the common case, ASCII without the special characters
# the lines that make up nearly all of a file: a plain name with ':', or with '=' and at most one plain word
_simple_line = re.compile(r'([ \t\v\f]*)([^\s:=#,"\'\\]+)(?::|[ ]?=[ ]?([^\s:=#,"\'\\]*))\Z', re.ASCII)


class FileParserError(ConfigurationBackendError):
    """The file is no valid configuration; the text names the line."""


class FileBuilderError(ConfigurationBackendError):
    """The tree has a value that a file cannot hold."""


# ---- writing -----------------------------------------------------------------------------------------------------


def escape(text: str) -> str:
    """A name or value as it stands in the file."""
    if _plain(text) or text and not SPECIAL.intersection(text) and text.isprintable():
        return text
    escaped = text.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n').replace('\r', '\\r')
    return f'"{escaped}"'


def build_value(value: Any, path: str) -> str:
    """Return a value as it stands after the `=`. FileBuilderError when it is no text, list of texts or None."""
    if value is None:
        return ''
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, (list, tuple)):
        if not all(isinstance(item, str) for item in value):
            raise FileBuilderError(f'{path}: a list may hold texts only: {value!r}')
        if not value:
            return ','
        return ', '.join(escape(item) for item in value) + (',' if len(value) == 1 else '')
    raise FileBuilderError(f'{path}: cannot be stored: {value!r}')


def build_lines(data: dict[str, Any], depth: int, path: str, lines: list[str]) -> None:
    """The lines of one group: settings first, then groups, both sorted."""
    if depth > MAX_DEPTH:
        raise FileBuilderError(f'more than {MAX_DEPTH} groups inside each other')
    groups = []
    indent = INDENT * depth
    for name in sorted_names(data, path):
        value = data[name]
        if isinstance(value, dict):
            groups.append(name)
        elif isinstance(value, str):
            lines.append(f'{indent}{escape(name)} = {escape(value)}')
        else:
            text = build_value(value, f'{path}{name}')
            lines.append(f'{indent}{escape(name)} = {text}' if text else f'{indent}{escape(name)} =')
    for name in groups:
        lines.append(f'{indent}{escape(name)}:')
        build_lines(data[name], depth + 1, f'{path}{name}.', lines)
        lines.append('')


def is_collection(group: dict[str, Any]) -> bool:
    """True for many groups and nothing else, the contacts of an addressbook: a change of one is not to be a change of all."""
    return len(group) > 16 and all(isinstance(value, dict) for value in group.values())


def sorted_names(data: dict[str, Any], path: str) -> list[str]:
    """Return the names of a group in order. FileBuilderError when one is no text."""
    try:
        ''.join(data)
    except TypeError:
        raise FileBuilderError(f'{path}: a name must be a text: {list(data)!r}') from None
    return sorted(data)


# ---- reading -----------------------------------------------------------------------------------------------------


class LineParser:
    """Reads one line: a word, then ':' or '=', then values."""

    __slots__ = ('line', 'number', 'position')

    def __init__(self, line: str, number: int, position: int) -> None:
        self.line = line
        self.number = number
        self.position = position

    def error(self, text: str) -> FileParserError:
        """Make an error that names the line."""
        return FileParserError(f'line {self.number}: {text}')

    def skip_space(self) -> None:
        """Go on to the next character that is no white space."""
        line, position = self.line, self.position
        while position < len(line) and line[position] in SPACE:
            position += 1
        self.position = position

    def word(self, stops: str) -> str | None:
        """Text up to an unquoted stop character; None when there is none at all."""
        line, position = self.line, self.position
        parts: list[str] = []
        seen = False
        while position < len(line):
            char = line[position]
            if char in stops:
                break
            seen = True
            if char == '\\':
                position, text = self.escaped(position)
                parts.append(text)
            elif char in '"\'':
                position = self.quoted(position, char, parts)
            else:
                parts.append(char)
                position += 1
        self.position = position
        return ''.join(parts) if seen else None

    def escaped(self, position: int) -> tuple[int, str]:
        """Return the position behind an escape that begins at `position`, and the character it stands for. FileParserError."""
        if position + 1 >= len(self.line):
            raise self.error('a backslash at the end of the line')
        char = self.line[position + 1]
        return position + 2, {'n': '\n', 'r': '\r'}.get(char, char)

    def quoted(self, position: int, quote: str, parts: list[str]) -> int:
        """Return the position behind a text in quotes that begins at `position`; append what is in it to `parts`. FileParserError."""
        position += 1
        while True:
            if position >= len(self.line):
                raise self.error('a quote is not closed')
            char = self.line[position]
            if char == quote:
                return position + 1
            if char == '\\':
                position, text = self.escaped(position)
                parts.append(text)
            else:
                parts.append(char)
                position += 1

    def at_end(self) -> bool:
        """True at the end of the line or at a comment."""
        self.skip_space()
        return self.position >= len(self.line) or self.line[self.position] == '#'

    def value(self) -> Any:
        """Return what the rest of the line says: a text, a list of texts when there is a comma, or None for nothing. FileParserError."""
        if self.at_end():
            return None
        items: list[str | None] = []            # None: nothing stands there, not even ""
        is_list = False
        while not self.at_end():
            text = self.word(', \t\v\f#')
            items.append(text)
            self.skip_space()
            if self.position < len(self.line) and self.line[self.position] == ',':
                self.position += 1
                is_list = True
            elif not self.at_end():
                raise self.error(f'unexpected text after the value: {self.line[self.position:]!r}')
        if not is_list:
            return items[0]
        return [] if items == [None] else [item or '' for item in items]


def parse(text: str) -> dict[str, Any]:
    """The tree in the text of a file. FileParserError.

    A line belongs to the nearest group line above it that is indented less; a tab counts as one character.
    """
    root: dict[str, Any] = {}
    stack: list[tuple[int, dict[str, Any]]] = [(-1, root)]
    simple = _simple_line.match
    for number, line in enumerate(text.replace('\r\n', '\n').replace('\r', '\n').split('\n'), 1):
        if not line:
            continue
        line = line.rstrip(SPACE)
        value: Any
        match = simple(line)
        if match is not None:
            space, name, value = match.groups()
            indent = len(space)
            is_group = line[-1] == ':' and value is None
            value = value or None
        else:
            bare = line.lstrip(SPACE)
            if not bare or bare[0] == '#':
                continue
            indent = len(line) - len(bare)
            name, is_group, value = parse_line(LineParser(line, number, indent))
        if is_group:
            while indent <= stack[-1][0]:
                stack.pop()
            if len(stack) > MAX_DEPTH:
                raise FileParserError(f'line {number}: more than {MAX_DEPTH} groups inside each other')
            child: dict[str, Any] = {}
            stack[-1][1][name] = child
            stack.append((indent, child))
        else:
            level = len(stack) - 1
            while indent <= stack[level][0]:
                level -= 1
            stack[level][1][name] = value
    return root


def parse_line(parser: LineParser) -> tuple[str, bool, Any]:
    """Name, whether it opens a group, and the value of a line that is no simple one."""
    name = parser.word(':=#' + SPACE)
    if name is None:
        raise parser.error('a name is missing')
    parser.skip_space()
    mark = parser.line[parser.position:parser.position + 1]
    if mark not in (':', '='):
        raise parser.error('":" or "=" is missing')
    parser.position += 1
    if mark == '=':
        return name, False, parser.value()
    if not parser.at_end():
        raise parser.error('only a comment may follow ":"')
    return name, True, None


# ---- the backend -------------------------------------------------------------------------------------------------


@implementer(IConfigurationBackend)
class FileBackend:
    """Keeps the tree in a file, readable by its owner only."""

    def __init__(self, filename: str, encoding: str = 'utf-8') -> None:
        """LookupError for an unknown encoding."""
        codecs.lookup(encoding)
        self.filename = os.fspath(filename)
        self.encoding = encoding
        self._broken: Exception | None = None
        self._texts: dict[str, dict[str, tuple[Tree, str]]] = {}             # depth and path -> name of a group there -> the group, its lines

    def load(self) -> dict[str, Any]:
        """The tree, {} when there is no file. FileParserError, ConfigurationBackendError; then save() refuses."""
        try:
            data = self._load()
        except ConfigurationBackendError as error:
            self._broken = error
            raise
        self._broken = None
        self._remove_stale()
        return data

    def _load(self) -> dict[str, Any]:
        try:
            with open(self.filename, 'rb') as file:
                raw = file.read(MAX_SIZE + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigurationBackendError(f'cannot read {self.filename}: {error.strerror}') from error
        if len(raw) > MAX_SIZE:
            raise ConfigurationBackendError(f'{self.filename} is larger than {MAX_SIZE} bytes')
        try:
            text = raw.decode(self.encoding)
        except UnicodeDecodeError as error:
            line = raw[:error.start].decode(self.encoding, 'replace').count('\n') + 1
            raise FileParserError(f'{self.filename}: line {line}: not {self.encoding} text') from error
        try:
            return parse(text.removeprefix('\ufeff'))
        except FileParserError as error:
            raise FileParserError(f'{self.filename}: {error}') from None

    def prepare(self, data: Tree) -> None:
        """Make the text that save() keeps, so that the first save of a big tree is as fast as the next ones."""
        try:
            self._build(data)
        except FileBuilderError:
            pass                        # save() tells

    def save(self, data: dict[str, Any]) -> None:
        """Store the tree atomically. ConfigurationBackendError, also after a load that failed: the file is kept."""
        if self._broken is not None:
            raise ConfigurationBackendError(f'not saved, to keep the damaged file as it is: {self._broken}')
        raw = self._encode(self._build(data))
        target = os.path.realpath(self.filename)            # a link stays a link
        folder = os.path.dirname(target)
        temporary = f'{target}.{os.getpid()}.{secrets.token_hex(4)}'
        try:
            os.makedirs(folder, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with open(descriptor, 'wb') as file:
                    file.write(raw)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, target)
            except BaseException:
                try:
                    os.unlink(temporary)
                except OSError:
                    pass
                raise
            self._sync_folder(folder)
        except OSError as error:
            raise ConfigurationBackendError(f'cannot write {self.filename}: {error.strerror}') from error

    def _build(self, data: dict[str, Any]) -> str:
        """The text of the tree; that of accounts, contacts and their like from the last time, where they are the same objects."""
        lines: list[str] = []
        paths: set[str] = set()
        self._build_collection(data, 0, '', lines, paths)
        for path in self._texts.keys() - paths:
            del self._texts[path]
        return '\n'.join(lines) + '\n' if lines else ''

    def _build_collection(self, data: dict[str, Any], depth: int, path: str, lines: list[str], paths: set[str]) -> None:
        """The lines of a group of which the groups in it are kept. Nothing is made for those that did not change: it would be ten thousand things."""
        names = sorted_names(data, path)
        groups = [name for name in names if isinstance(data[name], dict)]
        if len(groups) < len(names):
            build_lines({name: data[name] for name in names if not isinstance(data[name], dict)}, depth, path, lines)
        key = f'{depth} {path}'             # of two paths that look the same, one may have a name with a '.' in it
        paths.add(key)
        known = self._texts.setdefault(key, {})
        for name in groups:
            group = data[name]
            if depth == 0 or depth == 1 and is_collection(group):
                lines.append(f'{INDENT * depth}{escape(name)}:')
                self._build_collection(group, depth + 1, f'{path}{name}.', lines, paths)
                lines.append('')
                continue
            entry = known.get(name)
            if entry is None or entry[0] is not group:
                own: list[str] = []
                build_lines({name: group}, depth, path, own)
                entry = (group, '\n'.join(own))
                if isinstance(group, Tree):         # which cannot change
                    known[name] = entry
                else:
                    known.pop(name, None)
            lines.append(entry[1])
        if len(known) > len(groups):
            for name in known.keys() - set(groups):
                del known[name]

    def _encode(self, text: str) -> bytes:
        if os.linesep != '\n':
            text = text.replace('\n', os.linesep)
        try:
            return text.encode(self.encoding)
        except UnicodeEncodeError as error:
            line = text.count('\n', 0, error.start) + 1
            raise FileBuilderError(f'line {line} cannot be written as {self.encoding}: {text[error.start:error.end]!r}') from error

    def _remove_stale(self) -> None:
        """Remove what killed processes left: siblings `<name>.<pid>.<8 hex digits>` of processes that are gone."""
        if sys.platform == 'win32':
            return                      # there os.kill(pid, 0) would end the process
        folder, name = os.path.split(os.path.realpath(self.filename))
        sibling = re.compile(re.escape(name) + r'\.([0-9]{1,10})\.[0-9a-f]{8}\Z')
        try:
            found = [(match.string, int(match[1])) for match in map(sibling.match, os.listdir(folder)) if match]
        except OSError:
            return
        for stale, pid in found:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                try:
                    os.unlink(os.path.join(folder, stale))
                except OSError:
                    pass
            except (OSError, OverflowError):
                pass                    # another user's process, alive

    @staticmethod
    def _sync_folder(folder: str) -> None:
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except OSError:
            return                      # a system where folders cannot be opened
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
