"""The running server as a fixture; its teardown is a test.

Can go wrong: what a server did wrong is shown with its log.
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from forkful.worker import compiled
from tests.kit import environment
from tests.kit.app import App
from tests.kit.door import Door, open_door
from tests.kit.server import APPS, CLI, Server
from tests.kit.shared import Kinds, Share, Shares

_REQUIRED = os.environ.get("CI") == "true" or os.environ.get("FORKFUL_REQUIRE_PEERS") == "1"
_SERVERS = pytest.StashKey[list[Server]]()


def pytest_configure() -> None:
    environment.prepare()
    compiled.use()  # the units are those that are installed


class Ask(Protocol):
    """One of the pools of a service with a pool for each of these kinds."""

    def __call__(self, kind: str, kinds: Kinds, *flags: str, binds: Sequence[str] = ("tcp",)) -> Share: ...


class Serve(Protocol):
    """Start a server and wait until it is ready."""

    def __call__(
        self,
        handler: str = "",
        *flags: str,
        binds: Sequence[str | Door] = ("tcp",),
        config: str = "",
        cwd: Path = APPS,
        env: Mapping[str, str] = {},
        script: Sequence[str] = (),
        wrapper: Sequence[str] = (),
        ready: bool = True,
    ) -> Server: ...


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Callable[[str], Door]]:
    """Bind a socket of this kind (`tcp`, `udp6`, `unix`, ...) on a port or path of its own."""
    opened: list[Door] = []

    def open_one(kind: str) -> Door:
        opened.append(open_door(kind, tmp_path))
        return opened[-1]

    yield open_one
    for door in opened:
        door.close()


@pytest.fixture
def serve(request: pytest.FixtureRequest, tmp_path: Path, doors: Callable[[str], Door]) -> Iterator[Serve]:
    """`forkful serve HANDLER *flags`, or with `config` `forkful serve -c FILE`, or with `script` that program.

    A `wrapper` (`prlimit ...`) runs it.
    """
    servers = request.node.stash.setdefault(_SERVERS, [])
    numbers = itertools.count(1)

    def start(
        handler: str = "",
        *flags: str,
        binds: Sequence[str | Door] = ("tcp",),
        config: str = "",
        cwd: Path = APPS,
        env: Mapping[str, str] = {},
        script: Sequence[str] = (),
        wrapper: Sequence[str] = (),
        ready: bool = True,
    ) -> Server:
        folder = tmp_path / f"server{next(numbers)}"
        folder.mkdir()
        handed = [bind if isinstance(bind, Door) else doors(bind) for bind in binds]
        server = Server(folder, handed)
        admin = f"unix://{server.admin.path}"
        if script:
            command, env = list(script), {"FORKFUL_ADMIN_BIND": admin, **env}
        else:
            command = [*CLI, "serve", "--admin-bind", admin, *([handler] if handler else [])]
            if config:
                (folder / "forkful.toml").write_text(config)
                command += ["-c", str(folder / "forkful.toml")]
            else:
                command += [part for door in handed for part in ("--bind", door.url)]
            command += flags
        server.launch([*wrapper, *command], cwd=cwd, env=env)
        servers.append(server)
        if ready:
            server.wait_ready()
        return server

    yield start
    failures = []
    for server in servers:
        try:
            server.finish()
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="module")
def _shares(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shares]:
    shares = Shares(tmp_path_factory.mktemp("shared"))
    yield shares
    shares.finish()


@pytest.fixture
def share(request: pytest.FixtureRequest, _shares: Shares) -> Ask:
    """One pool of a service that all parameters of a test ask, each its own: `share(kind, ALL, *flags)`.

    It starts with the first of them, and is stopped and proven to have left nothing once the module is over.
    """

    def one(kind: str, kinds: Kinds, *flags: str, binds: Sequence[str] = ("tcp",)) -> Share:
        service = _shares.service(request.node.originalname, kinds, flags, binds)
        request.node.stash.setdefault(_SERVERS, []).append(service.server)
        return service.share(kind)

    return one


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show every server's log with a failure; and nothing is left out where all neighbours are required."""
    report = yield
    if _REQUIRED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    if report.failed:
        for server in item.stash.get(_SERVERS, []):
            report.sections.append((f"log of {server.folder.name} (pid {server.pid})", server.log))
    return report


@pytest.fixture
def app(tmp_path: Path) -> App:
    """A module the test may change while it is served."""
    return App(tmp_path / "app")


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that any user may enter."""
    found = Path(tempfile.mkdtemp(prefix="forkful-test-"))
    found.chmod(0o755)
    yield found
    shutil.rmtree(found)
