"""The event packages that the Engine knows: names and the body types that their NOTIFYs may have (RFC 6665 section 7.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_packages: dict[str, tuple[str, ...]] = {}


def _media_type(text: str) -> str:
    return text.partition(';')[0].strip().lower()


def replace(packages: Mapping[str, Iterable[str]]) -> None:
    """Know these and no others."""
    _packages.clear()
    _packages['refer'] = ('message/sipfrag;version=2.0',)           # REFER needs it
    _packages.update((name, tuple(types)) for name, types in packages.items())


def add(name: str, types: Iterable[str]) -> None:
    """Know one more, or other types of one."""
    _packages[name] = tuple(types)


def is_known(name: str) -> bool:
    """Whether there is such a package."""
    return name in _packages


def types_of(name: str) -> tuple[str, ...]:
    """The body types of a package; none of an unknown one."""
    return _packages.get(name, ())


def accepts(name: str, content_type: str) -> bool:
    """Whether a NOTIFY of this package may have a body of that type; parameters do not count."""
    return _media_type(content_type) in map(_media_type, types_of(name))


def names() -> list[str]:
    """The names, sorted."""
    return sorted(_packages)
