"""What can go wrong with an XCAP server.

    XCAPError
    +-- TransportError          no (whole) answer
    |   +-- TooLarge            more than we take
    +-- RootNotFound            nobody knows where the server is
    +-- CapabilityError         the server lacks what an addressbook needs
    +-- DocumentError           a document on the server cannot be understood
    +-- HTTPError               the server refused, RFC 4825 section 8
        +-- AuthenticationError 401
        +-- NotFoundError       404
        +-- ConflictError       409, with the reason of RFC 4825 section 11
        +-- PreconditionError   412
        +-- ServerError         5xx
"""

from __future__ import annotations

__all__ = ['AuthenticationError', 'CapabilityError', 'ConflictError', 'DocumentError', 'HTTPError', 'NotFoundError', 'PreconditionError', 'RootNotFound',
           'ServerError', 'TooLarge', 'TransportError', 'XCAPError']


class XCAPError(Exception):
    """Any of them."""


class TransportError(XCAPError):
    """There was no answer, or not all of it: whether the server did what was asked is not known."""


class TooLarge(TransportError):
    """The answer has more bytes than are taken."""


class RootNotFound(XCAPError):
    """The XCAP root is not configured, and not in DNS."""


class CapabilityError(XCAPError):
    """The server lacks something."""


class DocumentError(XCAPError):
    """What is on the server is no document of its kind."""


class HTTPError(XCAPError):
    """The server refused.

    Attributes:
        code, reason: of the answer.
        body: of the answer.
        retry_after: seconds, or None.
    """

    def __init__(self, code: int, reason: str, body: bytes = b'', retry_after: int | None = None, text: str | None = None) -> None:
        super().__init__(text or f'{code} {reason}')
        self.code = code
        self.reason = reason
        self.body = body
        self.retry_after = retry_after


class AuthenticationError(HTTPError):
    """Username or password are wrong, or the server asks in a way that is not understood."""


class NotFoundError(HTTPError):
    """There is no such document, or node in it."""


class ConflictError(HTTPError):
    """The change would leave the document, or the server, in a state that is not allowed.

    Attributes:
        condition: name of the element of RFC 4825 section 11.1, such as `schema-validation-error`, or None.
        phrase: what the server says of it, or None.
    """

    def __init__(self, code: int, reason: str, body: bytes = b'', retry_after: int | None = None, condition: str | None = None,
                 phrase: str | None = None) -> None:
        text = f'{code} {reason}' + (f': {condition}' if condition else '') + (f' ({phrase})' if phrase else '')
        super().__init__(code, reason, body, retry_after, text)
        self.condition = condition
        self.phrase = phrase


class PreconditionError(HTTPError):
    """The document is not (any more) the one that was to be changed."""


class ServerError(HTTPError):
    """The server cannot do it now."""
