"""Kills for lack of memory, as the kernel's files tell of them."""

from pathlib import Path

import pytest

from forkful.master.system import oom

EVENTS = "low 0\nhigh 0\nmax 12\noom 5\noom_kill 3\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n"


@pytest.mark.parametrize(
    ("proc", "files", "count"),
    [
        ("0::/service\n", {"service/memory.events": EVENTS}, 3),
        ("0::/\n", {"memory.events": EVENTS}, 3),
        ("0::/docker/1f\n", {"memory.events": EVENTS}, 3),
        ("4:memory:/a/b\n0::/\n", {"memory/a/b/memory.oom_control": CONTROL}, 4),
        ("0::/\n4:cpu,memory:/a\n", {"cpu,memory/a/memory.oom_control": CONTROL}, 4),
        ("4:memory:/docker/1f\n", {"memory/memory.oom_control": CONTROL}, 4),
        ("4:memory:/a\n", {"memory/a/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n"}, 0),
        ("0::/service\n", {}, 0),
        ("0::/service\n", {"service/memory.events": "oom_kill many\n"}, 0),
        ("nonsense\n", {}, 0),
    ],
    ids=[
        "version 2",
        "the root of a namespace",
        "a container that sees the host's path",
        "version 1",
        "controllers together",
        "a container of version 1",
        "an old kernel",
        "no memory controller",
        "not a number",
        "not a line of it",
    ],
)
def test_kills_are_read_where_they_are(proc: str, files: dict[str, str], count: int, tmp_path: Path) -> None:
    (tmp_path / "proc").write_text(proc)
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert oom.kills(tmp_path / "proc", tmp_path / "root") == count


def test_no_file_at_all_is_no_kill(tmp_path: Path) -> None:
    assert oom.kills(tmp_path / "nowhere", tmp_path) == 0


def test_each_kill_stands_for_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    known = oom.Kills(told=7)
    monkeypatch.setattr(oom, "kills", lambda: 9)

    assert [known.happened() for _ in range(3)] == [True, True, False]


def test_kills_before_a_worker_was_ready_say_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    known = oom.Kills(told=7)
    monkeypatch.setattr(oom, "kills", lambda: 9)
    known.forget()

    assert not known.happened()
