"""The watcher on real directories: each change of a file counts once, however it is made, and nothing else does.

It runs as a thread here; what it says comes over a real channel.
"""

import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree, which
from typing import TypeVar

import pytest

from forkful.master.policy.watched import Rules
from forkful.master.system.watcher import Watcher
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.messages import FROM_WATCHER
from forkful.worker.ipc.reload_messages import Changed, Imported, Unwatched, Watching
from tests.kit.wait import readable

PROGRAM = "from tests.unit.master.system import test_watcher; test_watcher.poll()"
S = TypeVar("S")
LIMITED = "echo {} > /proc/sys/user/max_inotify_{} && exec {} -P -c '" + PROGRAM + "'"


class Watched:
    """A watcher of `folder`."""

    def __init__(self, folder: Path, rules: Rules, since: float = math.inf) -> None:
        self.folder = folder
        self.ours, self._theirs = Channel.pair()
        self._said: list[object] = []
        self._thread = threading.Thread(target=Watcher(self._theirs, rules, since).run, daemon=True)
        self._thread.start()
        self.directories = self.says(Watching).directories

    def says(self, kind: type[S], within: float = 10.0) -> S:
        """The next message of this kind."""
        while True:
            for at, message in enumerate(self._said):
                if isinstance(message, kind):
                    del self._said[at]
                    return message
            assert readable(self.ours.fileno(), within=within), f"no {kind.__name__}, but {self._said}"
            self._said += self.ours.receive(FROM_WATCHER)

    def changed(self, *names: str) -> None:
        """These files, all at once, and no others before or after them."""
        change = self.says(Changed)
        assert {os.path.relpath(path, self.folder) for path in change.files} == {*names}
        self.touch("last.py")
        assert [os.path.relpath(path, self.folder) for path in self.says(Changed).files] == ["last.py"]

    def touch(self, name: str) -> None:
        path = self.folder / name
        path.write_text((path.read_text() if path.exists() else "") + "#")

    def close(self) -> None:
        self.ours.close()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._theirs.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    for name in ("deep/er", "__pycache__", ".git", "venv"):
        (folder / name).mkdir(parents=True)
    (folder / "venv" / "pyvenv.cfg").write_text("")
    (folder / "views.py").write_text("1")
    (folder / "last.py").write_text("")
    return folder


@pytest.fixture(params=["by the kernel", "by turns"])
def watched(folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", "1" if request.param == "by turns" else "")
    monkeypatch.setenv("WATCHFILES_POLL_DELAY_MS", "30")
    extra = str(folder.parent / "later" / "extra.toml")
    watched = Watched(folder, Rules((str(folder),), extra=(extra,), settings=(str(folder.parent / "s.toml"),)))
    yield watched
    watched.close()


def test_saves_of_all_kinds_count_once(watched: Watched, folder: Path) -> None:
    (folder / "views.py").write_text("22")
    watched.changed("views.py")
    (folder / "views.tmp").write_text("333")
    (folder / "views.tmp").rename(folder / "views.py")  # at once, as installers and most editors
    watched.changed("views.py")
    (folder / "views.py").rename(folder / "views.py~")  # Vim with a backup
    (folder / "views.py").write_text("4444")
    watched.changed("views.py")
    os.utime(folder / "views.py")  # touch
    watched.changed("views.py")
    (folder / "views.py").unlink()
    watched.changed("views.py")
    (folder / "views.py").write_text("new")
    watched.changed("views.py")


def test_what_is_none_of_the_applications_does_not_count(watched: Watched, folder: Path) -> None:
    for name in ("__pycache__/views.py", ".git/hook.py", "venv/lib.py", "notes.txt", "deep/.#views.py", "deep/4913"):
        (folder / name).write_text("x")
    (folder / "views.py").chmod(0o600)
    (folder / "views.py").read_text()
    watched.touch("deep/seen.py")
    watched.changed("deep/seen.py")


def test_a_checkout_of_many_files_is_one_change(watched: Watched, folder: Path) -> None:
    for number in range(300):
        (folder / "deep" / f"module{number}.py").write_text("x")
    seen = 0
    while seen < 300:
        change = watched.says(Changed)
        seen += len(change.files) + change.others
    watched.touch("last.py")
    assert watched.says(Changed).files == (str(folder / "last.py"),)


def test_directories_that_come_later_and_links(watched: Watched, folder: Path) -> None:
    away = folder.parent / "away"
    away.mkdir()
    (away / "linked.py").write_text("")
    (away / "target.py").write_text("")
    (folder / "new" / "er").mkdir(parents=True)
    (folder / "new" / "er" / "code.py").write_text("x")
    watched.changed("new/er/code.py")
    watched.touch("new/er/code.py")
    watched.changed("new/er/code.py")
    rmtree(folder / "new")
    watched.changed("new/er/code.py")
    (folder / "new").mkdir()
    (folder / "new" / "code.py").write_text("x")
    watched.changed("new/code.py")
    watched.touch("new/code.py")
    watched.changed("new/code.py")
    (folder / "link").symlink_to(away)
    watched.changed("link/linked.py", "link/target.py")
    (away / "linked.py").write_text("changed")
    watched.changed("link/linked.py")
    (folder / "single.py").symlink_to(away / "target.py")
    watched.says(Changed)


def test_files_that_are_named_count_whatever_they_are(watched: Watched, folder: Path) -> None:
    library = folder.parent / "library"
    library.mkdir()
    (library / "six.so").write_text("")
    (library / "other.so").write_text("")
    watched.ours.send(Imported({str(library): ("six.so",)}, 0))
    watched.touch("views.py")
    watched.changed("views.py")
    (library / "other.so").write_text("x")
    (library / "six.so").write_text("x")
    watched.changed("../library/six.so")
    (folder.parent / "s.toml").write_text("x")
    assert watched.says(Changed).settings
    watched.touch("views.py")
    assert not watched.says(Changed).settings


def test_what_changed_while_the_watcher_came_to_be_is_told(folder: Path) -> None:
    os.utime(folder / "views.py", (1e9, 1e9))
    os.utime(folder / "last.py", (2e9, 2e9))
    watched = Watched(folder, Rules((str(folder),)), since=1.5e9)
    assert watched.says(Changed).files == (str(folder / "last.py"),)
    watched.close()


def poll() -> None:
    """In a process that has no watches left: files are looked at by turns, and that is told."""
    folder = Path.cwd()
    watched = Watched(folder, Rules((str(folder),)))
    print(watched.says(Unwatched).why)
    (folder / "views.py").write_text("changed")
    print(watched.says(Changed).files)


@pytest.mark.parametrize(("what", "number"), [("watches", 1), ("instances", 0)])
def test_limit_of_the_kernel_is_told_by_name_and_files_are_looked_at_by_turns(
    what: str, number: int, folder: Path
) -> None:
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", LIMITED.format(number, what, sys.executable)]
    if which("unshare") is None or subprocess.run([*command[:3], "true"], check=False).returncode:
        pytest.skip("no right to make user namespaces")
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[4])}
    ran = subprocess.run(
        command,
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "max_user_watches" in ran.stdout, ran.stderr
    assert f"('{folder}/views.py',)" in ran.stdout
