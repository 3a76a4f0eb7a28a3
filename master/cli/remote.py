"""The commands to a running service: what each is and takes, and how plain words are understood without click.

A command is often part of a script that waits for it, and click takes longer to import than the service to answer. So
words that are written as the help has them are read here; all others, and every help and mistake, are click's.
Can go wrong: no service is found, or several: exit code 1 or 2; whatever the command itself meets.
"""

import codecs
import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from forkful.conf.runtime import admin_token_file

if TYPE_CHECKING:
    from forkful.master.cli.commands import Outcome


class Flag(NamedTuple):
    """One that is there or not."""

    flag: str
    help: str
    name: str = ""  # of the parameter, where it is not the flag's


class Argument(NamedTuple):
    """A word that has its meaning from its place."""

    name: str
    metavar: str = ""  # "": its name
    is_count: bool = False
    is_optional: bool = False


class Remote(NamedTuple):
    """A command: its words, the function of `forkful.master.cli.commands` that does it, and what it takes."""

    words: tuple[str, ...]
    function: str
    help: str
    flags: tuple[Flag, ...] = ()
    arguments: tuple[Argument, ...] = ()


def _wait(new: str) -> Flag:
    return Flag("--wait", f"Wait for the result: exit 0 if the new {new} serves, 1 and the reason if not.")


COMMANDS = (
    Remote(
        ("status",),
        "status",
        "Show the pools, the workers and the last reload.",
        (Flag("--json", "Print JSON.", "as_json"),),
    ),
    Remote(
        ("reload",),
        "reload",
        "Load code and settings again, as SIGHUP does. The old generation serves until the new one is ready.",
        (
            _wait("generation"),
            Flag("--promote", "End a canary's bake: all workers follow it now."),
            Flag("--abort", "End a canary's bake: the old generation is whole again."),
        ),
    ),
    Remote(
        ("rollback",),
        "rollback",
        "Go back to the generation before the last reload. For bake_time after it, that takes no longer than a fork.",
        (_wait("generation"),),
    ),
    Remote(
        ("upgrade",),
        "upgrade",
        "Switch to the installed version in place, as SIGUSR2 does. Process and sockets stay the same.",
        (_wait("version"),),
    ),
    Remote(
        ("scale",),
        "scale",
        "Set how many workers a pool has. Reloads keep the number.",
        arguments=(Argument("pool"), Argument("workers", is_count=True)),
    ),
    Remote(
        ("stop",),
        "stop",
        "Stop gracefully, as SIGTERM does.",
        (
            Flag("--quick", "Do not wait for what is in flight, as SIGINT does."),
            Flag("--wait", "Wait for the end, and show who is still busy."),
        ),
    ),
    Remote(
        ("stacks",),
        "stacks",
        "Write the stacks of workers to the log. Of all workers, those of POOL, or the one in POOL[SLOT].",
        arguments=(Argument("where", "[POOL[SLOT]]", is_optional=True),),
    ),
    Remote(("logs", "reopen"), "reopen_logs", "Open the log files again after a rotation, as SIGUSR1 does."),
)

_WHERE = {"--admin": "admin", "--config": "config", "-c": "config"}  # which service is meant; click has the help


class Call(NamedTuple):
    """A command as it was given."""

    function: str
    admin: str
    config: str
    given: dict[str, object]


def understood(words: Sequence[str]) -> Call | None:
    """None: it is for click to say what this means."""
    command = next((each for each in COMMANDS if tuple(words[: len(each.words)]) == each.words), None)
    if command is None:
        return None
    flags = {each.flag: each.name or each.flag.removeprefix("--") for each in command.flags}
    given: dict[str, object] = dict.fromkeys(flags.values(), False)
    where, free = {"admin": "", "config": ""}, [*command.arguments]
    rest = iter(words[len(command.words) :])
    for word in rest:
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if word in flags:
            given[flags[word]] = True
        elif name in _WHERE:
            value = value if equals else next(rest, "-")
            if not equals and value[:1] == "-":
                return None
            where[_WHERE[name]] = value
        elif not free or word[:1] in ("", "-") or (free[0].is_count and not (word.isascii() and word.isdigit())):
            return None
        else:
            argument = free.pop(0)
            given[argument.name] = int(word) if argument.is_count else word
    if not all(each.is_optional for each in free):
        return None
    return Call(command.function, where["admin"], where["config"], given | {each.name: "" for each in free})


def carry_out(call: Call) -> NoReturn:
    """Do it, say what it came to, and end the process, as click ends a command."""
    function = _function(call.function)
    gc.enable()  # it may wait for long from here on
    try:
        leave(_asked(function, call))
    except KeyboardInterrupt:
        print("\nAborted!", file=sys.stderr, flush=True)
    except BrokenPipeError:  # who reads has seen enough; what is buffered has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(1)


def _function(name: str) -> Callable[..., "Outcome"]:
    if name == "top":
        from forkful.master.cli.top import top  # noqa: PLC0415  # rich draws what moves

        return top
    from forkful.master.cli import commands  # noqa: PLC0415  # who only declares them needs no more

    function: Callable[..., Outcome] = getattr(commands, name)
    return function


def _asked(function: Callable[..., "Outcome"], call: Call) -> "Outcome":
    from forkful.master.cli.client import Client, ClientError  # noqa: PLC0415  # as above
    from forkful.master.cli.commands import Outcome  # noqa: PLC0415  # as above
    from forkful.master.cli.which import SeveralError, choose  # noqa: PLC0415  # as above

    try:
        if call.admin:
            client = Client(call.admin, admin_token_file(os.environ, call.config))
        else:
            client = choose(os.environ, call.config)
    except ClientError as problem:
        return Outcome(f"Error: {problem}", 1)
    except SeveralError as several:
        return Outcome(str(several), 2)
    return function(client, **call.given)


def leave(outcome: "Outcome") -> NoReturn:
    """Say it where it belongs, and end with its exit code."""
    stream = sys.stderr if outcome.exit_code else sys.stdout
    if codecs.lookup(stream.encoding).name == "ascii" and hasattr(stream, "reconfigure"):
        stream.reconfigure(encoding="utf-8", errors="replace")  # our tables have lines; as click does it
    print(outcome.text, file=stream, flush=True)
    sys.exit(outcome.exit_code)
