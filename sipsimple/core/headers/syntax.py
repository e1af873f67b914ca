"""Pieces of header syntax: quoted strings, lists, parameters, name-addr (RFC 3261 §25.1).

Parsing is liberal and linear in time; what cannot be understood raises SIPCoreError. A parameter value is kept as it is
written, quotes included; its name is in lower case.
"""

from __future__ import annotations

import re

from sipsimple.core.errors import SIPCoreError

# The text of a quoted string, from its opening quote; possessive, so a missing end is found without backtracking.
_quoted = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_escaped = re.compile(r'\\(.)', re.DOTALL)
_needs_quotes = re.compile(r'[;,"<>\x00-\x1f\x7f]')
_breaks = re.compile(r'[\r\n\x00]+')
# Items between the separators, where quoted strings and <...> are one piece. A lone quote reaches to the end: were it
# taken for itself, a row of them would cost quadratic time. A lone '<' stands for itself.
_items = {
    mark: re.compile(rf'(?:[^{mark}"<]++|"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|<[^<>]*+>|<)++', re.DOTALL) for mark in ',;'}


def quote(text: str) -> str:
    """`text` as a quoted string; line breaks, which no header can carry, become spaces."""
    if '"' in text or '\\' in text:
        text = text.replace('\\', '\\\\').replace('"', '\\"')
    if not text.isprintable():
        text = _breaks.sub(' ', text)
    return f'"{text}"'


def unquote(text: str) -> str:
    """The content of a quoted string; other text is returned as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    text = text[1:-1]
    return _escaped.sub(r'\1', text) if '\\' in text else text


def split_list(text: str, mark: str = ',') -> list[str]:
    """Split at commas (or semicolons) outside quotes and `<>`; empty items are dropped."""
    items = text.split(mark) if '"' not in text and '<' not in text else _items[mark].findall(text)
    return [item for item in map(str.strip, items) if item]


def parse_parameters(text: str) -> dict[str, str | None]:
    """Parse `;a=b;c` (the first semicolon may be missing); the first of several equal names wins."""
    parameters: dict[str, str | None] = {}
    for item in text.split(';') if '"' not in text and '<' not in text else _items[';'].findall(text):
        name, sign, value = item.partition('=')
        name = name.strip().lower()
        if not name:
            if item.strip():
                raise SIPCoreError(f'nameless header parameter: {item[:300]!r}')
        elif not name.isalnum() and _needs_quotes.search(name):
            raise SIPCoreError(f'invalid header parameter: {item[:300]!r}')
        elif name not in parameters:
            if not sign:
                parameters[name] = None
            else:
                value = value.strip()
                parameters[name] = value if value.isalnum() else _parameter_value(value)
    return parameters


def _parameter_value(value: str) -> str:
    if _needs_quotes.search(value) and not _quoted.fullmatch(value):
        return quote(value)
    return value


def format_parameters(parameters: dict[str, str | None]) -> str:
    """Print `;a=b;c`; a value that would break the header is put in quotes."""
    text = ''
    for name, value in parameters.items():
        if value is None:
            text += ';' + name
        elif value.isalnum():
            text += f';{name}={value}'
        else:
            value = _breaks.sub(' ', _parameter_value(value))
            text += f';{name}={value}'
    return text


def split_value(body: str) -> tuple[str, dict[str, str | None]]:
    """Split `value;a=b` into the value, which must not be empty, and its parameters."""
    value, _sign, rest = body.partition(';')
    value = value.strip()
    if not value:
        raise SIPCoreError(f'empty header value: {body[:300]!r}')
    return value, parse_parameters(rest) if rest else {}


def split_name_addr(body: str) -> tuple[str | None, str, str]:
    """Split `"name" <uri>;params` or `uri;params` into display name (or None), URI text and the text of the parameters."""
    start = body.find('<')
    if start < 0:
        uri, _sign, rest = body.partition(';')  # without <> the parameters belong to the header (RFC 3261 §20.10)
        return None, uri.strip(), rest
    display: str | None = None
    if start > 0:
        display = body[:start].strip()
        if display[:1] == '"' or '"' in display:
            body = body.strip()
            match = _quoted.match(body)
            if match is None:
                raise SIPCoreError(f'malformed display name: {body[:300]!r}')
            display = match[1]
            if '\\' in display:
                display = _escaped.sub(r'\1', display)
            start = match.end()
            while start < len(body) and body[start] in ' \t':
                start += 1
            if body[start:start + 1] != '<':
                raise SIPCoreError(f'no URI behind the display name: {body[:300]!r}')
    end = body.find('>', start)
    if end < 0:
        raise SIPCoreError(f'missing ">": {body[:300]!r}')
    return display or None, body[start + 1:end], body[end + 1:]
