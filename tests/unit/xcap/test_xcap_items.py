"""The values an XCAP addressbook is made of."""

import pytest

from sipsimple.account.xcap import Contact, ContactList, ContactURI, ContactURIList, EventHandling, Group, Icon, ItemCollection, OfflineStatus, Policy


def contact(id='c1', name='Alice', **attributes):
    return Contact(id, name, [ContactURI('u1', 'sip:alice@example.com', 'SIP')], **attributes)


def test_what_a_contact_has_unless_told():
    alice = contact(color='red')
    assert (alice.id, alice.name, alice.attributes) == ('c1', 'Alice', {'color': 'red'})
    assert alice.presence == alice.dialog == EventHandling('default', False)
    assert isinstance(alice.uris, ContactURIList) and alice.uris.default is None
    assert alice.uris['u1'].uri == 'sip:alice@example.com'


def test_lists_are_taken_as_they_are():
    uris = ContactURIList([ContactURI('u', 'sip:a@b', None)], default='u')
    assert Contact('c', 'C', uris).uris is uris
    members = ContactList([contact()])
    assert Group('g', 'G', members).contacts is members


@pytest.mark.parametrize('change', [
    lambda item: setattr(item, 'name', 'Bob'), lambda item: item.attributes.update(x=None), lambda item: setattr(item.presence, 'subscribe', True),
    lambda item: setattr(item, 'dialog', EventHandling('block', False)), lambda item: setattr(item.uris, 'default', 'u1'),
    lambda item: item.uris.add(ContactURI('u2', 'sip:x@y', None)), lambda item: setattr(item.uris['u1'], 'type', None),
])
def test_contacts_are_equal_by_all_they_have(change):
    one, other = contact(), contact()
    assert one == other and hash(one) == hash(other)
    change(other)
    assert one != other and hash(one) == hash(other)


def test_values_of_other_kinds_differ():
    assert Policy('x', 'sip:a@b', 'n') == Policy('x', 'sip:a@b', 'n') != Group('x', 'n', [])
    assert Group('g', 'n', [contact()]) == Group('g', 'n', [contact()]) != Group('g', 'n', [])
    assert EventHandling('allow', True) != EventHandling('allow', False)
    assert ContactList([contact()]) != ItemCollection([contact()])


def test_a_collection_keeps_the_order_of_adding():
    items = ItemCollection([contact('b'), contact('a')])
    items.add(contact('c'))
    items.add(contact('b', 'again'))
    assert items.ids() == ['b', 'a', 'c'] == [item.id for item in items] and [item.id for item in reversed(items)] == ['c', 'a', 'b']
    assert items['b'].name == 'again' and 'b' in items and contact('c') in items and 'x' not in items and len(items) == 3
    items.remove(contact('a'))
    items.remove(contact('a'))
    assert items.ids() == ['b', 'c'] and items.get('a') is None and items.get('a', 1) == 1
    with pytest.raises(KeyError):
        items['a']
    assert items == ItemCollection([contact('c'), contact('b', 'again')])


def test_only_what_there_is_of_policies_and_pictures():
    with pytest.raises(ValueError):
        EventHandling('confirm', False)
    with pytest.raises(ValueError):
        Icon(b'x', 'image/svg+xml')
    with pytest.raises(TypeError):
        Icon('x', 'image/png')
    icon = Icon(bytearray(b'x'), 'image/png')
    other = Icon(b'x', 'image/png')
    other.etag = '"1"'
    assert icon == other and hash(icon) == hash(other) and icon.data == b'x' and icon != Icon(b'x', 'image/png', 'me')


def test_an_offline_status_is_a_pidf():
    from sipsimple.payloads.pidf import PIDF
    with pytest.raises(ValueError):
        OfflineStatus('offline')
    assert OfflineStatus(PIDF('sip:a@b')) == OfflineStatus(PIDF('sip:a@b')) != OfflineStatus(PIDF('sip:c@b'))
