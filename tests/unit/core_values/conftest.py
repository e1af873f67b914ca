"""The values of the core are pure Python: without a built native module they are tested in a bare package."""

import importlib
import sys
import types
from pathlib import Path

try:
    importlib.import_module('sipsimple.core')
except ImportError:
    import sipsimple

    package = types.ModuleType('sipsimple.core')
    package.__path__ = [str(Path(sipsimple.__file__).parent / 'core')]
    sys.modules['sipsimple.core'] = package
