"""The command line and what it shows. This `main` is the console script; the commands are in the module `main`."""

import sys

if sys.argv[1:2] == ["serve"]:  # before anything that takes time is imported: signals find somebody from here on
    from forkful.master.system import early

    early.hold()


def main() -> None:
    """Run the command line and end the process."""
    from forkful.master.cli.main import main as commands  # noqa: PLC0415  # a worker that imports this package needs none

    commands()
