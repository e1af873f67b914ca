"""What has come of a file, on disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time

import pytest

from sipsimple.streams.msrp import filestore
from sipsimple.streams.msrp.filestore import LOST, STALE, PartialFile, partial_key, remove_stale
from tests.support.child import run_script

KEY = partial_key(b'\xab' * 32, 10)


def parts(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith('.part'))


def test_keys():
    assert KEY == f'{"ab" * 20}-10' and partial_key(None, 10) is None and partial_key(b'x', None) is None


def test_a_file_gets_its_name_when_it_is_complete(tmp_path):
    folder = str(tmp_path / 'new' / 'folder')
    partial = PartialFile.open(folder, KEY, 10)
    partial.write(5, b'world')
    partial.write(0, memoryview(b'hello'))
    assert os.listdir(folder) == [f'.sipsimple-{KEY}.part']
    path = partial.publish('greeting.txt')
    assert path == os.path.join(folder, 'greeting.txt') and os.listdir(folder) == ['greeting.txt']
    with open(path, 'rb') as file:
        assert file.read() == b'helloworld'


@pytest.mark.parametrize('links', [True, False])
def test_nothing_is_overwritten(tmp_path, monkeypatch, links):
    if not links:           # as on FAT
        def refuse(*arguments, **options):
            raise OSError(errno.EPERM, 'Operation not permitted')
        monkeypatch.setattr(filestore.os, 'link', refuse)
    (tmp_path / 'x.txt').write_text('old')
    os.symlink('/nonexistent', tmp_path / 'x-1.txt')
    for expected in ('x-2.txt', 'x-3.txt'):
        partial = PartialFile.open(str(tmp_path), None)
        partial.write(0, b'new')
        assert partial.publish('x.txt') == str(tmp_path / expected)
    assert (tmp_path / 'x.txt').read_text() == 'old' and (tmp_path / 'x-2.txt').read_text() == 'new' and not parts(tmp_path)


def test_the_next_attempt_finds_it(tmp_path):
    partial = PartialFile.open(str(tmp_path), KEY, 10)
    partial.write(0, b'hell')
    partial.close()
    partial.close()
    again = PartialFile.open(str(tmp_path), KEY, 10)
    assert again.present == 4 and again.keyed
    again.truncate(2)
    again.close()
    again = PartialFile.open(str(tmp_path), KEY)
    assert again.present == 2
    again.discard()
    assert not parts(tmp_path)


def test_the_file_has_no_gap_at_any_moment(tmp_path):
    """What comes ahead of its turn waits elsewhere; what is there already stays as it is."""
    grown = []
    partial = PartialFile.open(str(tmp_path), KEY, 10)
    partial.write(0, b'ab', grown.append)
    for offset, data in ((8, b'ij'), (4, b'ef'), (3, b'de'), (5, b'fg')):
        partial.write(offset, data, grown.append)
        assert os.stat(partial.path).st_size == partial.end == 2 and os.listdir(tmp_path) == [f'.sipsimple-{KEY}.part']
    partial.write(1, memoryview(b'XcXX'), grown.append)
    assert partial.end == 7 and b''.join(grown) == b'abcXXfg'
    partial.write(0, b'zz', grown.append)
    partial.write(7, b'h', grown.append)
    assert partial.end == 10 and b''.join(grown) == b'abcXXfghij' and partial._aside is None
    with open(partial.publish('x'), 'rb') as file:
        assert file.read() == b'abcXXfghij'
    # What waits when it ends is given up.
    partial = PartialFile.open(str(tmp_path), KEY, 10)
    partial.write(0, b'abc')
    partial.write(5, b'f')
    partial.close()
    assert partial._aside is None and PartialFile.open(str(tmp_path), KEY, 10).present == 3


def test_much_that_waits_is_moved_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(filestore, 'BLOCK', 1000)
    data = os.urandom(10_500)
    grown = []
    partial = PartialFile.open(str(tmp_path), None)
    partial.write(500, data[500:])
    partial.write(0, data[:500], grown.append)
    assert [len(block) for block in grown] == [500, *[1000] * 10] and b''.join(grown) == data
    partial.close()


def test_killed_with_something_missing(tmp_path):
    """The next attempt goes on where it was, and not behind what is missing."""
    code = ('import os, signal, sys; from sipsimple.streams.msrp.filestore import PartialFile; file = PartialFile.open(sys.argv[1], sys.argv[2]); '
            'file.write(0, b"abc"); file.write(5, b"fgh"); os.kill(os.getpid(), signal.SIGKILL)')
    assert run_script(code, str(tmp_path), KEY).returncode == -9
    after = PartialFile.open(str(tmp_path), KEY)
    assert after.keyed and after.present == 3 and len(os.listdir(tmp_path)) == 1
    after.close()


@pytest.mark.parametrize('locked', [False, True])
def test_beside_an_attempt_that_came_to_nothing(tmp_path, locked):
    """When the file is there, nobody needs what the other one had; but who still works with it keeps it."""
    one, other = PartialFile.open(str(tmp_path), KEY), PartialFile.open(str(tmp_path), KEY)
    one.write(0, b'x')
    other.write(0, b'xyz')
    if not locked:
        one.close()
    assert os.path.basename(other.publish('file')) == 'file'
    assert os.listdir(tmp_path) == ['file'] if not locked else len(os.listdir(tmp_path)) == 2
    one.close()


def test_without_locks(tmp_path):
    """As on Windows: files are received, and begun anew when they are broken off."""
    code = ('import sys; sys.modules["fcntl"] = None; from sipsimple.streams.msrp.filestore import *; from sipsimple.application import watch\n'
            'first, second = PartialFile.open(*sys.argv[1:], 3), PartialFile.open(*sys.argv[1:], 3)\n'
            'first.write(0, b"a"); first.close(); second.write(0, b"abc"); second.publish("name"); remove_stale(sys.argv[1])')
    done = run_script(code, str(tmp_path), KEY)
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path) == ['name'] and (tmp_path / 'name').read_bytes() == b'abc'


def test_what_nobody_could_find_is_not_kept(tmp_path):
    unknown = PartialFile.open(str(tmp_path), None)
    unknown.write(0, b'x')
    empty = PartialFile.open(str(tmp_path), KEY)
    assert len(parts(tmp_path)) == 2
    unknown.close()
    empty.close()
    assert not parts(tmp_path)


def test_two_at_once_do_not_meet(tmp_path):
    one = PartialFile.open(str(tmp_path), KEY)
    one.write(0, b'xx')
    other = PartialFile.open(str(tmp_path), KEY)
    assert not other.keyed and other.present == 0 and other.path != one.path
    other.close()
    one.close()
    assert len(parts(tmp_path)) == 1


def test_a_lock_goes_with_its_process(tmp_path):
    code = ('import sys; from sipsimple.streams.msrp.filestore import PartialFile; file = PartialFile.open(sys.argv[1], sys.argv[2]); file.write(0, b"abc"); '
            'print("there", flush=True); sys.stdin.read()')
    child = subprocess.Popen([sys.executable, '-c', code, str(tmp_path), KEY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout.readline() == b'there\n'
        beside = PartialFile.open(str(tmp_path), KEY)
        assert not beside.keyed
        beside.close()
    finally:
        child.kill()
        child.communicate()
    after = PartialFile.open(str(tmp_path), KEY)
    assert after.keyed and after.present == 3
    after.close()


def test_killed_between_name_and_tidying_up(tmp_path):
    """The file has its name and is still the partial one: it must not be written to any more."""
    partial = PartialFile.open(str(tmp_path), KEY)
    partial.write(0, b'complete')
    partial.close()
    os.link(tmp_path / f'.sipsimple-{KEY}.part', tmp_path / 'done.txt')
    again = PartialFile.open(str(tmp_path), KEY)
    assert again.present == 0 and again.keyed
    again.write(0, b'other')
    again.close()
    assert (tmp_path / 'done.txt').read_bytes() == b'complete'


def test_traps_are_not_followed(tmp_path):
    """Whoever can write into the folder cannot have us write elsewhere."""
    outside = tmp_path / 'outside'
    outside.write_text('mine')
    folder = tmp_path / 'folder'
    folder.mkdir()
    os.symlink(outside, folder / f'.sipsimple-{KEY}.part')
    partial = PartialFile.open(str(folder), KEY)
    assert not partial.keyed
    partial.write(0, b'x')
    partial.close()
    os.unlink(folder / f'.sipsimple-{KEY}.part')
    os.link(outside, folder / f'.sipsimple-{KEY}.part')
    partial = PartialFile.open(str(folder), KEY)
    partial.write(0, b'x')
    partial.close()
    os.unlink(folder / f'.sipsimple-{KEY}.part')
    os.mkdir(folder / f'.sipsimple-{KEY}.part')
    PartialFile.open(str(folder), KEY).close()
    assert outside.read_text() == 'mine'


def test_old_ones_are_removed(tmp_path):
    busy = PartialFile.open(str(tmp_path), KEY)
    busy.write(0, b'x')
    for name in ('.sipsimple-00ff-5.part', '.sipsimple-11ee-5.part', '.other.part', 'sipsimple-1.part'):
        (tmp_path / name).write_text('x')
        os.utime(tmp_path / name, (time.time() - STALE - 10,) * 2)
    os.utime(busy.path, (time.time() - STALE - 10,) * 2)
    (tmp_path / '.sipsimple-22dd-5.part').write_text('new')
    assert sorted(remove_stale(str(tmp_path))) == ['.sipsimple-00ff-5.part', '.sipsimple-11ee-5.part']
    assert sorted(os.listdir(tmp_path)) == sorted(['.other.part', 'sipsimple-1.part', '.sipsimple-22dd-5.part', os.path.basename(busy.path)])
    busy.close()
    assert remove_stale(str(tmp_path / 'missing')) == []


def test_what_no_attempt_will_find_is_removed_sooner(tmp_path):
    busy = PartialFile.open(str(tmp_path), None)
    for name in (os.path.basename(busy.path), '.sipsimple-0123abcd.part', f'.sipsimple-{KEY}.part', '.sipsimple-a_b.part'):
        (tmp_path / name).write_text('x')
    now = time.time()
    assert remove_stale(str(tmp_path), now + LOST - 60) == []
    assert sorted(remove_stale(str(tmp_path), now + LOST + 60)) == ['.sipsimple-0123abcd.part', '.sipsimple-a_b.part']
    busy.close()


def test_there_must_be_room(tmp_path):
    with pytest.raises(OSError) as caught:
        PartialFile.open(str(tmp_path), KEY, 1 << 60)
    assert caught.value.errno == errno.ENOSPC and not parts(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError):
        PartialFile.open(str(tmp_path / 'file'), KEY)
