"""`forkful migrate gunicorn`: reads what Gunicorn is started with, writes our settings file, and reports.

Can go wrong: what Gunicorn would refuse, a file that fails, one that is there already: told, with exit code 1.
"""

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from forkful.conf.check import check
from forkful.conf.mistakes import Mistakes
from forkful.conf.moving.provenance import origins, unread
from forkful.conf.moving.source import gather
from forkful.conf.moving.translate import translate
from forkful.conf.moving.written import report, settings_file


def gunicorn(words: Sequence[str], output: str, *, force: bool) -> int:
    """Do it; the exit code."""
    try:
        source = gather(words, os.environ, Path.cwd())
        text = Path(source.file).read_text(errors="replace") if source.file.endswith(".py") else ""
        moved = translate(source, origins(text), os.environ)
    except Mistakes as wrong:
        click.echo(str(wrong), err=True)
        return wrong.code
    written = settings_file(moved, words)
    output = "" if output == "-" else output
    if output and (wrong_with := write([(Path(output), written)], force=force)):
        click.echo(wrong_with, err=True)
        return 1
    if not output:
        click.echo(written, nl=False)
    ignored = [name for name in source.ignored if name in unread(text)]
    click.echo(report(moved, ignored, output or "FILE"), err=True)
    if doubts := _doubts(written):
        click.echo(f"forkful check says of it, here and now:\n{doubts}", err=True)
    return 0


def write(files: Iterable[tuple[Path, str]], *, force: bool) -> str:
    """Write all of them or none; what is wrong, in words."""
    files = [*files]
    there = [str(path) for path, _ in files if path.exists() or path.is_symlink()]
    if there and not force:
        return f"{', '.join(there)}: there already; nothing was written (--force writes over it)"
    try:
        for path, text in files:
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        return f"{error.filename}: cannot be written: {error.strerror}"
    return ""


def _doubts(text: str) -> str:
    """What is wrong with the file on this machine: a user or a certificate that is not here, say."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        said, code = check(["-c", file.name], {})
        return said.replace(f"{file.name}: ", "") if code else ""
