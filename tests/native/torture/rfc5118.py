"""The messages of RFC 5118, section 4, and what must come of each.

The Content-Length of 4.6, 4.8 and 4.9 is that of the body as it is sent; the printed one is that of other line breaks, or of none.
"""

from __future__ import annotations

from tests.native.torture.cases import INCOMING, Case, lines, message
from tests.native.torture.rfc4475 import NOT_A_REGISTRAR


def register(uri: str) -> bytes:
    return message(f'''
        REGISTER {uri} SIP/2.0
        To: sip:user@example.com
        From: sip:user@example.com;tag=81x2
        Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
        Call-ID: SSG9559905523997077@hlau_4100
        Max-Forwards: 70
        Contact: "Caller" <sip:caller@[2001:db8::1]>
        CSeq: 98176 REGISTER
        Content-Length: 0
    ''')


def with_body(text: str, body: str) -> bytes:
    data = lines(body)
    return message(text, data, LENGTH=str(len(data)))


VIA_WITH_DELIMITERS = message('''
    BYE sip:[2001:db8::10] SIP/2.0
    To: sip:user@example.com;tag=bd76ya
    From: sip:user@example.com;tag=81x2
    Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111
    Call-ID: SSG9559905523997077@hlau_4100
    Max-Forwards: 70
    CSeq: 321 BYE
    Content-Length: 0
''')

VIA_WITHOUT_DELIMITERS = message('''
    OPTIONS sip:[2001:db8::10] SIP/2.0
    To: sip:user@example.com
    From: sip:user@example.com;tag=81x2
    Via: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3
    Call-ID: SSG95523997077@hlau_4100
    Max-Forwards: 70
    Contact: "Caller" <sip:caller@[2001:db8::9:1]>
    CSeq: 921 OPTIONS
    Content-Length: 0
''')

IN_SDP = with_body('''
    INVITE sip:user@[2001:db8::10] SIP/2.0
    To: sip:user@[2001:db8::10]
    From: sip:user@example.com;tag=81x2
    Via: SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-111
    Call-ID: SSG9559905523997077@hlau_4100
    Contact: "Caller" <sip:caller@[2001:db8::20]>
    CSeq: 8612 INVITE
    Max-Forwards: 70
    Content-Type: application/sdp
    Content-Length: <LENGTH>
''', '''
    v=0
    o=assistant 971731711378798081 0 IN IP6 2001:db8::20
    s=Live video feed for today's meeting
    c=IN IP6 2001:db8::20
    t=3338481189 3370017201
    m=audio 6000 RTP/AVP 2
    a=rtpmap:2 G726-32/8000
    m=video 6024 RTP/AVP 107
    a=rtpmap:107 H263-1998/90000
''')

SEVERAL_IN_HEADERS = message('''
    BYE sip:user@host.example.net SIP/2.0
    Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111
    Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144
    Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200
    Call-ID: 997077@lau_4100
    Max-Forwards: 70
    CSeq: 89187 BYE
    To: sip:user@example.net;tag=9817--94
    From: sip:user@example.com;tag=81x2
    Content-Length: 0
''')

SEVERAL_IN_SDP = with_body('''
    INVITE sip:user@[2001:db8::10] SIP/2.0
    To: sip:user@[2001:db8::10]
    From: sip:user@example.com;tag=81x2
    Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
    Call-ID: SSG9559905523997077@hlau_4100
    Contact: "Caller" <sip:caller@[2001:db8::9:1]>
    Max-Forwards: 70
    CSeq: 8912 INVITE
    Content-Type: application/sdp
    Content-Length: <LENGTH>
''', '''
    v=0
    o=bob 280744730 28977631 IN IP4 host.example.com
    s=
    t=0 0
    m=audio 22334 RTP/AVP 0
    c=IN IP4 192.0.2.1
    m=video 6024 RTP/AVP 107
    c=IN IP6 2001:db8::1
    a=rtpmap:107 H263-1998/90000
''')

MAPPED = with_body('''
    INVITE sip:user@example.com SIP/2.0
    To: sip:user@example.com
    From: sip:user@east.example.com;tag=81x2
    Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19
    Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-111
    Call-ID: SSG9559905523997077@hlau_4100
    Contact: "T. desk phone" <sip:ted@[::ffff:192.0.2.2]>
    CSeq: 612 INVITE
    Max-Forwards: 70
    Content-Type: application/sdp
    Content-Length: <LENGTH>
''', '''
    v=0
    o=assistant 971731711378798081 0 IN IP6 ::ffff:192.0.2.2
    s=Call me soon, please!
    c=IN IP6 ::ffff:192.0.2.2
    t=3338481189 3370017201
    m=audio 6000 RTP/AVP 2
    a=rtpmap:2 G726-32/8000
    m=video 6024 RTP/AVP 107
    a=rtpmap:107 H263-1998/90000
''')


def options(address: str) -> bytes:
    return message(f'''
        OPTIONS sip:user@[{address}] SIP/2.0
        To: sip:user@[{address}]
        From: sip:user@example.com;tag=810x2
        Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111
        Call-ID: G9559905523997077@hlau_4100
        CSeq: 689 OPTIONS
        Max-Forwards: 70
        Content-Length: 0
    ''')


CASES = [
    Case('ipv6-good', '4.1', register('sip:[2001:db8::10]'), 405, 405, why=NOT_A_REGISTRAR),
    Case('ipv6-bad', '4.2', register('sip:2001:db8::10'), 400, 400),
    Case('port-ambiguous', '4.3', register('sip:[2001:db8::10:5070]'), 405, 405, why=NOT_A_REGISTRAR),
    Case('port-unambiguous', '4.4', register('sip:[2001:db8::10]:5070'), 405, 405, why=NOT_A_REGISTRAR),
    Case('via-received-param-with-delim', '4.5', VIA_WITH_DELIMITERS, 481, 481, why='A dialog that we do not know.'),
    Case('via-received-param-no-delim', '4.5', VIA_WITHOUT_DELIMITERS, 200, 200),
    Case('ipv6-in-sdp', '4.6', IN_SDP, INCOMING, INCOMING),
    Case('mult-ip-in-header', '4.7', SEVERAL_IN_HEADERS, 481, 481, why='A dialog that we do not know.'),
    Case('mult-ip-in-sdp', '4.8', SEVERAL_IN_SDP, INCOMING, INCOMING),
    Case('ipv4-mapped-ipv6', '4.9', MAPPED, INCOMING, INCOMING),
    Case('ipv6-bug-abnf-3-colons', '4.10', options('2001:db8:::192.0.2.1'), 200, 200),
    Case('ipv6-correct-abnf-2-colons', '4.10', options('2001:db8::192.0.2.1'), 200, 200),
]
