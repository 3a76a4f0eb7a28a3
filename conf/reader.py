"""The reader: from what the operator said to the plan, in a process of its own.

`python -P -m forkful.conf.reader ARGUMENTS` with the arguments of `forkful serve` prints the plan as JSON and exits 0.
It must run where the service was started, for its arguments may be relative to that directory.
Can go wrong: mistakes in the settings (exit code 1), a handler that cannot be loaded when it is asked which kind of
address it wants (4). Both are told on standard error.
"""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from forkful.conf import (
    allowance,
    baking,
    certified,
    commands,
    descriptors,
    distrust,
    log_source,
    proxies,
    pushing,
    python_variables,
)
from forkful.conf import arguments as command_line
from forkful.conf.address import INTERNET, SECURE, Address, Kind, too_long
from forkful.conf.arguments import Arguments
from forkful.conf.budgets import mixed, twice, weigh
from forkful.conf.developing import develop
from forkful.conf.hosts import spread
from forkful.conf.installed import version
from forkful.conf.machine import Machine
from forkful.conf.mistakes import Mistake, Mistakes, Unloadable
from forkful.conf.people import Identity
from forkful.conf.plan import AdminPlan, LogPlan, MasterPlan, Plan, PoolPlan
from forkful.conf.settings import Settings, gather
from forkful.conf.unused import unused
from forkful.conf.values import Elastic


class Answer(NamedTuple):
    """What a handler serves, "stream", "datagram" or "http", and whether it had to be imported to tell."""

    kind: str
    imported: bool = False


Asker = Callable[[str, float, MasterPlan], Answer]  # of a handler, within so many seconds

_JITTER = 0.1  # of max_requests, where nothing else is said
_SCHEMES = {"stream": "tcp", "datagram": "udp", "http": "http"}


def read(
    said: Sequence[str] | Arguments,
    environ: Mapping[str, str],
    machine: Machine | None = None,
    ask: "Asker | None" = None,
    *,
    first: bool = False,
) -> Plan:
    """Read the settings: raise `Mistakes` with all of them, or `Unloadable`, with `reload` not at the `first` start."""
    settings = settle(said, environ, machine)
    if settings.mistakes:
        raise Mistakes(settings.mistakes)
    plan = _plan(settings, settings.directory or (machine or Machine()).cwd)
    ask, assumed = ask or ask_handler, list[str]()
    ask = cache(_assuming(ask, assumed) if first and plan.master.reload else ask)
    importer = replace(plan.master, **settings.pinned)
    pools = tuple(_resolved(pool, importer, settings, ask) for pool in plan.pools)
    mistakes = [mistake for pool in pools for mistake in mixed(pool.bind, settings.pools[pool.name]["bind"].place)]
    mistakes += [mistake for pool in pools for mistake in proxies.without_connections(pool)]
    mistakes += twice(settings, {pool.name: pool.bind for pool in pools})
    if mistakes:
        raise Mistakes(mistakes)
    told = _asked_twice(plan.pools, importer, settings, ask)
    return replace(plan, pools=_apart(pools), warnings=(*plan.warnings, *told, *assumed), assumed=bool(assumed))


def _assuming(ask: Asker, told: list[str]) -> Asker:
    """What cannot be loaded yet is taken for a web application, and the start goes on to where the failure is shown."""

    def assume(handler: str, timeout: float, master: MasterPlan) -> Answer:
        try:
            return ask(handler, timeout, master)
        except Unloadable:
            told.append(f"{handler} cannot be loaded, and is taken for a web application until it can be")
            return Answer("http")

    return assume


def kinds_of_handlers(
    said: Sequence[str] | Arguments, environ: Mapping[str, str], machine: Machine | None = None
) -> dict[str, str]:
    """Import every pool's handler, each in a process of its own. Raises as `read` does."""
    plan = read(said, environ, machine)
    return {
        pool.name: ask_handler(pool.handler, pool.boot_timeout, plan.master, "--import").kind for pool in plan.pools
    }


def settle(said: Sequence[str] | Arguments, environ: Mapping[str, str], machine: Machine | None = None) -> Settings:
    """Gather and weigh the settings; nothing is loaded, nothing is raised."""
    machine = machine or Machine()
    given, wrong = (said, list[Mistake]()) if isinstance(said, Arguments) else command_line.parse(said)
    settings = gather(given, environ, machine)
    develop(settings)
    base = _base(settings, settings.directory or machine.cwd)
    settings.mistakes += _sockets_below(base, settings)
    certified.absolute(settings, base)
    settings.mistakes += certified.weigh(settings)
    settings.warnings += certified.expiring(settings)
    settings.warnings += unused(settings)
    settings.warnings += dict.fromkeys(proxies.warnings(settings))
    settings.mistakes += dict.fromkeys(proxies.refused(settings))
    settings.mistakes += weigh(settings, environ, machine)
    baking.imply(settings)
    settings.mistakes += baking.weigh(settings)
    settings.warnings += baking.warnings(settings)
    settings.mistakes += pushing.weigh(settings)
    settings.warnings += pushing.unused(settings)
    settings.mistakes += commands.weigh(settings, environ, base, machine.uid)
    settings.mistakes += _logging(settings, settings.directory or machine.cwd)
    config = given.config or environ.get("FORKFUL_CONFIG", "")
    settings.warnings += distrust.warnings(settings, environ, machine, config)
    settings.mistakes = list(dict.fromkeys(wrong + settings.mistakes))
    if not settings.mistakes:
        settings.warnings += allowance.beyond(settings, machine)
    return settings


# -- the plan ----------------------------------------------------------------------------------------------------------


def _plan(settings: Settings, cwd: str) -> Plan:
    values = {key: said.value for key, said in settings.master.items()}
    base = _base(settings, cwd)
    paths = {key: _absolute(base, values.pop(key)) for key in ("pid", "log_file", "access_log", "log_config")}
    log = LogPlan(
        level=values.pop("log_level"),
        format=values.pop("log_format"),
        file=paths["log_file"],
        access=paths["access_log"],
        config=log_source.read(paths["log_config"]) if paths["log_config"] else "",
        developing=values["reload"],
    )
    values["reload_extra_file"] = tuple(_absolute(base, path) for path in values["reload_extra_file"])
    # A script may have gone elsewhere by itself, and that is where its workers are.
    values["chdir"] = _absolute(cwd, values["chdir"]) or (cwd if settings.embedded else settings.directory)
    return Plan(
        pools=tuple(_pool(name, settings, debug=values["debug"]) for name in settings.pools),
        master=MasterPlan(**values, pid=paths["pid"], log=log),
        admin=settings.admin["bind"].value,
        access=AdminPlan(
            group=settings.admin["group"].value,
            allowed_hosts=settings.admin["allowed_hosts"].value,
            token_file=_absolute(base, settings.admin["token_file"].value),
        ),
        certificates=tuple(dict.fromkeys(each for found in settings.certificates.values() for each in found)),
        warnings=tuple(settings.warnings),
        settings=settings.file,
        version=version(),
    )


def _base(settings: Settings, cwd: str) -> str:
    """Where paths begin; a symbolic link to the current release must stay one."""
    return _absolute(cwd, settings.pinned.get("chdir", settings.master["chdir"].value)) or cwd


def _sockets_below(base: str, settings: Settings) -> Iterator[Mistake]:
    """Make the paths of Unix sockets absolute."""
    for section in (settings.admin, *settings.pools.values()):
        said = section["bind"]
        relative = [address for address in said.value if address.is_unix and address.path[:1] not in ("/", "@", "")]
        whole = {address: replace(address, path=_absolute(base, address.path)) for address in relative}
        section["bind"] = replace(said, value=tuple(whole.get(address, address) for address in said.value))
        for address in whole.values():
            if problem := too_long(address.path):
                yield Mistake(said.place, f"{address}: {problem}", "choose a shorter one")


def _logging(settings: Settings, cwd: str) -> Iterator[Mistake]:
    said = settings.master["log_config"]
    if said.value:
        base = _base(settings, cwd)
        path = _absolute(base, said.value)
        if wrong := log_source.wrong_with(path, base):
            yield Mistake(said.place, f"{path}: {wrong}", "write a file that logging.config understands")


def _pool(name: str, settings: Settings, *, debug: bool) -> PoolPlan:
    pool = settings.pools[name]
    values = {key: said.value for key, said in pool.items()}
    if debug:  # who thinks at a prompt is not stuck
        values["timeout"] = values["boot_timeout"] = 0.0
    workers = values.pop("workers")
    span = workers if isinstance(workers, Elastic) else Elastic(0, 0)
    if pool["max_requests_jitter"].place == "default":
        values["max_requests_jitter"] = math.ceil(values["max_requests"] * _JITTER)
    if pool["handshake_timeout"].place == "default" and values["timeout"]:
        # A client that says nothing is given up before it makes `timeout` replace the worker.
        values["handshake_timeout"] = min(values["handshake_timeout"], values["timeout"] / 2)
    values["timeout_said"] = pool["timeout"].place != "default"
    return PoolPlan(
        name=name,
        workers=span.least or workers,
        workers_min=span.least,
        workers_max=span.most,
        workers_reason=pool["workers"].note,
        listener={
            str(pool["bind"].value[position]): {key: said.value for key, said in own.items()}
            for position, own in settings.listeners.get(name, {}).items()
            if own
        },
        **values,
    )


def _absolute(base: str, path: str) -> str:
    return path if path in {"", "-"} else os.path.join(base, path)  # noqa: PTH118


def _apart(pools: Sequence[PoolPlan]) -> tuple[PoolPlan, ...]:
    """Tell addresses apart that are written alike: with port 0 each means a port of its own. The first stays plain."""
    seen = set[Address]()
    return tuple(
        _rebound(pool, [(address, _another(address, pool.name, seen)) for address in pool.bind]) for pool in pools
    )


def _rebound(pool: PoolPlan, turned: Sequence[tuple[Address, Address]]) -> PoolPlan:
    """With other addresses: each keeps what was said of the one that it was."""
    apart = {str(new): pool.listener[str(old)] for old, new in turned if str(old) in pool.listener}
    return replace(pool, bind=tuple(new for _, new in turned), listener=apart)


def _another(address: Address, pool: str, seen: set[Address]) -> Address:
    number = 1
    wanted = address
    while address in seen and wanted.scheme in INTERNET and not wanted.port:
        address = replace(wanted, whose=pool if number == 1 else f"{pool}, {number}")
        number += 1
    seen.add(address)
    return address


# -- plain addresses ---------------------------------------------------------------------------------------------------


def _resolved(pool: PoolPlan, master: MasterPlan, settings: Settings, ask: Asker) -> PoolPlan:
    """Give plain addresses (`HOST:PORT`) the scheme that the handler wants."""
    if all(address.scheme for address in pool.bind):
        return _spread(pool)
    if settings.embedded:  # the handler is in the script, where the class of the server says it
        scheme = "udp" if settings.embedded is Kind.DATAGRAM else "tcp"
    else:
        scheme = "http" if pool.interface != "auto" else _SCHEMES[ask(pool.handler, pool.boot_timeout, master).kind]
    turned = [(address, address if address.scheme else _with(scheme, address, pool)) for address in pool.bind]
    return _spread(_rebound(pool, turned))


def _with(scheme: str, address: Address, pool: PoolPlan) -> Address:
    """A plain address with a scheme; one that has a certificate speaks TLS."""
    own = pool.at(address)
    secure = {plain: secure for secure, plain in SECURE.items()} if own.certfile or own.certificates else {}
    return replace(address, scheme=secure.get(scheme, scheme))


def _asked_twice(pools: Iterable[PoolPlan], master: MasterPlan, settings: Settings, ask: Asker) -> Iterator[str]:
    """Warnings for handlers that are imported only to be asked, which have done by then whatever their import does."""
    for pool in pools:
        plain = [address for address in pool.bind if not address.scheme]
        if not plain or settings.embedded or pool.interface != "auto":
            continue
        if ask(pool.handler, pool.boot_timeout, master).imported:
            yield (
                f"{pool.handler} is imported once more, to ask what it serves, which its source does not show: "
                f"write tcp://, udp:// or http:// before {plain[0]}"
            )


def _spread(pool: PoolPlan) -> PoolPlan:
    """Names of hosts become the addresses that they mean, each once."""
    found: list[Address] = []
    turned: list[tuple[Address, Address]] = []
    for address in pool.bind:
        new = [each for each in spread(address) if each is address or each not in found]
        found += new
        turned += [(address, each) for each in new]
    return _rebound(pool, turned)


def ask_handler(handler: str, timeout: float, master: MasterPlan, *options: str) -> Answer:
    """Learn a handler's kind in a process of its own, as the user that will run it. `--import`: and load it."""
    command = [sys.executable, *descriptors.switches(), "-P", "-m", "forkful.handlers.kind", handler, *options]
    who = Identity.of(master.user, master.group)
    try:
        answer = subprocess.run(  # noqa: S603
            command,
            cwd=master.chdir or None,
            env=python_variables.shown(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout or None,
            user=who.uid,
            group=who.gid,
            extra_groups=who.groups,
            umask=master.umask,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unloadable(handler, f"it took longer than boot_timeout, {timeout:g} seconds") from None
    except OSError as error:  # an interpreter in a directory that this user may not enter, most often
        who_asks = f"user {master.user!r}" if master.user else "we"
        raise Unloadable(handler, f"{who_asks} cannot run {sys.executable}: {error.strerror}") from None
    lines = answer.stdout.decode(errors="replace").strip().splitlines()
    printed = answer.stderr.decode(errors="replace").strip()
    try:
        said = json.loads(lines[-1])  # whatever the handler's module may have printed comes before
        if answer.returncode == 0 and said["kind"] in _SCHEMES:
            sys.stderr.write(printed and printed + "\n")
            return Answer(str(said["kind"]), bool(said["imported"]))
        why, traceback = str(said["error"]), str(said["traceback"])
    except (ValueError, LookupError, TypeError):
        code = answer.returncode
        died = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        why, traceback = f"its process {died} and said nothing", ""
    raise Unloadable(handler, why, f"{traceback}\n{printed}".strip())


def main() -> int:
    # The manager's sockets are meant for the process that will be the master: this one's parent, or this one itself.
    machine = Machine(pids=frozenset({os.getpid(), os.getppid()}))
    try:
        plan = read(sys.argv[1:], os.environ, machine)
    except (Mistakes, Unloadable) as wrong:
        print(wrong, file=sys.stderr)
        return wrong.code
    print(plan.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
