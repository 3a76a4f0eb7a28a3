"""What values mean: each form of the table of options as a pydantic type, and a section judged by its model.

pydantic-settings is not used: it merges its sources first and forgets which one a value came from, while here every
value is judged where it was said and keeps that place. Nor is it cheap: it takes 100 ms of each start and reload.
Can go wrong: values that are none; they come back as `Mistake`, every one of them.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, TypeAdapter, ValidationError

from forkful.conf.address import Address, AddressError
from forkful.conf.atoms import unknown
from forkful.conf.foreign import instead
from forkful.conf.mistakes import Mistake, nearest
from forkful.conf.multicast import INTERFACE, Group
from forkful.conf.option import Form, Option, Scope
from forkful.conf.options import OPTIONS, of, of_listeners

_TIMES = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZES = {unit + end: 1 << 10 * power for power, unit in enumerate(("", "k", "m", "g", "t")) for end in ("", "b", "ib")}
_NUMBER = r"([0-9][0-9_]*(?:\.[0-9]+)?)\s*"
_HOST = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_LONGEST_PROTOCOL = 255  # bytes, RFC 7301
UNIX = "unix"  # among networks: the clients of Unix sockets


class NetworkError(ValueError):
    """This text is no network; the message says what would be right."""


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


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("pydantic would take true for 1")  # noqa: TRY004  # ValueError is what pydantic collects
    return value


def _seconds(value: object) -> object:
    return _in_units(_TIMES, value) if isinstance(value, str) else _number(value)


def _size(value: object) -> object:
    return int(_in_units(_SIZES, value)) if isinstance(value, str) else _number(value)


def _in_units(units: Mapping[str, float], text: str) -> float:
    match = re.fullmatch(_NUMBER + "([a-z]*)", text.strip().lower())
    if match is None or match[2] not in units:
        raise ValueError("a number and a unit")
    return float(match[1]) * units[match[2]]


def _person(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _mode(value: object) -> object:
    return int(value.removeprefix("0o"), 8) if isinstance(value, str) else _number(value)


def _owner(value: object) -> object:
    if isinstance(value, str) and value and not re.fullmatch(r"[^:\s]+(:[^:\s]+)?|:[^:\s]+", value):
        raise ValueError("neither a user nor a group")
    return value


def _share(value: object) -> object:
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


def _address(value: object) -> Address:
    if not isinstance(value, str):
        raise AddressError(f"{value!r} is not an address; write {Form.ADDRESSES.right}")
    return Address.parse(value)


def _list(value: object) -> object:
    texts = [value] if isinstance(value, str) else value
    return [text for text in texts if text != ""] if isinstance(texts, list) else value


def _handler(value: object) -> object:
    if isinstance(value, str) and value and not re.fullmatch(r"[^\W\d][\w.]*:[^\W\d].*", value):
        raise ValueError("no attribute of a module")
    return value


def _proxies(value: object) -> object:
    for text in value.split(",") if isinstance(value, str) else ():
        if text.strip() not in ("", "*"):
            ipaddress.ip_network(text.strip(), strict=False)
    return value


def _parts(value: object) -> list[str]:
    """A list, of which any text may hold several, separated by commas. Raises ValueError."""
    texts = _list(value)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("no texts")
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _networks(value: object) -> object:
    try:
        parts = _parts(value)
    except ValueError:
        raise NetworkError(f"{value!r} is not a network; write {Form.NETWORKS.right}") from None
    return [_network(part) for part in parts]


def _certificates(value: object) -> object:
    """Pairs of files: tables with certfile and keyfile, or texts like CERTFILE:KEYFILE; a file may hold both."""
    return tuple(_pair(each) for each in (value if isinstance(value, list) else [value]) if each != "")


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


def _words(value: object) -> object:
    words = _parts(value)
    if not all(0 < len(word.encode()) <= _LONGEST_PROTOCOL for word in words):
        raise ValueError("no name of a protocol")
    return words


def _hosts(value: object) -> object:
    """A port is no part of a name."""
    names = [part.lower().rstrip(".") for part in _parts(value)]
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


def _interface(value: object) -> object:
    if isinstance(value, str) and value and not INTERFACE.fullmatch(value):
        raise ValueError("no interface has such a name")
    return value


def _groups(value: object) -> object:
    return list(dict.fromkeys(str(Group.parse(part)) for part in _parts(value)))


def _mount(value: object) -> object:
    if isinstance(value, str) and value and not re.fullmatch(r"(?:/[^/?#\s]+)+", value):
        raise ValueError("no path")
    return value


def _word(synonyms: Mapping[str, str], value: object) -> object:
    return value if isinstance(value, bool) else synonyms.get(str(value), value)


def _atoms(value: object) -> object:
    if isinstance(value, str) and unknown(value):
        raise ValueError("no such atom")
    return value


#: The forms that have nothing else to say.
_TYPES: dict[Form, Any] = {  # Any: what pydantic makes types of
    Form.TEXT: str,
    Form.PERSON: Annotated[str, BeforeValidator(_person)],
    Form.PATH: str,
    Form.OWNER: Annotated[str, BeforeValidator(_owner)],
    Form.HANDLER: Annotated[str, BeforeValidator(_handler)],
    Form.PROXIES: Annotated[str, BeforeValidator(_proxies)],
    Form.MOUNT: Annotated[str, BeforeValidator(_mount)],
    Form.ATOMS: Annotated[str, BeforeValidator(_atoms)],
    Form.SHARE: Annotated[str, BeforeValidator(_share)],
    Form.SWITCH: bool,
    Form.CERTIFICATES: Annotated[tuple[tuple[str, str], ...], BeforeValidator(_certificates)],
    Form.PROTOCOLS: Annotated[tuple[str, ...], BeforeValidator(_words)],
    Form.HOSTS: Annotated[tuple[str, ...], BeforeValidator(_hosts)],
    Form.INTERFACE: Annotated[str, BeforeValidator(_interface)],
    Form.GROUPS: Annotated[tuple[str, ...], BeforeValidator(_groups)],
    Form.NETWORKS: Annotated[tuple[str, ...], BeforeValidator(_networks)],
    Form.ADDRESSES: Annotated[tuple[Annotated[Address, PlainValidator(_address)], ...], BeforeValidator(_list)],
}

_Judge = TypeAdapter[Any]  # Any: of an option's type
_Words = tuple[str, ...]
_Synonyms = tuple[tuple[str, str], ...]


def _judge_of(option: Option) -> _Judge:
    return _judge_like(option.form, option.least, option.most, option.words, option.synonyms)


@cache
def _judge_like(form: Form, least: float, most: float | None, words: _Words, synonyms: _Synonyms) -> _Judge:
    """One for all options that are alike, made when it is asked for: to make one takes a millisecond of each start."""
    return TypeAdapter(_type(form, least, most, words, synonyms))


def _type(form: Form, least: float, most: float | None, words: _Words, synonyms: _Synonyms) -> Any:
    """Any: what pydantic makes types of."""
    count = Annotated[int, Field(ge=least, le=most)]
    number = Annotated[count, BeforeValidator(_number)]
    match form:
        case Form.COUNT:
            return number
        case Form.WORKERS:
            return Literal["auto"] | number | Annotated[Elastic, PlainValidator(_elastic)]
        case Form.SECONDS:
            return Annotated[float, Field(ge=least, le=most, allow_inf_nan=False), BeforeValidator(_seconds)]
        case Form.SIZE:
            return Annotated[count, BeforeValidator(_size)]
        case Form.MODE:
            return Annotated[count, BeforeValidator(_mode)]
        case Form.CHOICE:
            return Annotated[Literal[words or ("",)], BeforeValidator(partial(_word, dict(synonyms)))]
        case _:
            return _TYPES[form]


def defaults(scope: Scope) -> Section:
    """The section of one who says nothing."""
    return {key: Said(_default(option), "default") for key, option in of(scope).items()}


def _default(option: Option) -> Any:  # Any: of the option's type
    raw = list(option.default) if isinstance(option.default, tuple) else option.default
    return _judge_of(option).validate_python(raw)


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
            typed[key] = replace(said, value=_judge_of(options[key]).validate_python(said.value))
        except ValidationError as error:
            mistakes += _wrong(options[key], said, error)
            default = () if options[key].form is Form.ADDRESSES else _default(options[key])
            typed[key] = replace(said, value=default)
    return typed, mistakes


def _unknown(scope: Scope, key: str, said: Said) -> Mistake:
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


def _wrong(option: Option, said: Said, error: ValidationError) -> Iterator[Mistake]:
    problems = error.errors(include_url=False)
    causes = [problem.get("ctx", {}).get("error") for problem in problems]
    addresses = [cause for cause in causes if isinstance(cause, AddressError | NetworkError)]
    limits = [problem for problem in problems if problem["type"] in {"greater_than_equal", "less_than_equal"}]
    if addresses:
        yield from (Mistake(said.place, str(cause)) for cause in addresses)
    elif limits:
        bound = f"at least {option.least:g}" + (f" and at most {option.most:g}" if option.most is not None else "")
        yield Mistake(said.place, f"{said.value!r} is out of bounds", f"it must be {bound}")
    else:
        near = nearest(str(said.value), option.words)
        yield Mistake(said.place, f"{said.value!r} is not {option.right}", near)
