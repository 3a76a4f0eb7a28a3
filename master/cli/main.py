"""The command line: `forkful`. Glue only: what a command does lives in the room that its name suggests.

Can go wrong: mistakes in the settings (exit code 1), and whatever the command itself tells.
"""

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from forkful.conf.arguments import HELP, click_options
from forkful.conf.runtime import admin_address

if TYPE_CHECKING:
    from forkful.master.cli.client import Client
    from forkful.master.cli.commands import Outcome

Command = TypeVar("Command", bound=Any)  # Any: click decorates functions and commands alike

_ADMIN_HELP = (
    "Where the service takes commands, like unix:///run/forkful/admin.sock  [default: $FORKFUL_ADMIN, the file's]"
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="forkful", prog_name="forkful")
def main() -> None:
    """Run any Python network handler in production: a master, a pool of workers, reloads, metrics."""


# The reader parses again, as it does in a reload: so an unknown flag is one mistake among all others (exit code 1).
_LENIENT = {"ignore_unknown_options": True, "allow_extra_args": True}


@main.command(help=HELP, context_settings=_LENIENT)
@click_options
def serve(**_: Any) -> None:  # Any: what click gives
    from forkful.conf.mistakes import Mistakes, Unloadable  # noqa: PLC0415  # each command imports what it needs
    from forkful.conf.reader import read  # noqa: PLC0415
    from forkful.master.model import document  # noqa: PLC0415

    if os.getpid() == 1:
        # Of a container. The kernel drops what process 1 has no handler for, pid_namespaces(7); so let it wait for one.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
    try:
        plan = read(_after("serve"), os.environ)
    except (Mistakes, Unloadable) as wrong:
        click.echo(str(wrong), err=True)
        sys.exit(wrong.code)
    # Executing the master afresh sheds what reading the settings needed: it and all that it forks stay small.
    fd = document.write({"plan": json.loads(plan.to_json()), "argv": _after("serve")})
    os.execv(sys.executable, [sys.executable, "-P", "-m", "forkful.master.main", str(fd)])


@main.command(help="Show settings and where each comes from, or all mistakes in them.", context_settings=_LENIENT)
@click_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(as_json: bool, **_: Any) -> None:  # noqa: FBT001  # click passes flags by name
    from forkful.conf.check import check as checked  # noqa: PLC0415

    arguments = [argument for argument in _after("check") if argument != "--json"]
    text, code = checked(arguments, os.environ, as_json=as_json)
    click.echo(text, err=code != 0 and not as_json)
    sys.exit(code)


def _after(command: str) -> list[str]:
    """What the operator wrote behind the command's name: a reload reads it again."""
    return sys.argv[sys.argv.index(command) + 1 :]


# -- commands against a running service --------------------------------------------------------------------------------


def _against(command: Command) -> Command:
    """The options that say which service is meant."""
    command = click.option("-c", "--config", default="", metavar="FILE", help="The service's settings file.")(command)
    return click.option("--admin", default="", metavar="ADDRESS", help=_ADMIN_HELP)(command)


def _client(admin: str, config: str) -> "Client":
    from forkful.conf.address import AddressError  # noqa: PLC0415
    from forkful.master.cli.client import Client, ClientError  # noqa: PLC0415

    try:
        return Client(admin or str(admin_address(os.environ, config)))
    except (ClientError, AddressError) as problem:
        raise click.ClickException(str(problem)) from None


def _leave(outcome: "Outcome") -> NoReturn:
    click.echo(outcome.text, err=outcome.exit_code != 0)
    sys.exit(outcome.exit_code)


@main.command(help="Show the pools, the workers and the last reload.")
@_against
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(admin: str, config: str, as_json: bool) -> None:  # noqa: FBT001  # click passes flags by name
    from forkful.master.cli import commands  # noqa: PLC0415

    _leave(commands.status(_client(admin, config), as_json=as_json, color=sys.stdout.isatty()))


@main.command(help="Watch a running service: status and rates, refreshed each second.")
@_against
def top(admin: str, config: str) -> None:
    from forkful.master.cli.top import top as watch  # noqa: PLC0415

    _leave(watch(_client(admin, config)))


@main.command(help="Load code and settings anew, as SIGHUP does. The old ones serve until the new ones are ready.")
@_against
@click.option(
    "--wait", is_flag=True, help="Wait for the result: exit 0 if the new generation serves, 1 and why if not."
)
def reload(admin: str, config: str, wait: bool) -> None:  # noqa: FBT001
    from forkful.master.cli import commands  # noqa: PLC0415

    _leave(commands.reload(_client(admin, config), wait=wait))


@main.command(help="Execute the installed version in place, as SIGUSR2 does. Same process, same sockets.")
@_against
@click.option("--wait", is_flag=True, help="Wait for the result: exit 0 if the new version serves, 1 and why if not.")
def upgrade(admin: str, config: str, wait: bool) -> None:  # noqa: FBT001
    from forkful.master.cli import commands  # noqa: PLC0415

    _leave(commands.upgrade(_client(admin, config), wait=wait))


@main.command(help="Set how many workers a pool has. Kept across reloads.")
@_against
@click.argument("pool")
@click.argument("workers", type=click.IntRange(min=0))
def scale(admin: str, config: str, pool: str, workers: int) -> None:
    from forkful.master.cli import commands  # noqa: PLC0415

    _leave(commands.scale(_client(admin, config), pool, workers))


@main.command(help="Stop gracefully, as SIGTERM does.")
@_against
@click.option("--quick", is_flag=True, help="Do not wait for what is in flight, as SIGINT does.")
def stop(admin: str, config: str, quick: bool) -> None:  # noqa: FBT001
    from forkful.master.cli import commands  # noqa: PLC0415

    _leave(commands.stop(_client(admin, config), quick=quick))


@main.command(help="Have workers write their threads' stacks to the log. All workers, those of POOL, or POOL[SLOT].")
@_against
@click.argument("where", default="", metavar="[POOL[SLOT]]")
def stacks(admin: str, config: str, where: str) -> None:
    from forkful.master.cli import commands  # noqa: PLC0415

    _leave(commands.stacks(_client(admin, config), where))


@main.group(help="The log files of a running service.")
def logs() -> None:
    pass


@logs.command(help="Open the log files anew, after a rotation, as SIGUSR1 does.")
@_against
def reopen(admin: str, config: str) -> None:
    from forkful.master.cli import commands  # noqa: PLC0415

    _leave(commands.reopen_logs(_client(admin, config)))


if __name__ == "__main__":
    main()
