"""Names of files that come from a peer: reduced to what cannot lead out of a folder, hide, or show otherwise than it is."""

from __future__ import annotations

import os.path
import re

__all__ = ['base_name', 'numbered', 'safe_name']

NAME_LIMIT = 240            # bytes; file systems take 255, and a number may have to be put in
EXTENSION_LIMIT = 32        # bytes of an extension that is worth keeping
DEFAULT_NAME = 'file'

# Control characters, and those that turn the direction of writing, which make one extension look like another.
_UNWANTED = re.compile('[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]')


def base_name(text: str) -> str:
    """The last part of a path, of any system, without control characters; '' if there is none."""
    return _UNWANTED.sub('', re.split(r'[/\\]', text)[-1])


def safe_name(text: str | None) -> str:
    """A name for a file in a folder of ours: never empty, hidden, a path, or too long for a file system.

    Args:
        text: what the peer calls it, None if it does not say.
    """
    name = base_name(text or '').encode('utf-8', 'replace').decode('utf-8')         # what is no text becomes '?'
    name = name.strip().lstrip('.').rstrip('. ') or DEFAULT_NAME
    root, extension = os.path.splitext(name)
    if len(extension.encode()) > EXTENSION_LIMIT:
        root, extension = name, ''
    return _cut(root, NAME_LIMIT - len(extension.encode())).rstrip('. ') + extension


def _cut(text: str, limit: int) -> str:
    """At most so many bytes of a text, in whole characters."""
    return text.encode()[:limit].decode('utf-8', 'ignore')


def numbered(name: str, number: int) -> str:
    """The name for the case that others are taken: `name`, `name-1.txt`, `name-2.txt` ..."""
    root, extension = os.path.splitext(name)
    return f'{root}-{number}{extension}' if number else name
