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

from forkful.conf.options import OPTIONS, Option
from tests.kit import passable
from tests.kit.admin import Admin
from tests.kit.server import APPS, CLI, Server
from tests.process.effects import Alone, Effect, Elsewhere, House, Section, master, pool, web

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("every option")]

EFFECTS = {**master.EFFECTS, **pool.EFFECTS, **web.EFFECTS}
POOLS = {**master.POOLS, **pool.POOLS, **web.POOLS}
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
    """The history of each house that effects share: a start, every check, one reload, every check again. Told once."""

    def __init__(self, tmp: Path) -> None:
        self._tmp = tmp
        self._told: dict[str, dict[tuple[str, str], BaseException | None]] = {}
        self._houses: list[House] = []

    def outcome(self, house: str, name: str, phase: str) -> BaseException | None:
        if house not in self._told:
            self._told[house] = {}
            self._tell(house, self._told[house])
        return self._told[house].get((name, phase), AssertionError("the history did not come so far"))

    def _tell(self, name: str, told: dict[tuple[str, str], BaseException | None]) -> None:
        effects = {
            key: effect for key, effect in EFFECTS.items() if isinstance(effect, Effect) and effect.house == name
        }
        wrapper = passable.wrapper() if name == "people" else []
        house = self.launch(*_sections(name, effects, "start"), wrapper=wrapper)
        for phase in PHASES:
            if phase == "reload":
                house.configure(*_sections(name, effects, phase))
                result = house.server.reload()
                assert result.returncode == 0, result.stderr
            with ThreadPoolExecutor(len(effects)) as threads:
                done = {key: threads.submit(self._check, house, key, effect, phase) for key, effect in effects.items()}
            told |= {(key, phase): future.exception() for key, future in done.items()}
        house.server.now_holds_more()

    def _check(self, house: House, key: str, effect: Effect, phase: str) -> None:
        asked = effect.then if phase == "reload" and _option(key).reload else effect.start
        effect.check(house, _filled(house, asked))

    def launch(self, master: Section, pools: Mapping[str, Section], *, wrapper: list[str] | None = None) -> House:
        folder = self._tmp / f"server{len(self._houses)}"
        folder.mkdir()
        server = Server(folder)
        server.admin = _OneAtATime(server.admin.path)
        shared = Path(tempfile.mkdtemp(prefix="forkful-options-"))
        shared.chmod(0o777)
        for name in ("one", "two"):
            (shared / name).mkdir()
            shutil.copy(APPS / "optioned.py", shared / name)
        file = folder / "forkful.toml"

        def configure(master: Section, pools: Mapping[str, Section]) -> None:
            file.write_text(_filled(house, _toml(master, pools)))

        house = House(server, shared, configure)
        self._houses.append(house)
        configure(master, pools)
        command = [*(wrapper or []), *CLI, "serve", "-c", str(file)]
        server.launch(command, cwd=APPS, env={"GATE": str(shared)})
        server.wait_ready(within=60.0)
        return house

    def finish(self) -> None:
        """Stop them all, and see that nothing is left."""
        problems = []
        for house in self._houses:
            try:
                house.server.finish()
            except AssertionError as problem:
                problems.append(f"{problem}\n{house.server.log}")
            shutil.rmtree(house.folder, ignore_errors=True)
        assert not problems, "\n".join(problems)


def _option(name: str) -> Option:
    return next(option for option in OPTIONS if option.name == name)


def _sections(house: str, effects: Mapping[str, Effect], phase: str) -> tuple[Section, Mapping[str, Section]]:
    values = {key: effect.start if phase == "start" else effect.then for key, effect in effects.items()}
    of_master = {key: value for key, value in values.items() if not effects[key].pool}
    pools = {name: dict(POOLS[name]) for name in OWN_POOLS[house]}
    for key, effect in effects.items():
        if effect.pool:
            pools[effect.pool][key] = values[key]
    return of_master, pools


def _toml(master: Section, pools: Mapping[str, Section]) -> str:
    admin = master.get("admin_bind", ["unix://ADMIN"])
    lines = ["[admin]", f"bind = {json.dumps(admin)}", "[master]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in master.items() if key != "admin_bind"]
    for name, section in pools.items():
        lines += [f"[pool.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
    return "\n".join([*lines, ""])


def _filled(house: House, value: Any) -> Any:  # Any: an option's value
    match value:
        case str():
            return value.replace("FOLDER", str(house.folder)).replace("ADMIN", str(house.server.admin.path))
        case list():
            return [_filled(house, part) for part in value]
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
        case Effect(house="people") if os.geteuid() != 0:
            pytest.skip("only root may become somebody else")
        case Effect(house=house) as effect:
            assert effect.start != effect.then
            if (problem := runs.outcome(house, option.name, phase)) is not None:
                raise problem
        case Alone(prove):
            prove(runs.launch, phase == "reload")
        case Elsewhere(file, test):
            assert f"def {test}(" in (Path(__file__).parents[1] / file).read_text(), "the test that shows it is gone"


def test_no_effect_is_of_an_option_that_is_gone() -> None:
    assert set(EFFECTS) == {option.name for option in OPTIONS}
