"""Every option of the table has its effect, at the start and after a reload, in the process that it is for.

What a reload may not change is asked for in vain, and must be as at the start.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from forkful.conf.option import Option
from forkful.conf.options import OPTIONS
from tests.kit import passable
from tests.kit.admin import Admin
from tests.kit.server import APPS, CLI, Server
from tests.process.effects import Alone, Effect, Elsewhere, Section, Service, hooks, master, pool, sockets, web

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("every option")]

EFFECTS = {**hooks.EFFECTS, **master.EFFECTS, **pool.EFFECTS, **sockets.EFFECTS, **web.EFFECTS}
POOLS = {**hooks.POOLS, **master.POOLS, **pool.POOLS, **sockets.POOLS, **web.POOLS}
OWN_POOLS = {"people": ["people"], "slow": ["slow", "age"]}
OWN_POOLS["main"] = [name for name in POOLS if not any(name in names for names in OWN_POOLS.values())]
PHASES = ("start", "reload")


class _OneAtATime(Admin):
    """The admin child takes few clients at once, and all checks ask it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._turn = Lock()

    def get(self, page: str) -> tuple[int, str]:
        with self._turn:
            return super().get(page)


class Runs:
    """The history of each service that effects share: a start, all checks, one reload, all checks again. Told once."""

    def __init__(self, tmp: Path) -> None:
        self._tmp = tmp
        self._told: dict[str, dict[tuple[str, str], BaseException | None]] = {}
        self._houses: list[Service] = []

    def outcome(self, service: str, name: str, phase: str) -> BaseException | None:
        if service not in self._told:
            self._told[service] = {}
            self._tell(service, self._told[service])
        return self._told[service].get((name, phase), AssertionError("the history did not come so far"))

    def _tell(self, name: str, told: dict[tuple[str, str], BaseException | None]) -> None:
        effects = {
            key: effect for key, effect in EFFECTS.items() if isinstance(effect, Effect) and effect.service == name
        }
        wrapper = passable.wrapper() if name == "people" else []
        service = self.launch(*_sections(name, effects, "start"), wrapper=wrapper)
        for phase in PHASES:
            if phase == "reload":
                service.configure(*_sections(name, effects, phase))
                result = service.server.reload()
                assert result.returncode == 0, result.stderr
            with ThreadPoolExecutor(len(effects)) as threads:
                done = {
                    key: threads.submit(self._check, service, key, effect, phase) for key, effect in effects.items()
                }
            told |= {(key, phase): future.exception() for key, future in done.items()}
        service.server.now_holds_more()

    def _check(self, service: Service, key: str, effect: Effect, phase: str) -> None:
        asked = effect.then if phase == "reload" and _option(key).reload else effect.start
        effect.check(service, _filled(service, asked))

    def launch(self, master: Section, pools: Mapping[str, Section], *, wrapper: list[str] | None = None) -> Service:
        folder = self._tmp / f"server{len(self._houses)}"
        folder.mkdir()
        server = Server(folder)
        server.admin = _OneAtATime(server.admin.path)
        shared = Path(tempfile.mkdtemp(prefix="forkful-options-"))
        shared.chmod(0o777)
        for name in ("one", "two"):
            (shared / name).mkdir()
            shutil.copy(APPS / "optioned.py", shared / name)
            (shared / name / "token").write_text(name)
        file = folder / "forkful.toml"

        def configure(master: Section, pools: Mapping[str, Section]) -> None:
            file.write_text(_filled(service, _toml(master, pools)))

        service = Service(server, shared, configure)
        self._houses.append(service)
        configure(master, pools)
        command = [*(wrapper or []), *CLI, "serve", "-c", str(file)]
        server.launch(command, cwd=APPS, env={"GATE": str(shared)})
        server.wait_ready(within=60.0)
        return service

    def finish(self) -> None:
        """Stop them all, and see that nothing is left."""
        problems = []
        for service in self._houses:
            try:
                service.server.finish()
            except AssertionError as problem:
                problems.append(f"{problem}\n{service.server.log}")
            shutil.rmtree(service.folder, ignore_errors=True)
        assert not problems, "\n".join(problems)


def _option(name: str) -> Option:
    return next(option for option in OPTIONS if option.name == name)


def _sections(service: str, effects: Mapping[str, Effect], phase: str) -> tuple[Section, Mapping[str, Section]]:
    values = {key: effect.start if phase == "start" else effect.then for key, effect in effects.items()}
    of_master = {key: value for key, value in values.items() if not effects[key].pool}
    pools = {name: dict(POOLS[name]) for name in OWN_POOLS[service]}
    for key, effect in effects.items():
        if effect.pool:
            pools[effect.pool][key] = values[key]
    return of_master, pools


def _toml(master: Section, pools: Mapping[str, Section]) -> str:
    admin = {"admin_bind": ["unix://ADMIN"]} | {key: value for key, value in master.items() if key.startswith("admin_")}
    lines = ["[admin]", *(f"{key.removeprefix('admin_')} = {json.dumps(value)}" for key, value in admin.items())]
    lines += ["[master]", *(f"{key} = {json.dumps(value)}" for key, value in master.items() if key not in admin)]
    for name, section in pools.items():
        lines += [f"[pool.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
    return "\n".join([*lines, ""])


def _filled(service: Service, value: Any) -> Any:  # Any: an option's value
    match value:
        case str():
            return value.replace("FOLDER", str(service.folder)).replace("ADMIN", str(service.server.admin.path))
        case list():
            return [_filled(service, part) for part in value]
    return value


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    found = Runs(tmp_path_factory.mktemp("options"))
    yield found
    found.finish()


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_option_has_its_effect(option: Option, phase: str, runs: Runs) -> None:
    assert option.name in EFFECTS, "say in tests/process/effects what it does, and how that is seen from outside"
    match EFFECTS[option.name]:
        case Effect(service="people") if os.geteuid() != 0:
            pytest.skip("only root may become somebody else")
        case Effect(service=service) as effect:
            assert effect.start != effect.then
            if (problem := runs.outcome(service, option.name, phase)) is not None:
                raise problem
        case Alone(prove):
            prove(runs.launch, phase == "reload")
        case Elsewhere(file, test):
            assert f"def {test}(" in (Path(__file__).parents[1] / file).read_text(), "the test that shows it is gone"


def test_no_effect_is_of_an_option_that_is_gone() -> None:
    assert set(EFFECTS) == {option.name for option in OPTIONS}
