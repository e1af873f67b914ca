"""Chunks of the examples of RFC 4975 (sections 4, 5 and 11) and RFC 4976, as bytes."""

from __future__ import annotations

ALICE = 'msrp://alicepc.example.com:7777/iau39soe2843z;tcp'
BOB = 'msrp://bob.example.com:8888/9di4eae923wzd;tcp'


def chunk(first: str, *lines: str, body: bytes | None = None, flag: str = '$', to: str = BOB, of: str = ALICE) -> bytes:
    """A chunk from its parts."""
    head = '\r\n'.join([f'MSRP {first}', f'To-Path: {to}', f'From-Path: {of}', *lines]) + '\r\n'
    return head.encode() + (b'' if body is None else b'\r\n' + body + b'\r\n') + f'-------{first.split()[0]}{flag}\r\n'.encode()


PATIENT = (b'abcdEFGH')

EXAMPLES: dict[str, bytes] = {
    # Section 4: a message, and its answer
    'send': chunk('a786hjs2 SEND', 'Message-ID: 87652491', 'Byte-Range: 1-25/25', 'Content-Type: text/plain', body=b'Hey Bob, are you there?'),
    'ok': chunk('a786hjs2 200 OK', to=ALICE, of=BOB),
    # Section 5.1: one message in two chunks
    'first chunk': chunk('dkei38sd SEND', 'Message-ID: 4564dpWd', 'Byte-Range: 1-*/8', 'Content-Type: text/plain', body=PATIENT[:4], flag='+'),
    'second chunk': chunk('dkei38ia SEND', 'Message-ID: 4564dpWd', 'Byte-Range: 5-8/8', 'Content-Type: text/plain', body=PATIENT[4:]),
    # Section 11.1: a basic session
    'basic send': chunk('d93kswow SEND', 'Message-ID: 12339sdqwer', 'Byte-Range: 1-16/16', 'Content-Type: text/plain', body=b"Hi, I'm Alice!\r\n"),
    'basic ok': chunk('d93kswow 200 OK', to=ALICE, of=BOB),
    'basic back': chunk('dkei38sd SEND', 'Message-ID: 456so39s', 'Byte-Range: 1-21/21', 'Content-Type: text/plain', body=b"Hi, Alice! I'm Bob!\r\n", to=ALICE, of=BOB),
    # Section 11.2: a chunk that looks like a message
    'html': chunk('d93kswow SEND', 'Message-ID: 12339sdqwer', 'Byte-Range: 1-92/92', 'Content-Type: text/html',
                  body=b'<html><body>\r\n<p>Here is that important link...\r\n<a href="www.example.com/foobar">foobar</a>\r\n</p>\r\n</body></html>\r\n'),
    # Section 11.3: a wrapped message
    'cpim': chunk('d93kswow SEND', 'Message-ID: 12339sdqwer', 'Byte-Range: 1-137/148', 'Content-Type: message/cpim',
                  body=b'To: Bob <sip:bob@example.com>\r\nFrom: Alice <sip:alice@example.com>\r\nDateTime: 2006-05-15T15:02:31-03:00\r\n'
                       b'Content-Type: text/plain\r\n\r\nABCD\r\n\r\n1234567890'),
    # Section 11.5: a success report
    'with report': chunk('d93kswow SEND', 'Message-ID: 12339sdqwer', 'Byte-Range: 1-106/106', 'Success-Report: yes', 'Failure-Report: no',
                         'Content-Type: text/html', body=b'<html><body>\r\n<p>Here is that important link...\r\n</p>\r\n</body></html>\r\n'),
    'report': chunk('dkei38sd REPORT', 'Message-ID: 12339sdqwer', 'Byte-Range: 1-106/106', 'Status: 000 200 OK', to=ALICE, of=BOB),
    # Section 11.6: a failure report from a gateway
    'failure report': chunk('dkei38sd REPORT', 'Message-ID: 12339sdqwer', 'Byte-Range: 1-106/106', 'Status: 000 415 OK', to=ALICE, of=BOB),
    # Section 7.1.1: a message that is given up
    'aborted': chunk('qwer9876 SEND', 'Message-ID: 12339sdqwer', 'Byte-Range: 1-*/2000', 'Content-Type: text/plain', body=b'half a sent', flag='#'),
    # A request without a body, to bind a session to a connection
    'empty': chunk('k4hs92ls SEND', 'Message-ID: 12339sdqwfr', 'Byte-Range: 1-0/0'),
    # RFC 4976: AUTH, its challenge, and what a relay gives out
    'auth': chunk('49fh AUTH', to='msrps://alice@intra.example.com;tcp', of='msrps://alice.example.com:9892/98cjs;tcp'),
    'challenge': chunk('49fh 401 Unauthorized', 'WWW-Authenticate: Digest realm="intra.example.com", qop="auth", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"',
                       to='msrps://alice.example.com:9892/98cjs;tcp', of='msrps://alice@intra.example.com;tcp'),
    'use path': chunk('49fi 200 OK', 'Use-Path: msrps://intra.example.com:9000/jui787s2f;tcp', 'Expires: 900',
                      to='msrps://alice.example.com:9892/98cjs;tcp', of='msrps://alice@intra.example.com;tcp'),
}
