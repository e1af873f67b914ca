from collections.abc import Iterable
from typing import Self

from sipsimple.core.headers import BaseHeader

class Fields:
    """A C array of ss_field for a list of headers; valid while this object lives."""
    def __new__(cls, headers: Iterable[BaseHeader] | None) -> Self: ...
