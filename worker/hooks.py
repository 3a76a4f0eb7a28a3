"""The hooks of a worker: its user's functions, each at its moment, and the master told of those that fail.

A failure before the worker serves is a failure of its start; later it is logged, and the worker leaves as it would.
Where the handler lives on the event loop its hooks are called there. A WSGI application knows no loop, so its hooks are
called in a thread beside it; in other workers `worker_drain` has a thread, and the rest the main thread.
Can go wrong: `HookError` at the start. One that hangs is ended by whoever ends the start, or a worker that must leave.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from forkful.handlers.farewell import draining
from forkful.handlers.hooks import HookError, Hooks, failed
from forkful.handlers.kinds import Form
from forkful.worker.ipc import messages
from forkful.worker.process import leaving

if TYPE_CHECKING:
    import asyncio

    from forkful.worker.ipc.assignment import Assignment

logger = logging.getLogger("forkful.worker")

_ON_LOOP: Final = frozenset({Form.COROUTINE, Form.PROTOCOL, Form.ASGI})
_NO_LOOP: Final[Mapping[Form, str]] = {
    Form.WSGI: "a WSGI application knows no event loop",
    Form.OWN: "the event loop of this program is its own",
}


class WorkerHooks:
    """Those of one worker. `tell` reaches the master."""

    def __init__(self, assignment: "Assignment", tell: Callable[[messages.FromWorker], object]) -> None:
        self._assignment = assignment
        self._tell = tell
        self._hooks = Hooks(assignment.plan.hooks, assignment.plan.name, assignment.generation, assignment.slot)
        self._on_loop = False
        self._draining: threading.Thread | asyncio.Task[None] | None = None

    def before_load(self) -> None:
        """Right after the fork. Raises `HookError`."""
        if self._hooks:
            self._hooks.call("post_fork")
            self._hooks.on_load()

    def loaded(self, form: Form) -> None:
        """The handler is here: now all of them can be. Raises `HookError`."""
        if not self._hooks:
            return
        self._on_loop = form in _ON_LOOP
        self._hooks.find_all("" if self._on_loop else _NO_LOOP.get(form, "a blocking handler has none"))
        if self._assignment.slot == 0:
            for told in self._hooks.unheeded():
                logger.warning("%s: hooks: %s", self._assignment, told)

    # -- without a loop ----------------------------------------------------------------------------------------------

    def ready(self) -> None:
        """Everything is here, and nothing is accepted yet. Raises `HookError`."""
        if not self._hooks:
            return
        self._hooks.call("worker_ready")
        if self._hooks.functions("worker_drain"):
            self._draining = threading.Thread(target=self._call, args=("worker_drain",), name="drain hook", daemon=True)
            draining().add_callback(self._draining.start)

    def exit(self) -> None:
        """Nothing is in hand any more."""
        if not self._hooks:
            return
        leaving.bound(self._assignment.graceful_timeout)
        if isinstance(self._draining, threading.Thread) and self._draining.ident is not None:
            self._draining.join()
        self._call("worker_exit")

    def _call(self, hook: str) -> None:
        try:
            self._hooks.call(hook)
        except HookError as error:
            self._log(error)

    # -- beside a loop -----------------------------------------------------------------------------------------------

    async def ready_on(self, loop: "asyncio.AbstractEventLoop") -> None:
        """As `ready`."""
        if not self._hooks:
            return
        await self._run("worker_ready")
        if self._hooks.functions("worker_drain"):
            draining().add_callback(lambda: self._begin_drain(loop))

    async def drained(self, patience: float) -> None:
        """Wait for `worker_drain`, at most so many seconds."""
        task = self._draining
        if task is None or isinstance(task, threading.Thread):
            return
        import asyncio  # noqa: PLC0415  # 40 ms and 11 MB that only a worker with a loop pays for

        _, late = await asyncio.wait({task}, timeout=patience)
        if late:
            logger.error("%s: hook worker_drain has not ended, and is cut short", self._assignment)
            task.cancel()

    async def exit_on(self) -> None:
        """As `exit`."""
        if not self._hooks:
            return
        leaving.bound(self._assignment.graceful_timeout)
        await self._run_logged("worker_exit")

    def _begin_drain(self, loop: "asyncio.AbstractEventLoop") -> None:
        self._draining = loop.create_task(self._run_logged("worker_drain"))

    async def _run_logged(self, hook: str) -> None:
        try:
            await self._run(hook)
        except HookError as error:
            self._log(error)

    async def _run(self, hook: str) -> None:
        if not self._on_loop:
            import asyncio  # noqa: PLC0415  # as above

            await asyncio.to_thread(self._hooks.call, hook)
            return
        for text, function in self._hooks.functions(hook):
            awaited = self._hooks.begin(hook, function, text)
            if awaited is None:
                continue
            try:
                await awaited
            except (Exception, SystemExit) as error:
                raise failed(hook, text, error) from error

    # -- failures ----------------------------------------------------------------------------------------------------

    def told(self, error: HookError) -> None:
        """Have the master count it."""
        self._tell(messages.HookFailed(error.hook))

    def _log(self, error: HookError) -> None:
        trace = f"\n{error.traceback.rstrip()}" if error.traceback else ""
        logger.error("%s: %s%s", self._assignment, error, trace)
        self.told(error)
