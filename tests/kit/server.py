"""A running server: a real `forkful serve` in a session of its own, and all that a test asks of it.

Can go wrong: it does not become ready, does not stop, or leaves something behind: an `AssertionError` that says what.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGABRT, SIGHUP, SIGKILL, SIGTERM, SIGUSR2, Signals
from typing import IO, TypeVar

from tests.kit import processes
from tests.kit.admin import Admin, Json, Metrics
from tests.kit.door import Door
from tests.kit.environment import for_servers
from tests.kit.events import Events
from tests.kit.notify import Notifications, Record
from tests.kit.wait import PATIENCE, TooLateError, gone, readable, until

T = TypeVar("T")

APPS = Path(__file__).parent.parent / "apps"
CLI = (sys.executable, "-m", "forkful")


class Server:
    """One `forkful serve` (or a script that became one), from its first fork to the proof that nothing is left."""

    def __init__(self, folder: Path, doors: Sequence[Door] = ()) -> None:
        self.folder = folder
        self.doors = tuple(doors)
        self.admin = Admin(folder / "admin.sock")
        self.log_path = folder / "server.log"
        self.events = Events(folder)
        self.notifications = Notifications(folder / "notify.sock")
        self.runtime = folder / "run"
        self.runtime.mkdir()
        self.may_log_tracebacks = False
        self.process: subprocess.Popen[bytes]
        self._log: IO[bytes]
        self._pidfd = -1
        self._descriptors = 0

    # -- life --------------------------------------------------------------------------------------------------------

    def launch(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        """Start it, hand the doors down, and keep none of them."""
        self._log = self.log_path.open("ab")
        environment = for_servers(os.environ) | {
            "NOTIFY_SOCKET": str(self.notifications.path),
            "PYTHONDONTWRITEBYTECODE": "1",  # tests rewrite modules within the second that a .pyc is trusted for
            "RUNTIME_DIRECTORY": str(self.runtime),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "TMPDIR": str(self.runtime),
        }
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment | self.events.environment | dict(env),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[door.listener.fileno() for door in self.doors if door.listener],
            start_new_session=True,
        )
        self._pidfd = os.pidfd_open(self.pid)
        for door in self.doors:
            door.close()

    def wait_ready(self, *, within: float = PATIENCE) -> None:
        self.wait_for(lambda record: record.get("READY") == "1", what="READY=1", within=within)
        self._descriptors = self._descriptors or len(processes.descriptors(self.pid))

    def wait_for(self, wanted: Callable[[Record], bool], *, what: str, within: float = PATIENCE) -> Record:
        """Wait for a record on the notification socket."""
        return self.notifications.wait(wanted, what=what, pidfd=self._pidfd, within=within)

    def wait_exit(self, *, within: float = PATIENCE) -> int:
        """Wait for the master to end by itself, and return its exit code."""
        self.notifications.listen(self._pidfd, within=within)
        try:
            return self.process.wait(0.1)
        except subprocess.TimeoutExpired:
            raise TooLateError(f"the server did not end within {within:g} s") from None

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def finish(self) -> None:
        """Stop it if it runs and prove that nothing is left. The last thing a test does, whether it passed or not."""
        try:
            if self.running:
                self._stop_and_check()
            left = processes.session(self.pid)
            assert not left, f"processes left behind: {left}"
            candidates = (*self.runtime.rglob("*"), self.admin.path, *self.folder.glob("*.pid"))
            files = [str(path) for path in candidates if path.exists()]
            assert not files, f"files left behind: {files}"
            if not self.may_log_tracebacks:
                assert "Traceback" not in self.log, "a traceback that the test did not announce"
        finally:
            self._clean_up()

    def _stop_and_check(self) -> None:
        if self._descriptors:
            self._assert_no_descriptor_leaked()
        self.signal(SIGTERM)
        try:
            code = self.wait_exit()
        except TooLateError:
            self._show_stacks()
            raise
        assert code == 0, f"exit code {code} after TERM"

    def _show_stacks(self) -> None:
        """Who is still there is asked where it hangs: a worker writes its stacks to the log and dies."""
        for pid, title in processes.session(self.pid).items():
            if ": worker" in title:
                os.kill(pid, SIGABRT)
                gone(pid)

    def _assert_no_descriptor_leaked(self) -> None:
        """Nothing this test did may have left the master with more descriptors than it was ready with."""

        def settled() -> bool:
            return len(processes.descriptors(self.pid)) <= self._descriptors

        until(settled, what=f"no more descriptors than at first: {processes.descriptors(self.pid)}")

    def was_killed(self) -> None:
        """The test killed the master: its files stay behind, which the next start must cope with."""
        for path in (*self.runtime.iterdir(), self.admin.path):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def now_holds_more(self) -> None:
        """The test gave the master more workers or listeners: what it holds now is the new measure for a leak."""
        self._descriptors = len(processes.descriptors(self.pid))

    def _clean_up(self) -> None:
        for pid in processes.session(self.pid):
            try:
                os.kill(pid, SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(PATIENCE)
        os.close(self._pidfd)
        self._log.close()
        self.notifications.close()
        self.events.__exit__()
        for door in self.doors:
            door.close()

    # -- what it is told ---------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: Signals) -> None:
        self.process.send_signal(number)

    def hup(self, *, within: float = PATIENCE) -> None:
        """Reload by signal and wait until the reload is over, whatever came of it."""
        self._deploy(SIGHUP, within, within)

    def usr2(self) -> None:
        """Upgrade by signal and wait until the upgrade is over, whatever came of it."""
        self._deploy(SIGUSR2, PATIENCE, 4 * PATIENCE)

    def _deploy(self, number: Signals, begun_within: float, over_within: float) -> None:
        self.notifications.skip()
        self.signal(number)
        self.wait_for(lambda record: record.get("RELOADING") == "1", what="RELOADING=1", within=begun_within)
        self.wait_for(
            lambda record: record.get("READY") == "1", what=f"READY=1 after {number.name}", within=over_within
        )

    def configure(self, text: str) -> None:
        """Replace the settings file; without text there is none any more."""
        path = self.folder / "forkful.toml"
        if text:
            path.write_text(text)
        else:
            path.unlink()

    def run(self, *arguments: str, within: float = 2 * PATIENCE) -> "subprocess.CompletedProcess[str]":
        """Run a `forkful` command against this server."""
        command = [*CLI, *arguments, "--admin", f"unix://{self.admin.path}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=within, check=False, cwd=self.folder)

    def reload(self) -> "subprocess.CompletedProcess[str]":
        return self.run("reload", "--wait")

    # -- what it says ------------------------------------------------------------------------------------------------

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, text: str, *, count: int = 1, within: float = PATIENCE) -> str:
        """Wait until the log says so (so many times), and return it."""
        return until(
            lambda: log if (log := self.log).count(text) >= count else "", what=f"{text!r} in the log", within=within
        )

    def wait_until(self, fact: Callable[[], T | None], *, what: str, within: float = PATIENCE) -> T:
        """Wait for a fact that can only be asked for; the server's end is the end of the wait."""

        def there() -> T | None:
            assert self.running, f"the server ended (exit code {self.process.returncode}) before {what}"
            return fact()

        return until(there, what=what, within=within)

    def wait_until_idle(self) -> None:
        """Wait for half a second in which nothing woke master, mold or workers. The pause is the thing under test."""

        def still() -> bool:
            pids = [pid for pid, title in processes.session(self.pid).items() if ": admin" not in title]
            before = [processes.switches(pid) for pid in pids]
            readable(within=0.5)
            return [processes.switches(pid) for pid in pids] == before

        self.wait_until(still, what="half a second in which nothing woke")

    def status(self) -> Json:
        return self.admin.status()

    def metrics(self) -> Metrics:
        return self.admin.metrics()

    def metrics_at_rest(self) -> Metrics:
        """A scrape when nothing is in progress: a client has its answer a moment before the request is counted."""

        def at_rest() -> Metrics | None:
            metrics = self.metrics()
            return metrics if metrics.sum("forkful_connections_active") == 0 else None

        return self.wait_until(at_rest, what="no request in progress")

    def pool(self, name: str = "main") -> Json:
        """What the status page says of one pool."""
        pools = {entry["name"]: entry for entry in self.status()["pools"]}
        pool: Json = pools[name]
        return pool

    def workers(self, pool: str = "main", phase: str = "ready") -> dict[int, int]:
        """The pids of a pool's workers in this phase, by slot, as soon as all are known: one may be 0 at first."""

        def known() -> dict[int, int] | None:
            found = {w["slot"]: w["pid"] for w in self.pool(pool)["workers"] if w["phase"].lower() == phase}
            return found if all(found.values()) else None

        return self.wait_until(lambda: [found] if (found := known()) is not None else None, what="the pids")[0]

    def wait_for_workers(self, count: int, *, pool: str = "main", besides: Sequence[int] = ()) -> dict[int, int]:
        """Wait until a pool has exactly so many workers, all ready and none of them among `besides`."""

        def there() -> dict[int, int]:
            all_of_it = self.pool(pool)["workers"]
            workers = {w["slot"]: w["pid"] for w in all_of_it if w["phase"].lower() == "ready"}
            whole = len(workers) == count == len(all_of_it) and all(workers.values())
            return workers if whole and not set(workers.values()) & set(besides) else {}

        return self.wait_until(there, what=f"{count} ready workers of {pool}, none of {list(besides)}")

    def listeners(self, pool: str = "main") -> list[str]:
        """A pool's addresses as they are bound."""
        return [listener["address"] for listener in self.pool(pool)["listeners"]]

    def listening_inodes(self, pool: str = "main") -> set[str]:
        """The sockets that both the master and each worker of a pool have open: the pool's listeners."""
        held = [processes.sockets(pid) for pid in (self.pid, *self.workers(pool).values())]
        return set.intersection(*held)

    def child(self, kind: str) -> int:
        """The pid of the process whose title starts so: `mold`, `mold gen=2`, `admin`."""

        def there() -> int | None:
            return next(
                (pid for pid, title in processes.session(self.pid).items() if title.startswith(f"forkful: {kind}")),
                None,
            )

        return until(there, what=f"a process titled forkful: {kind}; there are {processes.session(self.pid)}")

    def kill(self, pid: int, number: Signals = SIGKILL) -> None:
        """Signal one process of this service and, when that must end it, wait for its end."""
        assert pid > 0, "0 and less are groups of processes, our own among them"
        os.kill(pid, number)
        if number == SIGKILL:
            gone(pid)
