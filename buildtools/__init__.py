"""What builds this project: PJSIP (pjsip), its source (pjsip_source), the native extension (cython_ext).

Pure standard library, so that it runs before anything is installed; only cython_ext needs Cython, and only when it compiles.
"""

import sys

__all__ = ['check_system']


def check_system() -> None:
    """End the program with one clear line on systems that the native core is not made for; the other modules may not even load there."""
    if sys.platform != 'linux':
        raise SystemExit(f'error: sipsimple can be built on Linux only today, and this is {sys.platform}; a Linux container or virtual machine will do')
