"""From bytes that somebody else wrote to a tree: no DTD, no entities, no network, and limits before anything is built.

A tree costs many times its text, and libxml2 before 2.12 compares every attribute of an element with every other one. So size, number of tags and
number of attributes of a tag are looked at in the text, which is cheap, and only the depth in the tree.
"""

from __future__ import annotations

import re
import threading
from typing import Any

from lxml import etree

from sipsimple.payloads._xml.errors import ParserError

__all__ = ['Parsers', 'read']

MAX_ATTRIBUTES = 200

# A document may say that it is in one of these; names as in Python.
_ENCODINGS = {'utf-8', 'us-ascii', 'ascii', 'iso-8859-1', 'latin-1', 'iso-8859-15', 'windows-1252', 'cp1252',
              'utf-16', 'utf-16le', 'utf-16be', 'utf-16-le', 'utf-16-be'}

_DECLARED = re.compile(rb'''<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']''')
_DOCTYPE = re.compile(rb'(?:\s*+(?><\?.*?\?>|<!--.*?-->))*+\s*+<!DOCTYPE', re.DOTALL)
# So many attributes, none of which can have a `<` in it, are at least so long.
_LONG_TAG = re.compile(rb'<[^<]{%d}' % (5 * MAX_ATTRIBUTES))
_MANY_ATTRIBUTES = re.compile(
    rb'''<[^\s<>!?/=]++(?:\s++[^\s<>=/]++\s*+=\s*+(?:"[^"<]*+"|'[^'<]*+')){%d}''' % (MAX_ATTRIBUTES + 1))


class Parsers(threading.local):
    """A parser for each thread: one parser serves one thread at a time. `huge_tree` is for text of our own."""

    def __init__(self, huge_tree: bool = False) -> None:
        self.parser = etree.XMLParser(encoding='utf-8', resolve_entities=False, load_dtd=False, dtd_validation=False, attribute_defaults=False,
                                      no_network=True, huge_tree=huge_tree, recover=False)


_parsers = Parsers()


def _utf8(data: bytes) -> bytes:
    """The same document in UTF-8; what it says of its encoding does not count any more."""
    if data[:3] == b'\xef\xbb\xbf':
        return data[3:]
    encoding = ''
    if data[:2] in (b'\xff\xfe', b'\xfe\xff'):
        encoding = 'utf-16'
    elif b'\0' in data[:4]:
        encoding = 'utf-16-be' if data[:1] == b'\0' else 'utf-16-le'
    elif data[:5] == b'<?xml':
        declared = _DECLARED.match(data)
        encoding = declared[1].decode('ascii').lower() if declared else ''
    if encoding in ('', 'utf-8'):
        return data
    if encoding not in _ENCODINGS:
        raise ParserError(f'the encoding {encoding} is not supported')
    try:
        return data.decode(encoding).encode('utf-8')
    except ValueError as error:
        raise ParserError(f'the document is not in {encoding}: {error}') from error


def read(document: Any, max_size: int, max_tags: int, max_depth: int) -> Any:
    """The root node of `document` (str, bytes-like, or a file object).

    Raises:
        ParserError: it is not well-formed, has a DTD, or is over a limit.
    """
    if hasattr(document, 'read'):
        document = document.read(max_size + 1)
    if isinstance(document, str):
        try:
            data = document.encode('utf-8').lstrip()
        except UnicodeEncodeError as error:
            raise ParserError(f'the document is no text: {error.reason}') from error
        if data[:3] == b'\xef\xbb\xbf':
            data = data[3:]
    elif isinstance(document, (bytes, bytearray, memoryview)):
        data = bytes(document).lstrip()
        if len(data) <= max_size:
            data = _utf8(data).lstrip()
    else:
        raise TypeError(f'a document is str, bytes or a file object, not {type(document).__name__}')
    if len(data) > max_size:
        raise ParserError(f'the document has more than {max_size} bytes')
    tags = data.count(b'<')
    if tags > max_tags:
        raise ParserError(f'the document has more than {max_tags} tags')
    if _DOCTYPE.match(data):
        raise ParserError('the document has a document type declaration')
    if _LONG_TAG.search(data) and _MANY_ATTRIBUTES.search(data):
        raise ParserError(f'an element of the document has more than {MAX_ATTRIBUTES} attributes')
    try:
        root = etree.fromstring(data, _parsers.parser)
    except (etree.LxmlError, ValueError) as error:
        raise ParserError(f'the document is not well-formed: {error}') from error
    if tags > max_depth:
        _check_depth(root, max_depth)
    return root


def _check_depth(root: Any, max_depth: int) -> None:
    """Look whether anything is deeper than that; the paths are evaluated in C, level by level."""
    finder = _finders.get(max_depth)
    if finder is None:
        finder = _finders[max_depth] = etree.XPath('boolean(' + '/*' * (max_depth + 1) + ')')
    if finder(root):
        raise ParserError(f'the document has more than {max_depth} levels')


_finders: dict[int, Any] = {}
