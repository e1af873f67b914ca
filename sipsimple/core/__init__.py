"""The core: SIP, SDP and media on native threads.

Importing this package loads the native part. Public names are listed in __all__; they come from small modules, values
(URIs, headers, SDP) from pure Python ones.
"""

from sipsimple.core import _native

CORE_REVISION = 1
if _native.CORE_REVISION != CORE_REVISION:
    raise ImportError(f'the compiled core has revision {_native.CORE_REVISION}, its Python part {CORE_REVISION}; rebuild it')
