"""The file: grammar, layout, round trip, atomicity."""

import os
import random
import signal
import stat
import subprocess
import sys
import time

import pytest
from hypothesis import given, strategies as st

from sipsimple.configuration import ConfigurationBackendError
from sipsimple.configuration.backend.file import MAX_DEPTH, FileBackend, FileBuilderError, FileParserError, parse
from sipsimple.configuration.tree import Tree, delete, freeze, merge

TEXT = st.text(st.characters(exclude_categories=('Cs',)) | st.sampled_from('\n\r\t\v\f\\"\'#,=: \x1c\x85\u2028\xa0\ufeff'), max_size=8)
LEAF = st.none() | TEXT | st.lists(TEXT, max_size=4)
TREE = st.recursive(st.dictionaries(TEXT, LEAF, max_size=4), lambda child: st.dictionaries(TEXT, LEAF | child, max_size=4), max_leaves=12)


@pytest.fixture
def backend(tmp_path):
    return FileBackend(str(tmp_path / 'deep' / 'config'))


def written(backend, data):
    backend.save(data)
    with open(backend.filename, encoding=backend.encoding, newline='') as file:
        return file.read()


def test_the_layout_is_the_documented_one(backend):
    data = {'default': 'value', 'Accounts': {'alice@example.com': {
        'rtp': {'video_codec_list': ['H264'], 'audio_codec_list': ['opus', 'PCMA']}, 'enabled': 'true', 'display_name': 'Alice, Smith',
        'auth': {'username': None, 'password': 'p#1'}}}}
    text = written(backend, data)
    assert text == '''\
default = value
Accounts:
    alice@example.com:
        display_name = "Alice, Smith"
        enabled = true
        auth:
            password = "p#1"
            username =

        rtp:
            audio_codec_list = opus, PCMA
            video_codec_list = H264,



'''
    assert backend.load() == data


@pytest.mark.parametrize('value, text', [
    (None, 'a ='), ('', 'a = ""'), ('x', 'a = x'), (['x', 'y'], 'a = x, y'), (['x'], 'a = x,'), ([], 'a = ,'), ([''], 'a = "",'),
    ('a\nb\rc', r'a = "a\nb\rc"'), ('\\"', r'a = "\\\""'), ("it's", 'a = "it\'s"'), ('a=b', 'a = "a=b"'), ('a:b', 'a = "a:b"')])
def test_values_are_written_as_documented(backend, value, text):
    assert written(backend, {'a': value}) == text + '\n'
    assert backend.load() == {'a': value}


@pytest.mark.parametrize('line, value', [
    ('a=b', 'b'), ('a =   b  ', 'b'), ('a = b # c', 'b'), ('a = b#c', 'b'), ('a = "b#c" # d', 'b#c'), ('a =', None), ('a = # c', None),
    ('a = 1,2', ['1', '2']), ('a = 1,', ['1']), ('a = ,1', ['', '1']), ('a = 1,,2', ['1', '', '2']), ('a = ,', []), ('a = ,,', ['', '']),
    ('a = x"y z"w', 'xy zw'), ("a = 'x\"y'", 'x"y'), ('a = "x\'y"', "x'y"), (r'a = x\ y', 'x y'), (r'a = \t', 't'), (r'a = "\n"', '\n'),
    (r'a = \#x', '#x'), ('\ta = b', 'b'), ('a = "",', ['']), ("a = ''", ''), ('"a" = b', 'b'), (r'\a = b', 'b')])
def test_lines_are_read_as_documented(line, value):
    assert parse(line) == {'a': value}


@pytest.mark.parametrize('line', ['= x', ': ', 'a', 'a b', 'a = x y', 'a = "x', "a = 'x", 'a = x\\', 'a: b', '"a', 'a#b = c', 'a = "x" y', 'a = x, y z'])
def test_a_bad_line_is_named(line):
    with pytest.raises(FileParserError, match='line 3'):
        parse(f'ok = 1\n# comment\n{line}\n')


def test_nesting_follows_the_indentation():
    text = 'a:  # comment\n        b:\n    x = 1\n            y = 2\n  c:\n\tz = 3\n   w = 4\nv = 5\n'
    assert parse(text) == {'a': {'b': {'y': '2'}, 'x': '1', 'c': {'w': '4'}, 'z': '3'}, 'v': '5'}


def test_a_tab_counts_as_one_character():
    assert parse('a:\n  b:\n\t\t\tc = 1\n') == {'a': {'b': {'c': '1'}}}
    assert parse('a:\n  b:\n\tc = 1\n') == {'a': {'b': {}, 'c': '1'}}


def test_repeats():
    assert parse('a = 1\na = 2\ng:\n  x = 1\ng:\n  y = 2\n') == {'a': '2', 'g': {'y': '2'}}


def test_line_ends_and_byte_order_mark(tmp_path):
    path = tmp_path / 'config'
    path.write_bytes(b'\xef\xbb\xbfa = 1\r\nb:\r\n  c = 2\rd = 3\n')
    assert FileBackend(str(path)).load() == {'a': '1', 'b': {'c': '2'}, 'd': '3'}


@given(TREE)
def test_every_tree_comes_back(tmp_path_factory, data):
    backend = FileBackend(str(tmp_path_factory.getbasetemp() / 'roundtrip'))
    backend.save(data)
    assert backend.load() == data


@given(st.text(max_size=60) | st.text('ab:=# ,"\'\\\n\t', max_size=40))
def test_any_text_parses_or_names_a_line(text):
    try:
        data = parse(text)
    except FileParserError as error:
        assert str(error).startswith('line ')
    else:
        assert isinstance(data, dict)


@given(st.lists(st.tuples(st.sampled_from('abc'), st.sampled_from('xyz'), st.sampled_from(('k', 'l')), TEXT | st.none()), max_size=8))
def test_kept_text_never_grows_stale(tmp_path_factory, changes):
    path = str(tmp_path_factory.getbasetemp() / 'kept')
    backend, tree = FileBackend(path), Tree()
    for group, section, name, value in changes:
        tree = merge(tree, [group, section], {name: value})
        backend.save(tree)
        assert freeze(FileBackend(path).load()) == tree
    assert all(isinstance(entry[0], Tree) for entries in backend._texts.values() for entry in entries.values())


CONTACTS = st.lists(st.tuples(st.integers(0, 20), st.sampled_from(('k', 'l')), TEXT | st.none()), min_size=20, max_size=60)


@given(CONTACTS, st.sets(st.integers(0, 20)))
def test_kept_text_of_big_collections_never_grows_stale(tmp_path_factory, changes, removed):
    """Groups of many groups, which are kept one by one, and become that and cease to be it."""
    path = str(tmp_path_factory.getbasetemp() / 'collection')
    backend, tree = FileBackend(path), merge(Tree(), ['book', 'version'], {'is': '1'})
    for number, name, value in changes:
        tree = merge(tree, ['book', 'contacts', str(number)], {name: value, 'deeper': {name: value}})
    backend.save(tree)

    def kept():
        return sum(map(len, backend._texts.values()))

    before = kept()
    assert before > 16 or len(tree['book']['contacts']) <= 16
    for number in removed:
        tree = delete(tree, ['book', 'contacts', str(number)])
        tree = merge(tree, ['book', 'version'], {'is': str(number)})
        backend.save(tree)
        assert freeze(FileBackend(path).load()) == tree and kept() <= before + 1


def test_a_changed_plain_dict_is_written_anew(backend):
    data = {'g': {'s': {'x': '1'}}}
    backend.save(data)
    data['g']['s']['x'] = '2'
    backend.save(data)
    assert backend.load() == {'g': {'s': {'x': '2'}}}


@pytest.mark.parametrize('data', [{'a': 1}, {'a': [1]}, {1: 'a'}, {'g': {2: 'a'}}, {'g': {'s': {'x': b'1'}}}, {'a': '\ud800'}])
def test_what_a_file_cannot_hold(backend, data):
    backend.save({'old': 'yes'})
    with pytest.raises(FileBuilderError):
        backend.save(data)
    assert backend.load() == {'old': 'yes'}


def test_depth_is_limited_both_ways(backend):
    deep = {'x': '1'}
    for _ in range(MAX_DEPTH + 2):
        deep = {'g': deep}
    with pytest.raises(FileBuilderError):
        backend.save(deep)
    with pytest.raises(FileParserError):
        parse('\n'.join(' ' * level + 'g:' for level in range(MAX_DEPTH + 2)))


def test_encoding_is_honoured_both_ways(tmp_path):
    path = tmp_path / 'config'
    backend = FileBackend(str(path), encoding='latin-1')
    backend.save({'a': 'é'})
    assert b'\xe9' in path.read_bytes()
    assert backend.load() == {'a': 'é'}
    with pytest.raises(FileBuilderError, match='line 2'):
        backend.save({'a': 'x', 'b': '☃'})
    path.write_bytes(b'a = 1\nb = 2\nc = \xe9\n')
    with pytest.raises(FileParserError, match='line 3'):
        FileBackend(str(path)).load()
    with pytest.raises(LookupError):
        FileBackend(str(path), encoding='no-such-encoding')


def test_missing_unreadable_and_private(backend, tmp_path):
    assert backend.load() == {}
    backend.save({'a': '1'})
    assert stat.S_IMODE(os.stat(backend.filename).st_mode) == 0o600
    with pytest.raises(ConfigurationBackendError):
        FileBackend(str(tmp_path)).load()
    with pytest.raises(ConfigurationBackendError):
        FileBackend(os.path.join(backend.filename, 'below', 'config')).save({})


def test_a_damaged_file_is_never_overwritten(tmp_path):
    path = tmp_path / 'config'
    path.write_text('a = "x\n')
    backend = FileBackend(str(path))
    with pytest.raises(FileParserError):
        backend.load()
    with pytest.raises(ConfigurationBackendError):
        backend.save({'b': '1'})
    assert path.read_text() == 'a = "x\n'
    path.write_text('a = x\n')
    assert backend.load() == {'a': 'x'}
    backend.save({'b': '1'})
    assert path.read_text() == 'b = 1\n'


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / 'real').write_text('a = 1\n')
    (tmp_path / 'link').symlink_to(tmp_path / 'real')
    FileBackend(str(tmp_path / 'link')).save({'a': '2'})
    assert (tmp_path / 'link').is_symlink()
    assert (tmp_path / 'real').read_text() == 'a = 2\n'


def test_stale_siblings_go_and_others_stay(tmp_path):
    child = subprocess.Popen([sys.executable, '-c', ''])
    child.wait()
    stale = tmp_path / f'config.{child.pid}.0123abcd'
    kept = [tmp_path / f'config.{os.getpid()}.0123abcd', tmp_path / 'config.old', tmp_path / f'other.{child.pid}.0123abcd']
    for path in [stale, *kept]:
        path.write_text('')
    FileBackend(str(tmp_path / 'config')).load()
    assert not stale.exists()
    assert all(path.exists() for path in kept)


SAVER = '''
import sys
from sipsimple.configuration.backend.file import FileBackend
backend = FileBackend(sys.argv[1])
number = 0
print('ready', flush=True)
while True:
    number += 1
    backend.save({'turn': str(number), 'group': {str(entry): {'turn': str(number)} for entry in range(200)}})
'''


def test_a_process_killed_at_any_moment_leaves_a_whole_file(tmp_path):
    path = str(tmp_path / 'config')
    FileBackend(path).save({'turn': '0', 'group': {str(entry): {'turn': '0'} for entry in range(200)}})
    moments = random.Random(7)
    for _ in range(20):
        child = subprocess.Popen([sys.executable, '-c', SAVER, path], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b'ready\n'
        time.sleep(moments.uniform(0.001, 0.03))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        data = FileBackend(path).load()
        assert {section['turn'] for section in data['group'].values()} == {data['turn']}
        assert len(data['group']) == 200
        assert os.listdir(tmp_path) == ['config']
