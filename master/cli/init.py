"""`forkful init`: writes a settings file, a systemd unit and a container file for an application, and says the rest.

Can go wrong: a handler that cannot be imported (exit code 4), none that could be meant, files that are there (1).
"""

import os
from pathlib import Path

import click

from forkful.conf.directory import named
from forkful.conf.mistakes import Mistakes, Unloadable
from forkful.master.cli import templates
from forkful.master.cli.migrate import write
from forkful.master.cli.surroundings import Surroundings, look


def init(handler: str, *, force: bool) -> int:
    """Do it in the current directory; the exit code."""
    directory = Path(named(str(Path.cwd()), os.environ, "") or Path.cwd())
    try:
        found = look(handler, directory)
    except (Mistakes, Unloadable) as wrong:
        click.echo(str(wrong), err=True)
        return wrong.code
    files = {
        "forkful.toml": templates.settings(found),
        f"{found.name}.service": templates.unit(found),
        "Dockerfile": templates.container(found),
        ".dockerignore": templates.IGNORED,
    }
    there = [name for name in files if Path(name).exists() and not force]
    wanted = [(Path(name), text) for name, text in files.items() if name not in there]
    if wrong_with := write(wanted, force=force):
        click.echo(wrong_with, err=True)
        return 1
    for path, _ in wanted:
        click.echo(f"wrote {path}")
    if there:
        click.echo(f"left as they are: {', '.join(there)} (--force writes over them)", err=True)
    if not wanted:
        return 1
    click.echo(_next(found))
    return 0


def _next(found: Surroundings) -> str:
    """What to do with it."""
    where = f"{found.scheme}://127.0.0.1:{found.port}"
    return "\n".join(
        [
            "",
            "next:",
            f"  forkful serve -c forkful.toml        # {found.handler} at {where}; metrics: http://127.0.0.1:9464/",
            f"  sudo cp {found.name}.service /etc/systemd/system/ && sudo systemctl enable --now {found.name}",
            f"  docker build -t {found.name} .",
        ]
    )
