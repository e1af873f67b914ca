"""The HTTP side of XCAP (RFC 4825): documents and nodes are read, written and deleted, each time on a condition if there is one.

One request is under way at a time: what the server asks of authentication is counted from request to request, and order matters to who writes.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, inlineCallbacks
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web import client as _twisted_client
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from sipsimple.account.xcap.errors import (
    AuthenticationError,
    ConflictError,
    HTTPError,
    NotFoundError,
    PreconditionError,
    ServerError,
    TooLarge,
    TransportError,
    XCAPError,
)
from sipsimple.account.xcap.http_auth import Authenticator, parse_challenges

if TYPE_CHECKING:
    from msrplib.tls import X509Credentials

__all__ = ['ATTRIBUTE', 'ELEMENT', 'Answer', 'XCAPClient']

web: Any = _twisted_client          # which has no annotations

# Content types of nodes, RFC 4825 section 15.
ELEMENT = 'application/xcap-el+xml'
ATTRIBUTE = 'application/xcap-att+xml'

MAX_BODY = 16 << 20             # bytes of an answer; sipsimple.payloads reads no larger documents
MAX_ERROR_BODY = 64 << 10       # of one that is an error
REQUEST_LIMIT = 60.0            # seconds for a request, with all its redirections and challenges
CONNECT_LIMIT = 10.0            # seconds for a connection
IDLE_LIMIT = 20.0               # seconds a connection is kept for the next request
MAX_REDIRECTS = 5
MAX_CHALLENGES = 2              # for one request: a second one when a nonce was too old

_XCAP_ERROR = '{urn:ietf:params:xml:ns:xcap-error}'


@dataclass(frozen=True)
class Answer:
    """What the server says when all is well.

    Attributes:
        code, reason: of the answer; 304 when the document is still the one that is known.
        data: the body.
        etag: the entity tag of the document now, as in the header; None when the server does not tell.
        content_type: without parameters, in lower case; '' when it is not told.
    """

    code: int
    reason: str
    data: bytes
    etag: str | None
    content_type: str


class _Body(Protocol):
    """Collects a body up to a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.done: Deferred[bytes] = Deferred(self._cancelled)
        self._is_over = False
        self._parts: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._limit:
            self._parts.append(data)
        elif not self._is_over:
            self._finish(TooLarge(f'the answer has more than {self._limit} bytes'))
            self._abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # Without a length nobody knows whether that was all; who reads a document will see.
        if isinstance(reason.value, (ResponseDone, PotentialDataLoss)):
            self._finish(b''.join(self._parts))
        else:
            self._finish(TransportError(f'the answer was cut: {_told(reason.value)}'))

    def _abort(self) -> None:
        if self.transport is not None:
            getattr(self.transport, 'abortConnection', self.transport.loseConnection)()

    def _cancelled(self, done: Deferred[bytes]) -> None:
        self._is_over = True
        self._abort()

    def _finish(self, result: bytes | Exception) -> None:
        if self._is_over:
            return
        self._is_over = True
        if isinstance(result, bytes):
            self.done.callback(result)
        else:
            self.done.errback(result)


@implementer(IPolicyForHTTPS)
class _Policy:
    """Whom to believe."""

    def __init__(self, credentials: X509Credentials | None) -> None:
        self._credentials = credentials

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """For Twisted."""
        from msrplib.tls import client_creator
        return client_creator(hostname.decode('ascii').strip('[]'), self._credentials)


def _told(error: BaseException | None) -> str:
    """An error in words, with those that it is made of."""
    reasons = getattr(error, 'reasons', None)
    if reasons:
        return '; '.join(dict.fromkeys(_told(item.value) for item in reasons))
    text = str(error) if error is not None and error.args else ''
    return text or type(error).__name__


@contextmanager
def _transport_errors() -> Iterator[None]:
    """What Twisted raises, as our error."""
    try:
        yield
    except XCAPError:
        raise
    except CancelledError:
        raise TransportError(f'no answer within {REQUEST_LIMIT:g} s, or nobody waits for it any more') from None
    except Exception as error:          # of Twisted, OpenSSL, the system; which ones is not said anywhere
        raise TransportError(_told(error)) from error


class XCAPClient:
    """A connection to an XCAP root. Thread: the SDK thread; methods return Deferreds, which fail with an `XCAPError`.

    Args:
        root: URL.
        username, password: for authentication; the password itself is sent over TLS only (Basic), else a digest of it.
        credentials: what to show and believe with TLS; None for the authorities of the system.
        user_agent: name of the program.
    """

    def __init__(self, root: str, username: str, password: str, credentials: X509Credentials | None = None, user_agent: str = 'sipsimple') -> None:
        from sipsimple.threading import reactor
        self.root = root
        self._user_agent = user_agent
        self._authenticator = Authenticator(username, password, basic=urlsplit(root).scheme == 'https')
        self._pool = web.HTTPConnectionPool(reactor.get_reactor())
        self._pool.cachedConnectionTimeout = IDLE_LIMIT
        self._agent: Any = web.Agent(reactor.get_reactor(), contextFactory=_Policy(credentials), connectTimeout=CONNECT_LIMIT, pool=self._pool)
        self._lock: Any = DeferredLock()

    def __repr__(self) -> str:
        return f'<XCAPClient of {self.root}>'

    def get(self, url: str, etag: str | None = None) -> Deferred[Answer]:
        """Read a document or node. With `etag`, the answer is 304 without data when the document still has that one."""
        return self._call('GET', url, {} if etag is None else {'If-None-Match': etag})

    def put(self, url: str, data: bytes, content_type: str, etag: str | None = None, create: bool = False) -> Deferred[Answer]:
        """Write a document or node.

        Args:
            etag: of the document it replaces (or changes); PreconditionError when that is not the one there is.
            create: PreconditionError when the document exists.
        """
        conditions = {'If-Match': etag} if etag is not None else {'If-None-Match': '*'} if create else {}
        return self._call('PUT', url, {'Content-Type': content_type, **conditions}, data)

    def delete(self, url: str, etag: str | None = None) -> Deferred[Answer]:
        """Delete a document or node; `etag` as in `put`."""
        return self._call('DELETE', url, {} if etag is None else {'If-Match': etag})

    def close(self) -> Deferred[None]:
        """Close the connections that are kept for later requests."""
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed

    def _call(self, method: str, url: str, headers: dict[str, str], body: bytes = b'') -> Deferred[Answer]:
        from sipsimple.threading import reactor
        result: Deferred[Answer] = self._lock.run(self._request, method, url, headers, body)
        result.addTimeout(REQUEST_LIMIT, reactor.get_reactor(), lambda value, limit: _timed_out(value))
        return result

    @inlineCallbacks
    def _request(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Generator[Deferred[Any], Any, Answer]:
        challenges = redirects = 0
        while True:
            with _transport_errors():
                response = yield self._send(method, url, headers, body)
                failed = response.code >= 300 and response.code != 304
                data = yield self._read(response, MAX_ERROR_BODY if failed else MAX_BODY)
            info = response.headers.getRawHeaders('authentication-info')
            if not self._authenticator.confirm(info[0] if info else None):
                raise TransportError('who answers does not know the password: the answer is not believed')
            if response.code == 401 and challenges < MAX_CHALLENGES:
                challenges += 1
                if self._authenticator.challenge(parse_challenges(response.headers.getRawHeaders('www-authenticate', []))):
                    continue
                # The next request begins anew: the server may have learnt the password meanwhile.
                self._authenticator.forget()
            if response.code in (301, 302, 303, 307, 308) and (method == 'GET' or response.code in (307, 308)) and redirects < MAX_REDIRECTS:
                location = response.headers.getRawHeaders('location')
                if location:
                    redirects += 1
                    url = self._redirected(url, location[0])
                    continue
            return self._answer(response, data)

    def _send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Deferred[Any]:
        target = web.URI.fromBytes(url.encode('ascii')).originForm.decode('ascii')
        sent = {'User-Agent': self._user_agent, **headers}
        authorization = self._authenticator.header(method, target, body)
        if authorization is not None:
            sent['Authorization'] = authorization
        producer = web.FileBodyProducer(BytesIO(body)) if method == 'PUT' else None
        request: Deferred[Any] = self._agent.request(method.encode(), url.encode('ascii'), Headers({name: [value] for name, value in sent.items()}), producer)
        return request

    @staticmethod
    def _read(response: Any, limit: int) -> Deferred[bytes]:
        body = _Body(limit)
        response.deliverBody(body)
        return body.done

    @staticmethod
    def _redirected(url: str, location: str) -> str:
        """Where to go on: another place on the same host, and not from https to http, as the credentials go along."""
        try:
            target = urljoin(url, location)
            old, new = urlsplit(url), urlsplit(target)
            allowed = new.hostname == old.hostname and new.scheme in ('http', 'https') and (new.scheme == 'https' or old.scheme == 'http')
            target.encode('ascii')
        except ValueError:
            target, allowed = location, False
        if not allowed:
            raise TransportError(f'redirected to another host, which is not followed: {location[:200]!r}')
        return target

    @staticmethod
    def _answer(response: Any, data: bytes) -> Answer:
        """The answer, or its error raised."""
        code, reason = response.code, response.phrase.decode('utf-8', 'replace')
        etag, content_type, later = (response.headers.getRawHeaders(name, [None])[0] for name in ('etag', 'content-type', 'retry-after'))
        if 200 <= code < 300 or code == 304:
            return Answer(code, reason, data, etag, (content_type or '').partition(';')[0].strip().lower())
        retry_after = int(later) if later is not None and later.isdecimal() and len(later) < 7 else None
        if code == 409:
            raise ConflictError(code, reason, data, retry_after, *_conflict(data))
        kind = {401: AuthenticationError, 404: NotFoundError, 412: PreconditionError}.get(code, ServerError if code >= 500 else HTTPError)
        raise kind(code, reason, data, retry_after)


def _timed_out(value: Any) -> Any:
    if isinstance(value, Failure) and not isinstance(value.value, (CancelledError, TransportError)):
        return value
    raise TransportError(f'no answer within {REQUEST_LIMIT:g} s')


def _conflict(data: bytes) -> tuple[str | None, str | None]:
    """Condition and phrase of the body of a 409."""
    from lxml import etree
    if re.search(rb'<!DOCTYPE', data, re.IGNORECASE):
        return None, None
    try:
        root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.LxmlError, ValueError):
        return None, None
    if root.tag != f'{_XCAP_ERROR}xcap-error':
        return None, None
    for child in root:
        if isinstance(child.tag, str) and child.tag.startswith(_XCAP_ERROR):
            return child.tag[len(_XCAP_ERROR):], child.get('phrase')
    return None, None
