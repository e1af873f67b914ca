# cython: language_level=3
"""The one shared object of the native core, and the finder of the modules inside it.

PJSIP keeps its world in file-level variables, so exactly one copy of it may be in the process: all native modules and
PJSIP itself are linked into this one object. Python finds the others through the finder below, which answers for
sipsimple.core._<name> with a loader on this very file (PEP 489, "Multiple modules in one library").
"""

import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import spec_from_file_location

cdef extern int ss_has_module(const char *name)

cdef extern from *:
    """
    #define CYTHON_VERSION_TEXT CYTHON_ABI
    """
    const char *CYTHON_VERSION_TEXT

CORE_REVISION = 1
CYTHON_VERSION = (<bytes>CYTHON_VERSION_TEXT).decode().replace("_", ".")


class OneObjectFinder:
    """Meta path finder for the modules that live in this shared object."""

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        """Return the spec of a module that is in this object, else None (importlib.abc.MetaPathFinder)."""
        package, _, name = fullname.rpartition('.')
        if package == 'sipsimple.core' and name[:1] == '_' and ss_has_module(name.encode()):
            loader = ExtensionFileLoader(fullname, __file__)
            return spec_from_file_location(fullname, __file__, loader=loader)
        return None


if not any(getattr(finder, '__name__', None) == 'OneObjectFinder' for finder in sys.meta_path):
    sys.meta_path.insert(0, OneObjectFinder)
