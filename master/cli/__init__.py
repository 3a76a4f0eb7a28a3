"""The command line and what it shows. This `main` is the console script; the commands are in the module `main`."""

import os
import sys

if sys.argv[1:2] == ["serve"]:  # before anything that takes time is imported: signals find somebody from here on
    from forkful.master.system import early

    early.hold()


def main() -> None:
    """Run the command line and end the process."""
    if sys.argv[1:2] == ["serve"] and not {"-h", "--help"} & {*sys.argv} and "_FORKFUL_COMPLETE" not in os.environ:
        import gc  # noqa: PLC0415

        gc.disable()  # what imports leave of garbage is little, and soon this process executes another program
        from forkful.conf import descriptors  # noqa: PLC0415

        descriptors.complete()  # before anything else is opened
        from forkful.master.cli import serving  # noqa: PLC0415  # click, which reads all other commands, costs as much

        serving.serve(sys.argv[2:])
    from forkful.master.cli.main import main as commands  # noqa: PLC0415  # a worker that imports this package needs none

    commands()
