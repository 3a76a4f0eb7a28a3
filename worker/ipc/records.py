"""Records as plain JSON and back: one generic walk over dataclasses, told by their annotations and nothing else.

A record becomes an object with a key for each field; where one of several kinds may stand, `is` names it. Reading
refuses what it does not know: a missing or extra field, another type, an unknown kind.
Can go wrong: what is read is not such a record: `RecordError`, which names the place. A kind of field that this walk
does not know is our own mistake: `TypeError`.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from forkful.conf.light import dataclass

Json = Any  # Any: what JSON gives
_INTEGERS = range(-(2**63), 2**64)  # what a kernel or a scoreboard counts


class RecordError(ValueError):
    """This is not the record that was expected."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How one type is written and read that is no record: a descriptor by its number, say."""

    write: Callable[[Any], Json]  # Any: of the type that it stands for, as its table says
    read: Callable[[Json], Any]


Codecs = Mapping[type, Codec]
_NONE: Codecs = {}


def plain(value: object, codecs: Codecs = _NONE, *, tag: bool = False) -> Json:
    """The value as JSON has it. `tag`: say which kind of record it is."""
    if (codec := codecs.get(type(value))) is not None:
        return codec.write(value)
    kind: Any = type(value)  # Any: whatever there is
    if _is_record(kind):
        written = {f.name: plain(getattr(value, f.name), codecs, tag=_is_open(kind, f.name)) for f in fields(kind)}
        return {"is": kind.__name__, **written} if tag else written
    match value:
        case Enum():
            return value.name
        case list() | tuple():
            return [plain(entry, codecs) for entry in value]
        case set() | frozenset():
            return sorted(plain(entry, codecs) for entry in value)
        case dict() if all(isinstance(key, str) for key in value):
            return {key: plain(entry, codecs) for key, entry in value.items()}
        case dict():  # JSON has no other keys
            return [[plain(key, codecs), plain(entry, codecs)] for key, entry in value.items()]
    return value


def read(kind: Any, data: Json, codecs: Codecs = _NONE, *, lenient: bool = False) -> Any:  # Any: an annotation, a value
    """The value of this kind that `data` says. `lenient`: what is missing has its default. Raise `RecordError`."""
    return _Reader(codecs, lenient=lenient).value(kind, data, "")


@dataclass(frozen=True, slots=True)
class _Reader:
    """The way back. `at` is where we are, for the error; `kind` is an annotation."""

    codecs: Codecs
    lenient: bool

    def value(self, kind: Any, data: Json, at: str) -> Any:
        if (codec := self.codecs.get(kind)) is not None:
            return _read_by(codec, data, at)
        if _is_record(kind):
            return self._record(kind, data, at)
        origin, inner = get_origin(kind), get_args(kind)
        if origin in (types.UnionType, Union):
            return self._one_of(inner, data, at)
        if origin is dict:
            return self._dict(inner[0], inner[1], data, at)
        if origin in (list, set, frozenset) or (origin is tuple and inner[1:] == (...,)):
            entries = _expect(list, data, at)
            return origin(self.value(inner[0], entry, f"{at}[{n}]") for n, entry in enumerate(entries))
        if origin is tuple:
            return self._tuple(inner, data, at)
        return _simple(kind, data, at)

    def _record(self, kind: Any, data: Json, at: str) -> Any:
        said, known = _expect(dict, data, at), _hints(kind)
        missing = known.keys() - said.keys() - (_optional(kind) if self.lenient else frozenset())
        extra = said.keys() - known.keys()
        if missing or extra:
            words = [f"has no {', '.join(sorted(missing))}"] * bool(missing)
            words += [f"has {', '.join(sorted(map(str, extra)))} too much"] * bool(extra)
            raise RecordError(f"{at or kind.__name__} {' and '.join(words)}"[:200])
        return kind(**{key: self.value(known[key], each, f"{at or kind.__name__}.{key}") for key, each in said.items()})

    def _one_of(self, kinds: tuple[Any, ...], data: Json, at: str) -> Any:
        if data is None and types.NoneType in kinds:
            return None
        possible = [kind for kind in kinds if kind is not types.NoneType]
        if len(possible) == 1:
            return self.value(possible[0], data, at)
        word = _expect(dict, data, at).get("is")
        for kind in possible:
            if kind.__name__ == word:
                return self._record(kind, {key: entry for key, entry in data.items() if key != "is"}, at)
        raise RecordError(f"{at or 'it'} is an unknown {word!r:.60}")

    def _dict(self, key: Any, kind: Any, data: Json, at: str) -> dict[Any, Any]:
        if key is str:
            entries = _expect(dict, data, at).items()
            return {name: self.value(kind, entry, f"{at}[{name!r:.40}]") for name, entry in entries}
        pairs = [] if data == {} else _expect(list, data, at)  # an empty one does not show what its keys are
        return dict(self._tuple((key, kind), pair, f"{at}[{n}]") for n, pair in enumerate(pairs))

    def _tuple(self, kinds: tuple[Any, ...], data: Json, at: str) -> Any:
        entries = _expect(list, data, at)
        if len(entries) != len(kinds):
            raise RecordError(f"{at or 'it'} has {len(entries)} entries and not {len(kinds)}")
        parts = zip(kinds, entries, strict=True)
        return tuple(self.value(part, entry, f"{at}[{n}]") for n, (part, entry) in enumerate(parts))


def _read_by(codec: Codec, data: Json, at: str) -> Any:  # Any: as the codec has it
    try:
        return codec.read(data)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise RecordError(f"{at or 'it'} cannot be read: {error!r}"[:200]) from error


def _simple(kind: Any, data: Json, at: str) -> Any:  # Any: an annotation, and its value
    if kind is Any:
        return data
    if not isinstance(kind, type):
        raise TypeError(f"{at}: records know no {kind!r}")
    if issubclass(kind, Enum):
        try:
            return kind[_expect(str, data, at)]
        except KeyError:
            raise RecordError(f"{at} is an unknown {data!r:.60}") from None
    if kind is float and type(data) is int:
        return float(_simple(int, data, at))
    if kind is int and type(data) is int and data not in _INTEGERS:
        raise RecordError(f"{at} is a number of more than 64 bits")
    if kind in (int, float, str, bool, dict, list):
        return _expect(kind, data, at)
    raise TypeError(f"{at}: records know no {kind!r}")


def _expect(kind: type, data: Json, at: str) -> Any:  # Any: of that kind
    if type(data) is not kind:  # a bool is no number here
        raise RecordError(f"{at or 'it'} is {type(data).__name__} and not {kind.__name__}")
    return data


def shape(kind: Any) -> str:  # Any: an annotation
    """What this looks like as JSON, in words that differ when two versions could not read each other's."""
    if _is_record(kind):
        return "{" + ", ".join(f"{name}: {shape(inner)}" for name, inner in sorted(_hints(kind).items())) + "}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(sorted(member.name for member in kind))
    if inner := get_args(kind):
        origin = "one of" if get_origin(kind) is types.UnionType else getattr(get_origin(kind), "__name__", "?")
        return f"{origin}({', '.join(_named(part) for part in inner)})"
    return getattr(kind, "__name__", str(kind))


def _named(kind: Any) -> str:  # Any: as above
    return f"{getattr(kind, '__name__', '')}{shape(kind)}" if _is_record(kind) else shape(kind)


def _is_record(kind: Any) -> bool:  # Any: an annotation
    return is_dataclass(kind)


@cache
def _hints(kind: Any) -> dict[str, Any]:  # Any: annotations
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind)}


@cache
def _optional(kind: Any) -> frozenset[str]:  # Any: a record's class
    return frozenset(f.name for f in fields(kind) if f.default is not MISSING or f.default_factory is not MISSING)


@cache
def _is_open(kind: type, name: str) -> bool:
    """Whether several kinds of records may stand in this field."""
    return sum(_is_record(part) for part in get_args(_hints(kind)[name])) > 1
