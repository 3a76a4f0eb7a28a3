"""Sources laid over each other: who wins, which pool is meant, and what is refused."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from forkful.conf.arguments import Arguments, parse
from forkful.conf.cpus import Cpus
from forkful.conf.machine import Machine
from forkful.conf.settings import Settings, gather

ONE = """
[master]
graceful_timeout = "1m"
[pool.chat]
handler = "chat:Chat"
bind = "tcp://:7000"
workers = 2
"""
TWO = ONE + '[pool.dns]\nhandler = "dns:UDP"\nbind = "udp://:53"\n'
MACHINE = Machine(pids=frozenset({42}), uid=0, cwd="/", cpus=lambda: Cpus(3, "auto: 3"), stop_limit=lambda _: None)
NO_SCHEME = "'foo://x': 'foo' is not a scheme; use one of tcp, tls, http, https, udp, unix, http+unix, unixgram, fd"


class Reading:
    """Gather from a file's text, an environment and arguments."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "x.toml"

    def __call__(self, *argv: str, file: str = "", environ: Mapping[str, str] | None = None) -> Settings:
        if file:
            self.path.write_text(file)
            argv = (*argv, "-c", str(self.path))
        arguments, wrong = parse(argv)
        assert not wrong
        return gather(arguments, environ or {}, MACHINE)

    def sources(self, settings: Settings, key: str) -> dict[str, tuple[object, str]]:
        return {
            name: (pool[key].value, pool[key].place.replace(str(self.path), "x.toml"))
            for name, pool in settings.pools.items()
        }

    def mistakes(self, settings: Settings) -> list[str]:
        return [str(mistake).replace(str(self.path), "x.toml") for mistake in settings.mistakes]


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return Reading(tmp_path)


@pytest.mark.parametrize(
    ("argv", "environ", "expected"),
    [
        ((), {}, (2, "x.toml: [pool.chat] workers")),
        ((), {"WEB_CONCURRENCY": "5"}, (5, "WEB_CONCURRENCY")),
        ((), {"WEB_CONCURRENCY": "5", "FORKFUL_WORKERS": "6"}, (6, "FORKFUL_WORKERS")),
        (("-w", "7"), {"FORKFUL_WORKERS": "6"}, (7, "--workers")),
        ((), {"FORKFUL_WORKERS": ""}, (2, "x.toml: [pool.chat] workers")),
    ],
)
def test_flag_beats_variable_beats_platform_beats_file(
    reading: Reading, argv: tuple[str, ...], environ: dict[str, str], expected: tuple[object, str]
) -> None:
    settings = reading(*argv, file=ONE, environ=environ)

    assert reading.sources(settings, "workers") == {"chat": expected}
    assert settings.mistakes == []


def test_who_says_nothing_gets_the_built_in_pools(reading: Reading) -> None:
    settings = reading(environ={"XDG_RUNTIME_DIR": "/run/me", "PORT": "5000"})

    assert {name: [str(a) for a in pool["bind"].value] for name, pool in settings.pools.items()} == {
        "echo": ["tcp://127.0.0.1:7007"],
        "echo-udp": ["udp://127.0.0.1:7007"],
        "web": ["tcp://127.0.0.1:8000"],
    }
    assert [str(a) for a in settings.admin["bind"].value] == [
        "tcp://127.0.0.1:9464",
        "unix:///run/me/forkful/admin-forkful-tcp-127.0.0.1-7007.sock",
    ]
    assert settings.warnings == ["PORT is ignored: there are several pools"]
    assert settings.mistakes == []


def test_handler_and_flags_are_the_pool_main(reading: Reading) -> None:
    settings = reading("app:H", "--threads", "4")

    assert reading.sources(settings, "threads") == {"main": (4, "--threads")}
    assert [str(a) for a in settings.pools["main"]["bind"].value] == ["127.0.0.1:8000"]


def test_the_handler_may_come_from_the_environment_and_the_port_from_the_platform(reading: Reading) -> None:
    settings = reading(environ={"FORKFUL_HANDLER": "app:H", "PORT": "5000"})

    assert reading.sources(settings, "handler") == {"main": ("app:H", "FORKFUL_HANDLER")}
    assert [str(a) for a in settings.pools["main"]["bind"].value] == ["*:5000"]


def test_a_list_in_a_variable_has_commas_and_an_empty_one_turns_the_admin_child_off(reading: Reading) -> None:
    settings = reading("app:H", environ={"FORKFUL_BIND": "tcp://:1, tcp://:2", "FORKFUL_ADMIN_BIND": ""})

    assert [str(a) for a in settings.pools["main"]["bind"].value] == ["tcp://*:1", "tcp://*:2"]
    assert (settings.admin["bind"].value, settings.admin["bind"].place) == ((), "FORKFUL_ADMIN_BIND")


def test_with_several_pools_a_pools_flag_is_refused_with_the_key_to_write(reading: Reading) -> None:
    settings = reading("-w", "3", "--graceful-timeout", "5", file=TWO, environ={"FORKFUL_THREADS": "2", "PORT": "1"})

    assert reading.mistakes(settings) == [
        "FORKFUL_THREADS: x.toml has several pools; write threads under [pool.chat] or [pool.dns]",
        "--workers: x.toml has several pools; write workers under [pool.chat] or [pool.dns]",
    ]
    assert settings.warnings == ["PORT is ignored: there are several pools"]
    assert settings.master["graceful_timeout"].value == 5.0


def test_a_pools_flag_without_any_pool_asks_for_a_handler(reading: Reading) -> None:
    assert reading.mistakes(reading("-w", "3")) == ["--workers: needs a HANDLER; give HANDLER, like module:Handler"]


def test_a_file_without_pools_takes_the_handler_and_is_a_mistake_without(reading: Reading) -> None:
    file = '[master]\nname = "x"\n'

    assert set(reading("app:H", file=file).pools) == {"main"}
    assert reading.mistakes(reading(file=file)) == [
        "x.toml: has no pool; write [pool.main], or give HANDLER, like module:Handler"
    ]


def test_every_mistake_of_every_source_is_told_at_once(reading: Reading) -> None:
    settings = reading(
        "--timeout",
        "soon",
        file="""
            workers = 3
            [pools.x]
            [master]
            pdi = "x"
            [pool]
            handler = "x:y"
            [pool.1x]
            [pool.ok]
            bind = "foo://x"
            """,
        environ={"FORKFUL_BACKLOG": "0"},
    )

    assert reading.mistakes(settings) == [
        "x.toml: workers: there is no such section; it belongs in [pool.NAME]",
        "x.toml: pools: there is no such section; did you mean pool?",
        "x.toml: [pool] handler: a pool needs a name; write it under [pool.main], as handler = ...",
        "x.toml: [pool.1x]: '1x' is not a name for a pool; a name is a letter, then letters, digits, _ or -",
        "x.toml: [master] pdi: there is no such key; did you mean pid?",
        "x.toml: [pool.ok] bind: " + NO_SCHEME,
        "FORKFUL_BACKLOG: '0' is out of bounds; it must be at least 1 and at most 65535",
        '--timeout: \'soon\' is not a number of seconds, like 30 or 0.5, or a text like "500ms", "30s", "2m"',
        'x.toml: [pool.ok]: has no handler; write handler = "module:Handler"',
    ]


@pytest.mark.parametrize(
    ("file", "words"),
    [("[pool.a]\n[pool.a]\n", "is not TOML"), ("[master", "is not TOML"), ("[master]\npid = 1 2", "at line 2")],
)
def test_a_file_that_is_no_toml_is_one_mistake(reading: Reading, file: str, words: str) -> None:
    (mistake,) = reading.mistakes(reading(file=file))

    assert mistake.startswith("x.toml: is not TOML: ")
    assert words in mistake


def test_a_file_that_is_missing_is_one_mistake() -> None:
    settings = gather(Arguments(config="/nowhere/x.toml"), {}, MACHINE)

    assert [str(m) for m in settings.mistakes] == ["/nowhere/x.toml: cannot be read: No such file or directory"]


def test_the_file_may_be_named_by_the_environment(reading: Reading) -> None:
    reading.path.write_text(ONE)

    assert set(reading(environ={"FORKFUL_CONFIG": str(reading.path)}).pools) == {"chat"}


def test_an_unknown_variable_is_a_warning_and_kubernetes_ones_are_not_ours(reading: Reading) -> None:
    environ = {
        "FORKFUL_WORKER": "3",
        "FORKFUL_SERVICE_HOST": "10.0.0.1",
        "FORKFUL_PORT_80_TCP": "x",
        "FORKFUL_ADMIN": "x",
    }

    assert reading("app:H", environ=environ).warnings == [
        "FORKFUL_WORKER is not a setting, and is ignored; did you mean FORKFUL_WORKERS?"
    ]


def test_auto_is_counted_and_says_how(reading: Reading) -> None:
    workers = reading("app:H", "-w", "auto").pools["main"]["workers"]

    assert (workers.value, workers.note, workers.place) == (3, "auto: 3", "--workers")


SOCKETS = {"LISTEN_PID": "42", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "dns:other.socket"}
NO_BIND = '[pool.chat]\nhandler = "x:y"\nbind = "tcp://:1"\n[pool.dns]\nhandler = "x:y"\n'


def test_the_managers_sockets_go_to_the_only_pool_that_has_no_address(reading: Reading) -> None:
    settings = reading("app:H", environ=SOCKETS)

    assert [str(a) for a in settings.pools["main"]["bind"].value] == ["fd://3", "fd://4"]
    assert settings.pools["main"]["bind"].place == "LISTEN_FDS"


def test_a_named_socket_goes_to_the_pool_of_that_name(reading: Reading) -> None:
    settings = reading(file=NO_BIND, environ=SOCKETS)

    assert [str(a) for a in settings.pools["dns"]["bind"].value] == ["fd://3"]
    assert settings.warnings == ["no pool uses the socket fd://4 (other.socket) that was handed to us"]
    assert settings.mistakes == []


def test_several_sockets_of_one_name_go_to_their_pool_together(reading: Reading) -> None:
    environ = {"LISTEN_PID": "42", "LISTEN_FDS": "4", "LISTEN_FDNAMES": "dns:chat:dns"}
    settings = reading(file='[pool.chat]\nhandler = "x:y"\n[pool.dns]\nhandler = "x:y"\n', environ=environ)

    bound = {name: [str(a) for a in pool["bind"].value] for name, pool in settings.pools.items()}
    assert bound == {"dns": ["fd://3", "fd://5"], "chat": ["fd://4"]}
    assert settings.warnings == ["no pool uses the socket fd://6 (no name) that was handed to us"]


@pytest.mark.parametrize("count", ["", "-1", "two", "1e9", "²"])
def test_a_number_of_sockets_that_is_none_is_no_socket(reading: Reading, count: str) -> None:
    settings = reading("app:H", environ=SOCKETS | {"LISTEN_FDS": count})

    assert settings.pools["main"]["bind"].place == "default"


def test_sockets_meant_for_another_process_are_left_alone(reading: Reading) -> None:
    settings = reading(file=NO_BIND, environ=SOCKETS | {"LISTEN_PID": "43"})

    assert reading.mistakes(settings) == ['x.toml: [pool.dns]: has no address; write bind = ["tcp://127.0.0.1:7000"]']


def test_sockets_do_not_replace_an_address_that_was_given(reading: Reading) -> None:
    settings = reading("app:H", "-b", "fd://4", environ=SOCKETS)

    assert [str(a) for a in settings.pools["main"]["bind"].value] == ["fd://4"]
    assert settings.warnings == ["no pool uses the socket fd://3 (dns) that was handed to us"]


def test_in_the_drop_in_mode_our_variables_beat_keywords_and_keywords_the_platform() -> None:
    embedded = {"handler": "echo.py", "bind": ["udp://localhost:9999"], "workers": 2, "threads": 3, "wrokers": 1}
    environ = {"WEB_CONCURRENCY": "9", "FORKFUL_THREADS": "5", "FORKFUL_HANDLER": "x:y", "PORT": "1"}
    settings = gather(Arguments(embedded=embedded), environ, MACHINE)
    pool = settings.pools["main"]

    assert {key: (pool[key].value, pool[key].place) for key in ("handler", "workers", "threads")} == {
        "handler": ("echo.py", "the script"),
        "workers": (2, "workers="),
        "threads": (5, "FORKFUL_THREADS"),
    }
    assert [str(a) for a in pool["bind"].value] == ["udp://localhost:9999"]
    assert [str(m) for m in settings.mistakes] == ["wrokers=: there is no such keyword; did you mean workers?"]
