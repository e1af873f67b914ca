"""Ids, the values of policies, and the settings that go to XCAP servers too."""

from __future__ import annotations

import random
import re
import threading
import time
from typing import Any, ClassVar

from sipsimple.configuration import Setting, SettingsGroup
from sipsimple.configuration.datatypes import List
from sipsimple.configuration.descriptors import is_class

__all__ = ['EventSettings', 'ObjectID', 'PolicyValue', 'SharedSetting', 'SyncedSetting', 'new_id']

_id_lock = threading.Lock()
_last_id = 0
_random = random.SystemRandom()
_name = re.compile(r'[^\W\d][\w.\-]*\Z').match         # what is an XML name without colon, and an id in a document (XML Schema NCName)
POLICIES = ('allow', 'block', 'default')
_unwritable = re.compile('[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]').search
_words = re.compile(r'[\w\-]+(?:[:.][\w\-]+)*\Z', re.ASCII).match


def new_id() -> str:
    """Return an id that no other object has: `id`, microseconds since 1970, six random digits. Thread: any."""
    global _last_id
    with _id_lock:
        _last_id = max(_last_id + 1, time.time_ns() // 1000)
        return f'id{_last_id}{_random.randrange(1_000_000):06}'


def is_id(text: str) -> bool:
    """True for a letter or `_`, then letters, digits, `_`, `.` and `-`."""
    return _name(text) is not None


def is_text(value: Any) -> bool:
    """True for a text that an XML document can have."""
    return isinstance(value, str) and _unwritable(value) is None


class ObjectID(str):
    """An id in an XML document: a letter or `_`, then letters, digits, `_`, `.` and `-`. ValueError, TypeError."""

    __slots__ = ()

    def __new__(cls, value: Any) -> ObjectID:
        if not isinstance(value, str):
            raise TypeError(f'an id must be a text: {value!r}')
        if _name(value) is None:
            raise ValueError(f'not an id: {value!r}')
        return super().__new__(cls, value)


class PolicyValue(str):
    """What is done with requests to see something: 'allow', 'block' or 'default'. ValueError for others."""

    __slots__ = ()

    def __new__(cls, value: str) -> PolicyValue:
        if value not in POLICIES:
            raise ValueError(f'not a policy: {value!r}')
        return super().__new__(cls, value)


def check_text(value: Any) -> Any:
    """The value. ValueError: a text that no XML document can have, so neither a server nor, with half of a surrogate pair, the file."""
    if isinstance(value, str) and _unwritable(value) is not None:
        raise ValueError(f'a text with characters that cannot be stored: {value!r}')
    return value


class SyncedSetting(Setting):
    """A setting that XCAP servers have a place of its own for. ValueError for texts that no XML document can have."""

    def convert(self, value: Any) -> Any:
        """The value as the type has it. ValueError, TypeError."""
        return super().convert(check_text(value))

    def load(self, value: Any) -> Any:
        """The value in a stored text. ValueError, TypeError, and what application-defined types raise."""
        return super().load(check_text(value))

    def to_text(self, obj: Any) -> str | None:
        """What was last saved, as a server is told it."""
        value = self.get_old(obj)
        return None if value is None else str(self.to_state(value))


class SharedSetting(SyncedSetting):
    """A setting of an application that is stored on XCAP servers too, and so reaches its other instances.

    What an application adds to contacts, addresses, groups and policies with other kinds of settings stays on this machine. Values travel as texts,
    and None as none.

    Args:
        type, default, nillable: as of `Setting`. TypeError for a type with more than one text, a `List`.
    """

    _namespace: ClassVar[str | None] = None

    def __init__(self, type: Any, default: Any = None, nillable: bool = False) -> None:
        if is_class(type, List):
            raise TypeError(f'a shared setting is one text, and cannot be a {type!r}')
        super().__init__(type, default, nillable)

    @classmethod
    def set_namespace(cls, name: str) -> None:
        """Name the application, once, before extensions with shared settings are registered.

        In documents its settings have the XML namespace `urn:<name>:xml:ns:addressbook`, with what is behind the last `:` of the name as prefix.
        ValueError: not words with `:` between them. RuntimeError: called before.
        """
        if SharedSetting._namespace is not None:
            raise RuntimeError('the namespace of shared settings is set already')
        if not isinstance(name, str) or _words(name) is None:
            raise ValueError(f'not a name for a namespace: {name!r}')
        from sipsimple.payloads import addressbook as payload  # XML takes long to import
        prefix = name.rpartition(':')[2]
        payload.set_attributes_namespace(f'urn:{name}:xml:ns:addressbook', prefix)
        SharedSetting._namespace = name

    @classmethod
    def has_namespace(cls) -> bool:
        """True once `set_namespace` was called."""
        return SharedSetting._namespace is not None


class EventSettings(SettingsGroup):
    """What is done with an event package, presence or dialog, of somebody.

    Attributes:
        policy: whether they may see ours: 'allow', 'block' or 'default', what the account does with everybody.
        subscribe: whether to subscribe to theirs.
    """

    policy = SyncedSetting(type=PolicyValue, default=PolicyValue('default'))
    subscribe = SyncedSetting(type=bool, default=False)

    @classmethod
    def is_sound(cls, state: Any) -> bool:
        """True for a stored state that can be loaded without fault, and would be stored as it is."""
        return (isinstance(state, dict) and len(state) == 2 and len(cls._settings) == 2 and not cls._group_classes
                and state.get('policy') in POLICIES and state.get('subscribe') in ('true', 'false'))
