from importlib.machinery import ModuleSpec
from typing import Any

CORE_REVISION: int
CYTHON_VERSION: str

class OneObjectFinder:
    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None: ...
