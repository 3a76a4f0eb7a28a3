"""`dataclass` of the standard library, whose methods are not compiled for each class: they are common to all.

A frozen dataclass with slots takes a millisecond to make, and master and command line make a hundred and fifty: a
third of the CPU of each start. These take a tenth, and are dataclasses to `fields`, `replace`, `asdict` and readers.
To make a value takes half as long again, so what is made for each connection stays with the library's own.
Can go wrong: what a dataclass refuses, with the same errors.
"""

import dataclasses
from dataclasses import MISSING, FrozenInstanceError
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414  # type checkers know this one
else:

    def dataclass(cls: type | None = None, /, *, frozen: bool = False, slots: bool = False) -> Any:
        """As `dataclasses.dataclass`, with these two of its parameters."""
        if cls is None:
            return lambda decorated: dataclass(decorated, frozen=frozen, slots=slots)
        if cls.__doc__ is None:  # else the library writes one with the signature, which takes longer than all the rest
            cls.__doc__ = cls.__name__
        made = dataclasses.dataclass(cls, init=False, repr=False, eq=False, slots=slots)
        for name, method in (_FROZEN if frozen else _MUTABLE).items():
            if name not in cls.__dict__:
                setattr(made, name, method)
        return made


_SET: Final = object.__setattr__


def _init(self: Any, /, *args: object, **named: object) -> None:
    """Fields in their order, or by name; the rest have defaults."""
    fields = self.__dataclass_fields__
    if len(args) > len(self.__match_args__):
        raise TypeError(f"{type(self).__name__} takes {len(self.__match_args__)} values, not {len(args)}")
    for name, value in zip(self.__match_args__, args, strict=False):
        _SET(self, name, value)
        if name in named:
            raise TypeError(f"{type(self).__name__} got {name!r} twice")
    for name in self.__match_args__[len(args) :]:
        if name in named:
            value = named.pop(name)
        elif fields[name].default is not MISSING:
            value = fields[name].default
        elif fields[name].default_factory is not MISSING:
            value = fields[name].default_factory()
        else:
            raise TypeError(f"{type(self).__name__} needs {name!r}")
        _SET(self, name, value)
    if named:
        raise TypeError(f"{type(self).__name__} has no {', '.join(map(repr, named))}")
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _values(self: Any) -> tuple[object, ...]:
    return tuple(getattr(self, field.name) for field in dataclasses.fields(self) if field.compare)


def _eq(self: object, other: object) -> Any:  # Any: a bool, or NotImplemented
    return _values(self) == _values(other) if type(self) is type(other) else NotImplemented


def _hash(self: object) -> int:
    return hash(_values(self))


def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _setattr(self: object, name: str, value: object) -> None:  # noqa: ARG001
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: object, name: str) -> None:  # noqa: ARG001
    raise FrozenInstanceError(f"cannot delete field {name!r}")


_MUTABLE: Final = {"__init__": _init, "__eq__": _eq, "__repr__": _repr, "__hash__": None}
_FROZEN: Final = {**_MUTABLE, "__hash__": _hash, "__setattr__": _setattr, "__delattr__": _delattr}
