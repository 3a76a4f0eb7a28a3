"""The commands against a running service: each asks its admin child and gives the text to show and the exit code.

Can go wrong: whatever the client meets becomes an `Outcome` that says so, with exit code 1.
"""

import functools
import json
import os
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, cast

from forkful.conf.light import dataclass
from forkful.master.cli.client import Client, ClientError, Document, LostError, Reply, text_of
from forkful.master.model import format as as_text

if TYPE_CHECKING:
    from forkful.master.admin.status import Status

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to. `text` goes to standard output, or to standard error where `exit_code` is not 0."""

    text: str
    exit_code: int = 0


def _told(command: Callable[P, Outcome]) -> Callable[P, Outcome]:
    """Make words of what the client met."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> Outcome:
        try:
            return command(*args, **kwargs)
        except ClientError as problem:
            return Outcome(str(problem), 1)

    return run


def fetch(client: Client) -> "Status":
    """The status document. Raise `ClientError`."""
    reply = client.get("/status.json")
    if reply.code != 200:  # noqa: PLR2004 - HTTP's OK
        raise ClientError(f"{client.address} cannot give its status: {_plain(reply)}")
    document = reply.json()
    if "pools" not in document:
        raise ClientError(f"what answers at {client.address} is not Forkful")
    return cast("Status", document)


def fetch_history(client: Client) -> Document:
    """The last minutes, as /history.json has them; empty where the service has none to give. Raise `ClientError`."""
    reply = client.get("/history.json")
    return reply.json() if reply.code == 200 else {}  # noqa: PLR2004 - HTTP's OK


@_told
def status(client: Client, *, as_json: bool = False) -> Outcome:
    """The table, as wide as the terminal and in color if it is one, or the document."""
    if as_json:
        return Outcome(json.dumps(fetch(client), indent=2))
    from forkful.master.cli import tables  # noqa: PLC0415  # the other commands need none of it

    color = sys.stdout.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}
    return Outcome(tables.text(tables.whole(fetch(client)), color=color))


@_told
def reload(client: Client, *, wait: bool = False, promote: bool = False, abort: bool = False) -> Outcome:
    if promote and abort:
        return Outcome("--promote and --abort are opposites", 2)
    if promote or abort:
        return _command(client, "/reload/promote" if promote else "/reload/abort")
    return _begin(client, "reload", wait=wait)


@_told
def rollback(client: Client, *, wait: bool = False) -> Outcome:
    return _begin(client, "rollback", wait=wait)


@_told
def upgrade(client: Client, *, wait: bool = False) -> Outcome:
    return _begin(client, "upgrade", wait=wait)


@_told
def scale(client: Client, pool: str, workers: int) -> Outcome:
    return _command(client, "/scale", pool=pool, workers=str(workers))


@_told
def stop(client: Client, *, quick: bool = False, wait: bool = False) -> Outcome:
    def begin() -> Outcome:
        return _command(client, "/stop", quick=str(int(quick)))

    if not wait:
        return begin()
    from forkful.master.cli import stop_watch  # noqa: PLC0415 - rich; the other commands need none of it

    # Before the stop: afterwards its number may be somebody else's. A service manager may listen for us at the socket,
    # and the number that a service in a container has for itself says nothing here.
    fd = stop_watch.process(client.address, client.peer(), fetch(client)["pid"])
    try:
        begun = begin()
        return begun if begun.exit_code else Outcome(stop_watch.until_ended(fd, lambda: fetch(client)))
    except KeyboardInterrupt:
        return Outcome("the stop goes on; nobody waits for it here", 1)
    finally:
        os.close(fd)


@_told
def reopen_logs(client: Client) -> Outcome:
    return _command(client, "/logs/reopen")


@_told
def stacks(client: Client, where: str = "") -> Outcome:
    """Have workers write their stacks to the log: all of them, those of a POOL, or the one in POOL[SLOT]."""
    match = re.fullmatch(r"(?P<pool>[^\[\]]*)(?:\[(?P<slot>[0-9]+)\])?", where)
    if match is None:
        return Outcome(f"{where!r} is neither a pool nor a slot of one, like main or main[0]", 1)
    return _command(client, "/stacks", pool=match["pool"], slot=match["slot"] or "")


def _begin(client: Client, command: str, *, wait: bool) -> Outcome:
    try:
        return _outcome(client.post(f"/{command}?wait={int(wait)}", timeout=None))
    except LostError as problem:
        return Outcome(f"{problem}; how the {command} went, `forkful status` tells", 1)


def _command(client: Client, path: str, **query: str) -> Outcome:
    from urllib.parse import urlencode  # noqa: PLC0415  # to show the status nothing is encoded

    return _outcome(client.post(f"{path}?{urlencode(query)}"))


def _outcome(reply: Reply) -> Outcome:
    document = reply.json()
    trace = as_text.plain(text_of(document, "traceback").rstrip(), keep="\n\t")
    message = as_text.plain(text_of(document, "message"), keep="\n\t") or f"no reason given (HTTP {reply.code})"
    return Outcome(f"{message}\n\n{trace}" if trace else message, 0 if document.get("ok") is True else 1)


def _plain(reply: Reply) -> str:
    return as_text.plain(reply.body.decode(errors="replace").strip()[:500]) or f"HTTP {reply.code}"
