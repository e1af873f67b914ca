"""What SDP says of a file, and what a name from a peer becomes."""

from __future__ import annotations

import datetime
import hashlib
import os

import pytest
from hypothesis import given, strategies as st

from sipsimple.streams import FileSelector
from sipsimple.streams.msrp.filenames import base_name, numbered, safe_name
from sipsimple.streams.msrp.fileselector import MAX_SIZE, FileRange, format_dates, hash_file, parse_dates

HASH = 'sha-1:60:A1:BE:8D:71:DB:E3:8E:84:C9:2C:62:9E:F2:99:78:9D:68:79:F6'
# As in RFC 5547, and in the document of the middleware.
TEXT = f'name:"My cool picture.jpg" type:image/jpeg size:4092 hash:{HASH}'


def test_a_selector_is_read_and_written():
    selector = FileSelector.parse(TEXT)
    assert (selector.name, selector.type, selector.size, selector.hash, selector.fd) == ('My cool picture.jpg', 'image/jpeg', 4092, HASH, None)
    assert selector.sdp_repr == TEXT
    old = FileSelector.parse('name:"reblink.pdf" type:com.adobe.pdf/x size:268759 hash:sha1:60:a1:be:8d:71:db:e3:8e:84:c9:2c:62:9e:f2:99:78:9d:68:79:f6')
    assert old.hash == HASH
    assert FileSelector.parse('') == FileSelector() and FileSelector().sdp_repr == ''


def test_order_and_parameters():
    selector = FileSelector.parse('size:0   hash:sha-1:' + HASH[6:] + ' type:text/plain;charset="utf-8";x="a b" name:"a b"')
    assert (selector.size, selector.type, selector.name) == (0, 'text/plain;charset="utf-8";x="a b"', 'a b')


def test_unknown_selectors_and_functions_are_left_out():
    selector = FileSelector.parse('icon:"x y" size:5 hash:md5:00:11 colour:blue')
    assert selector == FileSelector(size=5) and selector.hash is None


def test_several_hashes():
    both = FileSelector.parse(f'hash:sha-256:{":".join(["AB"] * 32)} hash:{HASH}')
    assert both.hash == HASH and both.strongest == 'sha-256' and both.hashes['sha-256'] == b'\xab' * 32
    assert both.sdp_repr == f'hash:{HASH} hash:sha-256:{":".join(["AB"] * 32)}'
    both.hash = f'sha256:{":".join(["cd"] * 32)}'
    assert both.strongest == 'sha-256' and list(both.hashes) == ['sha-256'] and both.hash.startswith('sha-256:CD:')
    both.hash = None
    assert both.strongest is None


@pytest.mark.parametrize(('name', 'text'), [
    ('plain.txt', 'plain.txt'), ('50%.txt', '50%25.txt'), ('say "hi".txt', 'say %22hi%22.txt'), ('Ünïcode ☎.png', 'Ünïcode ☎.png'), ('two\nlines', 'two%0Alines'),
    (os.fsdecode(b'latin-\xe9.txt'), 'latin-%E9.txt'), ('\ud800x', '?x'), ('/home/x/y.txt', 'y.txt')])
def test_names_are_quoted(name, text):
    assert FileSelector(name).sdp_repr == f'name:"{text}"'


@pytest.mark.parametrize(('text', 'name'), [
    ('a%20b', 'a b'), ('100%', '100%'), ('50%zz', '50%zz'), ('%C3%BC', 'ü'), ('%FF', '\ufffd'), ('..%2F..%2Fetc%2Fpasswd', 'passwd'), ('c:\\x\\y.exe', 'y.exe'),
    ('a%00b', 'ab'), ('/', None), ('%2e%2e', '..')])
def test_names_are_unquoted_and_reduced(text, name):
    assert FileSelector.parse(f'name:"{text}"').name == name


@pytest.mark.parametrize('text', [
    'name:"', 'name:x', 'name:""', 'name:"a"b"', 'size:-1', 'size:', f'size:{MAX_SIZE + 1}', 'size:1e3', 'size:٣', 'type:text', 'type:a/b\tc', 'hash:sha-1:00', 'hash:sha-1',
    'hash:sha-1:GG', 'size:1 size:2', f'hash:{HASH} hash:{HASH[:-1]}7', 'name:"a" name:"b"', 'nonsense', ':', 'x' * 9000, 'size:5,name:"x"', 'name:"a"size:5'])
def test_malformed_selectors(text):
    with pytest.raises(ValueError):
        FileSelector.parse(text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        selector = FileSelector.parse(text)
    except ValueError:
        return
    assert FileSelector.parse(selector.sdp_repr) == selector


@given(st.text(min_size=1, max_size=100))
def test_any_name_comes_back_as_its_base(name):
    assert FileSelector.parse(FileSelector(name).sdp_repr).name == (base_name(os.path.basename(name)) or None)


def test_what_cannot_be_given():
    for arguments in ({'size': -1}, {'hash': 'md5:00'}, {'hash': 'sha-1:00'}, {'hash': 'x'}):
        with pytest.raises(ValueError):
            FileSelector(**arguments)


def test_contradictions():
    known = FileSelector('a', size=5, hash=HASH)
    assert known.contradicts(FileSelector('b')) is None and known.contradicts(known) is None
    assert known.contradicts(FileSelector(size=6)) == 'size'
    assert known.contradicts(FileSelector(hash=HASH[:-1] + '7')) == 'sha-1'
    other = FileSelector('b', 'text/plain')
    other.complete_from(known)
    assert (other.name, other.type, other.size, other.hash) == ('b', 'text/plain', 5, HASH)


def test_a_file(tmp_path):
    path = tmp_path / 'letter.txt'
    path.write_bytes(b'x' * 3_000_000)
    selector = FileSelector.for_file(path)
    assert (selector.name, selector.type, selector.size, selector.hash, selector.hashing) == ('letter.txt', 'text/plain', 3_000_000, None, True)
    selector.compute_hash()
    assert selector.hashes == {'sha-1': hashlib.sha1(path.read_bytes()).digest(), 'sha-256': hashlib.sha256(path.read_bytes()).digest()}
    selector.fd.close()
    for hash in (None, HASH):
        known = FileSelector.for_file(str(path), 'a/b', hash)
        assert (known.type, known.hash, known.hashing) == ('a/b', hash, False)
        known.fd.close()
    for name, expected in (('x.tar.gz', 'application/x-gzip'), ('x', 'application/octet-stream')):
        (tmp_path / name).touch()
        selector = FileSelector.for_file(tmp_path / name)
        assert selector.type == expected
        selector.fd.close()
    with pytest.raises(OSError):
        FileSelector.for_file(tmp_path / 'missing')
    with pytest.raises((OSError, ValueError)):
        FileSelector.for_file(tmp_path)
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(ValueError):
        FileSelector.for_file(tmp_path / 'pipe')
    with pytest.raises(ValueError):
        FileSelector().compute_hash()


def test_hashing_a_beginning(tmp_path):
    (tmp_path / 'x').write_bytes(bytes(range(256)) * 10)
    with open(tmp_path / 'x', 'rb') as file:
        seen = []
        value = hash_file(file.fileno(), 1000, ['sha-256'], seen.append)['sha-256']
        assert value.digest() == hashlib.sha256((bytes(range(256)) * 10)[:1000]).digest() and seen == [1000]
        assert hash_file(file.fileno(), 0, [], None) == {}


@pytest.mark.parametrize(('text', 'expected'), [('1-*', (1, None)), ('1025-2048', (1025, 2048)), ('7 - *', (7, None)), ('1-0', (1, 0))])
def test_ranges(text, expected):
    assert FileRange.parse(text) == expected
    assert FileRange.parse(str(FileRange.parse(text))) == expected


@pytest.mark.parametrize('text', ['', '0-5', '5-3', '-5', '5', '5-', 'a-b', '1-*x', '1-2-3', f'1-{MAX_SIZE + 1}', '٣-*'])
def test_malformed_ranges(text):
    with pytest.raises(ValueError):
        FileRange.parse(text)


def test_dates():
    text = 'creation:"Mon, 15 May 2006 15:01:31 +0300" modification:"Tue, 16 May 2006 01:02:03 -0000"'
    dates = parse_dates(text)
    zone = datetime.timezone(datetime.timedelta(hours=3))
    assert dates == {'creation': datetime.datetime(2006, 5, 15, 15, 1, 31, tzinfo=zone), 'modification': datetime.datetime(2006, 5, 16, 1, 2, 3, tzinfo=datetime.UTC)}
    assert parse_dates(format_dates(dates)) == dates and parse_dates('') == {}
    for malformed in ('creation:x', 'creation:"nonsense"', 'birth:"Mon, 15 May 2006 15:01:31 +0300"', text + ' ' + text):
        with pytest.raises(ValueError):
            parse_dates(malformed)


@pytest.mark.parametrize(('name', 'safe'), [
    (None, 'file'), ('', 'file'), ('.', 'file'), ('..', 'file'), ('...', 'file'), ('/etc/passwd', 'passwd'), ('../../x', 'x'), ('a\\..\\b', 'b'), ('.bashrc', 'bashrc'),
    ('a\0b', 'ab'), ('x\r\ny', 'xy'), ('photo\u202egpj.exe', 'photogpj.exe'), ('name. ', 'name'), (' x ', 'x'), ('ä.txt', 'ä.txt'), ('\ud800.txt', '?.txt'),
    ('a/', 'file'), ('CON', 'CON')])
def test_safe_names(name, safe):
    assert safe_name(name) == safe


@given(st.text(max_size=600))
def test_no_name_leads_anywhere_else(text):
    name = safe_name(text)
    assert name and '/' not in name and '\0' not in name and not name.startswith('.') and len(name.encode()) <= 240
    assert len(numbered(name, 10**6).encode()) <= 255 and os.path.normpath(os.path.join('/folder', name)) == f'/folder/{name}'


def test_long_names_keep_their_extension():
    name = safe_name('é' * 300 + '.jpeg')
    assert name.endswith('é.jpeg') and len(name.encode()) <= 240
    assert len(safe_name('x' * 100 + '.' + 'y' * 300).encode()) <= 240


def test_numbers():
    assert [numbered('a.txt', number) for number in range(3)] == ['a.txt', 'a-1.txt', 'a-2.txt'] and numbered('a', 3) == 'a-3'
