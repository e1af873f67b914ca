"""Configuration: typed trees of settings, kept in a backend.

Settings are declared as class attributes of SettingsObject and SettingsGroup classes; objects load themselves from the
ConfigurationManager and `save()` stores what changed.
"""

from sipsimple.configuration.backend import ConfigurationBackendError, IConfigurationBackend
from sipsimple.configuration.changes import DefaultValue, ItemContainer, ModifiedList, ModifiedValue, PersistentKey
from sipsimple.configuration.collections import ItemCollection, ItemManagement
from sipsimple.configuration.descriptors import AbstractSetting, CorrelatedSetting, RuntimeSetting, Setting, SettingsObjectID, SettingsObjectImmutableID
from sipsimple.configuration.errors import ConfigurationError, DuplicateIDError, ObjectNotFoundError
from sipsimple.configuration.manager import ConfigurationManager
from sipsimple.configuration.objects import SettingsGroup, SettingsObject, SettingsObjectExtension, SettingsState, SettingsStateMeta

__all__ = [
    'AbstractSetting', 'ConfigurationBackendError', 'ConfigurationError', 'ConfigurationManager', 'CorrelatedSetting', 'DefaultValue',
    'DuplicateIDError', 'IConfigurationBackend', 'ItemCollection', 'ItemContainer', 'ItemManagement', 'ModifiedList', 'ModifiedValue',
    'ObjectNotFoundError', 'PersistentKey', 'RuntimeSetting', 'Setting', 'SettingsGroup', 'SettingsObject', 'SettingsObjectExtension',
    'SettingsObjectID', 'SettingsObjectImmutableID', 'SettingsState', 'SettingsStateMeta']
