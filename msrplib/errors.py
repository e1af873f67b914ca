"""The errors of the library, and the status codes of MSRP.

MSRPError
├── ParsingError                    what was received (or given) is not MSRP
│   ├── HeaderParsingError          ... in one header: `header`, `reason`
│   └── ChunkParseError             ... in a chunk: something it must have is missing
├── MSRPSessionError                the caller's fault: the session is not in a state for that
└── MSRPTransactionError            a request failed: `code`, `comment`
    ├── MSRPBadRequest              400
    ├── MSRPNoSuchSessionError      481
    ├── MSRPRelayAuthError          the relay refused us
    └── MSRPTimeout                 408
        ├── MSRPConnectTimeout              the peer, or the first relay towards it, cannot be reached
        ├── MSRPRelayConnectTimeout         our relay cannot be reached
        ├── MSRPAuthTimeout                 our relay does not answer
        ├── MSRPIncomingConnectTimeout      nobody connected to us
        └── MSRPBindSessionTimeout          connected, but the first request was not answered, or did not come
"""

from __future__ import annotations

__all__ = ['ChunkParseError', 'HeaderParsingError', 'MSRPAuthTimeout', 'MSRPBadRequest', 'MSRPBindSessionTimeout', 'MSRPConnectTimeout', 'MSRPError',
           'MSRPIncomingConnectTimeout', 'MSRPNoSuchSessionError', 'MSRPRelayAuthError', 'MSRPRelayConnectTimeout', 'MSRPSessionError', 'MSRPTimeout',
           'MSRPTransactionError', 'ParsingError', 'STATUS_COMMENTS', 'status_comment']

# RFC 4975 section 10, RFC 4976 section 8 (401), RFC 7701 section 7 (404, 424, 425, 428)
STATUS_COMMENTS = {
    200: 'OK',
    400: 'Bad Request',
    401: 'Unauthorized',
    403: 'Not Allowed',
    404: 'Not Found',
    408: 'Request Timeout',
    413: 'Stop Sending',
    415: 'Unsupported Media Type',
    423: 'Out of Bounds',
    424: 'Malformed Nickname',
    425: 'Nickname Usage Failed',
    428: 'Private Messages Not Supported',
    481: 'No Such Session',
    501: 'Unknown Method',
    506: 'Wrong Session Connection',
}


def status_comment(code: int) -> str:
    """The phrase that goes with a status code, '' for an unknown one."""
    return STATUS_COMMENTS.get(code, '')


class MSRPError(Exception):
    """Root of the errors of this library."""


class ParsingError(MSRPError):
    """A text is not what the grammar of RFC 4975 section 9 wants."""


class HeaderParsingError(ParsingError):
    """The value of a header is not what its grammar wants. Attributes: `header` (its name), `reason`."""

    def __init__(self, header: str, reason: str = '') -> None:
        super().__init__(f'bad {header} header{": " if reason else ""}{reason}')
        self.header = header
        self.reason = reason


class ChunkParseError(ParsingError):
    """A chunk cannot be used: something that every chunk must have is missing."""


class MSRPSessionError(MSRPError):
    """The session is not in a state in which that can be done."""


class MSRPTransactionError(MSRPError):
    """A request failed, or has to be refused. Attributes: `code`, `comment`.

    Args:
        comment: the phrase; None for the usual one of the code.
        code: the status code; may only be left out where the class has one.
    """

    code: int
    _code: int | None = None

    def __init__(self, comment: str | None = None, code: int | None = None) -> None:
        if code is None:
            code = self._code
        if code is None:
            raise TypeError('a status code is needed')
        self.code = code
        self.comment = status_comment(code) if comment is None else comment
        super().__init__(f'{code} {self.comment}'.rstrip())


class MSRPBadRequest(MSRPTransactionError):
    """The request was malformed (400)."""

    _code = 400


class MSRPNoSuchSessionError(MSRPTransactionError):
    """The request named a session that is not there (481)."""

    _code = 481


class MSRPRelayAuthError(MSRPTransactionError):
    """A relay refused our AUTH request."""


class MSRPTimeout(MSRPTransactionError):
    """Something did not happen in time (408)."""

    _code = 408


class MSRPConnectTimeout(MSRPTimeout):
    """The next hop towards the peer could not be reached in time."""


class MSRPRelayConnectTimeout(MSRPTimeout):
    """Our relay could not be reached in time."""


class MSRPAuthTimeout(MSRPTimeout):
    """Our relay did not answer an AUTH request in time."""


class MSRPIncomingConnectTimeout(MSRPTimeout):
    """Nobody connected to us in time."""


class MSRPBindSessionTimeout(MSRPTimeout):
    """The connection is there, but the request that binds the session to it did not succeed in time."""
