"""Which service a command means, where nobody says it: the only one that runs here, or the one with that settings file.

Can go wrong: none answers, or several could be meant: `ClientError`, or `SeveralError`, which lists them.
"""

import contextlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from forkful.conf.address import AddressError
from forkful.conf.light import dataclass
from forkful.conf.runtime import admin_addresses, admin_token_file, runtime_directory
from forkful.master.cli.client import Client, ClientError
from forkful.master.cli.commands import fetch

if TYPE_CHECKING:
    from forkful.master.admin.status import Status


class SeveralError(Exception):
    """More than one service could be meant; the message lists them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A service that answers; `status` is None where it does not say who it is."""

    client: Client
    pid: int
    status: "Status | None"

    def __str__(self) -> str:
        if self.status is None:
            return f"a service that does not answer, pid {self.pid}: --admin {self.client.address}"
        where = [listener["address"] for pool in self.status["pools"] for listener in pool["listeners"]]
        file = f", file {self.status['settings']}" if self.status.get("settings") else ""
        listed = ", ".join(where) or "no address"
        return f"{self.status['name']}, pid {self.pid}, {listed}{file}: --admin {self.client.address}"


def choose(environ: Mapping[str, str], config: str = "") -> Client:
    """The service that is meant. Raises `ClientError` and `SeveralError`."""
    config = config or environ.get("FORKFUL_CONFIG", "")
    try:
        addresses, is_said = admin_addresses(environ, config)
    except AddressError as problem:
        raise ClientError(str(problem)) from None
    token = admin_token_file(environ, config)
    clients = [Client(str(address), token) for address in addresses]
    if is_said or (len(clients) == 1 and not config):
        return clients[0]
    running = [found for found in map(_ask, clients) if found is not None]
    meant = [found for found in running if not config or _is_of(found, config)]
    match meant:
        case [one]:
            return one.client
        case []:
            others = "".join(f"\n  {found}" for found in running)
            what = f"no forkful with the file {config}" if config else "no forkful"
            raise ClientError(
                f"{what} answers in {runtime_directory(environ, os.getuid())}; is it running? say where with --admin "
                f"or $FORKFUL_ADMIN{others and '; there are:' + others}"
            )
    listed = "".join(f"\n  {found}" for found in meant)
    raise SeveralError(f"several services could be meant, say which with --admin, -c or $FORKFUL_ADMIN:{listed}")


def _ask(client: Client) -> Found | None:
    """None: nobody is there, or we may not ask."""
    try:
        pid = client.peer()
    except ClientError:
        return None
    status = None
    with contextlib.suppress(ClientError):
        status = fetch(client)
        pid = status["pid"]
    return Found(client, pid, status)


def _is_of(found: Found, config: str) -> bool:
    theirs = found.status.get("settings", "") if found.status is not None else ""
    if not theirs:
        return False
    try:
        return os.path.samefile(theirs, config)  # noqa: PTH121  # texts, as they were written
    except OSError:
        return theirs == os.path.abspath(config)  # noqa: PTH100  # as above
