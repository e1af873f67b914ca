"""Configure and compile PJSIP once per combination of source, patches, settings, flavour and compiler; kept in the user's cache folder.

Run as a program it builds what is missing and prints the flags:  python3 -m buildtools.pjsip [--flavour release|debug|asan] [--apps]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from buildtools import pjsip_source
from buildtools.report import BuildError, cache_folder, file_lock, jobs, run, say, step
from buildtools.requirements import check_toolchain, compiler, has_header

__all__ = ['FLAVOURS', 'FORBIDDEN_OBJECTS', 'SANITIZE', 'PJSIPBuild', 'build_apps', 'build_environment', 'build_program', 'ensure', 'forbidden_members']

RECIPE = 1      # raise it when the same inputs must be built anew because this file builds differently

SANITIZE = ['-fsanitize=address,undefined', '-fno-omit-frame-pointer']

# Flags of PJSIP itself. Release builds define NDEBUG: a failed assert must not be a remote kill.
FLAVOURS: dict[str, list[str]] = {
    'release': ['-O2', '-g1', '-DNDEBUG'],
    'debug': ['-O0', '-g'],
    'asan': ['-O1', '-g', '-DSIPSIMPLE_POOL_DEBUG', *SANITIZE],
}
_COMMON = ['-fPIC', '-fno-strict-aliasing', '-fvisibility=hidden']

# What configure would find by itself is switched explicitly. The resampler is speexdsp's: the release's own copy is third-party code we do not take.
CONFIGURE = [
    '--enable-epoll', '--with-external-speex', '--with-external-gsm', '--with-external-srtp', '--enable-speex-resample', '--disable-g7221-codec',
    '--disable-ilbc-codec', '--disable-libwebrtc', '--disable-libyuv', '--disable-video', '--disable-sdl', '--disable-ffmpeg', '--disable-v4l2',
    '--disable-openh264', '--disable-vpx', '--disable-opencore-amr', '--disable-silk', '--disable-lyra', '--disable-upnp', '--disable-pjsua2',
]

# (folder, make target), in link order from the bottom up
_TARGETS = [('pjlib', 'pjlib'), ('pjlib-util', 'pjlib-util'), ('pjnath', 'pjnath'), ('pjmedia', 'pjmedia'), ('pjmedia', 'pjmedia-codec'),
            ('pjmedia', 'pjmedia-audiodev'), ('pjsip', 'pjsip'), ('pjsip', 'pjsip-simple'), ('pjsip', 'pjsip-ua')]

# Objects taken out of PJSIP's makefiles: what is written in C++ (unused here), other systems' sound back ends, and bdimad_dev, whose source is not free.
_LEFT_OUT = {
    'pjlib/build/Makefile': ['atomic_queue.o'],
    'pjmedia/build/Makefile': ['echo_webrtc_aec3.o', 'openh264.o', 'bdimad_dev.o', 'bb10_dev.o', 'android_jni_dev.o', 'opensl_dev.o', 'oboe_dev.o',
                               'pa_dev.o', 'wmme_dev.o', 'legacy_dev.o'],
}

# Objects with known faults that nothing here may pull into the link: HTTP client, JSON, telnet CLI, pcap, WebSocket, AVI, AMR, G.723 (and with it the
# other codecs of IPP), T.140 text, and the old STUN client, which trusts any answer. And what docs/decisions.md says is not used here, so that its faults
# are not ours: XML and who reads it, registrations, WAV players, the serial bridge, video.
FORBIDDEN_OBJECTS = ('http_client', 'json', 'cli', 'cli_console', 'cli_telnet', 'pcap', 'websock', 'avi_player', 'avi_writer', 'avi_dev', 'amr_sdp_match',
                     'opencore_amr', 'ipp_codecs', 'passthrough', 'txt_stream', 'stun_simple_client', 'pjsua_core',
                     'xml', 'pidf', 'xpidf', 'iscomposing', 'dialog_info', 'sip_reg', 'wav_player', 'wav_playlist', 'conference',
                     'vid_stream', 'vid_conf', 'h263_packetizer', 'ffmpeg_vid_codecs', 'ffmpeg_dev')

_DETECTED = re.compile(r'^#define\s+(PJMEDIA_HAS_(?:OPUS_CODEC|BCG729)|PJ_HAS_SSL_SOCK|PJ_IOQUEUE_IMP)\s+(\S+)', re.MULTILINE)


@dataclass(frozen=True)
class PJSIPBuild:
    """A finished build.

    Attributes:
        folder: the built tree.
        flavour: release, debug or asan.
        cflags: what every C file that includes PJSIP's headers must be compiled with (macros change structure layouts).
        libraries: the static libraries and the system libraries behind them, as link arguments in a working order.
        key: names the combination of all inputs; objects compiled against another key must be compiled anew.
    """

    folder: Path
    flavour: str
    cflags: list[str]
    libraries: list[str]
    key: str


def _compiler_identity() -> str:
    done = subprocess.run([*compiler(), '-v'], capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith(('Target:', 'gcc version', 'clang version', 'Debian clang')) or 'version' in line]
    return ' '.join(compiler()) + '\n' + '\n'.join(lines)


def _library_versions() -> str:
    """The versions of the libraries built against: a new header version may change structure layouts."""
    if not shutil.which('pkg-config'):
        return ''
    found = []
    for name in ('alsa', 'libsrtp2', 'openssl', 'opus', 'speex', 'speexdsp', 'uuid'):
        done = subprocess.run(['pkg-config', '--modversion', name], capture_output=True, text=True, check=False)
        found.append(f'{name} {done.stdout.strip()}')
    return '\n'.join(found)


def _configure_arguments() -> list[str]:
    return [*CONFIGURE, *([] if has_header('bcg729/encoder.h') else ['--disable-bcg729'])]


def _key(flavour: str) -> str:
    settings = (pjsip_source.FOLDER / 'config_site.h').read_text(encoding='utf-8')
    parts = [str(RECIPE), flavour, ' '.join(FLAVOURS[flavour] + _COMMON), ' '.join(_configure_arguments()), settings, pjsip_source.source_digest(),
             _compiler_identity(), _library_versions()]
    return hashlib.sha256('\0'.join(parts).encode()).hexdigest()[:20]


def _target_name(folder: Path) -> str:
    match = re.search(r'^export TARGET_NAME := (\S+)', (folder / 'build.mak').read_text(encoding='utf-8'), re.MULTILINE)
    if match is None:
        raise BuildError(f'{folder}/build.mak does not name its target')
    return match[1]


def _describe(folder: Path, flavour: str, key: str) -> PJSIPBuild:
    facts = json.loads((folder / 'sipsimple-build.json').read_text(encoding='utf-8'))
    headers = [f'-I{folder / name / "include"}' for name in ('pjlib', 'pjlib-util', 'pjnath', 'pjmedia', 'pjsip')]
    cflags = [*facts['macros'], *_COMMON, f'-ffile-prefix-map={folder}=pjproject', *headers]
    archives = [str(folder / name) for name in facts['archives']]
    libraries = ['-Wl,--start-group', *archives, '-Wl,--end-group', *facts['libraries']]
    return PJSIPBuild(folder, flavour, cflags, libraries, key)


def ensure(flavour: str = 'release') -> PJSIPBuild:
    """Return the PJSIP build of `flavour`, made now if the cache has none.

    Raises:
        BuildError: a tool, header or the source is missing, or it does not compile.
    """
    if flavour not in FLAVOURS:
        raise BuildError(f'unknown flavour {flavour!r}; there are {", ".join(FLAVOURS)}')
    check_toolchain()
    key = _key(flavour)
    builds = cache_folder() / 'pjsip' / 'build'
    folder = builds / f'{flavour}-{key}'
    if not (folder / 'sipsimple-build.json').is_file():
        with file_lock(builds / 'lock'):
            if not (folder / 'sipsimple-build.json').is_file():
                with step(f'PJSIP {pjsip_source.lock()["version"]} ({flavour})'):
                    _build(flavour, folder)
                _forget_old(builds, flavour, folder)
    else:
        os.utime(folder)
    return _describe(folder, flavour, key)


def _forget_old(builds: Path, flavour: str, current: Path, keep: int = 4) -> None:
    """Remove builds of this flavour that nobody used for a day (all but the newest few), and what killed builds left behind."""
    limit = time.time() - 24 * 3600
    others = sorted((path for path in builds.glob(f'{flavour}-*') if path.is_dir() and path != current), key=lambda path: path.stat().st_mtime)
    for path in [*others[:-keep], *builds.glob(f'.{flavour}-*')]:
        if path.stat().st_mtime < limit:
            shutil.rmtree(path, ignore_errors=True)


def build_environment(flavour: str, tree: Path) -> dict[str, str]:
    """The environment in which PJSIP is configured and compiled: nothing in the caller's may change the result."""
    flags = [*FLAVOURS[flavour], *_COMMON, f'-ffile-prefix-map={tree}=pjproject']
    caller = {'CFLAGS', 'CXXFLAGS', 'LDFLAGS', 'CPPFLAGS', 'LIBS', 'MAKEFLAGS', 'MAKELEVEL'}
    environment = {name: value for name, value in os.environ.items() if name not in caller}
    # configure insists on a C++ compiler, of which nothing here makes use: the C compiler passes for one.
    environment.update(CC=' '.join(compiler()), CXX=' '.join([*compiler(), '-x', 'c']), CFLAGS=' '.join(flags),
                       LDFLAGS=' '.join(SANITIZE if flavour == 'asan' else []), ASAN_OPTIONS='detect_leaks=0', LC_ALL='C')
    return environment


def _workplace(cache: Path) -> Path:
    """Where to build what goes to `cache`: there, unless its path has characters that make or configure cannot cope with, such as spaces."""
    for folder in (cache, Path(tempfile.gettempdir()), Path('/tmp'), Path('/var/tmp')):
        if re.fullmatch(r'[\w./+-]+', str(folder), re.ASCII) and folder.is_dir() and os.access(folder, os.W_OK):
            return folder
    raise BuildError(f'PJSIP cannot be built in a folder like {str(cache)!r}; set TMPDIR to one without spaces and special characters')


def _move(tree: Path, target: Path) -> None:
    """Rename a finished build, or copy it when it was made on another file system: it appears complete or not at all."""
    if tree.parent != target.parent:
        copied = Path(tempfile.mkdtemp(prefix=f'.{target.name}-', dir=target.parent))
        try:
            shutil.copytree(tree, copied, symlinks=True, dirs_exist_ok=True)
            copied.rename(target)
        finally:
            shutil.rmtree(copied, ignore_errors=True)
        return
    tree.rename(target)


def _build(flavour: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    tree = Path(tempfile.mkdtemp(prefix=f'.{flavour}-', dir=_workplace(folder.parent)))
    tree.chmod(0o755)
    log = folder.parent / f'{folder.name}.log'
    log.write_text('', encoding='utf-8')
    try:
        pjsip_source.verified_source(tree)
        shutil.copyfile(pjsip_source.FOLDER / 'config_site.h', tree / 'pjlib/include/pj/config_site.h')
        environment = build_environment(flavour, tree)
        with step('configure'):
            run(['./aconfigure', *_configure_arguments()], cwd=tree, env=environment, log=log, what='configure of PJSIP')
            _check_configured(tree)
        _trim_makefiles(tree)
        with step('compile') as current:
            for library in ('pjlib', 'pjlib-util', 'pjnath', 'pjmedia', 'pjsip', 'third_party'):
                (tree / library / 'lib').mkdir(parents=True, exist_ok=True)
            for library, target in _TARGETS:
                run(['make', '-s', f'-j{jobs()}', '-C', f'{library}/build', target], cwd=tree, env=environment, log=log,
                    what=f'compilation of {target}')
            current.outcome = f'{len(_TARGETS)} libraries'
        _write_facts(tree, flavour, environment)
        for library in ('pjlib', 'pjlib-util', 'pjnath', 'pjmedia', 'pjsip'):
            shutil.rmtree(tree / library / 'build' / 'output', ignore_errors=True)
        _move(tree, folder)
        log.unlink()
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _trim_makefiles(tree: Path) -> None:
    for name, objects in _LEFT_OUT.items():
        path = tree / name
        text = path.read_text(encoding='utf-8')
        for word in objects:
            text, count = re.subn(rf'(?<=[\s=]){re.escape(word)}(?=\s)', '', text)
            if not count:
                raise BuildError(f'{name} of PJSIP no longer names {word}: the recipe in buildtools/pjsip.py is out of date')
        path.write_text(text, encoding='utf-8')


def _check_configured(tree: Path) -> None:
    """Fail when configure left out something the SDK promises."""
    text = ''.join((tree / name).read_text(encoding='utf-8') for name in (
        'pjlib/include/pj/compat/os_auto.h', 'pjmedia/include/pjmedia-codec/config_auto.h'))
    found = dict(_DETECTED.findall(text))
    for macro, value, package in (('PJ_IOQUEUE_IMP', 'PJ_IOQUEUE_IMP_EPOLL', 'libc6-dev'), ('PJ_HAS_SSL_SOCK', '1', 'libssl-dev'),
                                  ('PJMEDIA_HAS_OPUS_CODEC', '1', 'libopus-dev')):
        if found.get(macro) != value:
            raise BuildError(f'configure of PJSIP did not accept a library ({macro} is {found.get(macro, "unset")}); is {package} complete?')
    if 'alsa' not in (tree / 'pjmedia/build/os-auto.mak').read_text(encoding='utf-8'):
        raise BuildError('configure of PJSIP did not find ALSA; is libasound2-dev complete?')


def _write_facts(tree: Path, flavour: str, environment: dict[str, str]) -> None:
    printer = 'include build.mak\nshow:\n\t@echo CFLAGS= $(PJ_CFLAGS)\n\t@echo LIBS= $(PJ_LDLIBS)\n'
    output = run(['make', '-s', '--no-print-directory', '-f', '-', 'show'], cwd=tree, env=environment, input=printer, what='reading of build.mak')
    lines = dict(line.split('=', 1) for line in output.splitlines() if line.startswith(('CFLAGS=', 'LIBS=')))
    cflags, libraries = lines['CFLAGS'], lines['LIBS']
    macros = [word for word in cflags.split() if word.startswith('-D')]
    target = _target_name(tree)
    system = [word for word in libraries.split() if word.startswith('-l') and not word.endswith(target)]
    archives = []
    for library, name in reversed(_TARGETS):
        stem = 'pj' if name == 'pjlib' else name
        archive = f'{library}/lib/lib{stem}-{target}.a'
        if not (tree / archive).is_file():
            raise BuildError(f'PJSIP was compiled but {archive} is missing')
        archives.append(archive)
    if not {'-lssl', '-lcrypto', '-lopus', '-lsrtp2'} <= set(system):
        raise BuildError(f'build.mak of PJSIP names unexpected libraries: {" ".join(system)}')
    facts = {'flavour': flavour, 'macros': list(dict.fromkeys(macros)), 'archives': archives, 'libraries': list(dict.fromkeys(system))}
    (tree / 'sipsimple-build.json').write_text(json.dumps(facts, indent=1) + '\n', encoding='utf-8')


def forbidden_members(link_map: str) -> list[str]:
    """The objects of FORBIDDEN_OBJECTS that a linker map says were taken from PJSIP's archives."""
    taken = set(re.findall(r'^\S*/libpj[^/(]*\.a\((\w+)\.o\)', link_map, re.MULTILINE))
    return sorted(taken.intersection(FORBIDDEN_OBJECTS))


def build_program(name: str, sources: Sequence[Path], folder: Path, flavour: str = 'release') -> Path:
    """Compile a small C program that uses this build, when it is not there yet or older than its sources; returns it."""
    build = ensure(flavour)
    target = folder / f'{name}-{build.key}'
    if not target.is_file() or any(path.stat().st_mtime > target.stat().st_mtime for path in sources):
        folder.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix('.new')
        run([*compiler(), *FLAVOURS[flavour], *build.cflags, '-o', scratch, *sources, *build.libraries], what=f'compilation of {name}')
        scratch.replace(target)
    return target


def build_apps(flavour: str = 'release') -> dict[str, Path]:
    """Compile pjsua and pjsip-perf of the same build, as the C peers of bench/; returns name -> program. Cached with the build."""
    build = ensure(flavour)
    programs = {name: build.folder / 'apps' / name for name in ('pjsua', 'pjsip-perf')}
    if all(path.is_file() for path in programs.values()):
        return programs
    sources = {
        'pjsua': [*sorted((build.folder / 'pjsip-apps/src/pjsua').glob('*.c')), *sorted((build.folder / 'pjsip/src/pjsua-lib').glob('*.c'))],
        'pjsip-perf': [build.folder / 'pjsip-apps/src/samples/pjsip-perf.c'],
    }
    sources['pjsua'] = [path for path in sources['pjsua'] if path.name != 'main_rtems.c']
    # Room for as many calls as the load tests hold; these sizes exist in pjsua only.
    sizes = ['-DPJSUA_MAX_CALLS=1024', '-DPJSUA_MAX_ACC=8', '-DPJSUA_MAX_PLAYERS=8', '-DPJSUA_MAX_CONF_PORTS=1100']
    with file_lock(build.folder / 'apps.lock'), step('PJSIP applications (pjsua, pjsip-perf)'):
        for name, files in sources.items():
            target = programs[name]
            target.parent.mkdir(exist_ok=True)
            scratch = target.with_suffix('.new')
            run([*compiler(), *FLAVOURS[flavour], *build.cflags, *sizes, '-o', scratch, *files, *build.libraries], what=f'compilation of {name}')
            scratch.replace(target)
    return programs


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of `python3 -m buildtools.pjsip`."""
    parser = argparse.ArgumentParser(prog='buildtools.pjsip', description='Build PJSIP (cached) and print the flags to compile and link with it.')
    parser.add_argument('--flavour', choices=list(FLAVOURS), default='release')
    parser.add_argument('--apps', action='store_true', help='also build pjsua and pjsip-perf and print their paths')
    parser.add_argument('--fetch', action='store_true', help='only put the checked release into the cache')
    parser.add_argument('--source', metavar='FOLDER', type=Path, help='only write the verified, patched source into FOLDER (new or empty)')
    parser.add_argument('--bundle', metavar='FOLDER', type=Path, help='like --source, with a manifest: what source packages carry in deps/pjsip/src')
    parser.add_argument('--manifest', metavar='FOLDER', type=Path, help='only write deps/pjsip/SHA256SUMS for the release unpacked in FOLDER')
    options = parser.parse_args(arguments)
    try:
        if options.manifest:
            say(f'{pjsip_source.write_manifest(options.manifest)} files')
        elif options.fetch:
            with tempfile.TemporaryDirectory(prefix='sipsimple-pjsip-') as scratch:
                pjsip_source.verified_source(Path(scratch))
        elif options.source or options.bundle:
            target = options.source or options.bundle
            target.mkdir(parents=True, exist_ok=True)
            if any(target.iterdir()):
                raise BuildError(f'{target} is not empty')
            (pjsip_source.verified_source if options.source else pjsip_source.bundle)(target)
        else:
            build = ensure(options.flavour)
            apps = build_apps(options.flavour) if options.apps else {}
            for name, value in (('FOLDER', str(build.folder)), ('CFLAGS', ' '.join(build.cflags)), ('LIBS', ' '.join(build.libraries))):
                say(f"{name}='{value}'")
            for name, path in apps.items():
                say(f"{name.replace('-', '_').upper()}='{path}'")
    except BuildError as error:
        say(f'error: {error}', sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
