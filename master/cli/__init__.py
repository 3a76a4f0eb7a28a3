"""The command line and what it shows. This `main` is the console script; the commands are in the module `main`.

Two ways go past click, whose import takes longer than what they do: a start, and commands to a service that runs.
"""

import os
import sys

if sys.argv[1:2] == ["serve"]:  # before anything that takes time is imported: signals find somebody from here on
    from forkful.master.system import early

    early.hold()


def main() -> None:
    """Run the command line and end the process."""
    if "_FORKFUL_COMPLETE" not in os.environ and not {"-h", "--help"} & {*sys.argv}:
        _plainly(sys.argv[1:])
    from forkful.master.cli.main import main as commands  # noqa: PLC0415  # a worker that imports this package needs none

    commands()


def _plainly(words: list[str]) -> None:
    """Do what needs no click, and end the process; come back where it needs it."""
    import gc  # noqa: PLC0415  # as above

    from forkful.conf import descriptors  # noqa: PLC0415  # as above

    descriptors.complete()  # before anything else is opened
    gc.disable()  # what imports leave of garbage is little, and soon this process ends or executes another program
    if words[:1] == ["serve"]:
        from forkful.master.cli import serving  # noqa: PLC0415  # as above

        serving.serve(words[1:])
    from forkful.master.cli import remote  # noqa: PLC0415  # as above

    if (call := remote.understood(words)) is not None:
        remote.carry_out(call)
    gc.enable()
