"""What applications add to contacts and their like. Each test has a process of its own: extensions are for the life of one."""

from tests.support.child import run_script

PRELUDE = '''
from sipsimple.addressbook import *
from sipsimple.configuration import ConfigurationManager
from sipsimple.configuration.backend.memory import MemoryBackend
from sipsimple.threading import ThreadManager
from tests.support.addressbook import Account, Server, settle


def refused(kind, function, *arguments, **more):
    try:
        function(*arguments, **more)
    except kind:
        return
    raise AssertionError(f'no {kind.__name__}')


def load():
    settle()
    if ConfigurationManager().data is not None:
        AddressbookManager().unload()
        ConfigurationManager().reset()
    ConfigurationManager().start(backend)
    AddressbookManager().load()


backend = MemoryBackend()
'''


def run(code):
    done = run_script(PRELUDE + code)
    assert done.returncode == 0 and 'Traceback' not in done.stderr, done.stderr


def test_settings_of_an_application_stay_here_or_are_shared():
    run('''
from sipsimple.account import xcap
from sipsimple.configuration.datatypes import List, NonNegativeInteger

refused(TypeError, ContactExtension)
refused(TypeError, Contact.register_extension, GroupExtension)
refused(TypeError, Contact.register_extension, object)


class Shared(ContactExtension):
    order = SharedSetting(type=NonNegativeInteger, default=7)


refused(RuntimeError, Contact.register_extension, Shared)
assert not hasattr(Contact, 'order')
for wrong in ('', 'a b', 'a:', ':a', 7):
    refused(ValueError, SharedSetting.set_namespace, wrong)
SharedSetting.set_namespace('example:phone')
refused(RuntimeError, SharedSetting.set_namespace, 'example:phone')
refused(TypeError, SharedSetting, type=List, default=None, nillable=True)


class Look(SettingsGroup):
    colour = SharedSetting(type=str, default=None, nillable=True)
    size = Setting(type=int, default=3)


class More(ContactExtension):
    order = SharedSetting(type=NonNegativeInteger, default=7)
    favourite = SharedSetting(type=bool, default=False)
    ringtone = Setting(type=str, default=None, nillable=True)
    blinking = RuntimeSetting(type=bool, default=False)
    look = Look


class MoreOfURI(ContactURIExtension):
    label = SharedSetting(type=str, default='')


class MoreOfGroup(GroupExtension):
    expanded = Setting(type=bool, default=True)
    position = SharedSetting(type=int, default=None, nillable=True)


class MoreOfPolicy(PolicyExtension):
    reason = SharedSetting(type=str, default='')


Contact.register_extension(More)
ContactURI.register_extension(MoreOfURI)
Group.register_extension(MoreOfGroup)
Policy.register_extension(MoreOfPolicy)
load()
server = Server()
account = Account('a@example.com', server)
AddressbookManager()._servers._accounts = lambda: [account]
contact = Contact('c')
contact.favourite, contact.ringtone, contact.look.colour = True, 'bell', 'red'
contact.uris.add(ContactURI('u', uri='1', label='desk'))
contact.save()
group, policy = Group('g'), Policy('p')
group.save()
policy.reason = 'spam'
policy.save()
account.xcap_manager.send()
assert server.book.contacts['c'].attributes == {'order': '7', 'favourite': 'true', 'look.colour': 'red'}
assert server.book.contacts['c'].uris['u'].attributes == {'label': 'desk'}
assert server.book.groups['g'].attributes == {'position': None} and server.book.policies['p'].attributes == {'reason': 'spam'}
stored = backend.load()['Addressbook']
assert stored['Contacts']['c']['look'] == {'colour': 'red', 'size': '3'} and stored['Contacts']['c']['ringtone'] == 'bell'
assert 'blinking' not in stored['Contacts']['c'] and stored['Groups']['g'] == {'contacts': [], 'name': '', 'expanded': 'true', 'position': None}

account.xcap_manager.told.clear()
contact.ringtone = 'horn'
contact.save()
assert account.xcap_manager.names() == []
contact.look.colour, contact.order, contact.uris['u'].label = None, 8, 'home'
contact.save()
account.xcap_manager.send()
assert server.book.contacts['c'].attributes == {'order': '8', 'favourite': 'true', 'look.colour': None}
assert server.book.contacts['c'].uris['u'].attributes == {'label': 'home'}

theirs = server.book.contacts['c'].attributes
theirs.update({'order': '-1', 'favourite': 'false', 'look.colour': 'blue', 'unknown': 'kept', 'ringtone': 'not shared'})
server.book.groups['g'].attributes['position'] = '5'
account.xcap_manager.told.clear()
account.xcap_manager.post()
assert (contact.order, contact.favourite, contact.look.colour, contact.ringtone, group.position) == (8, False, 'blue', 'horn', 5)
contact.name = 'x'
contact.save()
account.xcap_manager.send()
assert theirs['unknown'] == 'kept'
load()
again = AddressbookManager().get_contact('c')
assert (again.order, again.favourite, again.look.colour, again.ringtone, again.blinking) == (8, False, 'blue', 'horn', False)
assert again.uris['u'].label == 'home'
settle()
''')


def test_a_runtime_setting_is_told_and_not_stored():
    run('''
from sipsimple.notification import NotificationQueue


class More(ContactExtension):
    blinking = RuntimeSetting(type=bool, default=False)


Contact.register_extension(More)


class Counting(MemoryBackend):
    saves = 0

    def save(self, data):
        self.saves += 1
        super().save(data)


backend = Counting()
load()
contact = Contact()
contact.save()
settle()
before = backend.saves
with NotificationQueue('AddressbookContactDidChange') as queue:
    contact.blinking = True
    contact.save()
    settle()
    assert queue.get(30).data.modified['blinking'].new is True
assert backend.saves == before
settle()
''')


def test_a_value_that_cannot_be_stored_harms_nobody_else():
    run('''
from sipsimple.notification import NotificationQueue


class Odd:
    def __getstate__(self):
        return 7


class More(ContactExtension):
    odd = Setting(type=Odd, default=None, nillable=True)


Contact.register_extension(More)
load()
with NotificationQueue('CFGManagerSaveFailed') as queue:
    with AddressbookManager().transaction():
        bad, good = Contact('bad'), Contact('good')
        bad.odd = Odd()
        bad.save()
        good.save()
    settle()
    data = queue.get(30).data
assert data.object is bad and data.operation == 'save' and isinstance(data.exception, TypeError)
assert list(backend.load()['Addressbook']['Contacts']) == ['good']
bad.odd = None
bad.save()
settle()
assert sorted(backend.load()['Addressbook']['Contacts']) == ['bad', 'good']
''')


def test_shared_settings_have_the_namespace_of_the_application_in_documents():
    run('''
from sipsimple.payloads import addressbook, resourcelists

other = addressbook.Contact('o', 'by another application')
other.attributes = addressbook.ElementAttributes({'theirs': '1'})
foreign = resourcelists.ResourceLists([resourcelists.List([other], name='sipsimple_addressbook')]).toxml()
SharedSetting.set_namespace('example:phone')
contact = addressbook.Contact('c', 'ours')
contact.attributes = addressbook.ElementAttributes({'order': '7', 'none': None})
text = resourcelists.ResourceLists([resourcelists.List([contact], name='sipsimple_addressbook')]).toxml()
assert b'xmlns:phone="urn:example:phone:xml:ns:addressbook"' in text and b'<phone:attribute name="order">7<' in text, text
read = resourcelists.ResourceLists.parse(text)['sipsimple_addressbook'][addressbook.Contact, 'c']
assert dict(read.attributes.items()) == {'order': '7', 'none': None}
document = resourcelists.ResourceLists.parse(foreign)
read = document['sipsimple_addressbook'][addressbook.Contact, 'o']
assert read.attributes is None
read.attributes = addressbook.ElementAttributes({'order': '1'})
text = document.toxml()
assert b'name="theirs"' in text and b'<phone:attribute name="order">1<' in text, text
''')


def test_the_usual_namespace_can_be_named():
    run('''
from sipsimple.payloads import addressbook
SharedSetting.set_namespace('ag-projects:sipsimple')
assert addressbook.ElementAttributes._xml_namespace == addressbook.sipsimple_namespace
''')
