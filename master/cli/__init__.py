"""The command line and what it shows. `main` here is the console script; the commands are in the module of that name."""


def main() -> None:
    """Run the command line and end the process."""
    from forkful.master.cli.main import main as commands  # noqa: PLC0415  # a worker that imports this package needs none

    commands()
