"""The command line: `python -m tests.bench report`, and by their names sections of it, `chaos` and the like."""

import sys
from collections.abc import Callable

from tests.bench import (
    abuse,
    applications,
    before,
    canary,
    chaos,
    compiled,
    compute,
    deploys,
    flames,
    flows,
    fuzz,
    game,
    hostile,
    migrations,
    monitor,
    monitor_picture,
    pictures,
    report,
    site,
)
from tests.bench.soak import main as soak

#: Programs with options of their own: `name: main(arguments) -> exit code`.
PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    "abuse": abuse.main,
    "applications": applications.main,
    "before": before.main,
    "chaos": chaos.main,
    "compiled": compiled.main,
    "compute": compute.main,
    "deploys": deploys.main,
    "flames": flames.main,
    "flows": flows.main,
    "fuzz": fuzz.main,
    "hostile": hostile.main,
    "canary": canary.main,
    "migrations": migrations.main,
    "game": game.main,
    "monitor": monitor.main,
    "monitor-picture": monitor_picture.main,
    "pictures": pictures.main,
    "report": report.main,
    "site": site.main,
    "soak": soak.main,
}


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] in PROGRAMS:
        return PROGRAMS[arguments[0]](arguments[1:])
    return report.main(arguments, folder=None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
