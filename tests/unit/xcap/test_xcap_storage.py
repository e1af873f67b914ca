"""Where the copies of XCAP documents and the journal are kept."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from zope.interface.verify import verifyObject

from sipsimple.account.xcap.storage import IXCAPStorage, XCAPStorageError
from sipsimple.account.xcap.storage.file import FileStorage
from sipsimple.account.xcap.storage.memory import MemoryStorage
from sipsimple.storage import FileStorage as ApplicationFileStorage, MemoryStorage as ApplicationMemoryStorage

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=['file', 'memory'])
def storage(request, tmp_path):
    return FileStorage(str(tmp_path / 'xcap'), 'alice@example.com') if request.param == 'file' else MemoryStorage('alice@example.com')


def test_what_a_storage_does(storage):
    assert verifyObject(IXCAPStorage, storage)
    with pytest.raises(XCAPStorageError):
        storage.load('journal')
    storage.save('journal', 'text \u00e9')
    assert storage.load('journal') == 'text \u00e9'.encode()
    storage.save('journal', b'\0\xff')
    assert storage.load('journal') == b'\0\xff'
    storage.save('pres-rules', b'')
    storage.delete('journal')
    storage.delete('journal')
    with pytest.raises(XCAPStorageError):
        storage.load('journal')
    storage.purge()
    storage.purge()
    with pytest.raises(XCAPStorageError):
        storage.load('pres-rules')


def test_files_are_for_their_owner_and_go_with_the_account(tmp_path):
    old = os.umask(0)
    try:
        storage = FileStorage(str(tmp_path / 'xcap'), 'alice@example.com')
        storage.save('journal', b'x')
    finally:
        os.umask(old)
    file = tmp_path / 'xcap' / 'alice@example.com' / 'journal'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    FileStorage(str(tmp_path / 'xcap'), 'bob@example.com').save('journal', b'y')
    storage.purge()
    assert os.listdir(tmp_path / 'xcap') == ['bob@example.com']


@pytest.mark.parametrize('name', ['', '.', '..', 'a/b', '../x', 'a\0b'])
def test_no_name_leads_out_of_the_directory(tmp_path, name):
    with pytest.raises(XCAPStorageError):
        FileStorage(str(tmp_path), 'alice').save(name, b'')
    with pytest.raises(XCAPStorageError):
        FileStorage(str(tmp_path), name)


def test_what_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    storage = FileStorage(str(tmp_path), 'alice')
    storage.save('journal', b'old')

    def fail(descriptor):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', fail)
    with pytest.raises(XCAPStorageError, match='No space left'):
        storage.save('journal', b'new')
    assert storage.load('journal') == b'old' and os.listdir(tmp_path / 'alice') == ['journal']


def test_a_directory_in_the_way_is_an_error_of_the_storage(tmp_path):
    (tmp_path / 'alice' / 'journal').mkdir(parents=True)
    storage = FileStorage(str(tmp_path), 'alice')
    for attempt in (lambda: storage.load('journal'), lambda: storage.save('journal', b''), lambda: storage.delete('journal'), storage.purge):
        with pytest.raises(XCAPStorageError):
            attempt()


WRITER = '''
import sys
from sipsimple.account.xcap.storage.file import FileStorage
storage = FileStorage(sys.argv[1], 'alice')
print('ready', flush=True)
number = 0
while True:
    number = (number + 1) % 10
    storage.save('journal', bytes([48 + number]) * 1_000_000)
    print(number, flush=True)
'''


def test_a_killed_process_leaves_whole_files(tmp_path):
    for round in range(3):
        process = subprocess.Popen([sys.executable, '-c', WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(3 + round):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        data = FileStorage(str(tmp_path), 'alice').load('journal')
        assert len(data) == 1_000_000 and len(set(data)) == 1
    storage = FileStorage(str(tmp_path), 'alice')
    storage.save('other', b'')
    assert sorted(os.listdir(tmp_path / 'alice')) == ['journal', 'other']      # nothing half written is left


def test_the_storages_of_an_application(tmp_path):
    files = ApplicationFileStorage(str(tmp_path))
    files.xcap_storage_factory('alice@example.com').save('journal', b'x')
    assert (tmp_path / 'xcap' / 'alice@example.com' / 'journal').read_bytes() == b'x'
    memory = ApplicationMemoryStorage()
    memory.xcap_storage_factory('alice@example.com').save('journal', b'x')
    assert memory.xcap_storage_factory('alice@example.com').load('journal') == b'x'
    with pytest.raises(XCAPStorageError):
        memory.xcap_storage_factory('bob@example.com').load('journal')
