"""FileBackend: the tree as an indented text file.

    Accounts:
        alice@example.com:
            display_name = "Alice, Smith"
            enabled = true
            rtp:
                audio_codec_list = opus, PCMA

Saving is atomic: a sibling file is written, flushed to the disk and renamed over the target, and the folder is flushed
too; a process killed at any moment leaves the old file or the new one. A file that cannot be read is never overwritten.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

from zope.interface import implementer

from sipsimple.configuration.backend import ConfigurationBackendError, IConfigurationBackend

__all__ = ['FileBackend', 'FileBuilderError', 'FileParserError']

INDENT = '    '
SPECIAL = frozenset(',"\'=: #\\\t\v\f\n\r')
MAX_SIZE = 64 * 1024 * 1024
MAX_DEPTH = 64


class FileParserError(ConfigurationBackendError):
    """The file is no valid configuration; the text names the line."""


class FileBuilderError(ConfigurationBackendError):
    """The tree has a value that a file cannot hold."""


# ---- writing -----------------------------------------------------------------------------------------------------


def escape(text: str) -> str:
    """A name or value as it stands in the file."""
    if text and not SPECIAL.intersection(text) and text.isprintable():
        return text
    escaped = text.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n').replace('\r', '\\r')
    return f'"{escaped}"'


def build_value(value: Any, path: str) -> str:
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
    groups = []
    indent = INDENT * depth
    for name in sorted(data):
        if not isinstance(name, str):
            raise FileBuilderError(f'{path}: a name must be a text: {name!r}')
        value = data[name]
        if isinstance(value, dict):
            groups.append(name)
        else:
            text = build_value(value, f'{path}{name}')
            lines.append(f'{indent}{escape(name)} = {text}' if text else f'{indent}{escape(name)} =')
    for name in groups:
        lines.append(f'{indent}{escape(name)}:')
        build_lines(data[name], depth + 1, f'{path}{name}.', lines)
        lines.append('')


# ---- reading -----------------------------------------------------------------------------------------------------


class LineParser:
    """Reads one line: a word, then ':' or '=', then values."""

    __slots__ = ('line', 'number', 'position')

    def __init__(self, line: str, number: int, position: int) -> None:
        self.line = line
        self.number = number
        self.position = position

    def error(self, text: str) -> FileParserError:
        return FileParserError(f'line {self.number}: {text}')

    def skip_space(self) -> None:
        line, position = self.line, self.position
        while position < len(line) and line[position] in ' \t\v\f':
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
        if position + 1 >= len(self.line):
            raise self.error('a backslash at the end of the line')
        char = self.line[position + 1]
        return position + 2, {'n': '\n', 'r': '\r'}.get(char, char)

    def quoted(self, position: int, quote: str, parts: list[str]) -> int:
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
        if self.at_end():
            return None
        items: list[str] = []
        is_list = pending = False
        while not self.at_end():
            text = self.word(', \t\v\f#')
            self.skip_space()
            comma = self.position < len(self.line) and self.line[self.position] == ','
            if comma:
                self.position += 1
                is_list = True
                items.append(text or '')
                pending = False
            else:
                items.append(text or '')
                pending = True
                if not self.at_end():
                    raise self.error(f'unexpected text after the value: {self.line[self.position:]!r}')
        if not is_list:
            return items[0]
        if not pending and items == ['']:
            return []
        return items


def parse(text: str) -> dict[str, Any]:
    """The tree in the text of a file. FileParserError."""
    root: dict[str, Any] = {}
    stack: list[tuple[int, dict[str, Any]]] = [(-1, root)]
    for number, line in enumerate(text.splitlines() if '\v' not in text and '\f' not in text else text.replace('\r\n', '\n').split('\n'), 1):
        stripped = line.strip()
        if not stripped or stripped[0] == '#':
            continue
        indent = len(line) - len(line.lstrip())
        parser = LineParser(line.rstrip(), number, indent)
        name = parser.word(':= \t\v\f#')
        if name is None:
            raise parser.error('a name is missing')
        parser.skip_space()
        mark = parser.line[parser.position] if parser.position < len(parser.line) else ''
        if mark not in (':', '=') or not mark:
            raise parser.error('":" or "=" is missing')
        parser.position += 1
        while indent <= stack[-1][0]:
            stack.pop()
        group = stack[-1][1]
        if mark == '=':
            group[name] = parser.value()
        else:
            if not parser.at_end():
                raise parser.error('only a comment may follow ":"')
            if len(stack) > MAX_DEPTH:
                raise parser.error(f'more than {MAX_DEPTH} groups inside each other')
            child: dict[str, Any] = {}
            group[name] = child
            stack.append((indent, child))
    return root


# ---- the backend -------------------------------------------------------------------------------------------------


@implementer(IConfigurationBackend)
class FileBackend:
    """Keeps the tree in a file, readable by its owner only."""

    def __init__(self, filename: str, encoding: str = 'utf-8') -> None:
        self.filename = os.fspath(filename)
        self.encoding = encoding
        self._broken: Exception | None = None

    def load(self) -> dict[str, Any]:
        """The tree, {} when there is no file. FileParserError, ConfigurationBackendError; then save() refuses."""
        try:
            data = self._load()
        except ConfigurationBackendError as error:
            self._broken = error
            raise
        self._broken = None
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
            line = raw.count(b'\n', 0, error.start) + 1
            raise FileParserError(f'{self.filename}: line {line}: not {self.encoding} text') from error
        try:
            return parse(text)
        except FileParserError as error:
            raise FileParserError(f'{self.filename}: {error}') from None

    def save(self, data: dict[str, Any]) -> None:
        """Store the tree atomically. ConfigurationBackendError, also after a load that failed: the file is kept."""
        if self._broken is not None:
            raise ConfigurationBackendError(f'not saved, to keep the damaged file as it is: {self._broken}')
        lines: list[str] = []
        build_lines(data, 0, '', lines)
        raw = (os.linesep.join(lines) + os.linesep).encode(self.encoding)
        folder = os.path.dirname(os.path.abspath(self.filename))
        temporary = f'{self.filename}.{os.getpid()}.{secrets.token_hex(4)}'
        try:
            os.makedirs(folder, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with open(descriptor, 'wb') as file:
                    file.write(raw)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, self.filename)
            except BaseException:
                try:
                    os.unlink(temporary)
                except OSError:
                    pass
                raise
            self._sync_folder(folder)
        except OSError as error:
            raise ConfigurationBackendError(f'cannot write {self.filename}: {error.strerror}') from error

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
