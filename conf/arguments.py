"""The arguments of `forkful serve`: HANDLER, the settings file and the flags, all made from the table of options.

The command line and the reader parse with the same code. Values stay as they were typed; `forkful.conf.values` says
what they mean, so that a flag is judged exactly as a key or a variable is.
Can go wrong: a flag that does not exist, or one without its value: `Mistakes`, all of them at once where possible.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Self, TypeVar

from forkful.conf.documentation import default
from forkful.conf.light import dataclass
from forkful.conf.mistakes import Mistake, nearest
from forkful.conf.option import LISTS, Form, Option
from forkful.conf.options import OPTIONS

C = TypeVar("C", bound=Callable[..., Any])  # Any: whatever the command returns

HELP = (
    "Serve a handler, or the pools of a settings file. With neither: the built-in configuration.\n\n"
    "SECONDS may have a unit: 500ms, 30s, 2m, 1h, 1d. BYTES may have one too: 64K, 512M, 1.5G."
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """What followed `forkful serve`. `flags` by the option's name, only those that were given.

    `embedded` is the drop-in mode's: what the script's own code said, by the option's name; None elsewhere.
    `pinned` is what a running master keeps of its start, by key, whatever is said now.
    """

    config: str = ""
    flags: Mapping[str, object] = field(default_factory=dict)
    embedded: Mapping[str, object] | None = None
    pinned: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:  # Any: what click gives
        """Take what click parsed with `click_options`."""
        names = {option.name for option in OPTIONS}
        flags = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in parameters.items()
            if name in names and value is not None and value != ()
        }
        embedded = json.loads(parameters["embedded"]) if parameters.get("embedded") else None
        pinned = json.loads(parameters["pinned"]) if parameters.get("pinned") else {}
        return cls(config=parameters.get("config") or "", flags=flags, embedded=embedded, pinned=pinned)


def click_options(command: C) -> C:
    """Decorate a click command with HANDLER, -c and every flag of the table."""
    import click  # noqa: PLC0415  # the master imports neighbours of this, and needs no click

    for option in reversed(OPTIONS):
        command = _decorator(option)(command)
    return click.option("-c", "--config", metavar="FILE", help="The settings file, in TOML.")(command)


def _decorator(option: Option) -> Callable[[Any], Any]:  # Any: click's own decorators take command or function
    import click  # noqa: PLC0415

    if option.form is Form.HANDLER:
        return click.argument(option.name, required=False, metavar="[HANDLER]")
    names = [option.short, option.flag] if option.short else [option.flag]
    if option.form is Form.SWITCH:
        negation = "--no-" + option.flag.removeprefix("--")
        return click.option(f"{option.flag}/{negation}", option.name, default=None, help=option.help)
    return click.option(
        *names,
        option.name,
        default=None,
        metavar="|".join(option.words) or option.form.metavar,
        multiple=option.form in LISTS,
        help=option.help + _shown(option),
    )


def _shown(option: Option) -> str:
    """Its default, unless the help explains it (0: never) or there is none."""
    return "" if option.default in {"", -1, 0, ()} else f"  [default: {default(option).replace('`', '')}]"


def parse(argv: Sequence[str]) -> tuple[Arguments, list[Mistake]]:
    """Parse what can be parsed, and list what cannot, so that other sources' mistakes can be told along with these."""
    if (plain := _plain(argv)) is not None:
        return plain, []
    return _by_click(argv)


#: Beside those of the table.
_MORE = {"-c": "config", "--config": "config", "--embedded": "embedded", "--pinned": "pinned"}


def _plain(argv: Sequence[str]) -> Arguments | None:
    """What words say of which each is written as the help has it; None: click judges, whose import takes as long.

    A word that begins with `-` is never taken for a value, and a group of short flags (`-w4`) is click's to take apart.
    """
    named = {name: option for option in OPTIONS for name in (option.flag, option.short) if name[:1] == "-"}
    negated = {f"--no-{flag[2:]}": option for flag, option in named.items() if option.form is Form.SWITCH}
    handler = next(option.name for option in OPTIONS if option.form is Form.HANDLER)
    given: dict[str, Any] = {}  # Any: what click would give
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        option = named.get(name)
        if word in negated or (option is not None and option.form is Form.SWITCH and not equals):
            given[negated[word].name if option is None else option.name] = option is not None
        elif option is None and name not in _MORE:
            if not word or word[0] == "-" or handler in given:
                return None
            given[handler] = word
        elif option is not None and option.form is Form.SWITCH:
            return None
        else:
            value = value if equals else next(words, "-?")
            if not equals and value[:1] == "-" and value != "-":
                return None
            if option is not None and option.form in LISTS:
                given[option.name] = (*given.get(option.name, ()), value)
            else:
                given[_MORE[name] if option is None else option.name] = value
    return Arguments.of(given)


def _by_click(argv: Sequence[str]) -> tuple[Arguments, list[Mistake]]:
    import click  # noqa: PLC0415

    command = click_options(click.Command("serve", help=HELP, add_help_option=False))
    command.params += [click.Option([flag], hidden=True) for flag in ("--embedded", "--pinned")]
    remaining = list(argv)
    mistakes: list[Mistake] = []
    while True:
        try:
            context = command.make_context("serve", list(remaining), allow_extra_args=True)
        except click.NoSuchOption as error:
            mistakes.append(_unknown(error.option_name))
            remaining = _without(remaining, error.option_name, error.possibilities or ())
        except click.BadOptionUsage as error:
            mistakes.append(Mistake(error.option_name, "it needs a value", _right(error.option_name)))
            remaining = _without(remaining, error.option_name, ())
        else:
            break
    if not mistakes:  # a word after a flag that does not exist may be its value
        mistakes = [Mistake(word, "one HANDLER is enough", "write it once, and flags with --") for word in context.args]
    return Arguments.of(context.params), mistakes


def _unknown(flag: str) -> Mistake:
    from forkful.conf.foreign import flag_instead  # noqa: PLC0415  # who makes no mistake needs no table of others

    near = flag_instead(flag) or nearest(flag, [option.flag for option in OPTIONS])
    return Mistake(flag, "there is no such flag", near or "forkful serve --help lists those there are")


def _right(flag: str) -> str:
    return next((option.right for option in OPTIONS if flag in {option.flag, option.short}), "")


def _without(argv: list[str], flag: str, possibilities: Sequence[str]) -> list[str]:
    """Take a wrong flag out, with its value where the flag that was probably meant has one."""
    from forkful.conf.foreign import flag_instead, takes_value  # noqa: PLC0415  # as above

    for index, word in enumerate(argv):
        name, separator, _ = word.partition("=")
        if name != flag and not (len(flag) == len("-x") and word.startswith(flag)):
            continue
        switch = any(option.flag in possibilities for option in OPTIONS if option.form is Form.SWITCH)
        valued = takes_value(flag) if flag_instead(flag) else bool(possibilities) and not switch
        follows = name == flag and index + 1 < len(argv) and (argv[index + 1] == "-" or argv[index + 1][:1] != "-")
        return argv[:index] + argv[index + 1 + (valued and follows and not separator) :]
    return []  # within a group of short flags, -wZ: nothing else can be told from such a line
