"""Find the PJSIP source, check every file of it, and unpack, patch and configure a tree to build in.

The manifest deps/pjsip/SHA256SUMS lists the files our build uses; only those are ever taken from a source, so what else an archive holds does not
matter. Sources, in order: the source distribution's own copy, $PJPROJECT_SOURCE, the user's cache, the release archive, Debian's source package.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import tarfile
import tempfile
import tomllib
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from buildtools.report import BuildError, cache_folder, run, say, step

__all__ = ['BUNDLED', 'FOLDER', 'PATCHES', 'apply_patches', 'bundle', 'lock', 'manifest', 'patch_files', 'selected', 'source_digest', 'verified_source',
           'verify', 'write_manifest']

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / 'deps' / 'pjsip'
MANIFEST = FOLDER / 'SHA256SUMS'
PATCHES = FOLDER / 'patches'
BUNDLED = FOLDER / 'src'        # only in source distributions: the verified and patched files, with their own SHA256SUMS
CONNECT_TIMEOUT = 5             # seconds

_LIBRARIES = {
    'pjlib': ('pj',),
    'pjlib-util': ('pjlib-util',),
    'pjnath': ('pjnath',),
    'pjmedia': ('pjmedia', 'pjmedia-audiodev', 'pjmedia-codec', 'pjmedia-videodev'),
    'pjsip': ('pjsip', 'pjsip-simple', 'pjsip-ua', 'pjsua-lib'),
}
_SINGLE_FILES = {'COPYING', 'aconfigure', 'build.mak.in', 'config.guess', 'config.sub', 'install-sh', 'version.mak', 'third_party/build/os-auto.mak.in',
                 'pjsip-apps/src/samples/pjsip-perf.c'}
_LEFT_OUT = {'pjmedia/src/pjmedia-audiodev/bdimad_dev.c', 'pjlib/include/pj/config_site.h'}


def lock() -> dict[str, Any]:
    """The contents of deps/pjsip/lock.toml."""
    return tomllib.loads((FOLDER / 'lock.toml').read_text(encoding='utf-8'))


def selected(path: str) -> bool:
    """Whether our build uses the file `path` of a PJSIP release."""
    if path in _LEFT_OUT:
        return False
    if path in _SINGLE_FILES:
        return True
    parts = path.split('/')
    suffix = PurePosixPath(path).suffix
    if parts[0] == 'build':
        return len(parts) == 2 and (suffix == '.mak' or path.endswith('.mak.in'))
    if parts[0] == 'pjsip-apps':
        return parts[1:3] == ['src', 'pjsua'] and len(parts) == 4 and suffix in ('.c', '.h')
    if parts[0] not in _LIBRARIES or len(parts) < 3:
        return False
    if parts[1] == 'include':
        return True
    if parts[1] == 'build':
        return len(parts) == 3 and (parts[2] == 'Makefile' or suffix == '.mak' or path.endswith('.mak.in'))
    return parts[1] == 'src' and parts[2] in _LIBRARIES[parts[0]] and suffix in ('.c', '.h', '.S', '.inc')


def _parse_manifest(path: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    try:
        text = path.read_text(encoding='utf-8')
    except FileNotFoundError:
        raise BuildError(f'the manifest {path} is missing') from None
    for line in text.splitlines():
        digest, _, name = line.partition('  ')
        if not re.fullmatch('[0-9a-f]{64}', digest) or not name or name.startswith('/') or '..' in name.split('/'):
            raise BuildError(f'{path}: not a line of a manifest: {line[:80]!r}')
        files[name] = digest
    return files


def manifest() -> dict[str, str]:
    """Path -> SHA-256 (hex) of every file the build uses, as released."""
    return _parse_manifest(MANIFEST)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def verify(folder: Path, files: dict[str, str]) -> str | None:
    """Check all `files` in `folder`; None when they are right, else what is wrong first."""
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            return f'{name} is missing'
        if _digest(path) != digest:
            return f'{name} differs from the release (SHA-256)'
    return None


def write_manifest(source: Path, target: Path = MANIFEST) -> int:
    """Write the manifest for the release unpacked in `source`; returns the number of files. For whoever moves the lock to a new release."""
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob('*') if path.is_file())
    names = [name for name in names if selected(name)]
    target.write_text(''.join(f'{_digest(source / name)}  {name}\n' for name in names), encoding='utf-8')
    return len(names)


def patch_files() -> list[Path]:
    """Our patches in the order they are applied: by file name."""
    return sorted(PATCHES.glob('*.patch'))


def source_digest() -> str:
    """Digest of everything that decides the patched source: manifest and patches, or the manifest of the bundled copy."""
    digest = hashlib.sha256()
    if (BUNDLED / 'SHA256SUMS').is_file():
        digest.update((BUNDLED / 'SHA256SUMS').read_bytes())
        return digest.hexdigest()
    digest.update(MANIFEST.read_bytes())
    for patch in patch_files():
        digest.update(b'\0' + patch.name.encode() + b'\0' + patch.read_bytes())
    return digest.hexdigest()


def apply_patches(tree: Path) -> None:
    """Apply our patches to `tree`, in order, without fuzz.

    Raises:
        BuildError: names the patch that does not apply.
    """
    for patch in patch_files():
        run(['patch', '-p1', '--batch', '--forward', '--fuzz=0', '--no-backup-if-mismatch', '-r', '-', '-i', patch], cwd=tree,
            what=f'the patch deps/pjsip/patches/{patch.name}')


def _copy_files(source: Path, target: Path, names: Iterable[str]) -> None:
    for name in names:
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, destination)
        if os.access(source / name, os.X_OK) or name in ('aconfigure', 'config.guess', 'config.sub', 'install-sh'):
            destination.chmod(0o755)


def verified_source(target: Path) -> None:
    """Put the verified, patched source into the empty folder `target`.

    Raises:
        BuildError: no source has it; the text says what was tried and how to hand one over.
    """
    if (BUNDLED / 'SHA256SUMS').is_file():
        files = _parse_manifest(BUNDLED / 'SHA256SUMS')
        fault = verify(BUNDLED, files)
        if fault:
            raise BuildError(f'the PJSIP source in this source distribution is damaged: {fault}')
        _copy_files(BUNDLED, target, files)
        return
    files = manifest()
    with step('PJSIP source') as current:
        current.outcome = _release_into(target, files)
    apply_patches(target)


def bundle(target: Path) -> None:
    """Write the verified, patched source with a manifest of its own into `target` (for the source distribution)."""
    target.mkdir(parents=True, exist_ok=True)
    if (BUNDLED / 'SHA256SUMS').is_file():
        files = _parse_manifest(BUNDLED / 'SHA256SUMS')
        fault = verify(BUNDLED, files)
        if fault:
            raise BuildError(f'the PJSIP source in this source distribution is damaged: {fault}')
        _copy_files(BUNDLED, target, files)
        shutil.copyfile(BUNDLED / 'SHA256SUMS', target / 'SHA256SUMS')
        return
    verified_source(target)
    names = sorted(path.relative_to(target).as_posix() for path in target.rglob('*') if path.is_file())
    (target / 'SHA256SUMS').write_text(''.join(f'{_digest(target / name)}  {name}\n' for name in names), encoding='utf-8')


# ---- the sources ----

def _release_into(target: Path, files: dict[str, str]) -> str:
    """Fill `target` with the verified release from the first source that has it; returns where it came from."""
    cached = cache_folder() / 'pjsip' / 'source' / hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:16]
    release = lock()
    tried: list[str] = []

    def accept(folder: Path, name: str, keep: bool) -> bool:
        fault = verify(folder, files)
        if fault:
            tried.append(f'{name}: {fault}')
            return False
        _copy_files(folder, target, files)
        if keep:
            _keep(folder, cached, files)
        return True

    given = os.environ.get('PJPROJECT_SOURCE', '')
    if given:
        path = Path(given).expanduser()
        if not path.exists():
            raise BuildError(f'$PJPROJECT_SOURCE: {path} does not exist')
        with _opened(path) as folder:
            if not accept(folder, given, keep=True):
                # The user named a source: using another one silently would hide the mistake.
                raise BuildError(f'$PJPROJECT_SOURCE is not PJSIP {release["version"]} as released: {tried[0]}')
        return f'from {given}'
    if cached.is_dir():
        if accept(cached, 'cache', keep=False):
            return 'cached'
        say(f'  (the cached PJSIP source is damaged and will be replaced: {tried[-1]})')
        shutil.rmtree(cached, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix='sipsimple-pjsip-') as scratch:
        fetchers: tuple[tuple[str, Callable[[dict[str, Any], Path], Path]], ...] = (
            ('release archive', _fetch_archive), ("Debian's source package", _fetch_debian))
        for name, fetch in fetchers:
            folder = Path(scratch) / name.split()[-1]
            folder.mkdir()
            try:
                archive = fetch(release, folder)
                with _opened(archive) as unpacked:
                    if accept(unpacked, name, keep=True):
                        return f'from the {name}' if name == 'release archive' else f'from {name}'
            except BuildError as error:
                lines = str(error).splitlines()
                reasons = [line for line in lines[1:] if line.startswith('E: ')]
                tried.append(f'{name}: {lines[0]}' + (f' ({reasons[0][3:]})' if reasons else ''))
    raise BuildError(f'no PJSIP {release["version"]} source found ({"; ".join(tried)}). Set PJPROJECT_SOURCE to the archive or folder of that release')


def _keep(folder: Path, cached: Path, files: dict[str, str]) -> None:
    """Copy verified files to the cache: complete or not at all."""
    if cached.is_dir():
        return
    cached.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix='.new-', dir=cached.parent))
    try:
        _copy_files(folder, scratch, files)
        scratch.chmod(0o755)
        scratch.rename(cached)
    except FileExistsError:
        pass
    except OSError as error:
        if not cached.is_dir():
            say(f'  (the PJSIP source could not be cached: {error})')
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _opened(path: Path) -> Iterator[Path]:
    """The folder that holds version.mak: `path` itself, or where its archive is unpacked."""
    if path.is_dir():
        yield _top(path)
        return
    if not path.is_file():
        raise BuildError(f'{path} does not exist')
    with tempfile.TemporaryDirectory(prefix='sipsimple-pjsip-') as scratch:
        try:
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as zipped:
                    zipped.extractall(scratch)
            else:
                with tarfile.open(path) as tar:
                    if hasattr(tarfile, 'data_filter'):
                        tar.extractall(scratch, filter='data')
                    else:
                        tar.extractall(scratch, members=_safe_members(tar))
        except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as error:
            raise BuildError(f'{path} is not a readable archive: {error}') from None
        yield _top(Path(scratch))


def _safe_members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        if (member.isfile() or member.isdir()) and not member.name.startswith('/') and '..' not in member.name.split('/'):
            yield member


def _top(folder: Path) -> Path:
    candidates = [folder, *sorted(child for child in folder.iterdir() if child.is_dir())]
    for candidate in candidates:
        if (candidate / 'version.mak').is_file():
            return candidate
    raise BuildError(f'{folder} holds no PJSIP source (no version.mak)')


def _fetch_archive(release: dict[str, Any], folder: Path) -> Path:
    target = folder / 'pjproject.tar.gz'
    try:
        with urllib.request.urlopen(release['archive'], timeout=CONNECT_TIMEOUT) as answer, target.open('wb') as file:
            shutil.copyfileobj(answer, file)
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise BuildError(f'not reachable ({getattr(error, "reason", error)})') from None
    return target


def _fetch_debian(release: dict[str, Any], folder: Path) -> Path:
    """Fetch the component with apt, through private lists: the machine's configuration is read, never changed."""
    debian = release['debian']
    if not shutil.which('apt-get'):
        raise BuildError('no apt on this machine')
    stanzas = _debian_stanzas(debian['suite'])
    if not stanzas:
        raise BuildError("apt's configuration names no Debian archive")
    parts, lists, cache, download = (folder / name for name in ('parts', 'lists', 'cache', 'download'))
    for path in (parts, lists / 'partial', cache / 'archives' / 'partial', download):
        path.mkdir(parents=True)
    (parts / 'private.sources').write_text('\n'.join(stanzas), encoding='utf-8')
    options = ['-o', 'Dir::Etc::SourceList=/dev/null', '-o', f'Dir::Etc::SourceParts={parts}', '-o', f'Dir::State::lists={lists}',
               '-o', f'Dir::Cache={cache}', '-o', f'Acquire::http::Timeout={4 * CONNECT_TIMEOUT}', '-o', 'Acquire::Retries=1', '-o', 'Acquire::Languages=none']
    # A mirror that stands still, as a snapshot does, is as good: every file is checked against the manifest.
    options += ['-o', 'Acquire::Check-Valid-Until=false']
    if os.geteuid() == 0:
        options += ['-o', 'APT::Sandbox::User=root']
    run(['apt-get', *options, '-q', '-o', 'APT::Update::Error-Mode=any', 'update'], what='apt-get update with the private list')
    run(['apt-get', *options, '-q', '--download-only', 'source', debian['package']], cwd=download, what=f'apt-get source {debian["package"]}')
    found = sorted(download.glob(f'*.{debian["component"]}.tar.*'))
    if not found:
        raise BuildError(f'the source package {debian["package"]} has no component {debian["component"]}')
    return found[0]


def _debian_stanzas(suite: str) -> list[str]:
    """deb-src stanzas of `suite` for every Debian archive that apt is configured with: same URIs, same keyring options."""
    shell = run(['apt-config', 'shell', 'LIST', 'Dir::Etc::sourcelist/f', 'PARTS', 'Dir::Etc::sourceparts/d'])
    values = dict(word.split('=', 1) for word in shlex.split(shell) if '=' in word)
    files = [Path(values['LIST'])] if values.get('LIST') else []
    if values.get('PARTS'):
        files += sorted(path for path in Path(values['PARTS']).glob('*') if path.suffix in ('.list', '.sources'))
    stanzas: dict[str, None] = {}
    for file in files:
        try:
            text = file.read_text(encoding='utf-8', errors='replace')
        except OSError:
            continue
        entries = _deb822_entries(text) if file.suffix == '.sources' else _list_entries(text)
        for uris, suites, components, options in entries:
            # The main archive: it has the component main, and its suites are neither flat paths nor security suites.
            if 'main' not in components or not suites or any('/' in name or 'security' in name for name in suites):
                continue
            for uri in uris:
                if not _is_debian(uri, suites):
                    continue
                lines = ['Types: deb-src', f'URIs: {uri}', f'Suites: {suite}', 'Components: main', *options]
                stanzas['\n'.join(lines) + '\n'] = None
    return list(stanzas)


def _is_debian(uri: str, suites: list[str]) -> bool:
    """Whether apt knows the archive at `uri` as Debian's (when it has lists of it; else judged by the path)."""
    known = run(['apt-get', 'indextargets', '--format', '$(REPO_URI) $(ORIGIN) $(LABEL)'], what='apt-get indextargets')
    for line in known.splitlines():
        words = line.split()
        if words and words[0].rstrip('/') == uri.rstrip('/') and len(words) > 1 and not words[1].startswith('$('):
            return words[1:3] == ['Debian', 'Debian']
    return uri.rstrip('/').rsplit('/', 1)[-1] == 'debian'


_Entry = tuple[list[str], list[str], list[str], list[str]]      # URIs, suites, components, further lines of the stanza


def _deb822_entries(text: str) -> Iterator[_Entry]:
    text = '\n'.join(line for line in text.splitlines() if not line.startswith('#'))
    for paragraph in re.split(r'\n[ \t]*\n', text):
        fields: dict[str, str] = {}
        name = ''
        for line in paragraph.splitlines():
            if line[:1] in (' ', '\t') and name:
                fields[name] += '\n' + line
            elif ':' in line:
                name, _, value = line.partition(':')
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get('enabled', 'yes').lower() in ('no', 'false', '0') or 'deb' not in fields.get('types', '').split():
            continue
        options = [f'{title}: {fields[key]}' for key, title in (('signed-by', 'Signed-By'), ('trusted', 'Trusted')) if fields.get(key)]
        yield fields.get('uris', '').split(), fields.get('suites', '').split(), fields.get('components', '').split(), options


def _list_entries(text: str) -> Iterator[_Entry]:
    for line in text.splitlines():
        match = re.match(r'\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s+([^#]+)', line)
        if not match:
            continue
        given = dict(word.split('=', 1) for word in (match[1] or '').split() if '=' in word)
        options = [f'{title}: {given[key].replace(",", " ")}' for key, title in (('signed-by', 'Signed-By'), ('trusted', 'Trusted')) if key in given]
        yield [match[2]], [match[3]], match[4].split(), options
