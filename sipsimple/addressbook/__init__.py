"""The addressbook: contacts, groups of them, and policies for others, stored here and kept in step with the XCAP servers of the accounts."""

from sipsimple.addressbook.contacts import Contact, ContactExtension, ContactURI, ContactURIExtension, ContactURIList
from sipsimple.addressbook.datatypes import SharedSetting
from sipsimple.addressbook.groups import ContactList, Group, GroupExtension
from sipsimple.addressbook.manager import AddressbookManager, MultiAccountTransaction
from sipsimple.addressbook.policies import Policy, PolicyExtension
from sipsimple.configuration import AbstractSetting, ModifiedList, ModifiedValue, RuntimeSetting, Setting, SettingsGroup

__all__ = [
    'AbstractSetting', 'AddressbookManager', 'Contact', 'ContactExtension', 'ContactList', 'ContactURI', 'ContactURIExtension', 'ContactURIList', 'Group',
    'GroupExtension', 'ModifiedList', 'ModifiedValue', 'MultiAccountTransaction', 'Policy', 'PolicyExtension', 'RuntimeSetting', 'Setting', 'SettingsGroup',
    'SharedSetting']
