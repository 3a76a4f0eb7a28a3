"""The effects of the options of the master and of the admin child."""

import json
import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM
from typing import Any

from tests.kit import processes as kernel
from tests.kit.door import door_of
from tests.kit.wait import readable
from tests.kit.web import get
from tests.process.effects import Alone, AnyEffect, Effect, Elsewhere, Launch, Service
from tests.process.effects.pool import LONG, SHORT, TCP, held

USER, GROUP = 54_321, 54_323  # without entries in passwd and group
MISDIRECTED = 421
DEVELOPING = "process/test_developing.py"
CANARY = "process/test_canary.py"
ADMIN = ("unix://ADMIN", TCP)
POOLS: dict[str, dict[str, Any]] = {  # Any: what TOML takes
    "grace": {"handler": "optioned:Held", "bind": [TCP]},
    "log": {"handler": "optioned:web", "bind": ["http://127.0.0.1:0"]},
    "people": {"handler": "optioned:First", "bind": ["127.0.0.1:0"]},  # plain: the handler is asked for its kind
}


def children(service: Service) -> dict[int, str]:
    """Mold, workers and admin child of the newest generation, as `ps` shows them; not the master."""

    def settled() -> dict[int, str]:
        found = {pid: title for pid, title in kernel.session(service.server.pid).items() if pid != service.server.pid}
        newest = f"gen={service.server.status()['generation']}"
        return found if all(newest in title or ": admin" in title for title in found.values()) else {}

    found = service.server.wait_until(settled, what="children of one generation only")
    assert {title.split()[1] for title in found.values()} == {"mold", "worker", "admin"}
    return found


def field(pid: int, name: str) -> list[str]:
    """A line of /proc/PID/status, proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{name}:")).split()[1:]


def every_child(name: str, shown: Callable[[Any], list[str]]) -> Callable[[Service, Any], None]:  # Any: a value
    def check(service: Service, value: Any) -> None:  # Any: a value
        for pid, title in children(service).items():
            assert field(pid, name) == shown(value), title

    return check


def is_user(service: Service, user: int) -> None:
    every_child("Uid", lambda uid: [str(uid)] * 4)(service, user)
    importers = {int(line.split()[0]) for line in (service.folder / "importers").read_text().splitlines()}
    assert importers == {user}, "also where the settings' reader asks a handler for its kind"


def is_group(service: Service, group: int) -> None:
    every_child("Gid", lambda gid: [str(gid)] * 4)(service, group)
    every_child("Groups", lambda gid: [str(gid)])(service, group)


def is_directory(service: Service, path: str) -> None:
    for pid, title in children(service).items():
        assert os.readlink(f"/proc/{pid}/cwd") == path, title  # noqa: PTH115  # the kernel's word
    imported_in = {line.split()[1] for line in (service.folder / "importers").read_text().splitlines()}
    assert imported_in == {path}


def is_called(service: Service, name: str) -> None:
    titles = [kernel.title(service.server.pid), *children(service).values()]
    assert all(title.startswith(f"{name}: ") for title in titles), titles


def is_written(service: Service, path: str) -> None:
    assert int(Path(path).read_text()) == service.server.pid
    assert {str(found) for found in service.folder.glob("*.pid")} == {path}


def admin_answers(service: Service, binds: list[str]) -> None:
    """On the addresses of the start, and on no other."""
    bound = service.server.status()["admin"]
    assert [url.partition(":")[0] for url in bound] == [url.partition(":")[0] for url in binds]
    for url in bound:
        assert get(door_of(url), "/livez").status == 200
    assert not (service.folder / "other.sock").exists()


def may_command(service: Service, group: str) -> None:
    """The group of the socket's file, whose mode lets it in."""
    found = service.server.admin.path.stat()
    assert (str(found.st_gid), stat.S_IMODE(found.st_mode)) == (group, 0o660)


def over_tcp(service: Service, page: str, **fields: str) -> int:
    """The status of an admin page there. Between two admin children the old one may answer, or nobody."""
    (url,) = [url for url in service.server.status()["admin"] if url.startswith("tcp")]
    return get(door_of(url), page, **{"host": "localhost", **fields}).status


def is_named(service: Service, names: list[str]) -> None:
    """Asked by that name over TCP it answers, and by another not."""
    for name in ("one.example", "two.example"):

        def as_asked(name: str = name) -> bool:
            return (over_tcp(service, "/status.json", host=name) == MISDIRECTED) is (name not in names)

        service.server.wait_until(as_asked, what=f"the answer to {name}")


def wants_token(service: Service, path: str) -> None:
    """Over TCP the pages are for those who bring it."""
    for text in ("one", "two", "neither"):

        def as_asked(text: str = text) -> bool:
            wanted = 200 if text == Path(path).parent.name else 401
            return over_tcp(service, "/metrics", authorization=f"Bearer {text}") == wanted

        service.server.wait_until(as_asked, what=f"the answer to {text}")


def log_file(service: Service, path: str) -> None:
    """Master, mold and workers have it open, and no other."""
    mold = service.server.child(f"mold gen={service.server.status()['generation']}")
    for pid in (service.server.pid, mold, service.worker("log")):
        opened = {found for found in kernel.descriptors(pid).values() if "/log" in found}
        assert opened == {path}, kernel.title(pid)


def logged(service: Service, path: str, level: int) -> list[str]:
    """The lines of the log that a handler has written at this level, asked for this path."""
    get(service.door("log"), f"{path}?{level}")
    files = (service.folder / "log1", service.folder / "log2")
    return [line for file in files if file.exists() for line in file.read_text().splitlines() if path in line]


def log_level(service: Service, level: str) -> None:
    assert bool(logged(service, "/as-info", logging.INFO)) is (level == "info")
    assert logged(service, "/as-warning", logging.WARNING)


def log_format(service: Service, form: str) -> None:
    line = logged(service, "/formed", logging.CRITICAL)[-1]
    if form == "json":
        assert json.loads(line)["message"] == "spoken /formed"
    else:
        assert line.endswith("[CRITICAL] spoken /formed")


def graceful(service: Service, seconds: float) -> None:
    """A worker that is told to leave has so long for its request."""
    with held(service.door("grace")) as client:
        began = time.monotonic()
        assert service.server.run("scale", "grace", "0").returncode == 0
        told = time.monotonic()
        assert client.recv(10) == b""
        ended = time.monotonic()
    service.server.run("scale", "grace", "1")
    service.server.wait_for_workers(1, pool="grace")
    assert seconds * 0.9 <= ended - began
    assert seconds > 1 or ended - told < LONG


def delay(launch: Launch, reloaded: bool) -> None:  # see `Alone`
    """Asked to stop, it takes in clients for so long."""
    section = {"handler": "optioned:First", "bind": [TCP]}
    service = launch({"drain_delay": LONG if reloaded else 2.0}, {"main": section})
    if reloaded:
        service.configure({"drain_delay": 2.0}, {"main": section})
        service.server.hup()
    door = service.door("main")
    began = time.monotonic()
    service.server.signal(SIGTERM)
    assert not readable(within=1.0)
    assert door.ask(b"x") == b"first"
    assert service.server.wait_exit() == 0
    assert time.monotonic() - began >= 2.0
    assert not reloaded or time.monotonic() - began < LONG


EFFECTS: dict[str, AnyEffect] = {
    "user": Effect(USER, "root", is_user, service="people"),
    "group": Effect(GROUP, "0", is_group, service="people"),
    "umask": Effect("027", "000", every_child("Umask", lambda mode: ["0" + mode]), service="people"),
    "chdir": Effect("FOLDER/one", "FOLDER/two", is_directory, service="people"),
    "name": Effect("parcels", "letters", is_called, service="people"),
    "pid": Effect("FOLDER/one.pid", "FOLDER/two.pid", is_written, service="people"),
    "admin_bind": Effect([*ADMIN], [*ADMIN, "unix://FOLDER/other.sock"], admin_answers),
    "admin_group": Effect("54324", "54325", may_command, service="people"),
    "admin_allowed_hosts": Effect(["one.example"], ["two.example"], is_named),
    "admin_token_file": Effect("FOLDER/one/token", "FOLDER/two/token", wants_token),
    "graceful_timeout": Effect(LONG, SHORT, graceful),
    "drain_delay": Alone(delay),
    "bake_time": Elsewhere(CANARY, "test_old_generation_is_had_back_by_hand"),
    "canary": Elsewhere(CANARY, "test_settings_that_came_with_a_canary_go_with_it"),
    "canary_requests": Elsewhere(CANARY, "test_canaries_that_fail_are_rolled_back_and_nobody_else_notices"),
    "canary_errors": Elsewhere(CANARY, "test_bounds_are_those_of_the_new_settings"),
    "canary_latency": Elsewhere(CANARY, "test_bounds_are_those_of_the_new_settings"),
    "canary_memory": Elsewhere(CANARY, "test_bounds_are_those_of_the_new_settings"),
    "debug": Elsewhere("process/test_debugger.py", "test_debugger_outlives_timeout"),
    "reload": Elsewhere(DEVELOPING, "test_saved_code_serves_and_a_mistake_is_shown_while_the_old_code_goes_on"),
    "reload_include": Elsewhere(DEVELOPING, "test_other_files_count_by_pattern_and_by_name"),
    "reload_exclude": Elsewhere(DEVELOPING, "test_other_files_count_by_pattern_and_by_name"),
    "reload_extra_file": Elsewhere(DEVELOPING, "test_other_files_count_by_pattern_and_by_name"),
    "log_config": Elsewhere(
        "process/test_logging.py",
        "test_a_configuration_of_the_operators_holds_for_every_process_and_a_reload_reads_it_anew",
    ),
    "log_level": Effect("warning", "info", log_level),
    "log_format": Effect("text", "json", log_format),
    "log_file": Effect("FOLDER/log1", "FOLDER/log2", log_file),
}
