"""Load another build of the native core than the one in place, and tell UBSan where its reports go; on the path only while
`build_inplace --asan|--debug` runs something.

Python imports this file at start when its folder is on PYTHONPATH, in child processes too.
"""

import os
import sys


class _NativeOverride:
    """Meta path finder that answers for the native core with the file $SIPSIMPLE_NATIVE."""

    @staticmethod
    def find_spec(fullname: str, path: object = None, target: object = None):  # type: ignore[no-untyped-def]
        if fullname != 'sipsimple.core._native':
            return None
        from importlib.machinery import ExtensionFileLoader
        from importlib.util import spec_from_file_location
        file = os.environ['SIPSIMPLE_NATIVE']
        return spec_from_file_location(fullname, file, loader=ExtensionFileLoader(fullname, file))


if os.environ.get('SIPSIMPLE_UBSAN') and os.environ['SIPSIMPLE_UBSAN'] in os.environ.get('LD_PRELOAD', ''):
    import ctypes
    ctypes.CDLL(os.environ['SIPSIMPLE_UBSAN']).__sanitizer_set_report_path(os.environ['SIPSIMPLE_SANITIZER_REPORT'].encode())

if os.environ.get('SIPSIMPLE_NATIVE'):
    sys.meta_path.insert(0, _NativeOverride)
