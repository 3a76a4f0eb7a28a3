"""What `forkful check` prints."""

import json
import tomllib
from pathlib import Path

from forkful.conf.check import check
from forkful.conf.cpus import Cpus
from forkful.conf.machine import Machine

FILE = '[master]\numask = "027"\n[pool.a]\nhandler = "x:Y"\nbind = [":1", "tcp://[::1]:2"]\ntimeout = "1m"\n'
MACHINE = Machine(
    pids=frozenset(), uid=0, gid=0, cwd="/", cpus=lambda: Cpus(2, "auto: 2 = 2"), stop_limit=lambda _: None
)


def test_the_effective_settings_come_with_their_sources_and_are_a_settings_file_again(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(FILE)

    text, code = check(["-c", str(path), "-w", "auto"], {"FORKFUL_THREADS": "3"}, machine=MACHINE)
    lines = [" ".join(line.split()) for line in text.splitlines()]

    assert code == 0
    assert f'umask = "027" # {path}: [master] umask' in lines
    assert f"timeout = 60 # {path}: [pool.a] timeout" in lines
    assert "workers = 2 # --workers (auto: 2 = 2)" in lines
    assert "threads = 3 # FORKFUL_THREADS" in lines
    assert "surge = 1 # default" in lines
    path.write_text(text)
    again, code = check(["-c", str(path)], {}, machine=MACHINE)
    assert (tomllib.loads(again), code) == (tomllib.loads(text), 0)


def test_the_same_in_json(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(FILE)

    text, code = check(["-c", str(path), "-w", "auto"], {"FORKFUL_WRKERS": "3"}, as_json=True, machine=MACHINE)
    said = json.loads(text)

    assert code == 0
    assert said["pools"]["a"]["workers"] == {"value": 2, "source": "--workers", "reason": "auto: 2 = 2"}
    assert said["pools"]["a"]["bind"] == {"value": ["*:1", "tcp://[::1]:2"], "source": f"{path}: [pool.a] bind"}
    assert said["master"]["graceful_timeout"] == {"value": 30.0, "source": "default"}
    assert len(said["warnings"]) == 1


def test_a_span_of_workers_is_shown_as_it_may_be_written() -> None:
    text, _ = check(["x:Y", "-w", "2-8"], {}, machine=MACHINE)
    said, _ = check(["x:Y", "-w", "2-8"], {}, as_json=True, machine=MACHINE)

    assert "workers = { min = 2, max = 8 }" in text
    assert json.loads(said)["pools"]["main"]["workers"] == {"value": {"min": 2, "max": 8}, "source": "--workers"}


def test_every_mistake_is_told_and_the_exit_code_says_so() -> None:
    argv = ["x:Y", "-w", "0", "-t", "soon"]

    text, code = check(argv, {}, machine=MACHINE)
    said, json_code = check(argv, {}, as_json=True, machine=MACHINE)

    assert (code, json_code) == (1, 1)
    assert text.splitlines()[0] == "2 mistakes in the settings:"
    assert json.loads(said)["mistakes"][0] == {
        "place": "--workers",
        "what": "'0' is out of bounds",
        "hint": "it must be at least 1",
    }
