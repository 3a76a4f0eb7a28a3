"""What values mean: each form of the table of options as a function that reads one value; a section judged by them.

A library of models is not used: pydantic took a sixth of the CPU of each start (270 of 1,700 ms on a slow core), and
all that it did here were whole numbers, numbers, switches and bounds. pydantic-settings merges its sources first, too,
and forgets which one a value came from; here every value is judged where it was said and keeps that place.
Can go wrong: values that are none; they come back as `Mistake`, every one of them.
"""

import ipaddress
import math
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from forkful.conf.address import Address, AddressError
from forkful.conf.atoms import unknown
from forkful.conf.hook_names import HookNameError
from forkful.conf.hook_names import parse as parse_hooks
from forkful.conf.light import dataclass
from forkful.conf.mistakes import Mistake, nearest
from forkful.conf.multicast import INTERFACE, Group
from forkful.conf.option import Form, Option, Scope
from forkful.conf.options import OPTIONS, of, of_listeners

_TIMES = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZES = {unit + end: 1 << 10 * power for power, unit in enumerate(("", "k", "m", "g", "t")) for end in ("", "b", "ib")}
_NUMBER = r"([0-9][0-9_]*(?:\.[0-9]+)?)\s*"
_SWITCHES = dict.fromkeys(("true", "yes", "on", "1", "t", "y"), True) | dict.fromkeys(
    ("false", "no", "off", "0", "f", "n"), False
)
_HOST = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_LONGEST_PROTOCOL = 255  # bytes, RFC 7301
UNIX = "unix"  # among networks: the clients of Unix sockets


class NetworkError(ValueError):
    """This text is no network; the message says what would be right."""


class BoundsError(ValueError):
    """A number that is too small or too large."""


@dataclass(frozen=True, slots=True)
class Said:
    """A value and the place where it was said. Any: raw from TOML, a variable or a flag; later of its option's type."""

    value: Any
    place: str
    note: str = ""


Section = dict[str, Said]  # by key


@dataclass(frozen=True, slots=True)
class Elastic:
    """So many workers as are needed, between these two."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least}-{self.most}"


# -- the forms ---------------------------------------------------------------------------------------------------------


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")  # noqa: TRY004  # here and below: who reads the mistakes reads ValueErrors
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("no number")
    return value


def _count(value: object) -> int:
    """A whole number, to the last digit."""
    if isinstance(value, str):
        return int(value)
    number = _number(value)
    if number != int(number):
        raise ValueError("no whole number")
    return int(number)


def _switch(value: object) -> bool:
    try:
        return _SWITCHES[str(value).strip().lower()]
    except KeyError:
        raise ValueError("neither on nor off") from None


def _seconds(value: object) -> float:
    return _in_units(_TIMES, value) if isinstance(value, str) else float(_number(value))


def _size(value: object) -> int:
    return int(_in_units(_SIZES, value)) if isinstance(value, str) else _count(value)


def _in_units(units: Mapping[str, float], text: str) -> float:
    match = re.fullmatch(_NUMBER + "([a-z]*)", text.strip().lower())
    if match is None or match[2] not in units:
        raise ValueError("a number and a unit")
    return float(match[1]) * units[match[2]]


def _person(value: object) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _command(value: object) -> tuple[str, ...]:
    """A text as a shell would split it, or its words."""
    words = shlex.split(value) if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise ValueError("no words")
    if words and not words[0]:
        raise ValueError("no program")
    return tuple(words)


def _mode(value: object) -> int:
    return int(value.removeprefix("0o"), 8) if isinstance(value, str) else _count(value)


def _percent(value: object) -> str:
    text = _text(value).strip()
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?%", text):
        raise ValueError("no percentage")
    return text


def _like(pattern: str) -> Callable[[object], str]:
    """Texts of this form, and none at all."""

    def read(value: object) -> str:
        text = _text(value)
        if text and not re.fullmatch(pattern, text):
            raise ValueError(f"not like {pattern}")
        return text

    return read


def _share(value: object) -> str:
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    match = re.fullmatch(r"([0-9]+)(%?)", text)
    if match is None or int(match[1]) < 1 or (match[2] and int(match[1]) > 100):  # noqa: PLR2004  # per cent
        raise ValueError("no number and no share")
    return text


def _elastic(value: object) -> Elastic:
    """A span of workers: "2-8", or a table with min and max."""
    match value:
        case str() if match := re.fullmatch(r"\s*([0-9]+)\s*-\s*([0-9]+)\s*", value):
            span = Elastic(int(match[1]), int(match[2]))
        case {"min": int(least), "max": int(most), **others} if not others:
            span = Elastic(least, most)
        case _:
            raise ValueError("no span")
    if not 1 <= span.least <= span.most:
        raise ValueError("min is at least 1, and max at least min")
    return span


def _workers(value: object) -> str | int | Elastic:
    if value == "auto":
        return "auto"
    return _elastic(value) if isinstance(value, dict) or "-" in str(value)[1:] else _count(value)


def _addresses(value: object) -> tuple[Address, ...]:
    """All of them, or all that is wrong with them: an ExceptionGroup."""
    values = _list(value)
    addresses, mistakes = [], []
    for each in values:
        try:
            addresses.append(_address(each))
        except AddressError as mistake:
            mistakes.append(mistake)
    if mistakes:
        raise ExceptionGroup("addresses", mistakes)
    return tuple(addresses)


def _address(value: object) -> Address:
    if not isinstance(value, str):
        raise AddressError(f"{value!r} is not an address; write {Form.ADDRESSES.right}")
    return Address.parse(value)


def _list(value: object) -> list[object]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple):
        raise ValueError("no list")  # noqa: TRY004  # as above
    return [each for each in values if each != ""]


def _proxies(value: object) -> str:
    text = _text(value)
    for part in text.split(","):
        if part.strip() not in ("", "*"):
            ipaddress.ip_network(part.strip(), strict=False)
    return text


def _parts(value: object) -> list[str]:
    """A list, of which any text may hold several, separated by commas. Raises ValueError."""
    return [part.strip() for each in _list(value) for part in _text(each).split(",") if part.strip()]


def _networks(value: object) -> tuple[str, ...]:
    try:
        parts = _parts(value)
    except ValueError:
        raise NetworkError(f"{value!r} is not a network; write {Form.NETWORKS.right}") from None
    return tuple(_network(part) for part in parts)


def _certificates(value: object) -> tuple[tuple[str, str], ...]:
    """Pairs of files: tables with certfile and keyfile, or texts like CERTFILE:KEYFILE; a file may hold both."""
    return tuple(_pair(each) for each in (value if isinstance(value, list | tuple) else [value]) if each != "")


def _pair(value: object) -> tuple[str, str]:
    match value:
        case {"certfile": str(certificate), **others} if certificate and not others.keys() - {"keyfile"}:
            key = others.get("keyfile", "")
        case str():
            certificate, _, key = value.partition(":")
        case _:
            raise ValueError("no pair of files")
    if not certificate or not isinstance(key, str):
        raise ValueError("no pair of files")
    return certificate, key or certificate


def _protocols(value: object) -> tuple[str, ...]:
    words = tuple(_parts(value))
    if not all(0 < len(word.encode()) <= _LONGEST_PROTOCOL for word in words):
        raise ValueError("no name of a protocol")
    return words


def _hosts(value: object) -> tuple[str, ...]:
    """A port is no part of a name."""
    names = tuple(part.lower().rstrip(".") for part in _parts(value))
    if not all(_HOST.fullmatch(name) for name in names):
        raise ValueError("no name of a host")
    return names


def _network(text: str) -> str:
    if text == UNIX:
        return text
    try:
        ipaddress.ip_network(text.replace("%", "no zones: "), strict=False)
    except ValueError:
        raise NetworkError(f"{text!r} is not a network; write {Form.NETWORKS.right}") from None
    return text


def _groups(value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(Group.parse(part)) for part in _parts(value)))


def _atoms(value: object) -> str:
    text = _text(value)
    if unknown(text):
        raise ValueError("no such atom")
    return text


_READ: dict[Form, Callable[[object], Any]] = {  # Any: of the form's type
    Form.TEXT: _text,
    Form.PERSON: _person,
    Form.PATH: _text,
    Form.OWNER: _like(r"[^:\s]+(:[^:\s]+)?|:[^:\s]+"),
    Form.HANDLER: _like(r"[^\W\d][\w.]*:[^\W\d].*"),
    Form.PROXIES: _proxies,
    Form.MOUNT: _like(r"(?:/[^/?#\s]+)+"),
    Form.ATOMS: _atoms,
    Form.COUNT: _count,
    Form.WORKERS: _workers,
    Form.COMMAND: _command,
    Form.SHARE: _share,
    Form.PERCENT: _percent,
    Form.SECONDS: _seconds,
    Form.SIZE: _size,
    Form.MODE: _mode,
    Form.SWITCH: _switch,
    Form.CERTIFICATES: _certificates,
    Form.HOOKS: parse_hooks,
    Form.PROTOCOLS: _protocols,
    Form.PATHS: lambda value: tuple(_parts(value)),
    Form.PATTERNS: lambda value: tuple(_parts(value)),
    Form.HOSTS: _hosts,
    Form.INTERFACE: _like(INTERFACE.pattern),
    Form.GROUPS: _groups,
    Form.NETWORKS: _networks,
    Form.ADDRESSES: _addresses,
}


def _read(option: Option, value: object) -> Any:  # Any: of the option's type
    """What a value means to an option. Raises ValueError, or of several an ExceptionGroup."""
    if option.form is Form.SHARE and value == option.default == "":
        return ""
    if option.form is Form.CHOICE:
        return _choice(option, value)
    meant = _READ[option.form](value)
    if isinstance(meant, int | float) and not isinstance(meant, bool):
        _bounded(option, meant)
    return meant


def _choice(option: Option, value: object) -> str:
    word = dict(option.synonyms).get(str(value), value)
    if isinstance(value, bool) or word not in (option.words or ("",)):
        raise ValueError("none of the words")
    return str(word)


def _bounded(option: Option, number: float) -> None:
    if number < option.least or (option.most is not None and number > option.most):
        raise BoundsError(f"{number} is out of bounds")


def defaults(scope: Scope) -> Section:
    """The section of one who says nothing."""
    return {key: Said(_default(option), "default") for key, option in of(scope).items()}


def _default(option: Option) -> Any:  # Any: of the option's type
    raw = list(option.default) if isinstance(option.default, tuple) else option.default
    return _read(option, raw)


# -- judging -----------------------------------------------------------------------------------------------------------


def judge(scope: Scope, section: Section, *, of_one_address: bool = False) -> tuple[Section, list[Mistake]]:
    """Give values their types, and tell what is wrong; a wrong one is taken for the default, and no addresses."""
    options = of_listeners() if of_one_address else of(scope)
    typed: Section = {}
    mistakes: list[Mistake] = []
    for key, said in section.items():
        if key not in options:
            mistakes.append(_not_of_one_address(key, said) if of_one_address else _unknown(scope, key, said))
            continue
        try:
            typed[key] = replace(said, value=_read(options[key], said.value))
        except (ValueError, ExceptionGroup) as error:
            mistakes += _wrong(options[key], said, error)
            default = () if options[key].form is Form.ADDRESSES else _default(options[key])
            typed[key] = replace(said, value=default)
    return typed, mistakes


def _unknown(scope: Scope, key: str, said: Said) -> Mistake:
    from forkful.conf.foreign import instead  # noqa: PLC0415  # who makes no mistake needs no table of others

    elsewhere = [
        option.section for option in OPTIONS if option.key == key.replace("-", "_") and option.scope is not scope
    ]
    hint = instead(key) or (f"it belongs in {elsewhere[0]}" if elsewhere else nearest(key, of(scope)))
    return Mistake(said.place, "there is no such key", hint or f"there are {', '.join(of(scope))}")


def _not_of_one_address(key: str, said: Said) -> Mistake:
    if key in of(Scope.POOL):
        return Mistake(said.place, "an address cannot have that for itself", "write it for the whole pool, one above")
    hint = nearest(key, of_listeners()) or f"there are {', '.join(of_listeners())}"
    return Mistake(said.place, "there is no such key", hint)


def _wrong(option: Option, said: Said, error: Exception) -> Iterator[Mistake]:
    match error:
        case ExceptionGroup(exceptions=causes):
            yield from (Mistake(said.place, str(cause)) for cause in causes)
        case AddressError() | NetworkError() | HookNameError():
            yield Mistake(said.place, str(error))
        case BoundsError():
            bound = f"at least {option.least:g}" + (f" and at most {option.most:g}" if option.most is not None else "")
            yield Mistake(said.place, f"{said.value!r} is out of bounds", f"it must be {bound}")
        case _:
            near = nearest(str(said.value), option.words)
            yield Mistake(said.place, f"{said.value!r} is not {option.right}", near)
