"""Root of all header classes, and the plain Header."""

from __future__ import annotations

from typing import Any, Self

from sipsimple.core.containers import frozendict
from sipsimple.core.fields import EMPTY, Shortcut, Value, abstract, number, optional_text, parameters_field, text_field, twins

__all__ = ['BaseHeader', 'BaseGenericHeader', 'Header', 'FrozenHeader', 'ParametersHeader']


@abstract
class BaseHeader(Value):
    """Parent of all headers: `name` (field name), `body` (field value text), str() is "Name: body".

    Headers are equal when their fields are, whatever the variant. Frozen ones are hashable.
    """

    __slots__ = ()

    name: str
    body: str

    def __str__(self) -> str:
        return f'{self.name}: {self.body}'

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {str(self)!r}>'

    @classmethod
    def parse(cls, body: str) -> Self:
        """The header with the field value text `body`.

        Raises:
            SIPCoreError: `body` is not valid for this header.
        """
        raise NotImplementedError


@abstract
class ParametersHeader(BaseHeader):
    """Parent of headers with parameters: name -> str, or None for a flag."""

    __slots__ = ('_parameters', '_printed')
    parameters: dict[str, str | None]
    _parameters: dict[str, str | None]
    _printed: str | None

    def _set_parsed(self, parameters: dict[str, str | None]) -> None:
        """Finish an object made by parse()."""
        if self._frozen:
            self._parameters = frozendict(parameters) if parameters else EMPTY
        else:
            self._parameters = parameters
        self._printed = None

    def _set_parameters(self, parameters: Any) -> None:
        """The last step of a constructor: it marks the object as initialised."""
        self._printed = None
        self._parameters = parameters_field(self, parameters)


def write_parameter(header: Any, name: str, value: str | None) -> None:
    """Set a parameter of a mutable header; None removes it."""
    if value is None:
        header._parameters.pop(name, None)
    else:
        header._parameters[name] = value


def text_parameter(name: str) -> Shortcut:
    """Shortcut to a text parameter: None when absent, assigning None removes it."""
    def read(self: ParametersHeader) -> str | None:
        return self._parameters.get(name)

    def write(self: ParametersHeader, value: str | None) -> None:
        write_parameter(self, name, optional_text(self, value))

    return read, write


def int_parameter(name: str) -> Shortcut:
    """Shortcut to a numeric parameter: None when absent or not a number, assigning None removes it."""
    def read(self: ParametersHeader) -> int | None:
        return number(self._parameters.get(name))

    def write(self: ParametersHeader, value: int | None) -> None:
        if value is not None and (value := int(value)) < 0:
            raise ValueError(f'{name} must not be negative: {value}')
        write_parameter(self, name, None if value is None else str(value))

    return read, write


# Parameters of which only a copy is given out: changes go through assignment or the shortcuts.
def _read_copy(self: ParametersHeader) -> dict[str, str | None]:
    return self._parameters.copy()


def _write_copy(self: ParametersHeader, value: Any) -> None:
    self._parameters = parameters_field(self, value)


copied_parameters: Shortcut = (_read_copy, _write_copy)


@abstract
class BaseGenericHeader(BaseHeader):
    """Parent of Header and FrozenHeader: any field name with any text.

    Args:
        name: field name.
        body: field value text.
    """

    __slots__ = ('_name', '_body', '_printed')
    _fields = {'name': text_field, 'body': text_field}
    _name: str
    _body: str
    _printed: str | None

    def __init__(self, name: str, body: str) -> None:
        if getattr(self, '_name', None) is not None:
            raise self._initialized_again()
        self._body = body if type(body) is str else text_field(self, body)
        self._printed = None
        self._name = name if type(name) is str else text_field(self, name)

    def _format(self) -> str:
        return f'{self._name}: {self._body}'


class Header(BaseGenericHeader):
    """A header without a class of its own; `name` and `body` may be changed."""

    __slots__ = ()


@twins(BaseGenericHeader, Header)
class FrozenHeader(BaseGenericHeader):
    """A Header that cannot change; hashable."""

    __slots__ = ()
