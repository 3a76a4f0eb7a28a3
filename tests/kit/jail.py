"""A jail: a story told by root where nothing it does reaches the machine, with a /dev, /tmp and /run of its own.

It is a function of a test module, run in mount, process and network namespaces of its own, namespaces(7). What it
returns comes back as JSON.
Can go wrong: no right to make namespaces: the test is skipped, or fails where neighbours are required.
"""

import importlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from tests.kit import passable
from tests.kit.server import APPS, CLI, Server

Outcome = dict[str, Any]  # Any: JSON
WORKER = 54_321  # the user of the workers, and their group; without an entry in passwd
_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
_PATIENCE = 100.0  # seconds for a story


def tell(story: Callable[["Jail"], Outcome]) -> Outcome:
    """Have it told, and give what it found."""
    if os.geteuid() != 0:
        pytest.skip("only root has root's rights to lose")
    inside = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
    command = [*passable.wrapper(), *inside, _python(), "-m", "tests.kit.jail", story.__module__, story.__qualname__]
    told = subprocess.run(
        command, capture_output=True, text=True, timeout=_PATIENCE, check=False, cwd=Path(__file__).parents[2]
    )
    assert told.returncode == 0, f"{told.stdout}\n{told.stderr}"
    outcome: Outcome = json.loads(told.stdout.splitlines()[-1])
    return outcome


def _python() -> str:
    return os.environ.get("JAIL_PYTHON", sys.executable)  # another version, to see an attack succeed


class Jail:
    """What a story does things with."""

    def __init__(self) -> None:
        self.home = Path("/tmp/w")  # the workers' own
        self.root = Path("/tmp/root")  # root's
        self.root.mkdir(mode=0o755)
        self.home.mkdir()
        os.chown(self.home, WORKER, WORKER)
        self._servers: list[Server] = []

    def victim(self, name: str = "victim") -> Path:
        """A file of root's that is nobody else's business."""
        path = self.root / name
        path.write_text("secret")
        path.chmod(0o600)
        return path

    def server(
        self,
        *flags: str,
        handler: str = "classic:EchoHandler",
        user: int = WORKER,
        config: str = "",
        env: Mapping[str, str] = {},
        ready: bool = True,
        admin: str = "",
        bind: str = "127.0.0.1:0",
        wrapper: Sequence[str] = (),
    ) -> Server:
        folder = self.root / f"server{len(self._servers)}"
        folder.mkdir()
        server = Server(folder)
        command = [*CLI, "serve", "--admin-bind", admin or f"unix://{server.admin.path}", "--user", str(user), *flags]
        if config:
            server.configure(config)
            command += ["-c", str(folder / "forkful.toml")]
        else:
            command += [handler, "--bind", bind]
        server.launch([*wrapper, *command], cwd=APPS, env={"TMPDIR": "/tmp", **env})
        self._servers.append(server)
        if ready:
            server.wait_ready()
        return server

    @contextmanager
    def meanwhile(self, attack: Callable[[], object], user: int = WORKER) -> Iterator[None]:
        """Have the workers' user do this over and over, until the end."""
        pid = os.fork()
        if pid == 0:
            _become(user)
            while True:
                try:
                    attack()
                except OSError:
                    continue
        try:
            yield
        finally:
            os.kill(pid, SIGKILL)
            os.waitpid(pid, 0)

    def does(self, what: Callable[[], object], user: int = WORKER) -> None:
        """Have that user do this once."""
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _become(user)
                what()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0

    def logs(self) -> str:
        return "\n".join(server.log for server in self._servers)


def _become(user: int) -> None:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def owner(path: Path) -> int:
    """Whose it is; -1: there is no such thing."""
    return path.lstat().st_uid if os.path.lexists(path) else -1


def _mount(what: str, where: str, options: str = "mode=755") -> None:
    subprocess.run(["mount", "-t", what, "-o", options, "none", where], check=True)


@contextmanager
def _kept(*paths: Path) -> Iterator[None]:
    """What we run from stays where it is, also below a directory that is covered meanwhile."""
    held = {path: os.open(path, os.O_PATH) for path in paths}
    yield
    for path, fd in held.items():
        if not path.exists():
            path.mkdir(parents=True)
            subprocess.run(["mount", "-c", "--bind", f"/proc/self/fd/{fd}", path], check=True, pass_fds=[fd])
        os.close(fd)


def prepare() -> None:
    """Make it a place of its own."""
    with _kept(*dict.fromkeys([Path(__file__).parents[2], Path(sys.prefix), Path(sys.base_prefix)])):
        _cover()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _cover() -> None:
    _mount("tmpfs", "/dev")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(f"/dev/{name}", stat.S_IFCHR | 0o666, os.makedev(major, minor))
        Path(f"/dev/{name}").chmod(0o666)
    for name, target in _LINKS.items():
        Path(f"/dev/{name}").symlink_to(target)
    Path("/dev/shm").mkdir()
    _mount("tmpfs", "/dev/shm", "mode=1777")
    _mount("tmpfs", "/run")
    _mount("tmpfs", "/tmp", "mode=1777")


def main(arguments: Sequence[str]) -> int:
    prepare()
    module, name = arguments
    story = getattr(importlib.import_module(module), name)
    jail = Jail()
    try:
        outcome = story(jail)
    except BaseException:
        sys.stderr.write(jail.logs())
        raise
    print(json.dumps(outcome | {"log": jail.logs()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
