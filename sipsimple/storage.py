"""Where an application keeps its data: FileStorage and MemoryStorage."""

from __future__ import annotations

import os
from typing import Any

from zope.interface import Attribute, Interface, implementer

from sipsimple.configuration.backend.file import FileBackend
from sipsimple.configuration.backend.memory import MemoryBackend

__all__ = ['FileStorage', 'ISIPSimpleApplicationDataStorage', 'ISIPSimpleStorage', 'MemoryStorage']


class ISIPSimpleStorage(Interface):
    """What SIPApplication.start() takes."""

    configuration_backend = Attribute('an IConfigurationBackend')
    xcap_storage_factory = Attribute('a callable: account id -> IXCAPStorage')


class ISIPSimpleApplicationDataStorage(Interface):
    """A storage with a folder where the SDK may keep side files."""

    directory = Attribute('the folder')


@implementer(ISIPSimpleStorage, ISIPSimpleApplicationDataStorage)
class FileStorage:
    """Keeps everything below a folder, which is made when something is first written.

    Args:
        directory: the folder; `config` in it holds the configuration, `xcap` has a folder for each account with XCAP.
    """

    def __init__(self, directory: str) -> None:
        self.directory = os.path.realpath(os.path.expanduser(directory))
        self.configuration_backend = FileBackend(os.path.join(self.directory, 'config'))

    def xcap_storage_factory(self, account_id: str) -> Any:
        """A storage for the XCAP documents of an account; the same files for the same account."""
        from sipsimple.account.xcap.storage.file import FileStorage
        return FileStorage(os.path.join(self.directory, 'xcap'), account_id)


@implementer(ISIPSimpleStorage)
class MemoryStorage:
    """Keeps everything in memory; nothing survives."""

    def __init__(self) -> None:
        self.configuration_backend = MemoryBackend()
        self._xcap_storages: dict[str, Any] = {}

    def xcap_storage_factory(self, account_id: str) -> Any:
        """The storage for the XCAP documents of an account, which lasts as long as this one."""
        from sipsimple.account.xcap.storage.memory import MemoryStorage
        return self._xcap_storages.setdefault(str(account_id), MemoryStorage(str(account_id)))
