"""The manual page, `forkful(1)`, made from the commands and the table of options; man(7) says its language."""

import re
from collections.abc import Iterable, Iterator
from datetime import date

import click

from forkful.conf.documentation import default
from forkful.conf.groups import GROUPS
from forkful.conf.option import Form, Option
from forkful.master.cli.help import EXAMPLES, SECTIONS

_SIGNALS = (
    ("TERM", "Stop gracefully; a second one quickly."),
    ("INT, QUIT", "Stop quickly."),
    ("HUP", "Load code and settings again. The old generation serves until the new one is ready."),
    ("USR1", "Open the log files again."),
    ("USR2", "Switch to the installed version in place."),
    ("TTIN, TTOU", "A worker more, a worker less."),
    ("WINCH", "Retire all workers; HUP brings them back."),
)
_CODES = (
    ("0", "Asked to stop."),
    ("1", "Mistakes in the settings, or an address that cannot be bound; a command that failed."),
    ("2", "A command line that cannot be read, or several services of which none was named."),
    ("3", "No worker became ready at the first start."),
    ("4", "The handler could not be loaded at the first start."),
)


def page(root: click.Group, version: str, day: date) -> str:
    """The whole page."""
    head = f'.TH FORKFUL 1 "{day}" "forkful {version}" "User Commands"'
    return "\n".join([head, *_lines(root), ""])


def _lines(root: click.Group) -> Iterator[str]:
    yield from _section("NAME", [_text("forkful - run any Python network handler in production")])
    yield from _section("SYNOPSIS", ["\\fBforkful serve\\fR [\\fIHANDLER\\fR] [\\fB\\-c\\fR \\fIFILE\\fR] [options]"])
    yield from (".br", "\\fBforkful\\fR \\fICOMMAND\\fR [options]")
    yield from _section("DESCRIPTION", [_text(root.help or "")])
    yield from (".PP", _text("SECONDS may have a unit: 500ms, 30s, 2m, 1h, 1d. BYTES may have one too: 64K, 512M."))
    yield ".SH COMMANDS"
    for title, names in SECTIONS.items():
        yield f'.SS "{_text(title)}"'
        for name in names:
            if name in root.commands:
                yield from _command(name, root.commands[name])
    yield ".SH OPTIONS"
    yield _text("Of serve and check. Each may be said in the settings file and in the environment, too.")
    for group in GROUPS:
        yield f'.SS "{_text(group.title)}"'
        yield from _verbatim(f"forkful serve {group.example}")
        for option in group.options:
            yield from _option(option)
    yield from _section("SIGNALS", _terms(_SIGNALS))
    yield from _section("EXIT STATUS", _terms(_CODES))
    yield from _section("SEE ALSO", ["\\fBsystemd.service\\fR(5), \\fBsignal\\fR(7)"])


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f".SH {title}"
    yield from lines


def _terms(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, told in pairs:
        yield from (".TP", f"\\fB{_text(term)}\\fR", _text(told))


def _command(name: str, command: click.Command) -> Iterator[str]:
    names = [name]
    if isinstance(command, click.Group):
        names = [f"{name} {each}" for each in command.commands]
    told = re.sub(r"\s+", " ", command.help or "").strip()
    yield from (".TP", ", ".join(f"\\fB{_text(each)}\\fR" for each in names), _text(told))
    yield from _verbatim(EXAMPLES[name], indent=True)


def _verbatim(text: str, *, indent: bool = False) -> Iterator[str]:
    if indent:
        yield ".RS"
    yield from (".nf", f"\\f(CW{_text(text)}\\fR", ".fi")
    if indent:
        yield ".RE"


def _option(option: Option) -> Iterator[str]:
    flags = [f"\\fB{_text(flag)}\\fR" for flag in (option.short, option.flag) if flag]
    value = "|".join(option.words) or option.form.metavar
    said = "" if option.form in {Form.HANDLER, Form.SWITCH} else f" \\fI{_text(value)}\\fR"
    yield from (".TP", f"{', '.join(flags)}{said}", _text(option.help))
    usual = default(option).replace("`", "")
    words = [f"{option.section} {option.key}", f"${option.variable}", *([f"default: {usual}"] if usual else [])]
    yield from (".br", _text("; ".join(words)))


def _text(text: str) -> str:
    """Words that troff takes as they are."""
    plain = re.sub(r"\s+", " ", text).replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{plain}" if plain.startswith(".") else plain
