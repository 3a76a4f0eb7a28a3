"""The budgets: what no single value shows, but several together, or a value and the machine.

Can go wrong: what adds up to something impossible; each comes back as a `Mistake` that names the places involved.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from forkful.conf.address import Address, Kind, too_long
from forkful.conf.machine import Machine
from forkful.conf.mistakes import Mistake
from forkful.conf.multicast import Group
from forkful.conf.people import Identity, NobodyError, group_number, owner, user_number
from forkful.conf.plan import MAX_SLOTS
from forkful.conf.settings import Settings
from forkful.conf.values import Elastic, Said, Section

MAX_LISTENERS = 16  # of a pool: the scoreboard has as many cells


def weigh(settings: Settings, environ: Mapping[str, str], machine: Machine) -> list[Mistake]:
    """Everything that does not add up."""
    mistakes = [mistake for pool in settings.pools.values() for mistake in _pool(pool)]
    mistakes += twice(settings, {name: pool["bind"].value for name, pool in settings.pools.items()})
    mistakes += _admin(settings.admin)
    mistakes += _access(settings, machine)
    mistakes += [*_people(settings.master, machine)] or _closed(settings, machine)
    owners = (said for name in settings.pools for said in settings.said(name, "socket_owner"))
    mistakes += [mistake for said in owners for mistake in _owner(said, machine)]
    mistakes += _groups(settings)
    mistakes += _affinity(settings)
    mistakes += _paths(settings.master, machine)
    mistakes += _stop(settings.master, machine.stop_limit(environ))
    return mistakes


def _place(section: str, key: str, said: Said) -> str:
    return said.place if said.place != "default" else f"[{section}] {key} (default)"


# -- a pool ------------------------------------------------------------------------------------------------------------


def _pool(pool: Section) -> Iterator[Mistake]:
    jitter, requests = pool["max_requests_jitter"], pool["max_requests"]
    if jitter.value and not requests.value:
        yield Mistake(jitter.place, "there is no max_requests to jitter", "write max_requests as well, like 10000")
    bind: Said = pool["bind"]
    if len(bind.value) > MAX_LISTENERS:
        yield Mistake(bind.place, f"{len(bind.value)} addresses", f"a pool may have {MAX_LISTENERS}")
    yield from mixed(bind.value, bind.place)


def _affinity(settings: Settings) -> Iterator[Mistake]:
    """A slot for each peer needs UDP, sockets that are ours alone, and a number of slots that stays."""
    for name, pool in settings.pools.items():
        place, workers = pool["affinity"].place, pool["workers"]
        if pool["affinity"].value == "none":
            continue
        for address in pool["bind"].value:
            if address.scheme != "udp":
                yield Mistake(place, f"{address} is no udp:// address", "write udp://HOST:PORT, or leave affinity out")
        for key, why in _NOT_WITH_AFFINITY.items():
            for said in settings.said(name, key):
                if said.value:
                    yield Mistake(said.place, f"{key} and affinity: {why}", "leave one of the two out")
        if isinstance(workers.value, Elastic):
            yield Mistake(place, f"workers is {workers.value}: each change of it would move peers", "write a number")
        elif isinstance(workers.value, int) and workers.value > MAX_SLOTS:
            yield Mistake(workers.place, f"{workers.value} workers", f"with affinity a pool may have {MAX_SLOTS}")


_NOT_WITH_AFFINITY = {
    "reuse_port": "who shares the port would be one of the slots",
    "multicast": "what is sent to a group comes to every slot",
}


def mixed(addresses: Iterable[Address], place: str) -> Iterator[Mistake]:
    """All workers of a pool serve in one way, so a pool is for streams or for datagrams."""
    if len({address.kind for address in addresses if address.kind}) > 1:
        yield Mistake(place, "streams and datagrams in one pool", "make two pools of it, with the same handler")


def _groups(settings: Settings) -> Iterator[Mistake]:
    """Each multicast group needs an address where its datagrams come in; streams are told that they have none."""
    for name, pool in settings.pools.items():
        bind = [address for address in pool["bind"].value if not (address.is_unix or address.kind is Kind.STREAM)]
        said = [(pool["multicast"], bind)]
        for position, own in settings.listeners.get(name, {}).items():
            if "multicast" in own:
                said.append((own["multicast"], [each for each in bind if each is pool["bind"].value[position]]))
        for groups, addresses in said:
            for group in map(Group.parse, groups.value):
                if addresses and not any(group.reaches(address) for address in addresses):
                    everywhere = "0.0.0.0" if group.address.version == 4 else "[::]"  # noqa: S104, PLR2004  # a hint  # nosec B104
                    hint = f"bind the port on every address, like udp://{everywhere}:{addresses[0].port}"
                    yield Mistake(groups.place, f"what is sent to {group} reaches no address of pool {name}", hint)


# -- addresses ---------------------------------------------------------------------------------------------------------


def twice(settings: Settings, binds: Mapping[str, Iterable[Address]]) -> Iterator[Mistake]:
    """The same address for two listeners. A plain one may be a stream or a datagram, and is told apart later."""
    admin = _place("admin", "bind", settings.admin["bind"])
    places = [(address, admin) for address in settings.admin["bind"].value]
    for name, addresses in binds.items():
        place = _place(f"pool.{name}", "bind", settings.pools[name]["bind"])
        places += [(address, place) for address in addresses]
    seen: dict[object, str] = {}
    for address, place in places:
        if address.scheme != "fd" and not address.is_unix and not address.port:
            continue  # port 0 is another one each time
        key = (address.kind, address.host, address.port, address.path, address.fd)
        if key in seen:
            where = "twice here" if seen[key] == place else f"taken by {seen[key]}"
            yield Mistake(place, f"{address} is {where}", "an address belongs to one pool, once")
        seen.setdefault(key, place)


def _admin(admin: Section) -> Iterator[Mistake]:
    for address in admin["bind"].value:
        if address.kind is Kind.DATAGRAM:
            yield Mistake(admin["bind"].place, f"{address} carries datagrams", "write tcp:// or unix://")
        if problem := too_long(address.path):  # only the default one: what is said was judged as it was read
            place = _place("admin", "bind", admin["bind"])
            hint = "write admin.bind, or shorten RUNTIME_DIRECTORY or XDG_RUNTIME_DIR, where it is put by default"
            yield Mistake(place, f"{address}: {problem}", hint)


def _access(settings: Settings, machine: Machine) -> Iterator[Mistake]:
    group, token = settings.admin["group"], settings.admin["token_file"]
    if group.value:
        try:
            group_number(group.value)
        except NobodyError as error:
            yield Mistake(group.place, str(error), "write a number, or a name that getent shows")
    if token.value:
        path = Path(machine.cwd, settings.master["chdir"].value, token.value)
        try:
            if not path.read_text().strip():
                yield Mistake(token.place, f"{str(path)!r} is empty", "write a long random text into it")
        except (OSError, ValueError) as error:
            yield Mistake(token.place, f"{str(path)!r} cannot be read: {error}", "make it, or correct the path")


# -- people, paths, time -----------------------------------------------------------------------------------------------


def _closed(settings: Settings, machine: Machine) -> list[Mistake]:
    """Workers that cannot read their Python die each of another import, and so does the admin child."""
    if machine.uid != 0:  # and so stays who it is
        return []
    user, group = (settings.pinned.get(key, settings.master[key].value) for key in ("user", "group"))
    try:
        closed = machine.unreadable(Identity.of(user, group))
    except NobodyError:  # of a service that runs, and somebody has removed its user
        return []
    what = f"user {user!r} cannot read {closed}, where this Python, or what is installed for it, lies"
    hint = "install both where that user may read them, as below /opt, or say another user"
    return [Mistake(settings.master["user"].place, what, hint)] if closed else []


def _people(master: Section, machine: Machine) -> Iterator[Mistake]:
    for key, number_of, own in (("user", user_number, machine.uid), ("group", group_number, machine.gid)):
        said = master[key]
        if not said.value:
            continue
        try:
            number = number_of(said.value)
        except NobodyError as error:
            yield Mistake(said.place, str(error), "write a number, or a name that getent shows")
        else:
            if machine.uid != 0 and number != own:
                yield Mistake(
                    said.place, f"only root may become {key} {said.value!r}", "leave it out, or start as root"
                )


def _owner(said: Said, machine: Machine) -> Iterator[Mistake]:
    """Who is not root may give a file to a group of his own only, chown(2)."""
    try:
        user, group = owner(said.value)
    except NobodyError as error:
        yield Mistake(said.place, str(error), "write a number, or a name that getent shows")
        return
    strange = user not in {None, machine.uid} or group not in {None, machine.gid, *machine.groups}
    if machine.uid != 0 and strange:
        yield Mistake(said.place, f"only root may give a socket to {said.value!r}", "leave it out, or start as root")


def _paths(master: Section, machine: Machine) -> Iterator[Mistake]:
    base = Path(machine.cwd, master["chdir"].value)
    if not base.is_dir():
        yield Mistake(master["chdir"].place, f"{str(base)!r} is not a directory", "make it, or correct the path")
        return  # what is relative to it cannot be found either
    for key in ("pid", "log_file", "access_log"):
        said = master[key]
        if said.value in {"", "-"}:
            continue
        path = base / said.value
        if path.is_dir():
            yield Mistake(said.place, f"{str(path)!r} is a directory", "write the path of a file")
        elif not path.parent.is_dir():
            yield Mistake(said.place, f"there is no directory {str(path.parent)!r}", "make it, or correct the path")
    if not master["log_file"].value:
        yield Mistake(master["log_file"].place, "the log needs a file", "write - for standard error")


def _stop(master: Section, limit: float | None) -> Iterator[Mistake]:
    delay, graceful = master["drain_delay"], master["graceful_timeout"]
    total = delay.value + graceful.value
    if limit is not None and total > limit:
        place = _place("master", "graceful_timeout", graceful)
        if graceful.place == "default" and delay.place != "default":
            place = delay.place
        yield Mistake(
            place,
            f"drain_delay {delay.value:g} + graceful_timeout {graceful.value:g} are {total:g} seconds, "
            f"but systemd kills after TimeoutStopSec, {limit:g}",
            f"make them less, or TimeoutStopSec more than {total:g}",
        )
