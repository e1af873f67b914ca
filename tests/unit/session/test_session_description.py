"""Offers and answers of a session: lines and their indexes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sipsimple.core import FrozenSDPSession, SDPAttribute, SDPConnection, SDPMediaStream, SDPSession
from sipsimple.session import description


class Line:
    def __init__(self, index=None, media='audio', connection=None, attributes=()):
        self.index = index
        self.media = SDPMediaStream(media, 20000, 'RTP/AVP', formats=['0'], connection=connection, attributes=list(attributes))

    def get_local_media(self, for_offer):
        return self.media


def test_first_offer_numbers_the_streams(world):
    streams = [Line(), Line(media='text')]
    sdp = description.first_offer('127.0.0.1', 'name', streams)
    assert [stream.index for stream in streams] == [0, 1] and [line.media for line in sdp.media] == ['audio', 'text']
    assert sdp.connection.address == sdp.address == '127.0.0.1' and sdp.name == 'name'


def test_address_of_a_line_is_that_of_the_session_unless_ice_made_it(world):
    plain = Line(connection=SDPConnection('192.0.2.1'))
    ice = Line(connection=SDPConnection('192.0.2.1'), attributes=[SDPAttribute('ice-ufrag', 'a'), SDPAttribute('ice-pwd', 'b'),
                                                                 SDPAttribute('candidate', '1 1 UDP 1 192.0.2.1 20000 typ host')])
    sdp = description.first_offer('127.0.0.1', 'name', [plain, ice])
    assert sdp.media[0].connection is None and sdp.media[1].connection.address == '192.0.2.1'


def test_answer_refuses_what_has_no_stream(world):
    offer = world.sdp('audio', 'video', ('text', 5))
    sdp = description.answer(offer, '127.0.0.1', 'name', [Line(2, 'text')])
    assert [(line.media, line.port, line.transport, list(line.formats), len(line.attributes)) for line in sdp.media] == [
        ('audio', 0, 'RTP/AVP', ['0'], 0), ('video', 0, 'RTP/AVP', ['0'], 0), ('text', 20000, 'RTP/AVP', ['0'], 0)]


def test_next_offer_keeps_everything_else(world):
    active = world.sdp('audio', 'text')
    sdp = description.next_offer(active, [Line(1, 'text'), Line(2, 'video')], [Line(0)])
    assert sdp.version == active.version + 1 and sdp.id == active.id
    assert [(line.media, line.port) for line in sdp.media] == [('audio', 30000), ('text', 20000), ('video', 20000)]


def test_next_offer_disables_lines_without_a_stream(world):
    """The peer has refused to let a stream go: its line is not offered for a stream that is not there."""
    sdp = description.next_offer(world.sdp('audio', 'text', ('video', 0)), [Line(0)], ())
    assert [(line.media, line.port) for line in sdp.media] == [('audio', 20000), ('text', 0), ('video', 0)]


def test_free_index(world):
    assert description.free_index(world.sdp('audio', 'text'), world.sdp('audio', 'text'), {0, 1}) == 2
    assert description.free_index(world.sdp('audio', ('text', 0)), world.sdp('audio', ('text', 0)), {0}) == 1
    assert description.free_index(world.sdp('audio', ('text', 0)), world.sdp('audio', ('text', 0)), {0, 1, 2}) == 3


@pytest.mark.parametrize('active, offer, indexes, added, removed, kept, changed', [
    (['audio'], ['audio'], [0], [], [], [0], []),
    (['audio'], [('audio', 9)], [0], [], [], [0], [0]),
    (['audio'], ['audio', 'text'], [0], [1], [], [0], []),
    (['audio', 'text'], ['audio', ('text', 0)], [0, 1], [], [1], [0], []),
    (['audio', ('text', 0)], ['audio', 'text'], [0], [1], [], [0], []),
    (['audio'], ['text'], [0], [0], [0], [], []),
    (['audio', ('text', 0)], ['audio', ('text', 0)], [0], [], [], [0], []),
])
def test_changes(world, active, offer, indexes, added, removed, kept, changed):
    streams = [Line(index) for index in indexes]
    changes = description.OfferChanges.of(world.sdp(*active), world.sdp(*active), world.sdp(*offer), streams)
    assert changes.added == added
    assert [[stream.index for stream in group] for group in (changes.removed, changes.kept, changes.changed)] == [removed, kept, changed]


def test_line_that_is_being_taken_out_is_not_proposed(world):
    """The peer does not know of it yet, and offers it as before."""
    streams = [Line(0)]
    both, without = world.sdp('audio', 'text'), world.sdp('audio', ('text', 0))
    assert description.OfferChanges.of(both, both, both, streams).added == []
    assert description.OfferChanges.of(without, both, both, streams).added == [1]
    assert description.OfferChanges.of(both, without, both, streams).added == [1]


def test_change_of_the_session_address_changes_all(world):
    stream = Line(0)
    assert description.OfferChanges.of(world.sdp('audio'), world.sdp('audio'), world.sdp('audio', address='127.0.0.2'), [stream]).changed == [stream]


def test_lines_cannot_be_taken_away(world):
    with pytest.raises(description.InvalidOffer):
        description.OfferChanges.of(world.sdp('audio', 'text'), world.sdp('audio', 'text'), world.sdp('audio'), [])


def test_addresses(world):
    assert description.outgoing_address('127.0.0.1') == '127.0.0.1'
    assert description.outgoing_address('not an address') is None
    assert description.local_address(world.sdp('audio')) == '127.0.0.1'
    for null in ('0.0.0.0', '::'):
        assert description.local_address(world.sdp('audio', address=null)) == null


@pytest.mark.parametrize('null', ['0.0.0.0', '::'])
def test_null_address_of_the_first_offer_is_not_kept(world, null):
    """A call may begin on hold, in the old way. What we mirrored then must not be where the peer is to send to later."""
    active = FrozenSDPSession.new(description.answer(world.sdp('audio', address=null), null, 'test', [Line(0)]))
    assert active.connection.address == null
    assert description.next_answer(active, world.sdp('audio', address=null), [Line(0)]).connection.address == null
    assert description.next_answer(active, world.sdp('audio'), [Line(0)]).connection.address == '127.0.0.1'
    offer = description.next_offer(active, [Line(0)], ())
    description.reveal(offer, None)
    assert offer.connection.address == null
    description.reveal(offer, SimpleNamespace(ip='127.0.0.1'))
    assert (offer.connection.address, offer.connection.address_type) == ('127.0.0.1', 'IP4')


# Identification and bundles

def bundle_offer(*media, group='BUNDLE a b', mids='ab'):
    lines = [SDPMediaStream(name, port, 'RTP/AVP', formats=['0'], attributes=[SDPAttribute('mid', mid)]) for (name, port), mid in zip(media, mids, strict=True)]
    return FrozenSDPSession.new(SDPSession('127.0.0.1', connection=SDPConnection('127.0.0.1'), attributes=[SDPAttribute('group', group)], media=lines))


def told(sdp):
    return sdp.attributes.getall('group'), [line.attributes.getall('mid') for line in sdp.media]


@pytest.mark.parametrize('taken, group', [([0], ['BUNDLE a']), ([1], ['BUNDLE b']), ([0, 1], ['BUNDLE a']), ([], [])])
def test_bundle_is_answered_with_the_first_line_that_is_used(world, taken, group):
    offer = bundle_offer(('audio', 9), ('video', 9))
    kinds = ('audio', 'video')
    sdp = description.answer(offer, '127.0.0.1', 'name', [Line(index, kinds[index]) for index in taken])
    assert told(sdp) == (group, [['a'], ['b']])
    again = description.next_answer(FrozenSDPSession.new(sdp), offer, [Line(1, 'video')])
    assert told(again) == (['BUNDLE b'], [['a'], ['b']])
    ours = description.next_offer(FrozenSDPSession.new(sdp), [Line(index, kinds[index]) for index in taken[:1]], [Line(index) for index in taken[1:]])
    assert told(ours) == (group, [['a'], ['b']])
    assert told(description.next_offer(FrozenSDPSession.new(sdp), (), ())) == ([], [['a'], ['b']])


@pytest.mark.parametrize('group', ['LS a b', 'BUNDLE x', 'BUNDLE'])
def test_other_groups_are_not_answered(world, group):
    sdp = description.answer(bundle_offer(('audio', 9), ('video', 9), group=group), '127.0.0.1', 'name', [Line(0)])
    assert told(sdp) == ([], [['a'], ['b']])
