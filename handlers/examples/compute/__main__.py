"""The client's command line: a job is computed by all hosts that are named, while bars show how far it is.

    python -m forkful.handlers.examples.compute --host a:7100 --host b:7100 mandelbrot width=1200 height=800
    python -m forkful.handlers.examples.compute words *.txt

With `--dask tcp://HOST:8786` Dask computes it.
Can go wrong: what the client says, and mistakes in what is asked for: exit code 1.
"""

import ast
import base64
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from forkful.handlers.examples.compute import client
from forkful.handlers.examples.compute.jobs import KINDS, Args, Json, cut, join


@click.command()
@click.option("--host", "hosts", multiple=True, default=["127.0.0.1:7100"], help="HOST:PORT; may be repeated.")
@click.option("--dask", default="", metavar="SCHEDULER", help="Have Dask compute it instead.")
@click.option("--out", type=click.Path(path_type=Path), default="mandelbrot.png", help="Where a picture is written.")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE | FILE]...")
def main(hosts: tuple[str, ...], dask: str, out: Path, kind: str, arguments: tuple[str, ...]) -> None:
    """Have a job computed by all hosts at once, and show what comes of it."""
    try:
        args: Args = dict(_named(each) for each in arguments if "=" in each)
        files = [Path(each) for each in arguments if "=" not in each]
        if files:
            args["texts"] = [each.read_text() for each in files]
        result = _run([dask] if dask else hosts, kind, args)
    except (OSError, RuntimeError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    if kind == "mandelbrot":
        out.write_bytes(base64.b64decode(result))
        result = out
    elif kind == "words":
        result = "\n".join(f"{count:8} {word}" for word, count in list(result.items())[:10])
    click.echo(result)


def _named(argument: str) -> tuple[str, Json]:
    """A name and its value, written as in Python: 100_000_000 is a number. Raises ValueError."""
    name, _, value = argument.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        raise ValueError(f"{argument}: the value is not one of Python, like 3, 0.5 or 'a text'") from None


def _run(hosts: Sequence[str], kind: str, args: Args) -> Json:
    tasks = cut(kind, args)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        total = len({each.key for each in tasks})
        bars = {host: progress.add_task(host, total=total) for host in ("all", *hosts)}
        done: set[str] = set()

        def tell(host: str, said: dict[str, Json]) -> None:
            if "result" in said:
                progress.advance(bars[host])
                done.add(said["key"])  # copies are of both hosts
                progress.update(bars["all"], completed=len(done))

        if "://" in hosts[0]:
            from forkful.handlers.examples.compute import on_dask  # noqa: PLC0415  # is not always installed

            results = on_dask.compute(tasks, hosts[0], tell)
        else:
            results = client.compute(tasks, hosts, tell)
    return join(kind, tasks, [results[each.key] for each in tasks])


if __name__ == "__main__":
    main()
