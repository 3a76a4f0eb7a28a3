"""The recorder: the one thread that adds to the history every few seconds.

While nothing happens it asks the master nothing: it reads the scoreboard, finds it as before and repeats the last
sample. So an idle master sleeps on.
Can go wrong: the master does not answer: that sample is missing, and the charts show a gap.
"""

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from forkful.master.admin import status
from forkful.master.admin.history import PERIOD, History
from forkful.master.admin.master_client import NoAnswerError
from forkful.master.admin.view import View, Viewer

if TYPE_CHECKING:
    from forkful.master.admin.push import Pusher

log = logging.getLogger("forkful.admin")

LONGEST: Final = 60.0  # seconds until the master is asked although nothing has changed


class Recorder:
    """Runs until `over` is set."""

    def __init__(self, viewer: Viewer, period: float = PERIOD, pusher: "Pusher | None" = None) -> None:
        self.history = History()
        self.over = threading.Event()
        self._viewer = viewer
        self._period = period
        self._pools: tuple[int, ...] = ()
        self._seen: object = None
        self._asked_at = 0.0
        self._stale = False
        self._pusher = pusher
        self._view: View | None = None
        threading.Thread(target=self._run, name="recorder", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                self.look(time.time())
                if self._pusher is not None and self._view is not None:
                    self._pusher.see(self._view)
            except NoAnswerError as silence:
                log.debug("no sample for the history: %s", silence)
            except Exception:  # the page does without one sample; the next may be well
                log.exception("no sample for the history")
            if self.over.wait(self._period):
                return

    def tell(self) -> None:
        """A child of the service has ended: what the master knows is not what it was."""
        self._stale = True

    def look(self, now: float) -> None:
        """Take one sample. Raise `NoAnswerError` where the master does not answer."""
        seen = self._viewer.board.snapshot(self._pools)
        if seen == self._seen and now - self._asked_at < LONGEST and self._pools and not self._stale:
            self.history.repeat(now)
            return
        self._stale = False
        view = self._viewer.take()
        self._view = view
        self._pools = tuple(pool.facts["number"] for pool in view.pools)
        self._seen = {pool.facts["number"]: pool.totals for pool in view.pools}
        self._asked_at = now
        self.history.observe(status.document(view, self._viewer.board))
