"""Glue between setuptools and the project's own builders; everything declarative is in pyproject.toml."""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import buildtools

buildtools.check_system()

from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

from buildtools import cython_ext, pjsip_source
from buildtools.report import BuildError


class Build(build):
    """Starts from an empty staging folder, or modules that were deleted would live on in wheels."""

    def run(self):
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class BuildExtension(build_ext):
    """Hands the one extension to buildtools.cython_ext."""

    def run(self):
        try:
            if self.inplace or getattr(self, 'editable_mode', False):
                cython_ext.build_inplace('debug' if self.debug else 'develop')
                return
            made = cython_ext.build('debug' if self.debug else 'release')
        except BuildError as error:
            raise SystemExit(f'error: {error}') from None
        target = Path(self.get_ext_fullpath('sipsimple.core._native'))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(made, target)


class SourceDistribution(sdist):
    """Adds the verified, patched PJSIP source, so that installing from the archive downloads no source."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        target = Path(base_dir) / 'deps' / 'pjsip' / 'src'
        shutil.rmtree(target, ignore_errors=True)
        try:
            pjsip_source.bundle(target)
        except BuildError as error:
            raise SystemExit(f'error: {error}') from None


setup(
    ext_modules=[Extension('sipsimple.core._native', sources=[])],
    cmdclass={'build': Build, 'build_ext': BuildExtension, 'sdist': SourceDistribution},
)
