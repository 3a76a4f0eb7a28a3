"""A browser: headless Chromium, told what to do over two pipes (the DevTools protocol: JSON with a NUL behind it).

No port and no driver of another version; the end of the pipes is the end of the browser. It reaches nothing but this
machine.
Can go wrong: it is not installed (see `neighbour.find`), ends, or does not answer in time: `TooLateError` or
`AssertionError`, with what it printed; a script raises: `AssertionError`.
"""

import itertools
import json
import os
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.kit.wait import PATIENCE, TooLateError, readable
from tests.peers.neighbour import find

Json = dict[str, Any]  # Any: what JSON gives

_FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # it cannot have one as root, and only sees pages of ours
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container has little of it
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
)
# It speaks on descriptors 3 and 4, which are no others' in a new process.
_PIPES = 'exec "$0" "$@" 3<&0 4>&1 </dev/null >&2'


class Browser:
    """One Chromium; its pages share nothing."""

    def __init__(self, folder: Path) -> None:
        self._log_path = folder / "chromium.log"
        command = [find("chromium"), *_FLAGS, f"--user-data-dir={folder / 'profile'}"]
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _PIPES, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        assert self._process.stdin
        assert self._process.stdout
        self._to, self._from = self._process.stdin, self._process.stdout
        self._rest = b""
        self._numbers = itertools.count(1)
        self._events: deque[Json] = deque()

    def call(self, method: str, session: str = "", **parameters: Any) -> Json:
        """Have something done, and return what came of it."""
        number = next(self._numbers)
        order = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        self._to.write(json.dumps(order).encode() + b"\0")
        self._to.flush()
        deadline = time.monotonic() + PATIENCE
        while (reply := self._next(deadline, method)).get("id") != number:
            self._events.append(reply)
        assert "error" not in reply, f"{method}: {reply['error']}"
        result: Json = reply["result"]
        return result

    def event(self, session: str, method: str) -> Json:
        """Wait for something to happen, unless it has already."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for event in self._events:
                if (event.get("sessionId"), event.get("method")) == (session, method):
                    self._events.remove(event)
                    happened: Json = event["params"]
                    return happened
            self._events.append(self._next(deadline, method))

    def events(self, session: str) -> list[Json]:
        """What has happened and was not waited for."""
        return [event for event in self._events if event.get("sessionId") == session]

    def _next(self, deadline: float, what: str) -> Json:
        while b"\0" not in self._rest:
            if not readable(self._from.fileno(), within=deadline - time.monotonic()):
                raise TooLateError(f"no answer to {what} from the browser: {self._log_path.read_text('utf-8')}")
            data = os.read(self._from.fileno(), 1 << 20)
            assert data, f"the browser ended: {self._log_path.read_text('utf-8')}"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        said: Json = json.loads(message)
        return said

    @contextmanager
    def page(self) -> Iterator["Page"]:
        """A page that knows nothing of others; its connections end with it."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        yield Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        self.call("Target.disposeBrowserContext", browserContextId=context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._to.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(PATIENCE)
        self._from.close()


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Json:
        return self._browser.call(method, self._session, **parameters)

    def open(self, url: str) -> None:
        failed = self.call("Page.navigate", url=url).get("errorText")
        assert not failed, f"{url}: {failed}"
        self.wait_until_loaded()

    def wait_until_loaded(self) -> None:
        self._browser.event(self._session, "Page.loadEventFired")

    def run(self, script: str) -> Any:  # Any: what JSON gives
        """Run the body of an async function in the page, and return what it returns."""
        done = self.call(
            "Runtime.evaluate", expression=f"(async () => {{{script}}})()", awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def complaints(self) -> list[Json]:
        """What its console shows: exceptions, violations of a policy, answers that were errors."""
        kinds = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [event["params"] for event in self._browser.events(self._session) if event["method"] in kinds]

    def resize(self, width: int, height: int = 800, *, scheme: str = "light") -> None:
        """Be a window of this size, of a reader who prefers this colour scheme."""
        phone = width < 500
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
