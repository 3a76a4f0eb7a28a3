"""Pins: what a running service keeps, whatever its settings say now, until an upgrade or a restart.

A reload makes new processes of the settings that it reads, so each value of an option that says "needs a restart" is
put back to what it was at the start; what was asked for instead is told by its name. User and group outlive an upgrade
too: who may write the settings file, or ask for an upgrade, does not thereby decide whether workers are root.
It compares two plans.
"""

from collections.abc import Iterator
from dataclasses import replace

from forkful.conf.option import APART, Option, Scope
from forkful.conf.options import OPTIONS, of
from forkful.conf.plan import Plan, PoolPlan

_IMPORTS = ("name", "user", "group", "umask", "chdir")


def pinned(old: Plan, new: Plan, *, upgrade: bool = False) -> Plan:
    """The new plan as a service may run it that runs the old one. `unheeded` names what it asks for in vain."""
    fixed = [option for option in OPTIONS if not (option.upgrade if upgrade else option.reload)]
    before = {pool.name: pool for pool in old.pools}
    kept = {option.key: getattr(old.master, option.key) for option in fixed if option.scope is Scope.MASTER}
    return replace(
        new,
        master=replace(new.master, **kept),
        admin=old.admin if any(option.name == "admin_bind" for option in fixed) else new.admin,
        access=replace(new.access, **{key: getattr(old.access, key) for key in _access(fixed)}),
        pools=tuple(_pool(before.get(pool.name, pool), pool, fixed) for pool in new.pools),
        unheeded=(*new.unheeded, *_differing(old, new, fixed)),
    )


def _pool(old: PoolPlan, new: PoolPlan, fixed: list[Option]) -> PoolPlan:
    kept = replace(new, **{option.key: getattr(old, option.key) for option in fixed if option.scope is Scope.POOL})
    keys = [option.key for option in fixed if option.listener]
    apart = {str(address): dict(new.listener.get(str(address), {})) for address in new.bind}
    for address in {*old.bind} & {*new.bind}:
        own = apart[str(address)]
        for key in keys:
            own.pop(key, None)
            if (value := getattr(old.at(address), key)) != getattr(kept, key):
                own[key] = value
    return replace(kept, listener={address: own for address, own in apart.items() if own})


def _access(fixed: list[Option]) -> list[str]:
    return [option.key for option in fixed if option.scope is Scope.ADMIN and option.key != "bind"]


def _differing(old: Plan, new: Plan, fixed: list[Option]) -> Iterator[str]:
    before = {pool.name: pool for pool in old.pools}
    for option in fixed:
        match option.scope:
            case Scope.ADMIN if option.key == "bind":
                if old.admin != new.admin:
                    yield _said("[admin] bind", [str(address) for address in new.admin])
            case Scope.ADMIN if getattr(old.access, option.key) != (asked := getattr(new.access, option.key)):
                yield _said(f"[admin] {option.key}", asked)
            case Scope.MASTER if getattr(old.master, option.key) != (asked := getattr(new.master, option.key)):
                yield _said(f"[master] {option.key}", asked)
            case Scope.POOL:
                for pool in new.pools:
                    asked = getattr(pool, option.key)
                    if pool.name in before and getattr(before[pool.name], option.key) != asked:
                        yield _said(f"[pool.{pool.name}] {option.key}", asked)
                    elif pool.name in before and option.listener:
                        yield from _differing_at(before[pool.name], pool, option.key)


def _differing_at(old: PoolPlan, new: PoolPlan, key: str) -> Iterator[str]:
    for address in new.bind:
        asked = getattr(new.at(address), key)
        if address in old.bind and getattr(old.at(address), key) != asked:
            yield _said(f'[pool.{new.name}.{APART}."{address}"] {key}', asked)


def _said(key: str, value: object) -> str:
    return f"{key} = {value!r}"


def told(old: Plan, new: Plan) -> str:
    """In words, what the new plan asks for in vain and the old one did not ask for, so that each is told once."""
    words = {True: "a restart or an upgrade", False: "a restart"}
    waiting: dict[str, list[str]] = {}
    for said in new.unheeded:
        if said not in old.unheeded:
            waiting.setdefault(words[_option(said).upgrade], []).append(said.partition(" = ")[0])
    return "; ".join(f"{', '.join(keys)} changed, and will only after {what}" for what, keys in waiting.items())


def _option(said: str) -> Option:
    section, _, rest = said.removeprefix("[").partition("] ")
    return of(Scope(section.partition(".")[0]))[rest.partition(" ")[0]]


def for_reader(old: Plan, *, upgrade: bool) -> dict[str, object]:
    """What the settings' reader must know of this: as whom, and from where, it imports handlers to learn their kind."""
    master = of(Scope.MASTER)
    keys = [key for key in _IMPORTS if not (master[key].upgrade if upgrade else master[key].reload)]
    return {key: getattr(old.master, key) for key in keys}
