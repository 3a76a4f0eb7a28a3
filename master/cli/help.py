"""The help of commands: options in the groups of their table, commands by what they are for, an example with each."""

from typing import Any, Final

import click

#: What each command is for, in the order of the help.
SECTIONS: Final[dict[str, tuple[str, ...]]] = {
    "Serve": ("serve", "check", "demo"),
    "A running service": (
        "status",
        "top",
        "reload",
        "rollback",
        "upgrade",
        "scale",
        "stop",
        "stacks",
        "logs",
    ),
    "Getting there": ("init", "migrate", "completion", "manual"),
}

#: By the words of the command: what somebody may write.
EXAMPLES: Final[dict[str, str]] = {
    "": "forkful serve shop.wsgi:application --bind :8000 --workers auto",
    "serve": "forkful serve -c forkful.toml",
    "check": "forkful check -c forkful.toml --import",
    "demo": "forkful demo web",
    "status": "forkful status --json -c forkful.toml",
    "top": "forkful top --admin unix:///run/shop/admin.sock",
    "reload": "forkful reload --wait -c forkful.toml",
    "rollback": "forkful rollback -c forkful.toml",
    "upgrade": "pip install --upgrade forkful && forkful upgrade --wait",
    "scale": "forkful scale main 8",
    "stop": "forkful stop --wait",
    "stacks": "forkful stacks 'main[0]'",
    "logs": "forkful logs reopen",
    "logs reopen": "forkful logs reopen",
    "init": "forkful init shop.wsgi:application",
    "migrate": "forkful migrate gunicorn gunicorn.conf.py",
    "migrate gunicorn": "forkful migrate gunicorn --output forkful.toml -- -c gunicorn.conf.py shop.wsgi",
    "completion": "forkful completion bash > /etc/bash_completion.d/forkful",
    "manual": "forkful manual | man -l -",
}


class _Example:
    """A command whose help ends with an example."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if example := EXAMPLES.get(words(ctx)):
            with formatter.section("Example"):
                formatter.write(f"{' ' * formatter.current_indent}{example}\n")


class Described(_Example, click.Command):
    """A command with an example, and with the options of the table in their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from forkful.conf.groups import GROUPS  # noqa: PLC0415  # only who asks for help needs them

        names = {option.name for group in GROUPS for option in group.options}
        own = [param for param in self.get_params(ctx) if not isinstance(param, click.Argument)]
        if len(names & {param.name for param in own}) < len(GROUPS):  # --admin-bind alone, say
            super().format_options(ctx, formatter)
            return
        _section(formatter, ctx, "Options", [param for param in own if param.name not in names])
        for group in GROUPS:
            wanted = {option.name for option in group.options}
            _section(formatter, ctx, group.title, [param for param in own if param.name in wanted], group.example)


class Sections(_Example, click.Group):
    """A group whose commands are in sections, where it is the whole program."""

    command_class = Described
    group_class = type

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if ctx.parent is not None:
            super().format_commands(ctx, formatter)
            return
        told = {name for names in SECTIONS.values() for name in names}
        for title, names in (*SECTIONS.items(), ("Others", tuple(self.commands.keys() - told))):
            found = [(name, self.commands[name]) for name in names if name in self.commands]
            if not found:
                continue
            with formatter.section(title):
                formatter.write_dl([(name, command.get_short_help_str(limit=95)) for name, command in found])


def _section(
    formatter: click.HelpFormatter, ctx: click.Context, title: str, params: list[Any], example: str = ""
) -> None:  # Any: click's parameters
    records = [record for param in params if (record := param.get_help_record(ctx))]
    if not records:
        return
    with formatter.section(title):
        if example:
            formatter.write(f"{' ' * formatter.current_indent}forkful serve {example}\n\n")
        formatter.write_dl(records)


def words(ctx: click.Context) -> str:
    """The words of a command behind the program's name."""
    found: list[str] = []
    at: click.Context | None = ctx
    while at is not None and at.parent is not None:
        found.insert(0, at.info_name or "")
        at = at.parent
    return " ".join(found)
