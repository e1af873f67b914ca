from collections.abc import Iterable
from typing import Self

from sipsimple.core.headers import BaseHeader

class Fields:
    def __new__(cls, headers: Iterable[BaseHeader] | None) -> Self: ...
