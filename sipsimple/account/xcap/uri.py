"""URIs of XCAP (RFC 4825 section 6): where documents are, and which node of them is meant."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

__all__ = ['document_path', 'document_url', 'list_selector', 'node_url']

# pchar of RFC 3986. What a node selector needs besides, such as [ and ", has to be escaped (RFC 4825 section 6.4).
_PCHAR = "-._~!$&'()*+,;=:@"


def document_path(auid: str, user: str | None, filename: str) -> str:
    """The path of a document below the root.

    Args:
        auid: the application.
        user: the XCAP user identifier, such as `sip:alice@example.com`; None for the global tree.
        filename: name of the document; it may have slashes.
    """
    tree = 'global' if user is None else f'users/{quote(user, safe=_PCHAR)}'
    return f'{quote(auid, safe=_PCHAR)}/{tree}/{quote(filename, safe=_PCHAR + "/")}'


def document_url(root: str, auid: str, user: str | None, filename: str) -> str:
    """The URL of a document; `root` may end in a slash or not."""
    return f'{root.rstrip("/")}/{document_path(auid, user, filename)}'


def node_url(document: str, selector: str, namespaces: Mapping[str, str] | None = None) -> str:
    """The URL of a node in a document.

    Args:
        document: URL of the document.
        selector: such as `resource-lists/list[@name="friends"]`, `.../entry[1]/@uri`; a slash at its begin is no harm.
        namespaces: prefix -> namespace, for the prefixes of the selector. Names without prefix are of the default namespace of the application.
    """
    query = ''.join(f'xmlns({prefix}={uri.replace("^", "^^").replace("(", "^(").replace(")", "^)")})' for prefix, uri in (namespaces or {}).items())
    return f'{document}/~~/{quote(selector.lstrip("/"), safe=_PCHAR + "/")}' + (f'?{quote(query, safe=_PCHAR + "/?")}' if query else '')


def list_selector(name: str) -> str:
    """The selector of a list of a resource-lists document."""
    escaped = name.replace('&', '&amp;').replace('"', '&quot;').replace('<', '&lt;')
    return f'resource-lists/list[@name="{escaped}"]'
