"""AUTH: the arithmetic, and a relay that is made here and can do what the real one of the lab cannot."""

from __future__ import annotations

import hashlib

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from msrplib.connect import MSRPRelaySettings, RelayConnection
from msrplib.digest import AuthChallenger, LoginFailed, choose_challenge, process_www_authenticate
from msrplib.errors import MSRPAuthTimeout, MSRPError, MSRPRelayAuthError, MSRPRelayConnectTimeout
from msrplib.framing import encode_response
from msrplib.headers import AuthenticationInfoHeader, ExpiresHeader, MSRPHeader, UsePathHeader, WWWAuthenticateHeader
from msrplib.parser import Parser, Whole
from msrplib.uri import URI
from tests.support.msrp import Side, in_reactor, local
from tests.unit.msrplib.test_endpoint import send

URI_TEXT = 'msrps://relay.example.com:2855;tcp'


def test_the_arithmetic_of_md5():
    challenge = {'realm': 'example.com', 'nonce': 'abc', 'qop': 'auth', 'opaque': 'xyz'}
    answer, proof = process_www_authenticate('alice', 'secret', 'AUTH', URI_TEXT, **challenge)
    assert {key: answer[key] for key in ('username', 'realm', 'nonce', 'qop', 'nc', 'opaque')} == {
        'username': 'alice', 'realm': 'example.com', 'nonce': 'abc', 'qop': 'auth', 'nc': '00000001', 'opaque': 'xyz'} and 'uri' not in answer

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()
    middle = f'abc:00000001:{answer["cnonce"]}:auth'
    assert answer['response'] == md5(f'{md5("alice:example.com:secret")}:{middle}:{md5(f"AUTH:{URI_TEXT}")}')
    assert proof == md5(f'{md5("alice:example.com:secret")}:{middle}:{md5(f":{URI_TEXT}")}')
    assert process_www_authenticate('alice', 'secret', 'AUTH', URI_TEXT, **challenge)[0]['cnonce'] != answer['cnonce']


@pytest.mark.parametrize('algorithm', ['MD5', 'SHA-256'])
def test_both_sides_agree(algorithm):
    challenger = AuthChallenger(30, algorithm)
    challenge = challenger.make_challenge('example.com', now=0)
    answer, proof = process_www_authenticate('alice', 'secret', 'AUTH', URI_TEXT, **challenge)
    assert answer.get('algorithm', 'MD5') == algorithm
    for password, other in (('wrong', {}), ('secret', {'nonce': 'other'}), ('secret', {'username': 'bob'}), ('secret', {'nc': 'x'}), ('secret', {'response': ''})):
        with pytest.raises(LoginFailed) as caught:
            challenger.check(password, 'AUTH', URI_TEXT, 1, **{**answer, **other})
        assert not caught.value.stale
    with pytest.raises(LoginFailed):
        challenger.check('secret', 'AUTH', URI_TEXT, 1, **{**answer, 'opaque': 'other'})
    assert challenger.check('secret', 'AUTH', URI_TEXT, 29, **answer) == proof
    with pytest.raises(LoginFailed) as caught:      # the same once more
        challenger.check('secret', 'AUTH', URI_TEXT, 29, **answer)
    assert caught.value.stale
    late, _ = process_www_authenticate('alice', 'secret', 'AUTH', URI_TEXT, **challenger.make_challenge('example.com', now=0, stale=True))
    with pytest.raises(LoginFailed) as caught:
        challenger.check('secret', 'AUTH', URI_TEXT, 31, **late)
    assert caught.value.stale


def test_challenges_are_forgotten():
    challenger = AuthChallenger(30, limit=3)
    for _ in range(10):
        challenger.make_challenge('example.com', 0)
    assert len(challenger._issued) == 3


def test_the_best_challenge_is_answered():
    md5, sha, other, old = ({'realm': 'r', 'nonce': name, **more} for name, more in [
        ('1', {'qop': 'auth'}), ('2', {'algorithm': 'SHA-256', 'qop': 'auth-int, auth'}), ('3', {'algorithm': 'SHA-512-256'}), ('4', {'qop': 'auth-int'})])
    assert choose_challenge([md5, sha, other]) is sha and choose_challenge([old, md5]) is md5 and choose_challenge([other, old, {}]) is None
    for bad in (other, old, {'realm': 'r'}):
        with pytest.raises(MSRPError):
            process_www_authenticate('a', 'b', 'AUTH', URI_TEXT, **bad)


class Relay(Protocol):
    """Answers AUTH.

    Attributes of the factory: `challenger`s, `expires`, `requests` (what has come), `answer` (a function that may answer instead).
    """

    def connectionMade(self):
        self.parser = Parser()
        self.factory.connection = self

    def dataReceived(self, data):
        for event in self.parser.feed(data):
            assert isinstance(event, Whole)
            self.factory.requests.append(event.chunk)
            if event.chunk.code is None:
                self.auth(event.chunk)

    def respond(self, chunk, code, *headers):
        self.transport.write(encode_response(chunk, code, None, headers))

    def auth(self, chunk):
        factory, now = self.factory, 0
        if factory.answer is not None and factory.answer(self, chunk):
            return
        if 'Authorization' not in chunk.headers:
            self.respond(chunk, 401, *(WWWAuthenticateHeader(item.make_challenge('example.com', now)) for item in factory.challengers))
            return
        values = dict(chunk.headers['Authorization'].decoded)
        uri, algorithm = values.pop('uri'), values.pop('algorithm', 'MD5')
        assert uri == str(chunk.to_path[-1])
        challenger = next(item for item in factory.challengers if item.algorithm == algorithm)
        try:
            proof = challenger.check('secret', 'AUTH', uri, now, **values)
        except LoginFailed:
            self.respond(chunk, 403)
            return
        # The path with those before it, as a relay behind others gives it.
        path = [*list(chunk.to_path)[:-1], chunk.to_path[-1].copy(session_id='given')]
        self.respond(chunk, 200, UsePathHeader(path), ExpiresHeader(factory.expires), AuthenticationInfoHeader({'rspauth': factory.proof or proof}))


def relay(**options):
    """A listening relay; use with `yield from`: (factory, port, what closes it)."""
    from twisted.internet import reactor
    factory = Factory.forProtocol(Relay)
    factory.noisy = False
    factory.challengers = [AuthChallenger(30, 'MD5'), AuthChallenger(30, 'SHA-256')]
    factory.requests, factory.expires, factory.answer, factory.proof = [], 900, None, None
    for name, value in options.items():
        setattr(factory, name, value)
    port = reactor.listenTCP(0, factory, interface='127.0.0.1')
    return factory, port.getHost().port, port.stopListening
    yield


def settings(port: int, password: str = 'secret', domain: str = 'relay.example.com') -> MSRPRelaySettings:
    return MSRPRelaySettings(domain, 'alice', password, '127.0.0.1', port, False)


def test_auth_with_the_best_algorithm():
    def run():
        factory, port, stop = yield from relay()
        connection = RelayConnection(settings(port), 'passive')
        path = yield connection.prepare(local())
        assert [str(uri) for uri in path] == [f'msrp://relay.example.com:{port}/given;tcp', str(connection.local_uri)]
        first, second = factory.requests
        assert first.method == second.method == 'AUTH' and [str(uri) for uri in first.to_path] == [f'msrp://relay.example.com:{port};tcp']
        assert second.headers['Authorization'].decoded['algorithm'] == 'SHA-256' and second.headers['Expires'].decoded == 1800
        assert list(first.from_path) == [connection.local_uri] and abs(connection._renewal.getTime() - connection._reactor.seconds() - 720) < 60
        yield connection.cleanup()
        yield stop()
    in_reactor(run)


def test_relays_behind_relays():
    """Each is asked through those before it; the peer sees them from the outside."""
    def run():
        factory, port, stop = yield from relay()
        connection = RelayConnection([settings(port), settings(port + 1, domain='outer.example.com')], 'passive')
        path = yield connection.prepare(local())
        assert [uri.host for uri in path] == ['outer.example.com', 'relay.example.com', '127.0.0.1']
        assert [[uri.host for uri in request.to_path] for request in factory.requests] == [['relay.example.com']] * 2 + [['relay.example.com', 'outer.example.com']] * 2
        assert [uri.host for uri in connection.transport.local_path] == ['relay.example.com', 'outer.example.com']
        yield connection.cleanup()
        yield stop()
    in_reactor(run)


def test_it_is_renewed_in_time():
    def run():
        factory, port, stop = yield from relay(expires=1)
        renewed = Deferred()

        def answer(protocol, chunk):
            if len(factory.requests) == 6:
                renewed.callback(None)
        factory.answer = answer
        connection = RelayConnection(settings(port), 'passive')
        yield connection.prepare(local())
        assert len(factory.requests) == 2
        yield renewed
        yield connection.cleanup()
        yield stop()
    in_reactor(run)


def test_other_uris_are_a_failure():
    """The peer knows those of the beginning."""
    def run():
        def answer(protocol, chunk):
            if len(factory.requests) > 2:
                protocol.respond(chunk, 200, UsePathHeader('msrp://relay.example.com/moved;tcp'), ExpiresHeader(1))
                return True
            return False
        factory, port, stop = yield from relay(expires=1, answer=answer)
        connection = RelayConnection(settings(port), 'passive')
        failed = Deferred()
        connection.on_failed = failed.callback
        path = yield connection.prepare(local())
        error = yield failed
        assert isinstance(error, MSRPRelayAuthError) and 'Other URIs' in str(error) and path == connection.transport.full_local_path
        assert connection._renewal is None or not connection._renewal.active()
        yield connection.cleanup()
        yield stop()
    in_reactor(run)


def test_a_relay_that_does_not_renew_is_asked_again_until_it_has_forgotten_us():
    def run():
        factory, port, stop = yield from relay(answer=lambda protocol, chunk: len(factory.requests) > 2 and protocol.respond(chunk, 500) is None)
        connection = RelayConnection(settings(port), 'passive')
        failed = Deferred()
        connection.on_failed = failed.callback
        yield connection.prepare(local())
        connection._renewal.reset(0)            # now, and not after 12 minutes
        while len(factory.requests) < 3 or connection._renewal is None:
            yield deferLater(connection._reactor, 0.01, lambda: None)
        assert 300 < connection._renewal.getTime() - connection._reactor.seconds() <= 450 and not failed.called
        connection._renewal.reset(0)
        connection._expires_at = connection._reactor.seconds()
        error = yield failed
        assert isinstance(error, MSRPRelayAuthError) and error.code == 500 and len(factory.requests) == 4
        yield connection.cleanup()
        yield stop()
    in_reactor(run)


@pytest.mark.parametrize(('code', 'headers', 'text'), [
    (403, [], '403'), (401, [], '401'), (401, [WWWAuthenticateHeader('Basic realm="x"')], 'Cannot Be Answered'), (423, [], '423'),
    (200, [], 'No Use-Path'), (200, [UsePathHeader('msrp://a/1;tcp'), AuthenticationInfoHeader({'rspauth': 'wrong'})], 'Does Not Know')])
def test_what_a_relay_may_answer(code, headers, text):
    def run():
        factory, port, stop = yield from relay(answer=lambda protocol, chunk: protocol.respond(chunk, code, *headers) is None)
        connection = RelayConnection(settings(port), 'passive')
        with pytest.raises(MSRPRelayAuthError, match=text):
            yield connection.prepare(local())
        yield connection.cleanup()
        assert connection.transport.lost is not None and factory.requests
        yield stop()
    in_reactor(run)


def test_malformed_answers():
    for header in (UsePathHeader('nowhere'), MSRPHeader('Expires', 'soon'), MSRPHeader('Authentication-Info', 'x="')):
        def run(header=header):
            _, port, stop = yield from relay(answer=lambda protocol, chunk: protocol.respond(
                chunk, 200, *([] if header.name == 'Use-Path' else [UsePathHeader('msrp://a/1;tcp')]), header) is None)
            connection = RelayConnection(settings(port), 'passive')
            with pytest.raises(MSRPError):
                yield connection.prepare(local())
            yield connection.cleanup()
            yield stop()
        in_reactor(run)


def test_the_wrong_password_is_not_tried_again():
    def run():
        factory, port, stop = yield from relay()
        connection = RelayConnection(settings(port, 'wrong'), 'active')
        with pytest.raises(MSRPRelayAuthError) as caught:
            yield connection.prepare(local())
        assert caught.value.code == 403 and len(factory.requests) == 2
        yield connection.cleanup()
        yield stop()
    in_reactor(run)


def test_time_limits():
    def run():
        _, port, stop = yield from relay(answer=lambda protocol, chunk: True)
        connection = RelayConnection(settings(port), 'passive')
        authenticate = connection._authenticate

        def hurried(*arguments):        # once connected, which may take its time
            connection.timeout = 0.2
            return authenticate(*arguments)
        connection._authenticate = hurried
        with pytest.raises(MSRPAuthTimeout):
            yield connection.prepare(local())
        yield connection.cleanup()
        never = MSRPRelaySettings('relay.example.com', 'alice', 'secret', use_tls=False)
        connection = RelayConnection(never, 'passive', timeout=0.1, lookup=lambda settings: Deferred())
        with pytest.raises(MSRPRelayConnectTimeout):
            yield connection.prepare(local())
        yield stop()
    in_reactor(run)


def test_the_next_place_is_tried():
    """Of those that a lookup finds."""
    def run():
        _, gone, stop_gone = yield from relay()
        yield stop_gone()
        factory, port, stop = yield from relay()
        asked = []

        def lookup(settings):
            asked.append(settings.domain)
            found = Deferred()
            found.callback([('127.0.0.1', gone), ('127.0.0.1', port)])
            return found
        connection = RelayConnection(MSRPRelaySettings('relay.example.com', 'alice', 'secret', use_tls=False), 'passive', lookup=lookup)
        path = yield connection.prepare(local())
        assert asked == ['relay.example.com'] and path[0] == URI('relay.example.com', False, session_id='given') and len(factory.requests) == 2
        assert connection.remote_endpoint == f'tcp:127.0.0.1:{port}'
        yield connection.cleanup()
        yield stop()
    in_reactor(run)


@pytest.mark.parametrize('mode', ['active', 'passive'])
def test_a_relay_that_is_gone_before_the_peer_is_known(mode):
    def run():
        _, port, stop = yield from relay()
        connection = RelayConnection(settings(port), mode)
        path = yield connection.prepare(local())
        connection.transport.abort()
        while connection.transport.lost is None:
            yield deferLater(connection._reactor, 0.01, lambda: None)
        with pytest.raises(ConnectionAborted):
            yield connection.complete([path[0].copy(session_id='peer')])
        yield connection.cleanup()
        yield stop()
    in_reactor(run)


@pytest.mark.parametrize('mode', ['active', 'passive'])
@pytest.mark.parametrize('sessmatch', [True, False])
def test_a_peer_that_is_faster_than_its_description(mode, sessmatch):
    """What it sends is kept until we know who it is; the answers of the relay are taken meanwhile."""
    def run():
        factory, port, stop = yield from relay()
        connection = RelayConnection(settings(port), mode, use_sessmatch=sessmatch)
        path = yield connection.prepare(local())
        for size in (3, 30):                # an answer in two pieces, and one with others
            def answer(made, chunk, size=size):
                data = encode_response(chunk, 401, None, [WWWAuthenticateHeader(factory.challengers[0].make_challenge('example.com', 0))])
                factory.answer = None
                made.transport.write(data[:size])
                connection._reactor.callLater(0.05, made.transport.write, data[size:])
                return True
            count, factory.answer = len(factory.requests), answer
            connection._renew()
            while len(factory.requests) < count + 2 or connection.transport._calls:
                yield deferLater(connection._reactor, 0.01, lambda: None)
        peer = URI('peer.example.com', False, session_id='peer')
        of = f'{path[0]} {peer}'
        factory.answer = lambda made, chunk: chunk.method == 'SEND' and made.respond(chunk, 200) is None
        factory.connection.transport.write(send(body=None, to=path[-1], of=of, byte_range='1-0/0', identity='empty123') + send(body=b'hello', to=path[-1], of=of))
        while not connection.transport.reading_paused:
            yield deferLater(connection._reactor, 0.01, lambda: None)
        transport = yield connection.complete([peer])
        side = Side(transport)
        received = yield side.received()
        assert received == [b'hello']
        while [item.transaction_id for item in factory.requests if item.code == 200] != ['empty123', 'abcd1234']:
            yield deferLater(connection._reactor, 0.01, lambda: None)
        assert not transport.reading_paused
        yield connection.cleanup()
        yield stop()
    in_reactor(run)


def test_modes():
    with pytest.raises(ValueError):
        RelayConnection(settings(1), 'both', reactor=object())
