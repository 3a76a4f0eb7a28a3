"""What a shell offers behind TAB: scripts of click's that ask this program, and its answer for each form of value.

Can go wrong: a service that does not answer has no pools to offer; nothing is said then.
"""

import contextlib
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from forkful.conf.mistakes import Mistakes
from forkful.conf.option import Form, Option

PROGRAM, VARIABLE = "forkful", "_FORKFUL_COMPLETE"
SHELLS = ("bash", "zsh", "fish")

Offer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def script(root: click.Group, shell: str) -> str:
    """What the shell is to read."""
    kind = get_completion_class(shell)
    assert kind is not None, "one of SHELLS"
    return kind(root, {}, PROGRAM, VARIABLE).source()


def install(root: click.Group) -> None:
    """Give every parameter of every command its offers, from what it is."""
    for command in root.commands.values():
        if isinstance(command, click.Group):
            install(command)
        for param in command.params:
            if offer := _of(param):
                param._custom_shell_complete = offer  # noqa: SLF001  # what shell_complete= sets where it is made


def _of(param: click.Parameter) -> Offer | None:
    from forkful.conf.options import BY_NAME  # noqa: PLC0415

    option = BY_NAME.get(param.name or "")
    if param.name in {"config", "output", "words"}:
        return _files
    if param.name in {"pool", "where"}:
        return _pools
    if param.name == "handler":
        return _handlers
    return _of_option(option) if option is not None else None


def _of_option(option: Option) -> Offer | None:
    match option.form:
        case Form.CHOICE:
            return _words(option.words)
        case Form.WORKERS:
            return _words(("auto",))
        case Form.PATH if option.key == "chdir":
            return lambda *_: [CompletionItem("", type="dir")]
        case Form.PATH | Form.CERTIFICATES:
            return _files
        case Form.PERSON if option.key == "user":
            return _words(tuple(sorted(user.pw_name for user in pwd.getpwall())))
        case _:
            return None


def _words(words: tuple[str, ...]) -> Offer:
    return lambda _context, _param, begun: [CompletionItem(word) for word in words if word.startswith(begun)]


def _files(_context: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    return [CompletionItem(begun, type="file")]


def _handlers(_context: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """The application of this directory, if there is one."""
    from forkful.master.cli.surroundings import guess  # noqa: PLC0415

    with contextlib.suppress(Mistakes):
        found = guess(Path.cwd())
        return [CompletionItem(found)] if found.startswith(begun) else []
    return []


def _pools(context: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Of the service that runs."""
    from forkful.master.cli.client import Client, ClientError  # noqa: PLC0415
    from forkful.master.cli.commands import fetch  # noqa: PLC0415
    from forkful.master.cli.which import SeveralError, choose  # noqa: PLC0415

    said: dict[str, Any] = context.params
    with contextlib.suppress(ClientError, SeveralError):  # there is nobody to tell
        admin, config = said.get("admin") or "", said.get("config") or ""
        status = fetch(Client(admin) if admin else choose(os.environ, config))
        names = [pool["name"] for pool in status["pools"]]
        return [CompletionItem(name) for name in names if name.startswith(begun)]
    return []
