"""The sources: what the settings file, the environment and the flags say, each value with its place, still unjudged.

Can go wrong: a file that cannot be read or is no TOML, sections that do not exist: each comes back as a `Mistake`.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from forkful.conf.address import STORED
from forkful.conf.light import dataclass
from forkful.conf.mistakes import Mistake, nearest
from forkful.conf.option import APART, LISTS, PREFIX, Form, Scope
from forkful.conf.options import BY_NAME, OPTIONS, of
from forkful.conf.values import Said, Section

POOL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
FIRST_SOCKET = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)

_MOST_SOCKETS = 1024  # what is more is nonsense, not sockets
_TEXTS = {Form.TEXT, Form.PERSON, Form.OWNER, Form.PATH, Form.PROXIES, Form.ATOMS, Form.MOUNT, Form.COMMAND}
_EMPTY_WORDS = {*_TEXTS, Form.INTERFACE, *LISTS} - {Form.ADDRESSES}
_OTHERS = {"FORKFUL_CONFIG", "FORKFUL_ADMIN", "FORKFUL_PROBE", "FORKFUL_STATE"}  # ours, but no options
_KUBERNETES = re.compile(r"FORKFUL_(SERVICE_|PORT)")  # what it sets in every pod beside a service called forkful


@dataclass(slots=True)
class Sections:
    """What a file says: a section for the master and the admin child, and one for each pool by its name."""

    master: Section = field(default_factory=dict)
    admin: Section = field(default_factory=dict)
    pools: dict[str, Section] = field(default_factory=dict)
    listeners: dict[str, dict[str, Section]] = field(default_factory=dict)  # by pool, then by address as written


# -- the file ----------------------------------------------------------------------------------------------------------


def read_file(path: str) -> tuple[Sections, list[Mistake]]:
    """Read a settings file; the values are not judged yet."""
    text = ""
    try:
        text = Path(path).read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except OSError as error:
        return Sections(), [Mistake(path, f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        return Sections(), [Mistake(path, f"is not UTF-8: {error.reason}")]
    except tomllib.TOMLDecodeError as error:
        return Sections(), [_python(path, text) or Mistake(path, f"is not TOML: {error}")]
    if not {"master", "admin", "pool"} & raw.keys() and (
        python := _python(path, text) if path.endswith(".py") else None
    ):
        return Sections(), [python]  # plain assignments of Python are TOML, too
    return _sections(path, raw)


def _python(path: str, text: str) -> Mistake | None:
    """Answer one who brings another server's settings."""
    from forkful.conf import foreign  # noqa: PLC0415  # who brings none needs no table of them

    if not foreign.is_python(path, text):
        return None
    known = {
        option.key: "[pool.main]" if option.scope is Scope.POOL else option.section for option in reversed(OPTIONS)
    }
    lines = foreign.as_toml(text, known) or ["[pool.main]"]
    if "[pool.main]" in lines and not any(line.startswith("handler") for line in lines):
        lines.insert(lines.index("[pool.main]") + 1, 'handler = "MODULE:ATTRIBUTE"')
    hint = f"forkful migrate gunicorn {path} writes a file, and tells what becomes of each setting; in short:"
    return Mistake(path, "is a Python file, and settings are TOML here", "\n    ".join([hint, *lines]))


def _sections(path: str, raw: Mapping[str, object]) -> tuple[Sections, list[Mistake]]:
    found, mistakes = Sections(), list[Mistake]()
    for key, value in raw.items():
        match key, value:
            case (("master" | "admin"), dict()):
                setattr(found, key, _section(f"{path}: [{key}]", value))
            case "pool", dict():
                for name, pool in value.items():
                    if wrong := _wrong_pool(path, name, pool):
                        mistakes.append(wrong)
                        continue
                    apart = pool.pop(APART, {})
                    found.pools[name] = _section(f"{path}: [pool.{name}]", pool)
                    if wrong := _wrong_listeners(path, name, apart):
                        mistakes.append(wrong)
                        continue
                    found.listeners[name] = {
                        address: _section(listener_section(path, name, address), own) for address, own in apart.items()
                    }
            case _:
                mistakes.append(Mistake(f"{path}: {key}", "there is no such section", _section_hint(key)))
    return found, mistakes


def _section(place: str, raw: Mapping[str, object]) -> Section:
    return {key: Said(value, f"{place} {key}") for key, value in raw.items()}


def _wrong_pool(path: str, name: str, pool: object) -> Mistake | None:
    if not isinstance(pool, dict):
        return Mistake(f"{path}: [pool] {name}", "a pool needs a name", f"write it under [pool.main], as {name} = ...")
    if not POOL_NAME.fullmatch(name):
        right = "a letter, then letters, digits, _ or -"
        return Mistake(f"{path}: [pool.{name}]", f"{name!r} is not a name for a pool", f"a name is {right}")
    return None


def listener_section(path: str, pool: str, address: str) -> str:
    """The place of what is said of one address alone."""
    return f'{path}: [pool.{pool}.{APART}."{address}"]'


def _wrong_listeners(path: str, pool: str, apart: object) -> Mistake | None:
    if isinstance(apart, dict) and all(isinstance(own, dict) for own in apart.values()):
        return None
    hint = f'write what one address has for itself under [pool.{pool}.{APART}."ADDRESS"], and what all have one above'
    return Mistake(f"{path}: [pool.{pool}] {APART}", "an address is missing", hint)


def _section_hint(key: str) -> str:
    sections = {option.section for option in OPTIONS if option.key == key.replace("-", "_")}
    if sections:
        return f"it belongs in {' or '.join(sorted(sections))}"
    return nearest(key, [scope.value for scope in Scope]) or "there are [master], [admin] and [pool.NAME]"


# -- the environment ---------------------------------------------------------------------------------------------------


def from_environment(environ: Mapping[str, str]) -> Section:
    """What the variables of ours say, by the option's name. An empty one says something only of texts and lists."""
    return {
        option.name: Said(_listed(option.form, environ[option.variable]), option.variable)
        for option in OPTIONS
        if option.variable in environ and (environ[option.variable] or _may_be_empty(option.name))
    }


def _may_be_empty(name: str) -> bool:
    return name == "admin_bind" or BY_NAME[name].form in _EMPTY_WORDS


def _listed(form: Form, text: str) -> object:
    return [part.strip() for part in text.split(",")] if form in LISTS else text


def from_platform(environ: Mapping[str, str]) -> Section:
    """What platforms say without knowing us: `WEB_CONCURRENCY` and `PORT`. Weaker than our own variables."""
    said: Section = {}
    if workers := environ.get("WEB_CONCURRENCY"):
        said["workers"] = Said(workers, "WEB_CONCURRENCY")
    if port := environ.get("PORT"):
        said["bind"] = Said([f":{port}"], "PORT")
    return said


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Warnings for variables that look like ours. No mistakes, for others may set such: Kubernetes does."""
    known = {option.variable for option in OPTIONS} | _OTHERS
    return [
        " ".join(filter(None, (f"{name} is not a setting, and is ignored;", nearest(name, known)))).rstrip(";")
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known and not _KUBERNETES.match(name)
    ]


# -- flags and code ----------------------------------------------------------------------------------------------------


def from_flags(flags: Mapping[str, object]) -> Section:
    return {name: Said(value, BY_NAME[name].flag) for name, value in flags.items()}


def from_code(keywords: Mapping[str, object]) -> tuple[Section, list[Mistake]]:
    """What the script of the drop-in mode said with keywords."""
    said = {name: Said(value, f"{name}=") for name, value in keywords.items() if name in BY_NAME}
    unknown = [name for name in keywords if name not in BY_NAME]
    return said, [Mistake(f"{name}=", "there is no such keyword", nearest(name, BY_NAME)) for name in unknown]


def split(said: Section) -> tuple[Section, Section, Section]:
    """Sort values by option's name into those of master, admin and pool, by key."""
    master, admin, pool = (
        {option.key: said[option.name] for option in of(scope).values() if option.name in said}
        for scope in (Scope.MASTER, Scope.ADMIN, Scope.POOL)
    )
    return master, admin, pool


# -- sockets from systemd ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Socket:
    """A socket that the manager opened for us, sd_listen_fds(3)."""

    fd: int
    name: str


def sockets(environ: Mapping[str, str], pids: frozenset[int]) -> tuple[Socket, ...]:
    """The sockets handed to one of these processes; none where the variables are not meant for us, or are nonsense."""
    count, pid = environ.get("LISTEN_FDS", ""), environ.get("LISTEN_PID", "")
    if not count.isdecimal() or not pid.isdecimal() or int(pid) not in pids:
        return ()
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    numbers = range(min(int(count), _MOST_SOCKETS))
    found = (Socket(FIRST_SOCKET + index, names[index] if index < len(names) else "") for index in numbers)
    return tuple(socket for socket in found if not socket.name.startswith(STORED))
