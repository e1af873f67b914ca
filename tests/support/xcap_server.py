"""An XCAP server (RFC 4825) in a thread: documents and nodes, entity tags, digest authentication, capabilities, and whatever faults a test wants.

    with XCAPServer() as server:
        server.faults.append('cut after')       # the next request is carried out, and not answered
        ... server.root, server.documents, server.requests

Faults, taken from the left, one for each request (None for one without):
    'cut before'    the connection is closed before anything is done
    'cut after'     ... when all is done, before the answer
    'cut inside'    ... in the middle of the answer
    'stall'         nothing is done or answered until the server is closed
    'giant'         an answer of `giant_size` bytes
    503, 401, ...   that code
    a function      called with the handler; what it returns is the fault
"""

from __future__ import annotations

import hashlib
import re
import secrets
import ssl
import threading
import urllib.parse
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from lxml import etree

AUIDS = ('xcap-caps', 'resource-lists', 'rls-services', 'pres-rules', 'org.openmobilealliance.pres-rules', 'pidf-manipulation',
         'org.openmobilealliance.pres-content', 'org.openxcap.dialog-rules')
NAMESPACES = {
    'resource-lists': 'urn:ietf:params:xml:ns:resource-lists', 'rls-services': 'urn:ietf:params:xml:ns:rls-services',
    'pres-rules': 'urn:ietf:params:xml:ns:common-policy', 'org.openmobilealliance.pres-rules': 'urn:ietf:params:xml:ns:common-policy',
    'org.openxcap.dialog-rules': 'urn:ietf:params:xml:ns:common-policy', 'pidf-manipulation': 'urn:ietf:params:xml:ns:pidf',
    'org.openmobilealliance.pres-content': 'urn:oma:xml:prs:pres-content', 'xcap-caps': 'urn:ietf:params:xml:ns:xcap-caps',
}
HASHES = {'MD5': hashlib.md5, 'SHA-256': hashlib.sha256}
STEP = re.compile(r'/((?:[^/"\[]|\[[^\]"]*(?:"[^"]*"[^\]"]*)*\])+)')


@dataclass
class Seen:
    """A request, and how it was answered (0: not at all)."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    code: int = 0


class XCAPServer:
    """The server. A context manager.

    Args:
        users: name -> password; None asks for none.
        algorithm: of the digest; 'Basic' for basic authentication.
        auids: what it supports.
        certificate: file with certificate and key, for HTTPS.

    Attributes:
        documents: path below the root -> (entity tag, content).
        requests: `Seen`, in order.
        faults: what goes wrong, see above.
        stale_after: so many requests are taken with one nonce.
        give_etags: whether answers have an ETag header.
        conflict: body of a 409 to the next PUT.
        changed: called as changed(path, previous tag, new tag) after each change.
    """

    def __init__(self, users: dict[str, str] | None = None, algorithm: str = 'MD5', auids: tuple[str, ...] = AUIDS, certificate: str | None = None) -> None:
        self.users = users
        self.algorithm = algorithm
        self.auids = auids
        self.documents: dict[str, tuple[str, bytes]] = {}
        self.requests: list[Seen] = []
        self.faults: deque[Any] = deque()
        self.giant_size = 64 << 20
        self.stale_after = 1 << 30
        self.give_etags = True
        self.conflict: bytes | None = None
        self.redirect: dict[str, tuple[int, str]] = {}
        self.caps: bytes | None = None
        self.changed: Any = None
        self.lock = threading.RLock()
        self._nonces: dict[str, int] = {}
        self._tag = secrets.token_hex(3), 0
        self.closing = threading.Event()
        server = self

        class Handler(_Handler):
            owner = server

        self._http = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self._http.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._http.server_address[1]
        self.root = f'{"http" if certificate is None else "https"}://127.0.0.1:{self.port}/xcap-root'
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *rest: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    # ---- documents -----------------------------------------------------------------------------------------------

    def put(self, path: str, data: bytes) -> str:
        """Store a document, as if somebody else had."""
        with self.lock:
            self._tag = self._tag[0], self._tag[1] + 1
            tag = f'"{self._tag[0]}-{self._tag[1]}"'
            old = self.documents.get(path, (None, b''))[0]
            self.documents[path] = tag, data
        if self.changed is not None:
            self.changed(path, old, tag)
        return tag

    def delete(self, path: str) -> None:
        """Delete one, as if somebody else had."""
        with self.lock:
            old = self.documents.pop(path, (None, b''))[0]
        if old is not None and self.changed is not None:
            self.changed(path, old, None)

    def content(self, auid: str, user: str = 'alice@example.com', file: str = 'index') -> bytes | None:
        """What there is of a user."""
        found = self.documents.get(f'{auid}/users/sip:{user}/{file}')
        return None if found is None else found[1]

    def methods(self, *names: str) -> list[tuple[str, str, int]]:
        """Method, application and code of the requests; those of some methods only."""
        return [(seen.method, seen.path.split('/')[2], seen.code) for seen in list(self.requests) if not names or seen.method in names]

    def capabilities(self) -> bytes:
        if self.caps is not None:
            return self.caps
        auids = ''.join(f'<auid>{name}</auid>' for name in self.auids)
        return (f'<?xml version="1.0"?><xcap-caps xmlns="urn:ietf:params:xml:ns:xcap-caps"><auids>{auids}</auids><extensions/>'
                '<namespaces><namespace>urn:ietf:params:xml:ns:xcap-caps</namespace></namespaces></xcap-caps>').encode()

    # ---- authentication ------------------------------------------------------------------------------------------

    def challenge(self, stale: bool = False) -> str:
        if self.algorithm == 'Basic':
            return 'Basic realm="xcap"'
        nonce = secrets.token_hex(12)
        self._nonces[nonce] = 0
        return (f'Digest realm="xcap, \\"root\\"", qop="auth,auth-int", nonce="{nonce}", opaque="o=1"' + (f', algorithm={self.algorithm}' if self.algorithm != 'MD5' else '')
                + (', stale=true' if stale else ''))

    def check(self, method: str, path: str, header: str | None) -> str | None:
        """None: it is well. Else the challenge to send."""
        import base64
        if self.users is None:
            return None
        if header is None:
            return self.challenge()
        scheme, _, rest = header.partition(' ')
        if scheme == 'Basic' and self.algorithm == 'Basic':
            name, _, password = base64.b64decode(rest).decode().partition(':')
            return None if self.users.get(name) == password else self.challenge()
        given = {match[1]: match[2] if match[2] is not None else match[3] for match in re.finditer(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', rest)}
        make = HASHES[self.algorithm]

        def digest(*words: str) -> str:
            return make(':'.join(words).encode()).hexdigest()
        try:
            secret = digest(given['username'], 'xcap, "root"', self.users[given['username']])
            wanted = digest(secret, given['nonce'], given['nc'], given['cnonce'], given['qop'], digest(method, path))
            good = wanted == given['response'] and given['uri'] == path and given['opaque'] == 'o=1'
        except KeyError:
            return self.challenge()
        if not good:
            return self.challenge()
        with self.lock:
            last = self._nonces.get(given['nonce'])
            if last is None or int(given['nc'], 16) <= last or int(given['nc'], 16) > self.stale_after:
                return self.challenge(stale=True)
            self._nonces[given['nonce']] = int(given['nc'], 16)
        return None


class _Handler(BaseHTTPRequestHandler):
    owner: XCAPServer
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.serve()

    do_PUT = do_DELETE = do_GET

    def serve(self) -> None:
        owner = self.owner
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        seen = Seen(self.command, self.path, dict(self.headers.items()), body)
        with owner.lock:
            owner.requests.append(seen)
            fault = owner.faults.popleft() if owner.faults else None
        if callable(fault):
            fault = fault(self)
        if fault == 'cut before':
            self.close_connection = True
            return
        if fault == 'stall':
            owner.closing.wait(60)
            self.close_connection = True
            return
        if isinstance(fault, int):
            return self.answer(seen, fault, b'as it was told')
        challenge = owner.check(self.command, self.path, self.headers.get('Authorization'))
        if challenge is not None:
            return self.answer(seen, 401, b'', {'WWW-Authenticate': challenge})
        if self.path in owner.redirect:
            code, target = owner.redirect[self.path]
            return self.answer(seen, code, b'', {'Location': target})
        if fault == 'giant':
            return self.answer(seen, 200, b'x' * owner.giant_size)
        with owner.lock:
            code, data, headers = self.carry_out(body)
        if fault == 'cut after':
            seen.code = -code
            self.close_connection = True
            return
        self.answer(seen, code, data, headers, cut=fault == 'cut inside')

    def answer(self, seen: Seen, code: int, data: bytes = b'', headers: dict[str, str] | None = None, cut: bool = False) -> None:
        seen.code = code
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(data) + cut))
        self.end_headers()
        if code != 304:
            try:
                self.wfile.write(data[:len(data) // 2] if cut else data)
            except OSError:
                cut = True
        if cut:
            self.close_connection = True

    # ---- RFC 4825 ------------------------------------------------------------------------------------------------

    def carry_out(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        owner = self.owner
        path, _, query = self.path.partition('?')
        path = urllib.parse.unquote(path.removeprefix('/xcap-root/'))
        path, _, node = path.partition('/~~/')
        auid = path.split('/')[0]
        if path == 'xcap-caps/global/index' and self.command == 'GET':
            return 200, owner.capabilities(), {'ETag': '"caps"', 'Content-Type': 'application/xcap-caps+xml'}
        if auid not in owner.auids:
            return 404, b'no such application', {}
        tag, content = owner.documents.get(path, (None, b''))
        if_match, if_none_match = self.headers.get('If-Match'), self.headers.get('If-None-Match')
        if (if_match is not None and (tag is None or if_match not in (tag, '*'))) or (if_none_match is not None and self.command != 'GET' and tag is not None and if_none_match in (tag, '*')):
            return 412, b'', {}
        etag = {'ETag': tag} if tag is not None and owner.give_etags else {}
        if self.command == 'GET' and tag is not None and if_none_match == tag:
            return 304, b'', etag
        if node:
            return self.carry_out_on_node(path, auid, node, query, body)
        if self.command == 'GET':
            return (404, b'', {}) if tag is None else (200, content, etag)
        if self.command == 'DELETE':
            if tag is None:
                return 404, b'', {}
            owner.delete(path)
            return 200, b'', {}
        if owner.conflict is not None:
            conflict, owner.conflict = owner.conflict, None
            return 409, conflict, {'Content-Type': 'application/xcap-error+xml'}
        try:
            etree.fromstring(body)
        except etree.LxmlError:
            return 409, self.error('not-well-formed'), {}
        new = owner.put(path, body)
        return 201 if tag is None else 200, b'', {'ETag': new} if owner.give_etags else {}

    @staticmethod
    def error(condition: str) -> bytes:
        return f'<?xml version="1.0"?><xcap-error xmlns="urn:ietf:params:xml:ns:xcap-error"><{condition} phrase="it is so"/></xcap-error>'.encode()

    def carry_out_on_node(self, path: str, auid: str, node: str, query: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        owner = self.owner
        tag, content = owner.documents.get(path, (None, b''))
        if tag is None:
            return (404, b'', {}) if self.command != 'PUT' else (409, self.error('no-parent'), {})
        prefixes = dict(re.findall(r'xmlns\((\w+)=([^)]*)\)', urllib.parse.unquote(query)))
        prefixes['d'] = NAMESPACES[auid]
        steps = [step if step.startswith(('@', '*')) or ':' in step.partition('[')[0] else f'd:{step}' for step in STEP.findall(f'/{node}')]
        root = etree.fromstring(content)
        found = root.xpath('/' + '/'.join(steps), namespaces=prefixes)
        attribute = steps[-1][1:] if steps[-1].startswith('@') else None
        if self.command == 'GET':
            if len(found) != 1:
                return 404, b'', {}
            data = str(found[0]).encode() if attribute else etree.tostring(found[0], with_tail=False)
            return 200, data, {'ETag': tag, 'Content-Type': f'application/xcap-{"att" if attribute else "el"}+xml'}
        parents = root.xpath('/' + '/'.join(steps[:-1]), namespaces=prefixes) if len(steps) > 1 else []
        if self.command == 'DELETE':
            if len(found) != 1:
                return 404, b'', {}
            if attribute:
                del parents[0].attrib[attribute]
            else:
                found[0].getparent().remove(found[0])
        else:
            if len(parents) != 1:
                return 409, self.error('no-parent'), {}
            if attribute:
                parents[0].set(attribute, body.decode())
            else:
                new = etree.fromstring(body)
                if found:
                    found[0].getparent().replace(found[0], new)
                else:
                    parents[0].append(new)
        new_tag = owner.put(path, etree.tostring(root))
        return 200, b'', {'ETag': new_tag}
