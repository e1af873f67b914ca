"""The build itself: manifest, patches, source selection, the incremental compiler and what the link refuses. No PJSIP build, no network."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from buildtools import cython_ext, inplace, pjsip, pjsip_source, report, requirements  # noqa: E402
from tests.support import require  # noqa: E402
from tests.support.require import not_installed  # noqa: E402

COUNTER_PXD = 'cdef class Counter:\n    cdef int value\n    cdef int bump(self)\n'
COUNTER_PYX = """# cython: language_level=3
cdef extern from "shared.h":
    int shared_next() nogil
cdef class Counter:
    cdef int bump(self):
        self.value = shared_next()
        return self.value
"""
USER_PYX = """# cython: language_level=3
from tiny._counter cimport Counter
def twice():
    cdef Counter counter = Counter()
    counter.bump()
    return counter.bump()
"""
NATIVE_PYX = """# cython: language_level=3
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import spec_from_file_location
class Finder:
    @staticmethod
    def find_spec(fullname, path=None, target=None):
        if fullname in ('tiny._counter', 'tiny._user'):
            return spec_from_file_location(fullname, __file__, loader=ExtensionFileLoader(fullname, __file__))
sys.meta_path.insert(0, Finder)
"""


def make_tiny(root: Path) -> cython_ext.Extension:
    """A package of three Cython modules and one C file, built by the same code as the core."""
    folder = root / 'tiny'
    (folder / 'native').mkdir(parents=True)
    (folder / '__init__.py').write_text('from tiny import _native\n')
    (folder / '_native.pyx').write_text(NATIVE_PYX)
    (folder / '_counter.pxd').write_text(COUNTER_PXD)
    (folder / '_counter.pyx').write_text(COUNTER_PYX)
    (folder / '_user.pyx').write_text(USER_PYX)
    (folder / 'native' / 'shared.h').write_text('int shared_next(void);\n#define STEP 1\n')
    (folder / 'native' / 'shared.c').write_text('#include "shared.h"\nstatic int n;\nint shared_next(void) { return n += STEP; }\n')
    return cython_ext.Extension('tiny', folder, link_pjsip=False, root=root)


@pytest.fixture
def tiny(tmp_path: Path) -> cython_ext.Extension:
    return make_tiny(tmp_path)


def compiled(capsys: pytest.CaptureFixture[str]) -> str:
    return re.findall(r'native core: (.*) \(', capsys.readouterr().out)[-1]


def call_twice(extension: cython_ext.Extension) -> str:
    code = 'from tiny import _user, _counter; print(_user.twice(), _counter.__file__ == _user.__file__)'
    return subprocess.run([sys.executable, '-c', code], cwd=extension.root, capture_output=True, text=True, check=True).stdout.strip()


def test_incremental_compilation(tiny: cython_ext.Extension, capsys: pytest.CaptureFixture[str]) -> None:
    cython_ext.build_inplace('debug', tiny)
    assert compiled(capsys) == '4 of 4 files compiled'
    assert call_twice(tiny) == '2 True'         # both modules share the one C counter and the one object

    cython_ext.build_inplace('debug', tiny)
    assert compiled(capsys) == 'up to date'

    os.utime(tiny.folder / '_user.pyx')         # touched, not changed
    cython_ext.build_inplace('debug', tiny)
    assert compiled(capsys) == 'up to date'

    (tiny.folder / '_user.pyx').write_text(USER_PYX.replace('return counter.bump()', 'return counter.bump() + 100'))
    cython_ext.build_inplace('debug', tiny)
    assert compiled(capsys) == '1 of 4 files compiled'
    assert call_twice(tiny) == '102 True'

    (tiny.folder / 'native' / 'shared.h').write_text('int shared_next(void);\n#define STEP 10\n')
    cython_ext.build_inplace('debug', tiny)
    assert compiled(capsys) == '2 of 4 files compiled'      # shared.c and _counter include it
    assert call_twice(tiny) == '120 True'

    (tiny.folder / '_counter.pxd').write_text(COUNTER_PXD.replace('cdef int value', 'cdef int unused\n    cdef int value'))
    cython_ext.build_inplace('debug', tiny)
    assert compiled(capsys) == '2 of 4 files compiled'      # _counter and the module that cimports it
    assert call_twice(tiny) == '120 True'


def test_the_folder_does_not_show_in_the_result(tmp_path: Path) -> None:
    made = [cython_ext.build('develop', make_tiny(tmp_path / name)).read_bytes() for name in ('plain', 'with a späce')]
    assert made[0] == made[1]


def test_deleted_object_and_removed_module(tiny: cython_ext.Extension, capsys: pytest.CaptureFixture[str]) -> None:
    made = cython_ext.build('debug', tiny)
    (made.parent / 'shared.o').unlink()
    cython_ext.build('debug', tiny)
    assert '1 of 4' in compiled(capsys)
    (tiny.folder / '_user.pyx').unlink()
    cython_ext.build('debug', tiny)
    assert not (made.parent / '_user.o').exists()
    names = subprocess.run(['nm', '-D', '--defined-only', made], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1] for line in names.splitlines()}
    assert 'PyInit__counter' in exported and 'PyInit__user' not in exported
    assert 'shared_next' not in exported        # only the init functions are visible


def test_compile_error_names_the_file(tiny: cython_ext.Extension) -> None:
    (tiny.folder / 'native' / 'shared.c').write_text('int shared_next(void) { return missing_name; }\n')
    with pytest.raises(report.BuildError, match=r'shared\.c does not compile(?s:.)*missing_name'):
        cython_ext.build('debug', tiny)


def test_undefined_symbol_is_refused_at_build_time(tiny: cython_ext.Extension) -> None:
    (tiny.folder / 'native' / 'shared.c').write_text('int elsewhere(void);\nint shared_next(void) { return elsewhere(); }\n')
    with pytest.raises(report.BuildError, match='nothing defines: elsewhere$'):
        cython_ext.build('debug', tiny)


def test_forbidden_objects_are_names_of_sources() -> None:
    """A name that no file has would never be found."""
    sources = {Path(name).stem for name in pjsip_source.manifest() if name.endswith('.c')}
    assert set(pjsip.FORBIDDEN_OBJECTS) <= sources


def test_forbidden_objects_are_found_in_the_link_map() -> None:
    text = ('Archive member included to satisfy reference by file (symbol)\n\n'
            '/x/pjlib/lib/libpj-x86_64-pc-linux-gnu.a(pool.o)\n                              core.o (pj_pool_create)\n'
            '/x/pjlib-util/lib/libpjlib-util-x86_64-pc-linux-gnu.a(http_client.o)\n                              core.o (pj_http_req_create)\n')
    assert pjsip.forbidden_members(text) == ['http_client']
    assert pjsip.forbidden_members(text.replace('http_client', 'dns')) == []


def test_built_core_exports_only_init_functions() -> None:
    names = subprocess.run(['nm', '-D', '--defined-only', require.native_core()], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1] for line in names.splitlines()}
    modules = {f'PyInit_{path.stem}' for path in cython_ext.CORE.modules}
    assert exported and exported <= modules, 'PJSIP must stay hidden: another copy of it may be in the process'


def test_other_build_can_replace_the_one_in_place(tmp_path: Path) -> None:
    environment = {**os.environ, 'PYTHONPATH': str(ROOT / 'buildtools' / 'override'), 'SIPSIMPLE_NATIVE': str(tmp_path / 'other.so')}
    code = ('import sys; find = sys.meta_path[0].find_spec; print(find("sipsimple.core._native").origin, find("sipsimple.core"), find("sipsimple.core._x"))')
    out = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True, check=True).stdout
    assert out.split() == [str(tmp_path / 'other.so'), 'None', 'None']


@pytest.mark.parametrize(('code', 'report'), [('1 << shift', 'shift exponent'), ('((char *)malloc(3))[shift]', 'heap-buffer-overflow'),
                                                ('(abort(), shift)', 'ABRT on unknown address')])
def test_reports_of_both_sanitizers_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, report: str) -> None:
    """Also when a test captured what the process wrote."""
    source, library, reports = tmp_path / 'bad.c', tmp_path / 'bad.so', tmp_path / 'reports'
    source.write_text(f'#include <stdlib.h>\nint bad(int shift) {{ return {code}; }}\n')
    subprocess.run([*requirements.compiler(), '-shared', '-fPIC', *pjsip.SANITIZE, '-o', library, source], check=True)
    environment = {**os.environ, **inplace._sanitizer_environment(reports), 'PYTHONPATH': str(ROOT / 'buildtools' / 'override')}
    assert inplace._reports(reports) == 0
    subprocess.run([sys.executable, '-c', f'import ctypes; ctypes.CDLL({str(library)!r}).bad(40)'], env=environment, capture_output=True, check=False)
    assert inplace._reports(reports) == 1
    assert report in capsys.readouterr().out


def test_a_report_fails_the_test_it_belongs_to(tmp_path: Path) -> None:
    """Although that test looks neither at the output nor at the status of its process."""
    reports = tmp_path / 'reports'
    reports.mkdir()
    (tmp_path / 'test_inner.py').write_text("""
import subprocess, sys
def test_before(): pass
def test_guilty(): subprocess.run([sys.executable, '-c', 'import os; open(os.environ["SIPSIMPLE_SANITIZER_REPORT"] + ".1", "w").write("heap-buffer-overflow")'])
def test_after(): pass
""")
    environment = {**os.environ, 'SIPSIMPLE_SANITIZER_REPORT': str(reports / 'report')}
    done = subprocess.run([sys.executable, '-m', 'pytest', '-rA', '-p', 'tests.conftest', '-p', 'no:cacheprovider', tmp_path], cwd=ROOT, env=environment,
                          capture_output=True, text=True, check=False)
    outcomes = re.findall(r'^(PASSED|FAILED|ERROR) .*::(test_\w+)', done.stdout, re.MULTILINE)
    assert sorted(outcomes) == [('ERROR', 'test_guilty'), ('PASSED', 'test_after'), ('PASSED', 'test_before'), ('PASSED', 'test_guilty')], done.stdout
    assert done.returncode == 1 and 'the sanitizers reported:\nheap-buffer-overflow' in done.stdout


@pytest.mark.parametrize(('fails', 'status'), [('nothing', 0), ('test', 3), ('--asan', 3)])
def test_continuous_integration_runs_both_builds(tmp_path: Path, fails: str, status: int) -> None:
    (tmp_path / '.ci').mkdir()
    shutil.copy(ROOT / '.ci' / 'run', tmp_path / '.ci' / 'run')
    (tmp_path / 'build_inplace').write_text(f'#!/bin/sh\necho "$*"\ncat\n[ "$1" != {fails} ] || exit 3\n')
    (tmp_path / 'build_inplace').chmod(0o755)
    done = subprocess.run([tmp_path / '.ci' / 'run', '-k', 'some'], cwd='/', input='never read', capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ['test -k some', '--asan test -q tests/native']
    assert done.returncode == status


def test_unknown_argument_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert inplace.main(['--nonsense']) == 2
    assert 'usage:' in capsys.readouterr().err


def test_manifest_is_complete_and_well_formed() -> None:
    files = pjsip_source.manifest()
    assert len(files) > 600
    assert all(pjsip_source.selected(name) for name in files)
    for name in ('aconfigure', 'COPYING', 'version.mak', 'pjlib/src/pj/pool.c', 'pjlib-util/src/pjlib-util/dns.c', 'pjnath/src/pjnath/ice_session.c',
                 'pjmedia/src/pjmedia/conference.c', 'pjsip/src/pjsip/sip_parser.c', 'third_party/build/os-auto.mak.in'):
        assert name in files
    assert not any('bdimad' in name or name.endswith('config_site.h') for name in files)


def test_selection_refuses_what_we_do_not_build() -> None:
    for name in ('pjsip/src/pjsua2/call.cpp', 'third_party/webrtc/x.c', 'pjlib/src/pjlib-test/main.c', 'tests/fuzz/x.c', 'pjlib/include/pj/config_site.h'):
        assert not pjsip_source.selected(name)


def test_lock_names_the_release() -> None:
    release = pjsip_source.lock()
    assert release['version'] == '2.17'
    assert release['version'] in release['archive']
    assert set(release['debian']) == {'suite', 'package', 'component'}


def test_verify_finds_changed_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / 'a.c').write_bytes(b'int a;\n')
    files = {'a.c': hashlib.sha256(b'int a;\n').hexdigest()}
    assert pjsip_source.verify(tmp_path, files) is None
    (tmp_path / 'a.c').write_bytes(b'int b;\n')
    assert 'a.c differs' in str(pjsip_source.verify(tmp_path, files))
    (tmp_path / 'a.c').unlink()
    assert 'a.c is missing' in str(pjsip_source.verify(tmp_path, files))


def test_wrong_given_source_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'given').mkdir()
    (tmp_path / 'given' / 'version.mak').write_text('x')
    monkeypatch.setenv('PJPROJECT_SOURCE', str(tmp_path / 'given'))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(pjsip_source, 'BUNDLED', tmp_path / 'none')
    (tmp_path / 'tree').mkdir()
    with pytest.raises(report.BuildError, match=r'\$PJPROJECT_SOURCE is not PJSIP 2\.17'):
        pjsip_source.verified_source(tmp_path / 'tree')
    monkeypatch.setenv('PJPROJECT_SOURCE', str(tmp_path / 'nowhere'))
    with pytest.raises(report.BuildError, match=r'\$PJPROJECT_SOURCE: .*nowhere does not exist'):
        pjsip_source.verified_source(tmp_path / 'tree')


def test_patches_are_numbered_unique_and_explained() -> None:
    numbers = []
    for patch in pjsip_source.patch_files():
        match = re.fullmatch(r'(\d+)_[a-z0-9_.-]+\.patch', patch.name, re.IGNORECASE)
        assert match, f'{patch.name}: name it NN_topic.patch'
        numbers.append(match[1])
        text = patch.read_text(encoding='utf-8')
        head = text.split('\n--- ', 1)[0]
        for line in ('Reason', 'Upstream', 'Test'):
            assert re.search(rf'^{line}: \S', head, re.MULTILINE), f'{patch.name}: a line "{line}: ..." belongs at the top'
        named = re.findall(r'tests/\S+?\.py', re.search(r'^Test: .*', head, re.MULTILINE)[0])
        assert named and all((ROOT / name).is_file() for name in named), f'{patch.name}: its tests are not there'
        for name in re.findall(r'^\+\+\+ b/(\S+)', text, re.MULTILINE):
            assert pjsip_source.selected(name), f'{patch.name} changes {name}, which is not part of the build'
    assert len(set(numbers)) == len(numbers), 'two patches with the same number: their order would depend on the topic'


def test_patches_apply_to_the_release(tmp_path: Path) -> None:
    cached = report.cache_folder() / 'pjsip' / 'source' / hashlib.sha256(pjsip_source.MANIFEST.read_bytes()).hexdigest()[:16]
    if (pjsip_source.BUNDLED / 'SHA256SUMS').is_file():
        pytest.skip('a source distribution has patched source only')
    if not cached.is_dir():
        not_installed('the PJSIP source is not cached; ./build_inplace gets it')
    touched = {name for patch in pjsip_source.patch_files() for name in re.findall(r'^[-+]{3} [ab]/(\S+)', patch.read_text(encoding='utf-8'), re.MULTILINE)}
    for name in touched:
        if (cached / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(cached / name, tmp_path / name)
    pjsip_source.apply_patches(tmp_path)


def test_patch_that_does_not_apply_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patches = tmp_path / 'patches'
    patches.mkdir()
    (patches / '10_wrong.patch').write_text('why\n--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-old\n+new\n')
    (tmp_path / 'tree').mkdir()
    (tmp_path / 'tree' / 'x.c').write_text('other\n')
    monkeypatch.setattr(pjsip_source, 'PATCHES', patches)
    with pytest.raises(report.BuildError, match='10_wrong.patch failed'):
        pjsip_source.apply_patches(tmp_path / 'tree')


def test_apt_entries_become_private_source_stanzas() -> None:
    deb822 = ('Types: deb\n# a comment\nURIs: http://archive.example/debian\nSuites: bookworm bookworm-updates\nComponents: main contrib\n'
              'Signed-By: /usr/share/keyrings/a.gpg\n\nTypes: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n')
    assert list(pjsip_source._deb822_entries(deb822)) == [
        (['http://archive.example/debian'], ['bookworm', 'bookworm-updates'], ['main', 'contrib'], ['Signed-By: /usr/share/keyrings/a.gpg'])]
    one_line = '# no\ndeb [arch=amd64 signed-by=/k.gpg] http://archive.example/debian trixie main # x\ndeb-src http://archive.example/debian trixie main\n'
    assert list(pjsip_source._list_entries(one_line)) == [(['http://archive.example/debian'], ['trixie'], ['main'], ['Signed-By: /k.gpg'])]


def test_other_systems_are_told_at_once() -> None:
    code = 'import runpy, sys; sys.platform = "darwin"; sys.argv = ["setup.py", "build_ext"]; runpy.run_path("setup.py")'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ''
    assert re.fullmatch(r'error: sipsimple can be built on Linux only today, and this is darwin; .*\n', done.stderr)


def test_missing_headers_are_named_by_package() -> None:
    found = requirements.missing_headers({'stdlib.h': 'libc6-dev', 'no/such/header.h': 'libnosuch-dev'})
    assert found == ['libnosuch-dev']


def test_missing_compiler_gives_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PATH', '/nonexistent')
    monkeypatch.delenv('CC', raising=False)
    with pytest.raises(report.BuildError) as caught:
        requirements.check_toolchain()
    text = str(caught.value)
    assert 'apt-get install' in text and 'gcc' in text and 'make' in text and '\n' not in text


def test_missing_headers_of_python_are_named_with_the_rest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One command must do, or a fresh machine stops at the next thing that is missing."""
    package = f'python{sys.version_info[0]}.{sys.version_info[1]}-dev'
    monkeypatch.setattr(requirements.sysconfig, 'get_path', lambda name: str(tmp_path))
    monkeypatch.setattr(sys, 'executable', '/usr/bin/env')      # any file there: the Python of the system
    assert package in requirements.build_packages()[0]
    with pytest.raises(report.BuildError, match=f'apt-get install .*{package}'):
        requirements.check_toolchain(python_headers=True)
    monkeypatch.setenv('PATH', '/nonexistent')
    monkeypatch.delenv('CC', raising=False)
    assert set(requirements.build_packages()[0]) >= {'gcc', 'make', package, *requirements.BUILD_HEADERS.values()}


def test_missing_headers_of_another_python_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(requirements.sysconfig, 'get_path', lambda name: str(tmp_path))
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'python'))
    with pytest.raises(report.BuildError) as caught:
        requirements.check_toolchain(python_headers=True)
    text = str(caught.value)
    assert str(tmp_path / 'python') in text and 'Python.h' in text and 'apt-get' not in text and '\n' not in text


def test_pjsip_is_configured_without_a_cplusplus_compiler(tmp_path: Path) -> None:
    (tmp_path / 'conftest.cpp').write_text('int main(void) { int class = 0; return class; }\n')     # no C++
    words = pjsip.build_environment('release', tmp_path)['CXX'].split()
    subprocess.run([*words, '-o', tmp_path / 'conftest', tmp_path / 'conftest.cpp', '-lm'], check=True, capture_output=True)


def test_pjsip_is_not_built_where_make_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / 'a cache'
    odd.mkdir()
    assert pjsip._workplace(tmp_path) == tmp_path
    assert ' ' not in str(pjsip._workplace(odd))
    tree, target = tmp_path / 'tree', odd / 'release-1'
    (tree / 'lib').mkdir(parents=True)
    (tree / 'lib' / 'a').write_text('x')
    pjsip._move(tree, target)
    assert (target / 'lib' / 'a').read_text() == 'x' and sorted(odd.iterdir()) == [target]


def test_what_tests_require_is_installed_by_the_build() -> None:
    assert set(require.PACKAGES.values()) <= set(requirements.TEST_PACKAGES)


@pytest.mark.parametrize('ci', ['', 'true'])
def test_a_missing_component_is_a_skip_but_a_failure_in_ci(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ci: str) -> None:
    monkeypatch.setenv('CI', ci)
    outcome = pytest.fail.Exception if ci else pytest.skip.Exception
    require.require_module('json')
    monkeypatch.setattr(require, 'SEARCH_PATH', str(tmp_path))
    with pytest.raises(outcome, match=r'baresip \(apt-get install baresip-core\)$'):
        require.require('baresip')
    with pytest.raises(outcome, match='no_such_module cannot be imported'):
        require.require_module('no_such_module')
    (tmp_path / 'baresip').write_text('')
    (tmp_path / 'baresip').chmod(0o755)
    require.require('baresip')


def test_release_settings() -> None:
    settings = (pjsip_source.FOLDER / 'config_site.h').read_text(encoding='utf-8')
    values = dict(re.findall(r'^#\s*define\s+(\w+)\s+(\S+)', settings, re.MULTILINE))
    assert int(values['PJ_IOQUEUE_MAX_HANDLES']) >= 8192
    assert int(values['PJSIP_MAX_PKT_LEN']) > 65507         # any UDP datagram
    assert int(values['PJSIP_FIRST_TX_LEN']) + 4000 < int(values['PJSIP_POOL_LEN_TDATA']) <= 65536      # one pool that PJLIB caches
    assert values['PJMEDIA_RTP_PT_TELEPHONE_EVENTS'] == '101'
    assert '-DNDEBUG' in pjsip.FLAVOURS['release']
    assert '-DNDEBUG' not in pjsip.FLAVOURS['debug'] + pjsip.FLAVOURS['asan']


def test_declared_dependencies_and_data() -> None:
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))
    names = {re.split(r'[<>=!~ ;\[]', item)[0].lower() for item in project['project']['dependencies']}
    assert names >= {'twisted', 'eventlet', 'zope.interface', 'lxml', 'dnspython', 'zeroconf', 'cryptography', 'pyopenssl', 'service-identity'}
    assert project['project']['license'] == 'GPL-3.0-or-later'


def test_no_generated_file_is_committed() -> None:
    if not (ROOT / '.git').exists():
        pytest.skip('not a checkout')
    require.require('git')
    names = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    wrong = [name for name in names if name.endswith(('.so', '.o', '.a', '.pyc')) or re.match(r'sipsimple/core/_\w+\.c$|deps/pjsip/src/', name)]
    assert wrong == []
