"""A file that is being received, on disk: under a name of its own beside the place where it will be, until it is complete and checked.

    .sipsimple-<key>.part       what has come, in the folder of the file

The key comes from hash and size of the file, so that the next attempt finds what has come, also after the process was killed; without a hash it is
random, and nothing can be gone on with. A lock on it belongs to the process and goes with it; on a system without such locks, all keys are random. Complete,
it is written to the disk, and gets its name by a link: that takes a name only if nobody has it. At any moment there is either the whole file under the final
name, or nothing of ours.

It has the first bytes of the file and no gap, at any moment: what comes ahead of its turn is kept in a second file, without a name, until what is missing
before it has come. So the next attempt goes on at its end, also after the process was killed.

All of it blocks, and belongs into a thread of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import IO, TYPE_CHECKING

from sipsimple.streams.msrp.filenames import numbered

try:
    import fcntl
except ImportError:         # Windows
    fcntl = None            # type: ignore[assignment]

# Loaded with the first byte that comes ahead of its turn.
if TYPE_CHECKING:
    from msrplib.ranges import Ranges

__all__ = ['PartialFile', 'partial_key', 'remove_stale']

STALE = 7 * 86400           # seconds after which what has come is thrown away, if nothing more came
LOST = 3600                 # the same for what no attempt will find, as its key is random, if no process has a lock on it
BLOCK = 1 << 20             # bytes that are moved at once
_NAME = re.compile(r'\.sipsimple-(?P<key>[0-9a-z_-]{1,80})\.part')
_SAFELY = getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_CLOEXEC', 0)
_NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV))


def partial_key(digest: bytes | None, size: int | None) -> str | None:
    """The key of a file with that hash and size; None if they are not known."""
    return None if digest is None or size is None else f'{digest.hex()[:40]}-{size}'


def remove_stale(folder: str, now: float | None = None) -> list[str]:
    """Remove what has come of files that nobody goes on with; returns the names.

    Args:
        now: the time, in seconds since 1970.
    """
    now = time.time() if now is None else now
    removed = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _NAME.fullmatch(entry.name)
            if found is None:
                continue
            limit = STALE if fcntl is None or '-' in found['key'] else LOST
            with contextlib.suppress(OSError):
                if entry.is_file(follow_symlinks=False) and now - entry.stat(follow_symlinks=False).st_mtime > limit:
                    with _locked(entry.path):
                        os.unlink(entry.path)
                    removed.append(entry.name)
    return removed


def _lock(fd: int) -> None:
    """Lock a file; OSError if somebody works with it."""
    if fcntl is not None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[int]:
    """The file with its lock; OSError if somebody works with it."""
    fd = os.open(path, os.O_RDWR | _SAFELY)
    try:
        _lock(fd)
        yield fd
    finally:
        os.close(fd)


class PartialFile:
    """What has come of a file.

    Attributes:
        folder, path: where it is.
        fd: its descriptor.
        present: how many bytes were there when it was opened.
        end: how many are there now.
        keyed: whether another attempt finds it.
    """

    def __init__(self, folder: str, path: str, fd: int, present: int, keyed: bool) -> None:
        self.folder = folder
        self.path = path
        self.fd = fd
        self.present = self.end = present
        self.keyed = keyed
        self._other: str | None = None              # the name with the key, which somebody else had
        self._aside: IO[bytes] | None = None        # what came ahead of its turn, where it belongs
        self._ahead: Ranges | None = None           # which bytes these are

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
        keyed = None if key is None or fcntl is None else os.path.join(folder, f'.sipsimple-{key}.part')
        opened = None if keyed is None else cls._open_keyed(folder, keyed)
        if opened is None:
            path = os.path.join(folder, f'.sipsimple-{secrets.token_hex(12)}.part')
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY, 0o666)
            opened = cls(folder, path, fd, 0, False)
            opened._other = keyed
            with contextlib.suppress(OSError):      # only against those who tidy up
                _lock(fd)
        if size is not None and shutil.disk_usage(folder).free < size - opened.present:
            opened.close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
        return opened

    @classmethod
    def _open_keyed(cls, folder: str, path: str) -> PartialFile | None:
        """The file with the name of its key; None if it cannot be had."""
        for _ in range(3):
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | _SAFELY, 0o666)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.EISDIR, errno.EACCES, errno.EPERM):
                    return None         # something else has that name
                raise
            try:
                _lock(fd)
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

    def write(self, offset: int, data: bytes | memoryview, grown: Callable[[bytes | memoryview], object] | None = None) -> None:
        """Write bytes where they belong. What is there already stays as it is.

        Args:
            grown: called with the bytes by which the file has become longer, in their order: these, and those that have waited for them.
        Raises:
            OSError: they cannot be written, or not all.
        """
        if offset > self.end:
            self._put_aside(offset, data)
            return
        self._append(data if offset == self.end else memoryview(data)[self.end - offset:], grown)
        while self._aside is not None and (block := self._take_aside()):
            self._append(block, grown)

    def _append(self, data: bytes | memoryview, grown: Callable[[bytes | memoryview], object] | None) -> None:
        self.end += self._write_all(self.fd, self.end, data)
        if grown is not None and len(data):
            grown(data)

    def _write_all(self, fd: int, offset: int, data: bytes | memoryview) -> int:
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, offset)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
            view, offset = view[written:], offset + written
        return len(data)

    def _put_aside(self, offset: int, data: bytes | memoryview) -> None:
        from msrplib.ranges import Ranges
        if self._aside is None or self._ahead is None:
            self._aside = tempfile.TemporaryFile(dir=self.folder, prefix='.sipsimple-', suffix='.part', buffering=0)      # noqa: SIM115 - the end closes it
            self._ahead = Ranges()
        self._write_all(self._aside.fileno(), offset, data)
        self._ahead.add(offset, offset + len(data))

    def _take_aside(self) -> bytes:
        """Some of the bytes that belong where the file ends now; none if they have not come."""
        assert self._aside is not None and self._ahead is not None
        stop = next((stop for start, stop in self._ahead.spans() if start <= self.end < stop), None)
        if stop is not None:
            return os.pread(self._aside.fileno(), min(BLOCK, stop - self.end), self.end)
        if self._ahead.end <= self.end:
            self._drop_aside()
        return b''

    def _drop_aside(self) -> None:
        aside, self._aside, self._ahead = self._aside, None, None
        if aside is not None:
            aside.close()

    def truncate(self, size: int) -> None:
        """Throw away what is beyond."""
        os.ftruncate(self.fd, size)
        self.end = min(self.end, size)
        self._drop_aside()

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
        if self._other is not None:
            # What is left of an attempt that was thought to go on: the file is there now.
            with contextlib.suppress(OSError), _locked(self._other):
                os.unlink(self._other)
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
        self._drop_aside()
        fd, self.fd = self.fd, -1
        os.close(fd)
