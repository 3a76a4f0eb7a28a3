"""From settings to the plan: budgets, plain addresses, paths."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from forkful.conf.address import Address
from forkful.conf.arguments import Arguments
from forkful.conf.cpus import Cpus
from forkful.conf.machine import Machine
from forkful.conf.mistakes import Mistakes
from forkful.conf.plan import MasterPlan, Plan
from forkful.conf.reader import Answer, read, settle

Ask = Callable[[str, float, MasterPlan], Answer]


def never(handler: str, timeout: float, master: MasterPlan) -> Answer:
    raise AssertionError(handler, timeout, master)


def machine(cwd: Path, uid: int = 0, limit: float | None = None) -> Machine:
    return Machine(
        pids=frozenset(),
        uid=uid,
        gid=uid,
        cwd=str(cwd),
        cpus=lambda: Cpus(2, "auto: 2 = affinity 2"),
        stop_limit=lambda _: limit,
    )


def plan(cwd: Path, *argv: str, file: str = "", ask: Ask = never) -> Plan:
    if file:
        (cwd / "x.toml").write_text(file)
        argv = (*argv, "-c", str(cwd / "x.toml"))
    return read(argv, {}, machine(cwd), ask)


def mistakes(cwd: Path, *argv: str, file: str = "", on: Machine | None = None, ask: Ask = never) -> list[str]:
    if file:
        (cwd / "x.toml").write_text(file)
        argv = (*argv, "-c", str(cwd / "x.toml"))
    with pytest.raises(Mistakes) as caught:
        read(argv, {}, on or machine(cwd), ask)
    return [str(mistake).replace(str(cwd), "CWD") for mistake in caught.value.mistakes]


def test_the_plan_says_what_was_said_and_survives_json(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    made = plan(
        tmp_path, "x:Y", "-b", "tcp://:1", "-w", "auto", "--umask", "022", "--chdir", "app", "--pid", "x.pid",
        "--log-file", "/dev/null", "--access-log", "-", "--log-level", "debug", "--max-rss", "1G",
    )  # fmt: skip
    (pool,) = made.pools

    assert (pool.name, pool.handler, pool.bind, pool.max_rss) == ("main", "x:Y", (Address("tcp", "*", 1),), 1 << 30)
    assert (pool.workers, pool.workers_reason) == (2, "auto: 2 = affinity 2")
    assert made.master.umask == 0o022
    assert made.master.chdir == str(tmp_path / "app")
    assert made.master.pid == str(tmp_path / "app" / "x.pid")
    assert (made.master.log.level, made.master.log.file, made.master.log.access) == ("debug", "/dev/null", "-")
    assert Plan.from_json(made.to_json()) == made


@pytest.mark.parametrize(("kind", "scheme"), [("stream", "tcp"), ("datagram", "udp"), ("http", "http")])
def test_a_plain_address_gets_its_scheme_from_the_handler(tmp_path: Path, kind: str, scheme: str) -> None:
    asked = []

    def ask(handler: str, timeout: float, master: MasterPlan) -> Answer:
        asked.append((handler, timeout, master.umask))
        return Answer(kind, imported=kind == "http")

    made = plan(tmp_path, "x:Y", "-b", ":1", "-b", "127.0.0.1:2", "--boot-timeout", "7", ask=ask)

    assert [str(address) for address in made.pools[0].bind] == [f"{scheme}://*:1", f"{scheme}://127.0.0.1:2"]
    assert asked == [("x:Y", 7.0, -1)]
    assert bool(made.warnings) is (kind == "http"), "it was imported only to be asked"


def test_a_plain_address_may_turn_out_to_clash(tmp_path: Path) -> None:
    file = '[pool.a]\nhandler="x:Y"\nbind=":1"\n[pool.b]\nhandler="x:Z"\nbind="tcp://:1"\n'

    (mistake,) = mistakes(tmp_path, file=file, ask=lambda *_: Answer("stream"))

    assert mistake.startswith("CWD/x.toml: [pool.b] bind: tcp://*:1 is taken by CWD/x.toml: [pool.a] bind;")
    assert [str(pool.bind[0]) for pool in plan(tmp_path, file=file, ask=lambda *_: Answer("datagram")).pools] == [
        "udp://*:1",
        "tcp://*:1",
    ]


def test_an_embedded_plain_address_is_what_the_scripts_own_is(tmp_path: Path) -> None:
    given = Arguments(embedded={"handler": "x.py", "bind": ["udp://localhost:1"]})

    made = read(given, {"FORKFUL_BIND": ":2"}, machine(tmp_path), never)

    assert [str(address) for address in made.pools[0].bind] == ["udp://*:2"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["-b", "tcp://:1", "--max-requests-jitter", "5"], "--max-requests-jitter: there is no max_requests to jitter"),
        (["-b", "udp://:1", "-b", "tcp://:1"], "--bind: streams and datagrams in one pool"),
        (["-b", "tcp://:1", "-b", "tcp://:1"], "--bind: tcp://*:1 is twice here"),
        (["-b", "tcp://127.0.0.1:9464"], "--bind: tcp://127.0.0.1:9464 is taken by [admin] bind (default)"),
        (["-b", "tcp://:1", "--admin-bind", "udp://:1"], "--admin-bind: udp://*:1 carries datagrams"),
        ([f"-btcp://:{port}" for port in range(1, 18)], "--bind: 17 addresses; a pool may have 16"),
        (["-b", ""], "--bind: names no address"),
        (["-b", "tcp://:1", "--pid", "/nowhere/x.pid"], "--pid: there is no directory '/nowhere'"),
        (["-b", "tcp://:1", "--log-file", "/"], "--log-file: '/' is a directory"),
        (["-b", "tcp://:1", "--log-file", ""], "--log-file: the log needs a file"),
        (["-b", "tcp://:1", "--chdir", "nowhere"], "--chdir: 'CWD/nowhere' is not a directory"),
        (["-b", "tcp://:1", "-u", "no such user"], "--user: there is no user 'no such user'"),
        (["-b", "tcp://:1", "-g", "no such group"], "--group: there is no group 'no such group'"),
    ],
)
def test_what_does_not_add_up_is_a_mistake_at_its_place(tmp_path: Path, argv: list[str], words: str) -> None:
    (mistake,) = mistakes(tmp_path, "x:Y", *argv)

    assert mistake.startswith(words)


@pytest.mark.parametrize("variable", ["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"])
def test_a_default_admin_socket_whose_path_is_too_long_is_a_mistake(tmp_path: Path, variable: str) -> None:
    """Not a service that runs and takes no commands."""
    environ = {variable: "/run/" + "x" * 100}

    (mistake,) = settle(["x:Y", "-b", "tcp://:1"], environ, machine(tmp_path)).mistakes

    assert mistake.place == "[admin] bind (default)"
    assert "may have 107 bytes" in mistake.what
    assert variable in mistake.hint
    told = ["x:Y", "-b", "tcp://:1", "--admin-bind", "unix:///run/x.sock"]
    assert not settle(told, environ, machine(tmp_path)).mistakes


def test_an_elastic_pool_starts_with_its_least(tmp_path: Path) -> None:
    (pool,) = plan(tmp_path, "x:Y", "-b", "tcp://:1", "-w", "2-8").pools

    assert (pool.workers, pool.workers_min, pool.workers_max) == (2, 2, 8)


@pytest.mark.parametrize(("said", "jitter"), [([], 101), (["--max-requests-jitter", "0"], 0)])
def test_workers_do_not_all_leave_after_the_same_number_of_requests(
    said: list[str], jitter: int, tmp_path: Path
) -> None:
    pool = plan(tmp_path, "app:Handler", "-b", "tcp://:1", "--max-requests", "1001", *said).pools[0]
    assert (pool.max_requests, pool.max_requests_jitter) == (1001, jitter)


def test_a_handler_that_was_said_to_be_a_web_application_is_not_asked(tmp_path: Path) -> None:
    made = plan(tmp_path, "x:Y", "-b", ":1", "--interface", "asgi")

    assert [address.scheme for address in made.pools[0].bind] == ["http"]


def test_name_of_a_host_is_its_addresses(tmp_path: Path) -> None:
    made = plan(tmp_path, "x:Y", "-b", "tcp://localhost:1", "-b", "tcp://localhost:0")

    assert {str(a) for a in made.pools[0].bind} - {"tcp://[::1]:1"} == {"tcp://127.0.0.1:1", "tcp://localhost:0"}


def test_port_0_may_be_asked_for_as_often_as_one_likes(tmp_path: Path) -> None:
    assert len(plan(tmp_path, "x:Y", "-b", "tcp://:0", "-b", "tcp://:0").pools[0].bind) == 2


def test_user_that_cannot_read_this_python_is_a_mistake_and_a_service_keeps_the_one_that_it_has(tmp_path: Path) -> None:
    on = replace(machine(tmp_path), unreadable=lambda who: "/root" if who.uid == 12345 else "")
    flags = ["x:Y", "-b", "tcp://:1"]

    (mistake,) = mistakes(tmp_path, *flags, "-u", "12345", on=on)
    assert mistake.startswith("--user: user '12345' cannot read /root, where this Python")
    assert read([*flags, "-u", "54321"], {}, on, never).master.user == "54321"
    pinned = ["--pinned", '{"user": "12345", "group": ""}']
    assert mistakes(tmp_path, *pinned, *flags, "-u", "54321", on=on)[0].count("'12345'")


def test_only_root_may_become_another_user(tmp_path: Path) -> None:
    on = machine(tmp_path, uid=12345)

    assert mistakes(tmp_path, "x:Y", "-b", "tcp://:1", "-u", "0", on=on)[0].startswith("--user: only root may become")
    assert read(["x:Y", "-b", "tcp://:1", "-u", "12345"], {}, on, never).master.user == "12345"


def test_a_stop_must_fit_into_systemds_limit(tmp_path: Path) -> None:
    argv = ["x:Y", "-b", "tcp://:1", "--drain-delay", "70"]

    (mistake,) = mistakes(tmp_path, *argv, on=machine(tmp_path, limit=90))

    assert mistake == (
        "--drain-delay: drain_delay 70 + graceful_timeout 30 are 100 seconds, but systemd kills after "
        "TimeoutStopSec, 90; make them less, or TimeoutStopSec more than 100"
    )
    assert read(argv, {}, machine(tmp_path, limit=101), never).master.drain_delay == 70


def test_wrong_flags_are_told_together_with_everything_else(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "x:Y", "--workrs", "3", "-t", "soon", "-b", "foo://")[0].startswith("--workrs: ")
    assert len(mistakes(tmp_path, "x:Y", "--workrs", "3", "-t", "soon", "-b", "foo://")) == 3


def test_all_that_is_told_is_one_text(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match=r"^2 mistakes in the settings:\n  --timeout: .*\n  --surge: .*$") as caught:
        read(["x:Y", "-b", "tcp://:1", "-t", "x", "--surge", "0"], {}, machine(tmp_path), never)
    assert caught.value.code == 1
