"""Documents put on an XCAP server with a plain HTTP client, for tests of what a presence server makes of them."""

from __future__ import annotations

import urllib.request

__all__ = ['get', 'list_of', 'put', 'rules', 'services']

LIMIT = 30.0
TYPES = {'resource-lists': 'application/resource-lists+xml', 'rls-services': 'application/rls-services+xml', 'pres-rules': 'application/auth-policy+xml'}


def put(root: str, user: str, password: str, application: str, text: str) -> int:
    """Store the document `index` of a user (user@domain) and return the status code. urllib.error.HTTPError: it is refused."""
    request = urllib.request.Request(f'{root}{application}/users/sip:{user}/index', text.encode(), {'Content-Type': TYPES[application]}, method='PUT')
    with _opener(root, user, password).open(request, timeout=LIMIT) as response:
        return int(response.status)


def get(root: str, user: str, password: str, application: str) -> bytes:
    """Read it. urllib.error.HTTPError: it is refused, or there is none."""
    with _opener(root, user, password).open(f'{root}{application}/users/sip:{user}/index', timeout=LIMIT) as response:
        data: bytes = response.read()
        return data


def _opener(root: str, user: str, password: str) -> urllib.request.OpenerDirector:
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, root, user.partition('@')[0], password)
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPDigestAuthHandler(passwords))


def rules(**decisions: str) -> str:
    """pres-rules: name of a rule -> 'allow sip:a@b sip:c@d', or another decision of RFC 5025 (block, polite-block, confirm) with URIs."""
    text = []
    for name, decision in decisions.items():
        handling, *uris = decision.split()
        ones = ''.join(f'<cr:one id="{uri}"/>' for uri in uris)
        shown = ('<cr:transformations><pr:provide-services><pr:all-services/></pr:provide-services><pr:provide-persons><pr:all-persons/></pr:provide-persons>'
                 '<pr:provide-devices><pr:all-devices/></pr:provide-devices><pr:provide-all-attributes/></cr:transformations>') if handling == 'allow' else '<cr:transformations/>'
        text.append(f'<cr:rule id="{name}"><cr:conditions><cr:identity>{ones}</cr:identity></cr:conditions>'
                    f'<cr:actions><pr:sub-handling>{handling}</pr:sub-handling></cr:actions>{shown}</cr:rule>')
    return ('<?xml version="1.0" encoding="UTF-8"?><cr:ruleset xmlns="urn:ietf:params:xml:ns:pres-rules" xmlns:pr="urn:ietf:params:xml:ns:pres-rules" '
            f'xmlns:cr="urn:ietf:params:xml:ns:common-policy">{"".join(text)}</cr:ruleset>')


def list_of(name: str, uris: list[str]) -> str:
    """resource-lists with one list."""
    entries = ''.join(f'<entry uri="{uri}"/>' for uri in uris)
    return f'<?xml version="1.0" encoding="UTF-8"?><resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list name="{name}">{entries}</list></resource-lists>'


def services(uri: str, uris: list[str], package: str = 'presence') -> str:
    """rls-services with one service, its list in it."""
    entries = ''.join(f'<rl:entry uri="{entry}"/>' for entry in uris)
    return ('<?xml version="1.0" encoding="UTF-8"?><rls-services xmlns="urn:ietf:params:xml:ns:rls-services" xmlns:rl="urn:ietf:params:xml:ns:resource-lists">'
            f'<service uri="{uri}"><list name="contacts">{entries}</list><packages><package>{package}</package></packages></service></rls-services>')
