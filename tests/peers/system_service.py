"""forkful.service as an operator has installed it, with an application that a test can follow and change.

Can go wrong: what `SystemManager` tells.
"""

import shutil
from typing import Self

from tests.kit.admin import Admin
from tests.kit.door import Door, door_of
from tests.kit.events import Events
from tests.kit.server import APPS
from tests.kit.wait import PATIENCE, until
from tests.peers.neighbour import DEPLOY
from tests.peers.system_manager import SystemManager

SERVICE = "forkful.service"
_LOG = "/srv/forkful/service.log"


class Service:
    """The unit and the settings file that we hand out; what is changed is said here and in the test."""

    def __init__(self, manager: SystemManager) -> None:
        self.manager = manager
        self.log_path = manager.srv / "service.log"
        self.app = manager.srv / "operator_app.py"
        for module in ("stages.py", "classic.py"):
            shutil.copy(APPS / module, manager.srv)

    def __enter__(self) -> Self:
        self.log_path.write_text("")
        self.app.write_text("from stages import Staged as Handler\n")
        self.events = Events(self.manager.srv)
        for path in self.events.paths.values():
            path.chmod(0o666)
        self.configure()
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        self.events.let_through(64)  # a test that failed may have left somebody there
        self.manager.run("stop", "forkful.socket", SERVICE)
        self.manager.run("reset-failed")
        self.events.__exit__()

    def configure(self, bind: str = 'bind = ["tcp://127.0.0.1:0"]') -> None:
        """The settings file, with ports of the test's own."""
        text = (DEPLOY / "systemd" / "forkful.toml").read_text()
        for said, instead in (
            ('bind = ["tcp://*:7000"]', bind),
            ("tcp://127.0.0.1:9464", "tcp://127.0.0.1:0"),
            ("forkful.handlers.echo:EchoStream", "operator_app:Handler"),
            ('workers = "auto"', "workers = 2"),
            ("drain_delay = 5", "drain_delay = 0"),
        ):
            assert said in text
            text = text.replace(said, instead)
        (self.manager.settings / "forkful.toml").write_text(text)

    def install(self, changes: str = "") -> None:
        """The unit, with `changes` to its [Service]."""
        lines = [
            "[Service]",
            f"StandardOutput=append:{_LOG}",
            f"StandardError=append:{_LOG}",
            "Environment=EVENTS=/srv/forkful/events GATE=/srv/forkful/gate",
            "Environment=LD_LIBRARY_PATH=/srv/forkful/python/lib",
            "RestartSec=100ms",
            changes,
        ]
        self.manager.install(SERVICE, "\n".join(lines) + "\n")
        self.manager.do("daemon-reload")

    def start(self) -> dict[str, str]:
        """Start it, and return the unit's properties."""
        self.manager.do("start", SERVICE)
        return self.manager.show()

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def wait_for_log(self, text: str, *, within: float = PATIENCE) -> None:
        until(lambda: text in self.log, what=f"{text!r} in the log", within=within)

    @property
    def admin(self) -> Admin:
        return Admin(self.manager.inside("/run/forkful/admin.sock"))

    def door(self) -> Door:
        """Where it listens now."""
        (pool,) = self.admin.status()["pools"]
        (listener,) = pool["listeners"]
        door = door_of(listener["address"])
        if isinstance(door.address, str):
            door.address = str(self.manager.inside(door.address))
        return door
