"""Copies in files, readable by their owner only."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress

from zope.interface import implementer

from sipsimple.account.xcap.storage import IXCAPStorage, XCAPStorageError

__all__ = ['FileStorage']

MAX_SIZE = 64 << 20         # bytes of one item; what is larger was not written here
_STALE = re.compile(r'\..*\.[0-9a-f]{16}\.new\Z', re.DOTALL)


@implementer(IXCAPStorage)
class FileStorage:
    """Keeps each item of an account in the file `<directory>/<account id>/<name>`.

    A file is written beside the old one, synchronised to the disk and put in its place at once: whoever is killed or loses power in
    between has the old one or the new one, never a part.

    Args:
        directory: made when something is first written.
        account_id: whose items they are.
    """

    def __init__(self, directory: str, account_id: str) -> None:
        self.account_id = str(account_id)
        self.directory = os.path.join(directory, _file_name(self.account_id))
        self._cleaned = False

    def load(self, name: str) -> bytes:
        """The bytes stored under a name; XCAPStorageError when there are none, or they cannot be read."""
        try:
            with open(self._path(name), 'rb') as file:
                data = file.read(MAX_SIZE + 1)
        except OSError as error:
            raise XCAPStorageError(f'cannot read {name} of {self.account_id}: {error.strerror}') from error
        if len(data) > MAX_SIZE:
            raise XCAPStorageError(f'{name} of {self.account_id} has more than {MAX_SIZE} bytes')
        return data

    def save(self, name: str, data: bytes | str) -> None:
        """Store bytes, or text, under a name; XCAPStorageError when that fails, and what was there stays."""
        target = self._path(name)
        temporary = os.path.join(self.directory, f'.{os.path.basename(target)}.{secrets.token_hex(8)}.new')
        try:
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
            if not self._cleaned:
                self._remove_stale()
            try:
                with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'wb') as file:
                    file.write(data.encode() if isinstance(data, str) else data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, target)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
            self._sync_directory()
        except OSError as error:
            raise XCAPStorageError(f'cannot write {name} of {self.account_id}: {error.strerror}') from error

    def delete(self, name: str) -> None:
        """Forget a name, no harm if there is nothing; XCAPStorageError when the file cannot be removed."""
        try:
            os.unlink(self._path(name))
        except FileNotFoundError:
            return
        except OSError as error:
            raise XCAPStorageError(f'cannot delete {name} of {self.account_id}: {error.strerror}') from error
        self._sync_directory()

    def purge(self) -> None:
        """Remove all items and the directory of the account; XCAPStorageError when that is not possible."""
        try:
            with suppress(FileNotFoundError):
                for entry in os.listdir(self.directory):
                    os.unlink(os.path.join(self.directory, entry))
                os.rmdir(self.directory)
        except OSError as error:
            raise XCAPStorageError(f'cannot remove what is stored of {self.account_id}: {error.strerror}') from error

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, _file_name(name))

    def _remove_stale(self) -> None:
        """Remove what a killed process left half written; a storage belongs to one process."""
        self._cleaned = True
        for entry in os.listdir(self.directory):
            if _STALE.match(entry):
                with suppress(OSError):
                    os.unlink(os.path.join(self.directory, entry))

    def _sync_directory(self) -> None:
        try:
            descriptor = os.open(self.directory, os.O_RDONLY)
        except OSError:
            return                  # a system where directories cannot be opened
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _file_name(name: str) -> str:
    """A name of one path segment; ids of accounts and documents are so already."""
    if not name or name in ('.', '..') or '/' in name or '\0' in name:
        raise XCAPStorageError(f'{name!r} is no name for a file')
    return name
