"""The command line: `forkful`. Only the declarations: what a command does is in the module that it imports.

Can go wrong: mistakes in the settings (exit code 1), and whatever the command itself tells.
"""

import os
import sys
from typing import Any, TypeVar

import click

from forkful.conf import descriptors
from forkful.conf.arguments import HELP, click_options
from forkful.master.cli import remote
from forkful.master.cli.help import Sections

Command = TypeVar("Command", bound=Any)  # Any: click decorates functions and commands alike

_ADMIN_HELP = (
    "Where the service takes commands, like unix:///run/forkful/admin.sock"
    "  [default: $FORKFUL_ADMIN, or what the settings file says, or the only service that runs]"
)


descriptors.complete()  # before anything else is opened


def _say_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  # click's
    if wanted:
        from forkful.conf.installed import version  # noqa: PLC0415
        from forkful.worker import compiled  # noqa: PLC0415

        code = compiled.use()
        click.echo(f"forkful, version {version()}, HTTP {code}{code.why and f' ({code.why})'}")
        context.exit()


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_say_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Run any Python network handler in production: a master, a pool of workers, reloads, metrics."""


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
# The reader parses again, as it does in a reload: so an unknown flag is one mistake among all others (exit code 1).
_LENIENT = {"ignore_unknown_options": True, "allow_extra_args": True}


@main.command(help=HELP, context_settings=_LENIENT)
@click_options
def serve(**_: Any) -> None:  # Any: what click gives
    from forkful.master.cli import serving  # noqa: PLC0415  # each command imports what it needs

    serving.serve(_after("serve"))


@main.command(context_settings=_LENIENT)
@click.argument("name", default="")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[SERVE'S OPTIONS]")
def demo(name: str, words: tuple[str, ...]) -> None:
    """Serve an application that comes with Forkful; without NAME: tell which there are."""
    from forkful.master.cli import demos  # noqa: PLC0415

    if name not in demos.DEMOS:
        click.echo("\n".join(f"forkful demo {known:8} {each.what}" for known, each in demos.DEMOS.items()))
        sys.exit(2 if name else 0)
    if missing := demos.missing(name):
        raise click.ClickException(missing)
    sys.argv[1:] = ["serve", "-c", str(demos.settings(name)), *words]  # a reload reads it again
    main()


@main.command(help="Show settings and where each comes from, or all mistakes in them.", context_settings=_LENIENT)
@click_options
@_JSON
@click.option("--import", "load", is_flag=True, help="Import the handlers too; exit 4 if one cannot be imported.")
def check(as_json: bool, load: bool, **_: Any) -> None:  # noqa: FBT001  # click passes flags by name
    from forkful.conf.check import check as checked  # noqa: PLC0415

    arguments = [argument for argument in _after("check") if argument not in {"--json", "--import"}]
    text, code = checked(arguments, os.environ, as_json=as_json, load=load)
    click.echo(text, err=code != 0 and not as_json)
    sys.exit(code)


@main.command()
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.argument("handler", default="", metavar="[HANDLER]")
def init(handler: str, force: bool) -> None:  # noqa: FBT001  # click passes flags by name
    """Write a settings file, a systemd unit and a container file for an application.

    HANDLER is module:attribute. Without it: the application of this directory, if there is one that it can only be. The
    rest is found out: what it serves, the virtual environment, the version of Python, requirements, the user.
    """
    from forkful.master.cli.init import init as written  # noqa: PLC0415

    sys.exit(written(handler, force=force))


@main.group(help="Move here from another server.")
def migrate() -> None:
    pass


@migrate.command("gunicorn", context_settings=_LENIENT)
@click.option("--output", default="", metavar="FILE", help="Write the settings file there.  [default: standard output]")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS|gunicorn.conf.py]")
def from_gunicorn(words: tuple[str, ...], output: str, force: bool) -> None:  # noqa: FBT001  # click passes flags by name
    """Write the settings file of a service that Gunicorn runs today, and tell what becomes of each setting.

    ARGS are what Gunicorn is started with, with or without the word gunicorn. Its settings file is executed, as
    Gunicorn does: the one of -c, or ./gunicorn.conf.py. GUNICORN_CMD_ARGS counts, too.
    """
    from forkful.master.cli.migrate import gunicorn  # noqa: PLC0415

    sys.exit(gunicorn(words, output, force=force))


@main.command(help="Print what a shell reads to complete commands, flags and values behind TAB.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    from forkful.master.cli.completion import script  # noqa: PLC0415

    click.echo(script(main, shell))


@main.command(help="Print the manual page.")
def manual() -> None:
    from datetime import UTC, datetime  # noqa: PLC0415

    from forkful.conf.installed import version  # noqa: PLC0415
    from forkful.master.cli.manual import page  # noqa: PLC0415

    click.echo(page(main, version(), datetime.now(tz=UTC).date()), nl=False)


def _after(command: str) -> list[str]:
    """What the operator wrote behind the command's name: a reload reads it again."""
    return sys.argv[sys.argv.index(command) + 1 :]


# -- commands against a running service --------------------------------------------------------------------------------


def _against(command: Command) -> Command:
    """The options that say which service is meant."""
    command = click.option("-c", "--config", default="", metavar="FILE", help="The service's settings file.")(command)
    return click.option("--admin", default="", metavar="ADDRESS", help=_ADMIN_HELP)(command)


@main.command(help="Watch a running service: status and rates, refreshed each second.")
@_against
def top(admin: str, config: str) -> None:
    remote.carry_out(remote.Call("top", admin, config, {}))


@main.group(help="The log files of a running service.")
def logs() -> None:
    pass


def _declare(command: remote.Remote) -> None:
    """Give click a command that asks a running service: for its help, and for words that are not plain."""

    def run(admin: str, config: str, **given: Any) -> None:  # Any: what click gives
        remote.carry_out(remote.Call(command.function, admin, config, given))

    for each in reversed(command.arguments):
        kind = click.IntRange(min=0) if each.is_count else str
        default = {"default": ""} if each.is_optional else {}
        run = click.argument(each.name, metavar=each.metavar or None, type=kind, **default)(run)  # type: ignore[arg-type]
    for flag in reversed(command.flags):
        names = [flag.flag, *([flag.name] if flag.name else [])]
        run = click.option(*names, is_flag=True, help=flag.help)(run)
    group = main if len(command.words) == 1 else logs
    group.command(command.words[-1], help=command.help)(_against(run))


for _remote in remote.COMMANDS:
    _declare(_remote)

if "_FORKFUL_COMPLETE" in os.environ:  # a shell asks
    from forkful.master.cli.completion import install

    install(main)


if __name__ == "__main__":
    main()
