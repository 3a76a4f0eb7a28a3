"""The settings: what all sources said, laid over each other, each value with the place where it was said.

The order is default < file < `PORT` and `WEB_CONCURRENCY` < `FORKFUL_*` < flag. The drop-in mode has keywords instead
of file and flags; they are explicit code, so there the platform's two variables are the weaker ones.
Can go wrong: everything an operator can write; all of it is kept as mistakes, and nothing is raised.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import Any

from forkful.conf.address import Address, AddressError, Kind
from forkful.conf.arguments import Arguments
from forkful.conf.directory import named
from forkful.conf.light import dataclass
from forkful.conf.machine import Machine
from forkful.conf.mistakes import Mistake, nearest
from forkful.conf.option import Scope
from forkful.conf.options import BY_NAME
from forkful.conf.plan import Certificate
from forkful.conf.runtime import default_admin
from forkful.conf.sources import (
    Sections,
    from_code,
    from_environment,
    from_flags,
    from_platform,
    listener_section,
    read_file,
    sockets,
    split,
    unknown_variables,
)
from forkful.conf.values import Said, Section, defaults, judge

MAIN = "main"  # the pool that HANDLER and flags describe
_BUILT_IN: Mapping[str, Mapping[str, object]] = {
    "echo": {"handler": "forkful.handlers.echo:EchoStream", "bind": "tcp://127.0.0.1:7007"},
    "echo-udp": {"handler": "forkful.handlers.echo:EchoDatagram", "bind": "udp://127.0.0.1:7007"},
    "web": {"handler": "forkful.handlers.page:PageHandler", "bind": "tcp://127.0.0.1:8000", "threads": 4},
}


@dataclass(slots=True)
class Settings:
    """The whole; complete and typed if there are no mistakes.

    `embedded` is None unless a script embeds us: then what its own class of server carries. `pinned` is what a
    running master keeps of its start. `directory` is the working directory as it was named, "" if nobody did,
    `file` the settings file by its whole path.
    """

    master: Section = field(default_factory=dict)
    admin: Section = field(default_factory=dict)
    pools: dict[str, Section] = field(default_factory=dict)
    listeners: dict[str, dict[int, Section]] = field(default_factory=dict)  # by pool, then by position in its `bind`
    certificates: dict[str, list[Certificate]] = field(default_factory=dict)  # by pool, once they were looked at
    warnings: list[str] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    embedded: Kind | None = None
    directory: str = ""
    file: str = ""
    pinned: Mapping[str, Any] = field(default_factory=dict)  # Any: values of [master] keys, as a plan has them

    def judged(self, scope: Scope, section: Section) -> Section:
        """Type a section and keep its mistakes."""
        typed, mistakes = judge(scope, section)
        self.mistakes += mistakes
        return typed

    def each_address(self) -> Iterator[tuple[str, Address, Section]]:
        """Every address of every pool, with what is said there."""
        for name, pool in self.pools.items():
            apart = self.listeners.get(name, {})
            for position, address in enumerate(pool["bind"].value):
                yield name, address, pool | apart.get(position, {})

    def said(self, pool: str, key: str) -> Iterator[Said]:
        """What a pool says, and what is said of its addresses alone."""
        yield self.pools[pool][key]
        yield from (own[key] for own in self.listeners.get(pool, {}).values() if key in own)


@dataclass(frozen=True, slots=True)
class _Pooled:
    """What each source says of pools, judged, before it is known which pools there are."""

    file: dict[str, Section]
    code: Section
    platform: Section
    variables: Section
    flags: Section

    @property
    def explicit(self) -> Section:
        """What was said to us, by those who cannot name a pool."""
        return self.variables | self.flags


def gather(arguments: Arguments, environ: Mapping[str, str], machine: Machine) -> Settings:
    """Read every source and lay them over each other."""
    config = arguments.config or environ.get("FORKFUL_CONFIG", "")
    settings = Settings(warnings=unknown_variables(environ), pinned=arguments.pinned)
    settings.directory = named(machine.cwd, environ, config)
    settings.file = config and os.path.join(settings.directory or machine.cwd, config)  # noqa: PTH118  # a text
    file, unreadable = read_file(config) if config else (Sections(), [])
    code, unknown = from_code(arguments.embedded or {})
    settings.mistakes += unreadable + unknown

    layers = [split(code), split(from_environment(environ)), split(from_flags(arguments.flags))]
    (master_code, *master), (admin_code, *admin), (code, variables, flags) = zip(*layers, strict=True)
    settings.master = defaults(Scope.MASTER)
    for section in (master_code, file.master, *master):
        settings.master |= settings.judged(Scope.MASTER, section)
    settings.admin = defaults(Scope.ADMIN) | {"bind": Said((), "default")}
    for section in (admin_code, file.admin, *admin):
        settings.admin |= settings.judged(Scope.ADMIN, section)

    pooled = _Pooled(
        file={name: settings.judged(Scope.POOL, section) for name, section in file.pools.items()},
        code=settings.judged(Scope.POOL, {key: said for key, said in code.items() if key != "handler"}),
        platform=settings.judged(Scope.POOL, from_platform(environ)),
        variables=settings.judged(Scope.POOL, variables),
        flags=settings.judged(Scope.POOL, flags),
    )
    if arguments.embedded is not None:  # a label, which is not loaded
        addresses = pooled.code["bind"].value if "bind" in pooled.code else ()
        settings.embedded = next((address.kind for address in addresses if address.kind), Kind.STREAM)
        pooled.code["handler"] = Said(str(arguments.embedded.get("handler", "")), "the script")
    if not unreadable or pooled.file:
        pools = _pools(settings, pooled, config)
        settings.pools = {name: defaults(Scope.POOL) | section for name, section in pools.items()}
        _give_sockets(settings, environ, machine)
        _complete(settings, config)
        _tell_apart(settings, file.listeners, config)
    _count_workers(settings, machine)
    if settings.admin["bind"].place == "default":
        words = _words(settings, file)
        settings.admin["bind"] = Said(default_admin(environ, machine.uid, words), "default")
    return settings


def _words(settings: Settings, file: Sections) -> Iterator[str]:
    """What tells this service from others of the same user: its name, its file, its address where no file has that."""
    yield str(settings.pinned.get("name", settings.master["name"].value))
    if settings.file:
        yield settings.file
    for name, pool in [*settings.pools.items()][:1]:
        if "bind" in file.pools.get(name, {}):
            continue
        addresses = pool["bind"].value[:1]
        yield from map(str, addresses)
        if any(not (address.is_unix or address.port) for address in addresses):  # a number that others may have
            yield str(pool["handler"].value)


# -- which pools there are ---------------------------------------------------------------------------------------------


def _pools(settings: Settings, said: _Pooled, config: str) -> dict[str, Section]:
    """The pools by name, without defaults."""
    if settings.embedded:
        if said.file:
            hint = "the script is the pool; a file may say [master] and [admin] here"
            settings.mistakes += [Mistake(f"{config}: [pool.{name}]", "cannot be set here", hint) for name in said.file]
        variables = {key: value for key, value in said.variables.items() if key != "handler"}
        return {MAIN: said.platform | said.code | variables}
    match list(said.file.items()):
        case [(name, section)]:
            return {name: section | said.platform | said.explicit}
        case []:
            if "handler" in said.explicit:
                return {MAIN: said.platform | said.explicit}
            hint = "give HANDLER, like module:Handler"
            if config:
                settings.mistakes.append(Mistake(config, "has no pool", f"write [pool.main], or {hint}"))
            _refuse(settings, said, "needs a HANDLER", hint)
            return {} if config or said.explicit else _built_in(settings)
        case several:
            sections = [f"[pool.{name}]" for name, _ in several]
            _refuse(settings, said, f"{config} has several pools", f"write KEY under {' or '.join(sections)}")
            return dict(several)


def _refuse(settings: Settings, said: _Pooled, why: str, hint: str) -> None:
    """Nobody can tell which pool is meant. Platforms set their variables anyway, so these are only passed over."""
    for section in (said.variables, said.flags):
        settings.mistakes += [
            Mistake(value.place, why, hint.replace("KEY", BY_NAME[key].key)) for key, value in section.items()
        ]
    settings.warnings += [f"{value.place} is ignored: there are several pools" for value in said.platform.values()]


def _built_in(settings: Settings) -> dict[str, Section]:
    place = "built-in configuration"
    return {
        name: settings.judged(Scope.POOL, {key: Said(value, place) for key, value in section.items()})
        for name, section in _BUILT_IN.items()
    }


# -- what they lack ----------------------------------------------------------------------------------------------------


def _give_sockets(settings: Settings, environ: Mapping[str, str], machine: Machine) -> None:
    """Give systemd's sockets to the pools that have no address: by name, or all of them to the only pool."""
    given = sockets(environ, machine.pids)
    used = {address.fd for pool in settings.pools.values() for address in pool["bind"].value if address.scheme == "fd"}
    for name, pool in settings.pools.items():
        if pool["bind"].place != "default":
            continue
        named = [socket for socket in given if socket.name == name]
        mine = named or (given if len(settings.pools) == 1 else [])
        if mine:
            texts = [f"fd://{socket.fd}" for socket in mine]
            place = "LISTEN_FDNAMES" if named else "LISTEN_FDS"
            pool.update(settings.judged(Scope.POOL, {"bind": Said(texts, place)}))
            used |= {socket.fd for socket in mine}
    settings.warnings += [
        f"no pool uses the socket fd://{socket.fd} ({socket.name or 'no name'}) that was handed to us"
        for socket in given
        if socket.fd not in used
    ]


def _complete(settings: Settings, config: str) -> None:
    """Every pool needs a handler and an address; a default address is for one that is alone."""
    told = {mistake.place for mistake in settings.mistakes}
    for name, pool in settings.pools.items():
        where = f"{config}: [pool.{name}]" if config else name
        if not pool["handler"].value and pool["handler"].place not in told and not settings.embedded:
            settings.mistakes.append(Mistake(where, "has no handler", 'write handler = "module:Handler"'))
        if pool["bind"].place == "default" and len(settings.pools) > 1:
            settings.mistakes.append(Mistake(where, "has no address", 'write bind = ["tcp://127.0.0.1:7000"]'))
            pool["bind"] = replace(pool["bind"], value=())
        elif not pool["bind"].value and pool["bind"].place not in told:
            settings.mistakes.append(Mistake(pool["bind"].place, "names no address", BY_NAME["bind"].right))


def _tell_apart(settings: Settings, listeners: Mapping[str, Mapping[str, Section]], config: str) -> None:
    """What is said of one address goes with the address, if the pool has it."""
    for name, said in listeners.items():
        pool: dict[int, Section] = {}
        bind = settings.pools[name]["bind"].value if name in settings.pools else ()
        for text, section in said.items():
            typed, mistakes = judge(Scope.POOL, section, of_one_address=True)
            place = listener_section(config, name, text)
            settings.mistakes += mistakes
            try:
                address = Address.parse(text)
            except AddressError as error:
                settings.mistakes.append(Mistake(place, str(error)))
                continue
            positions = [position for position, each in enumerate(bind) if _is(each, address)]
            if not positions:
                hint = nearest(text, map(str, bind)) or f"it has {', '.join(map(str, bind))}"
                settings.mistakes.append(Mistake(place, f"pool {name} has no such address", hint))
            for position in positions:
                if position in pool:
                    settings.mistakes.append(
                        Mistake(place, f"{bind[position]} has a table already", "make one of them")
                    )
                pool[position] = typed
        settings.listeners[name] = pool


def _is(one: Address, other: Address) -> bool:
    """Whether both mean one address; without a scheme it may be that of any."""
    if one.is_unix or other.is_unix or (one.scheme and other.scheme):
        return one == other
    return (one.host, one.port, one.fd) == (other.host, other.port, other.fd)


def _count_workers(settings: Settings, machine: Machine) -> None:
    if any(pool["workers"].value == "auto" for pool in settings.pools.values()):
        cpus = machine.cpus()
        for pool in settings.pools.values():
            if pool["workers"].value == "auto":
                pool["workers"] = replace(pool["workers"], value=cpus.count, note=cpus.reason)
