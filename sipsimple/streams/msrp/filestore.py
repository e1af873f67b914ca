"""A file that is being received, on disk: under a name of its own beside the place where it will be, until it is complete and checked.

    .sipsimple-<key>.part       what has come, in the folder of the file

The key comes from hash and size of the file, so that the next attempt finds what has come, also after the process was killed; without a hash it is
random, and nothing can be gone on with. A lock on it belongs to the process and goes with it. Complete, it is written to the disk, and gets its name by a
link: that takes a name only if nobody has it. At any moment there is either the whole file under the final name, or nothing of ours.

All of it blocks, and belongs into a thread of its own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from itertools import count

from sipsimple.streams.msrp.filenames import numbered

__all__ = ['PartialFile', 'partial_key', 'remove_stale']

STALE = 7 * 86400           # seconds after which what has come is thrown away, if nothing more came
_NAME = re.compile(r'\.sipsimple-[0-9a-z-]{1,80}\.part')
_NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV))


def partial_key(digest: bytes | None, size: int | None) -> str | None:
    """The key of a file with that hash and size; None if they are not known."""
    return None if digest is None or size is None else f'{digest.hex()[:40]}-{size}'


def remove_stale(folder: str, now: float | None = None) -> list[str]:
    """Remove what has come of files that nobody has gone on with for days; returns the names.

    Args:
        now: the time, in seconds since 1970.
    """
    now = time.time() if now is None else now
    removed = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not _NAME.fullmatch(entry.name):
                continue
            with contextlib.suppress(OSError):
                if entry.is_file(follow_symlinks=False) and now - entry.stat(follow_symlinks=False).st_mtime > STALE:
                    with _locked(entry.path):
                        os.unlink(entry.path)
                    removed.append(entry.name)
    return removed


@contextlib.contextmanager
def _locked(path: str) -> Iterator[int]:
    """The file with its lock; OSError if somebody works with it."""
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield fd
    finally:
        os.close(fd)


class PartialFile:
    """What has come of a file.

    Attributes:
        folder, path: where it is.
        fd: its descriptor.
        present: how many bytes were there when it was opened.
        keyed: whether another attempt finds it.
    """

    def __init__(self, folder: str, path: str, fd: int, present: int, keyed: bool) -> None:
        self.folder = folder
        self.path = path
        self.fd = fd
        self.present = present
        self.keyed = keyed

    @classmethod
    def open(cls, folder: str, key: str | None, size: int | None = None) -> PartialFile:
        """Open what has come, or begin.

        Args:
            key: see `partial_key`. If somebody receives the same file already, this is done beside them.
            size: of the whole file, if known: there must be room for it.
        Raises:
            OSError: it cannot be made; ENOSPC if there is no room.
        """
        os.makedirs(folder, exist_ok=True)
        remove_stale(folder)
        opened = None if key is None else cls._open_keyed(folder, key)
        if opened is None:
            path = os.path.join(folder, f'.sipsimple-{secrets.token_hex(12)}.part')
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            opened = cls(folder, path, fd, 0, False)
            with contextlib.suppress(OSError):      # only against those who tidy up
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if size is not None:
            room = os.statvfs(folder)
            if room.f_bavail * room.f_frsize < size - opened.present:
                opened.close()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
        return opened

    @classmethod
    def _open_keyed(cls, folder: str, key: str) -> PartialFile | None:
        """The file of that key; None if it cannot be had."""
        path = os.path.join(folder, f'.sipsimple-{key}.part')
        for _ in range(3):
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.EISDIR, errno.EACCES, errno.EPERM):
                    return None         # something else has that name
                raise
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                facts = os.fstat(fd)
                if not stat.S_ISREG(facts.st_mode):
                    raise OSError(errno.EINVAL, 'no regular file')
                with contextlib.suppress(FileNotFoundError):
                    if facts.st_nlink == 1 and os.path.samestat(os.lstat(path), facts):
                        return cls(folder, path, fd, facts.st_size, True)
                # It was complete and got its name, and then the process was killed; or whoever had the lock has just done so.
                if facts.st_nlink > 1:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)
            except OSError:
                os.close(fd)
                return None
            os.close(fd)
        return None

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes where they belong.

        Raises:
            OSError: they cannot be written, or not all.
        """
        view = memoryview(data)
        while view:
            written = os.pwrite(self.fd, view, offset)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
            view, offset = view[written:], offset + written

    def truncate(self, size: int) -> None:
        """Throw away what is beyond."""
        os.ftruncate(self.fd, size)

    def publish(self, name: str) -> str:
        """Give it its name in the folder, or one with a number if that is taken, and close it; returns its path.

        Args:
            name: a safe one, see `filenames`.
        Raises:
            OSError: it could not be written to the disk, or not be named; it is still there then.
        """
        os.fsync(self.fd)
        for number in count():
            path = os.path.join(self.folder, numbered(name, number))
            try:
                os.link(self.path, path, follow_symlinks=False)
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                # A file system without links. Between looking and renaming another program might take the name.
                if os.path.lexists(path):
                    continue
                os.rename(self.path, path)
            else:
                os.unlink(self.path)
            break
        self._sync_folder()
        self._close()
        return path

    def _sync_folder(self) -> None:
        with contextlib.suppress(OSError):          # not every file system can
            fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def close(self) -> None:
        """Keep what has come for the next attempt, or remove it if none could find it, or nothing is there."""
        if self.fd < 0:
            return
        if not self.keyed or not os.fstat(self.fd).st_size:
            self.discard()
        else:
            self._close()

    def discard(self) -> None:
        """Remove it: what has come is not the file that was wanted."""
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
            self._close()

    def _close(self) -> None:
        fd, self.fd = self.fd, -1
        os.close(fd)
