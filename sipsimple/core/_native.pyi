from importlib.machinery import ModuleSpec
from typing import Any

CORE_REVISION: int
CYTHON_VERSION: str

class OneObjectFinder:
    """Meta path finder for the modules that live in this shared object."""
    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of a module that is in this object, else None (importlib.abc.MetaPathFinder)."""
