"""What an application may do to the documents of its account, as methods: each is noted in the journal, and carried out by the manager."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sipsimple.account.xcap.items import Contact, ContactURI, Group, Icon, OfflineStatus, Policy

__all__ = ['Editor']


class Editor:
    """The operations. Thread: any, at any time.

    They are noted on disk and carried out as soon as the server can be reached, once, in order. What they are about may be gone by then; then they do
    nothing.
    """

    journal: Any

    def _do(self, name: str, *arguments: Any) -> None:
        """Note an operation. ValueError, AttributeError: its arguments cannot be stored."""
        raise NotImplementedError

    def _noted(self) -> None:
        """There is something new in the journal that is to be carried out."""
        raise NotImplementedError

    def add_contact(self, contact: Contact) -> None:
        """Add a contact; one with its id is replaced."""
        self._do('add_contact', contact)

    def update_contact(self, contact: Contact, attributes: Mapping[str, Any]) -> None:
        """Change a contact.

        Args:
            attributes: `name`, `uris.default`, `presence.policy`, `presence.subscribe`, `dialog.policy`, `dialog.subscribe`; all others are the application's,
                texts or None.
        """
        self._do('update_contact', contact, attributes)

    def remove_contact(self, contact: Contact) -> None:
        """Remove a contact, also from its groups."""
        self._do('remove_contact', contact)

    def add_contact_uri(self, contact: Contact, uri: ContactURI) -> None:
        """Add an address to a contact; one with its id is replaced."""
        self._do('add_contact_uri', contact, uri)

    def update_contact_uri(self, contact: Contact, uri: ContactURI, attributes: Mapping[str, Any]) -> None:
        """Change an address of a contact: `uri`, `type`, and what the application has."""
        self._do('update_contact_uri', contact, uri, attributes)

    def remove_contact_uri(self, contact: Contact, uri: ContactURI) -> None:
        """Remove an address from a contact."""
        self._do('remove_contact_uri', contact, uri)

    def add_group(self, group: Group) -> None:
        """Add a group; one with its id is replaced."""
        self._do('add_group', group)

    def update_group(self, group: Group, attributes: Mapping[str, Any]) -> None:
        """Change a group: `name`, and what the application has."""
        self._do('update_group', group, attributes)

    def remove_group(self, group: Group) -> None:
        """Remove a group; its contacts stay."""
        self._do('remove_group', group)

    def add_group_member(self, group: Group, contact: Contact) -> None:
        """Put a contact into a group."""
        self._do('add_group_member', group, contact)

    def remove_group_member(self, group: Group, contact: Contact) -> None:
        """Take a contact out of a group."""
        self._do('remove_group_member', group, contact)

    def add_policy(self, policy: Policy) -> None:
        """Add a policy; one with its id is replaced."""
        self._do('add_policy', policy)

    def update_policy(self, policy: Policy, attributes: Mapping[str, Any]) -> None:
        """Change a policy: `uri`, `name`, `presence.policy`, `presence.subscribe`, `dialog.policy`, `dialog.subscribe`, and what the application has."""
        self._do('update_policy', policy, attributes)

    def remove_policy(self, policy: Policy) -> None:
        """Remove a policy."""
        self._do('remove_policy', policy)

    def set_default_presence_policy(self, value: str) -> None:
        """Say what happens to watchers of whom nothing is said: `allow`, `confirm`, `block` or `polite-block`; ValueError."""
        self._do('set_default_presence_policy', value)

    def set_default_dialog_policy(self, value: str) -> None:
        """The same for dialogs; without effect if the server does not support rules about dialogs."""
        self._do('set_default_dialog_policy', value)

    def set_status_icon(self, icon: Icon | None) -> None:
        """Show a picture; None, or one without data, for none."""
        self._do('set_status_icon', icon)

    def set_offline_status(self, status: OfflineStatus | None) -> None:
        """Say what others see while nothing is published; None for nothing."""
        self._do('set_offline_status', status)

    def start_transaction(self) -> None:
        """Keep what is done from now on until `commit_transaction`; transactions nest, and are of all threads."""
        self.journal.begin()

    def commit_transaction(self) -> None:
        """Carry out what was done since, at once; RuntimeError without a transaction."""
        if self.journal.commit():
            self._noted()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several operations at once, as a context; those that were made before an exception are carried out too."""
        self.start_transaction()
        try:
            yield
        finally:
            self.commit_transaction()
