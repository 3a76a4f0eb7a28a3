"""What a server of the user's does beside its requests: a `serve_forever` of its own, `service_actions`, `shutdown`.

Can go wrong: any of them raises: told, and the worker goes on, but for `serve_forever`, whose failure is the worker's.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from forkful.handlers import Farewell
from forkful.handlers.load import describe
from forkful.handlers.server import serves_by, was_shut_down
from forkful.worker.blocking.listener import Listener

logger = logging.getLogger("forkful.worker")

EVERY = 0.5  # seconds between two calls of `service_actions`: the poll_interval of `serve_forever`


def actions(listeners: Sequence[Listener]) -> Callable[[], None] | None:
    """What calls the `service_actions` of all servers that have one; None where none has."""
    ours = [listener for listener in listeners if "service_actions" in listener.hooks]

    def call() -> None:
        for listener in ours:
            try:
                listener.server.service_actions()
            except BaseException:
                logger.exception("%s: service_actions failed", listener)

    return call if ours else None


def shut_down_with(farewell: Farewell, listeners: Sequence[Listener]) -> None:
    """Have a `shutdown` of the user's called when the worker drains: programs tell their connections by it."""

    def shut_down(listener: Listener) -> None:
        try:
            listener.server.shutdown()
        except BaseException as error:
            if was_shut_down(listener.server):  # the rest is its own affair, with the process that ends anyway
                logger.warning("%s: its shutdown() ended in an error: %s", listener, describe(error))
            else:
                logger.exception("%s: shutdown failed", listener)

    def all_of_them() -> None:
        for listener in listeners:
            # In a thread, for it may wait for the connections that it tells.
            threading.Thread(target=shut_down, args=(listener,), name="shutdown", daemon=True).start()

    if any("shutdown" in listener.hooks for listener in listeners):
        listeners = [listener for listener in listeners if "shutdown" in listener.hooks]
        farewell.add_callback(all_of_them)


def serve(listener: Listener, lanes: Callable[[], object]) -> None:
    """Run the lanes, from within the server's own `serve_forever` where it has one: in the main thread, as ever."""
    served: list[bool] = []

    def run() -> None:
        if not served:
            served.append(True)
            lanes()

    if "serve_forever" in listener.hooks:
        name = type(listener.server).__qualname__
        if not serves_by(listener.server, run):
            logger.warning(
                "%s.serve_forever() asks for one request at a time: they are served in its place, and what it does "
                "between them is not done",
                name,
            )
        if not served:
            logger.warning("%s.serve_forever() returned without serving: forkful serves without it", name)
    run()
