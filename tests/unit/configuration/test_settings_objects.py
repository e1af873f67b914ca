"""Settings, groups, objects: values, dirtiness, ids, save and delete, notifications, what cannot be loaded."""

import gc
import threading

import pytest
from hypothesis import given, strategies as st

from sipsimple.configuration import (
    AbstractSetting,
    ConfigurationBackendError,
    ConfigurationManager,
    CorrelatedSetting,
    DefaultValue,
    DuplicateIDError,
    ModifiedValue,
    RuntimeSetting,
    Setting,
    SettingsGroup,
    SettingsObject,
    SettingsObjectExtension,
    SettingsObjectID,
    SettingsObjectImmutableID,
)
from sipsimple.configuration.backend.memory import MemoryBackend
from sipsimple.configuration.datatypes import List, NonNegativeInteger, Port, PortRange, SIPAddress, SIPProxyAddress, VideoResolution


class Picky:
    """An own type that fails in an unusual way."""

    def __setstate__(self, state):
        raise LookupError('no')

    def __getstate__(self):
        return 'x'


def differ(value, other):
    if value and value == other:
        raise ValueError('equal')


class Inner(SettingsGroup):
    flag = Setting(type=bool, default=False)
    ports = Setting(type=PortRange, default=PortRange(10, 20))


class Network(SettingsGroup):
    inner = Inner
    tcp = CorrelatedSetting(type=Port, sibling='tls', validator=differ, default=0)
    tls = CorrelatedSetting(type=Port, sibling='tcp', validator=differ, default=0)
    proxy = Setting(type=SIPProxyAddress, default=None, nillable=True)


class Thing(SettingsObject):
    __group__ = 'Things'
    __id__ = SettingsObjectID(type=SIPAddress)
    id = __id__

    name = Setting(type=str, default='none')
    count = Setting(type=NonNegativeInteger, default=5)
    number = Setting(type=int, default=1)
    flag = Setting(type=bool, default=False)
    maybe = Setting(type=str, default=None, nillable=True)
    names = Setting(type=List, default=List(('a',)))
    size = Setting(type=VideoResolution, default=VideoResolution((2, 1)))
    picky = Setting(type=Picky, default=None, nillable=True)
    live = RuntimeSetting(type=bool, default=False)
    network = Network


class Fixed(SettingsObject):
    __group__ = 'Fixed'
    __id__ = SettingsObjectImmutableID(type=str)
    name = Setting(type=str, default='')


class Plain(SettingsObject):
    name = Setting(type=str, default='')


class Single(SettingsObject):
    __id__ = 'Single'
    name = Setting(type=str, default='')


# ---- values ------------------------------------------------------------------------------------------------------


@pytest.fixture
def thing(start):
    start()
    return Thing('a@b')


def test_a_setting_needs_a_default():
    with pytest.raises(TypeError):
        Setting(type=str)
    setting = Setting(type=str, default='x')
    assert (setting.type, setting.default, setting.nillable) == (str, 'x', False)


def test_reading_and_refusing(thing):
    assert Thing.count.type is NonNegativeInteger and thing.names is Thing.names.default
    for name, value, error in (('count', -1, ValueError), ('count', 'x', ValueError), ('count', None, ValueError), ('count', [], TypeError),
                               ('name', None, ValueError), ('name', b'x', TypeError), ('flag', 2, ValueError), ('flag', 'maybe', ValueError)):
        with pytest.raises(error):
            setattr(thing, name, value)
    with pytest.raises(AttributeError):
        del thing.count
    assert thing.get_modified() == {}


@pytest.mark.parametrize('text, value', [('true', True), ('YES', True), ('on', True), (1, True), ('False', False), ('no', False), ('off', False), (0, False)])
def test_booleans_take_words(thing, text, value):
    thing.flag = not value
    thing.flag = text
    assert thing.flag is value


def test_a_boolean_given_to_a_number_is_stored_as_number(thing):
    thing.number = True
    assert thing.__getstate__()['number'] == '1'


def test_addresses_are_made_from_text(thing):
    thing.network.proxy = 'proxy.example.com;transport=tls'
    assert (thing.network.proxy.host, thing.network.proxy.port, thing.network.proxy.transport) == ('proxy.example.com', 5061, 'tls')
    assert thing.network.proxy is not None and Network.proxy.type is SIPProxyAddress
    with pytest.raises(ValueError):
        thing.network.proxy = ''


def test_state_texts(thing):
    thing.name, thing.flag, thing.names, thing.size, thing.maybe = 'n', True, ['x', 'y'], '3x4', None
    thing.network.inner.ports = PortRange(1, 2)
    state = thing.__getstate__()
    assert (state['name'], state['flag'], state['names'], state['size'], state['maybe']) == ('n', 'true', ['x', 'y'], '3x4', None)
    assert state['network']['inner'] == {'ports': '1-2', 'flag': DefaultValue}
    assert state['count'] is DefaultValue and 'live' not in state


# ---- dirtiness (4.1) ---------------------------------------------------------------------------------------------


def test_dirty_rules(thing):
    thing.count = 5                                             # explicit, equal to the default: dirty
    assert thing.get_modified() == {'count': ModifiedValue(5, 5)}
    thing.count = 5
    assert thing.get_modified() == {}
    thing.count = 6
    thing.count = 5                                             # the committed value again
    assert thing.get_modified() == {}
    thing.count = DefaultValue                                  # a committed value existed
    assert Thing.count.get_old(thing) == 5
    assert thing.get_modified() == {'count': ModifiedValue(5, 5)}
    thing.count = 7
    thing.count = DefaultValue                                  # none existed
    assert thing.get_modified() == {}
    thing.count = 8
    Thing.count.undo(thing)
    assert thing.count == 5 and thing.get_modified() == {}
    thing.maybe = None                                          # explicit None
    assert thing.get_modified() == {'maybe': ModifiedValue(None, None)}


@given(st.lists(st.sampled_from((0, 1, 5, DefaultValue, 'commit', 'undo')), max_size=12))
def test_dirty_rules_against_a_model(values):
    class Group(SettingsGroup):
        count = Setting(type=int, default=5)
    group, value, committed = Group(), DefaultValue, DefaultValue
    for step in values:
        if step == 'commit':
            expected = {} if value is committed or value == committed else {
                'count': ModifiedValue(5 if committed is DefaultValue else committed, 5 if value is DefaultValue else value)}
            assert group.get_modified() == expected
            committed = value
        elif step == 'undo':
            Group.count.undo(group)
            value = committed
        else:
            group.count = value = step
        assert group.count == (5 if value is DefaultValue else value)
        assert Group.count.get_old(group) == (5 if committed is DefaultValue else committed)


def test_correlated_settings(thing):
    thing.network.tcp = 5060
    with pytest.raises(ValueError):
        thing.network.tls = 5060
    assert thing.network.tls == 0
    thing.network.tls = 5061
    with pytest.raises(ValueError):
        thing.network.tcp = '5061'


def test_groups_belong_to_their_owner(start):
    start()
    first, second = Thing('a@b'), Thing('c@d')
    assert first.network is first.network is not second.network
    first.network.inner.flag = True
    assert not second.network.inner.flag
    for change in (lambda: setattr(first, 'network', 1), lambda: delattr(first, 'network')):
        with pytest.raises(AttributeError):
            change()
    assert first.get_modified() == {'network.inner.flag': ModifiedValue(False, True)}
    assert Thing.network is Network and Thing.__settings__['network.inner.flag'] is Inner.flag


def test_clone_and_update(thing):
    thing.name, thing.network.inner.flag = 'x', True
    group = thing.network.clone()
    assert group.inner.flag and group is not thing.network
    copy = thing.clone('c@d')
    assert (copy.id, copy.name, copy.network.inner.flag) == ('c@d', 'x', True)
    with pytest.raises(DuplicateIDError):
        thing.clone('c@d')
    with pytest.raises(TypeError):
        thing.update(thing.network)


def test_application_defined_descriptors_are_seen(start, posted):
    class Upper(AbstractSetting):
        def __get__(self, obj, owner=None):
            return self if obj is None else obj.__dict__.get('upper', 'U')

        def __set__(self, obj, value):
            obj.__dict__['upper'], obj.__dict__['old'] = value.upper(), self.__get__(obj)

        def __getstate__(self, obj=None):
            return obj.__dict__.get('upper', DefaultValue)

        def __setstate__(self, obj, value=None):
            obj.__dict__['upper'] = value

        def get_modified(self, obj):
            return ModifiedValue(obj.__dict__.pop('old'), obj.__dict__['upper']) if 'old' in obj.__dict__ else None

    class Own(SettingsObject):
        __id__ = SettingsObjectID(type=str)
        upper = Upper()

    manager = start({'a': {'upper': 'STORED'}})
    own = Own('a')
    assert own.upper == 'STORED'
    own.upper = 'new'
    own.save()
    assert posted.take()[-1].data.modified == {'upper': ModifiedValue('STORED', 'NEW')}
    assert manager.data == {'a': {'upper': 'NEW'}}


def test_threads_do_not_lose_changes(thing):
    def work(value):
        for _ in range(300):
            thing.count = value
            Thing.count.get_modified(thing)
    threads = [threading.Thread(target=work, args=(value,)) for value in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Thing.count.get_modified(thing)
    assert Thing.count.get_old(thing) == thing.count in (1, 2)


# ---- identity ----------------------------------------------------------------------------------------------------


def test_kinds_of_ids(start):
    start()
    assert Single() is Single()
    with pytest.raises(TypeError):
        Single('x')
    with pytest.raises(TypeError):
        Single().delete()
    assert Thing('a@b') is Thing('a@b') is Thing(id='a@b')
    for args, error in (((), ValueError), ((None,), ValueError), ((5,), TypeError), (('no address',), ValueError), (('a@b', 'x'), TypeError)):
        with pytest.raises(error):
            Thing(*args)
    plain = Plain('x')
    assert plain is Plain('x')
    with pytest.raises(TypeError):
        class Wrong(SettingsObject):
            __id__ = 5
    fixed = Fixed('x')
    assert fixed.id == 'x'
    with pytest.raises(AttributeError):
        fixed.id = 'y'
    with pytest.raises(AttributeError):
        del Thing('a@b').id


def test_changing_an_id(start, posted):
    manager = start({'Things': {'stored@b': {}}})
    first, second = Thing('a@b'), Thing('c@d')
    first.save()
    posted.take()
    for taken in ('c@d', 'stored@b'):
        with pytest.raises(DuplicateIDError):
            first.id = taken
    first.id = 'e@f'
    with pytest.raises(DuplicateIDError):
        second.id = 'a@b'                       # still the committed id of the first
    with pytest.raises(DuplicateIDError):
        second.id = 'e@f'
    first.id = 'a@b'                            # cancels
    first.save()
    assert posted.names() == []
    second.id = 'e@f'                           # free again
    second.id = 'c@d'
    first.id, first.count = 'g@h', 9
    first.save()
    assert posted.take()[0].data.modified == {'count': ModifiedValue(5, 9), '__id__': ModifiedValue('a@b', 'g@h')}
    assert manager.data['Things'] == {'stored@b': {}, 'g@h': {'count': '9'}}
    assert Thing('g@h') is first
    second.id = 'a@b'                           # the old id is free
    assert isinstance(second.id, SIPAddress) and second.id.domain == 'b'


def test_dropped_objects_free_their_id(start):
    start()
    thing, other = Thing('a@b'), Thing('c@d')
    thing.network.inner.flag = True
    del thing
    gc.collect()
    other.id = 'a@b'


# ---- save, delete, notifications ---------------------------------------------------------------------------------


def test_the_life_of_an_object(start, posted):
    manager = start()
    thing = Thing('a@b')
    assert posted.names() == [] and manager.data == {}
    thing.save()
    assert posted.names() == ['CFGSettingsObjectWasActivated', 'CFGSettingsObjectWasCreated']
    assert manager.backend.data == {'Things': {'a@b': {}}}
    thing.save()
    assert posted.names() == []
    thing.count = 6
    thing.save()
    (change,) = posted.take()
    assert (change.name, change.sender, change.data.modified) == ('CFGSettingsObjectDidChange', thing, {'count': ModifiedValue(5, 6)})
    assert change.data.timestamp.tzinfo is not None
    assert manager.backend.data == {'Things': {'a@b': {'count': '6'}}}
    thing.delete()
    thing.delete()
    thing.count = 7
    thing.save()
    assert posted.names() == ['CFGSettingsObjectWasDeleted']
    assert manager.backend.data == {}
    again = Thing('a@b')
    assert again is not thing and again.count == 5


def test_an_object_made_right_after_a_delete_finds_nothing(start, posted):
    manager = start({'Things': {'a@b': {'count': '9'}}})
    thing = Thing('a@b')
    thing.delete()
    new = Thing('a@b')
    assert new.count == 5
    new.save()
    assert posted.names() == ['CFGSettingsObjectWasActivated', 'CFGSettingsObjectWasDeleted', 'CFGSettingsObjectWasActivated',
                              'CFGSettingsObjectWasCreated']
    assert manager.backend.data == {'Things': {'a@b': {}}}


def test_loaded_and_single_objects_are_announced(start, posted):
    start({'Things': {'a@b': {'count': '6', 'flag': 'on', 'names': 'one', 'size': '3x4', 'unknown': 'kept', 'network': {'inner': {'ports': '1-2'}}}}})
    thing = Thing('a@b')
    assert (thing.count, thing.flag, thing.names, thing.size, thing.network.inner.ports) == (6, True, ['one'], (3, 4), PortRange(1, 2))
    Single()
    seen = posted.take()
    assert [(entry.name, entry.sender) for entry in seen] == [('CFGSettingsObjectWasActivated', thing), ('CFGSettingsObjectWasActivated', Single())]
    thing.count = 7
    thing.save()
    posted.take()
    assert ConfigurationManager().get(['Things', 'a@b', 'unknown']) == 'kept'


def test_runtime_settings_are_announced_and_not_written(start, posted):
    class Counting(MemoryBackend):
        saves = 0

        def save(self, data):
            self.saves += 1
    backend = Counting()
    manager = start(backend)
    thing = Thing('a@b')
    thing.save()
    posted.take()
    before, saves = manager.data, backend.saves
    thing.live = True
    thing.save()
    assert posted.names() == ['CFGSettingsObjectDidChange']
    assert backend.saves == saves and manager.data is before


@pytest.mark.parametrize('error', [ConfigurationBackendError('full'), OSError('full')])
def test_a_backend_that_refuses(start, posted, error):
    class Full(MemoryBackend):
        def save(self, data):
            raise error
    manager = start(Full())
    thing = Thing('a@b')
    thing.save()
    seen = posted.take()
    assert [entry.name for entry in seen][-2:] == ['CFGSettingsObjectWasCreated', 'CFGManagerSaveFailed']
    failed = seen[-1]
    assert failed.sender is manager
    assert (failed.data.object, failed.data.operation, failed.data.exception, failed.data.modified) == (thing, 'save', error, None)
    thing.count = 6
    thing.save()
    assert [entry.data.modified for entry in posted.take()] == [{'count': ModifiedValue(5, 6)}] * 2
    thing.delete()
    failed = posted.take()[-1]
    assert failed.data.operation == 'delete' and not hasattr(failed.data, 'modified')
    assert thing.count == 6                                             # nothing is undone


def test_a_burst_of_saves_is_written_together(start, posted):
    gate = threading.Event()

    class Slow(MemoryBackend):
        saves = 0

        def save(self, data):
            gate.wait(10)
            self.saves += 1
            self.data = data
    backend = Slow()
    start(backend)
    things = [Thing(f'{number}@b') for number in range(50)]
    for thing in things:
        thing.save()
    gate.set()
    assert len(posted.names()) == 100
    assert backend.saves <= 10 and len(backend.data['Things']) == 50


def test_saving_what_cannot_be_stored_loses_nothing(start):
    class Odd:
        def __getstate__(self):
            return 5

    class Own(SettingsObject):
        __id__ = SettingsObjectID(type=str)
        odd = Setting(type=Odd, default=None, nillable=True)
    start()
    own = Own('a')
    own.odd = Odd()
    with pytest.raises(TypeError):
        own.save()
    assert Own.odd.is_modified(own)


# ---- what cannot be loaded ---------------------------------------------------------------------------------------


@pytest.mark.parametrize('state, attribute', [
    ({'count': '-1'}, 'count'), ({'count': 'x'}, 'count'), ({'count': None}, 'count'), ({'count': ['1', '2']}, 'count'), ({'count': {'x': '1'}}, 'count'),
    ({'flag': 'maybe'}, 'flag'), ({'flag': ['true']}, 'flag'), ({'names': {'x': '1'}}, 'names'), ({'size': '3'}, 'size'), ({'size': ['3', 'x']}, 'size'),
    ({'picky': 'x'}, 'picky'), ({'network': 'scalar'}, 'network'), ({'network': None}, 'network'), ({'network': {'proxy': ['a', 'b']}}, 'proxy'),
    ({'network': {'proxy': ''}}, 'proxy'), ({'network': {'inner': {'ports': '5'}}}, 'ports'), ({'network': {'inner': {'ports': '9-5'}}}, 'ports'),
    ({'network': {'inner': {'ports': ['1', '2']}}}, 'ports'), ({'network': {'inner': ['x']}}, 'inner'), ({'network': {'tcp': '70000'}}, 'tcp'),
    ({'network': {'tcp': '5060', 'tls': '5060'}}, 'tcp')])
def test_every_bad_value_is_told_and_the_rest_is_loaded(start, posted, state, attribute):
    manager = start({'Things': {'a@b': {**state, 'name': 'kept'}}})
    thing = Thing('a@b')
    seen = posted.take()
    assert [entry.name for entry in seen] == ['CFGManagerLoadFailed', 'CFGSettingsObjectWasActivated']
    failed = seen[0]
    assert failed.sender is manager and failed.data.attribute == attribute and isinstance(failed.data.error, Exception)
    assert hasattr(type(failed.data.container), attribute)
    assert thing.name == 'kept' and thing.get_modified() == {}
    thing.maybe = 'x'
    thing.save()
    posted.take()
    stored = manager.get(['Things', 'a@b'])
    assert stored['name'] == 'kept'
    start({'Things': {'a@b': dict(stored)}})
    posted.take()
    Thing('a@b')
    assert posted.names() == ['CFGSettingsObjectWasActivated']          # the bad text is gone


def test_a_scalar_where_an_object_is(start, posted):
    start({'Things': {'a@b': 'scalar'}})
    thing = Thing('a@b')
    failed = posted.take()[0]
    assert failed.name == 'CFGManagerLoadFailed' and failed.data.container is thing


# ---- extensions --------------------------------------------------------------------------------------------------


def test_extensions(start):
    class Base(SettingsObject):
        __id__ = SettingsObjectID(type=str)
        kept = Setting(type=str, default='k')
        replaced = Setting(type=str, default='old')

    class Derived(Base):
        pass

    class Group(SettingsGroup):
        x = Setting(type=int, default=1)

    class Inherited(SettingsObjectExtension):
        inherited = Setting(type=int, default=2)

    class Extension(Inherited):
        replaced = Setting(type=str, default='new')
        group = Group
        helper = 5

    Base.register_extension(Extension)
    start()
    for cls in (Base, Derived):
        obj = cls('a')
        assert (obj.kept, obj.replaced, obj.inherited, obj.group.x) == ('k', 'new', 2, 1)
        assert not hasattr(obj, 'helper')
        obj.group.x = 3
        assert obj.get_modified() == {'group.x': ModifiedValue(1, 3)}
    for wrong in (Group, object, 5):
        with pytest.raises(TypeError):
            Base.register_extension(wrong)
    with pytest.raises(TypeError):
        Extension()
