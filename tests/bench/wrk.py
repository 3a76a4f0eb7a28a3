"""wrk: HTTP load by the program that everybody uses, on its own core, and what it reports.

wrk counts as read errors also the connections that a server closes without having announced it by `Connection: close`,
and answers of 400 and more as status errors; nothing of it is hidden here. It only knows whole seconds.
Can go wrong: it is not installed, or gives up: `LoadError` with its words.
"""

import json
import math
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cores import pinned
from tests.bench.load import LoadError, Outcome

SCRIPT = Path(__file__).with_suffix(".lua")
ERRORS = ("connect", "read", "write", "timeout", "status")
GRACE = 30.0
#: With wrk's own `Host` it is eleven fields, as a browser sends them.
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: none",
    "Priority: u=0, i",
    "Cookie: session=abcdef0123456789; theme=dark; n=1000000",
)


@dataclass(frozen=True, slots=True)
class Wrk:
    """What to send. `drawn`: what differs in each request, as `wrk.lua` has it: nothing, `varying`,
    `balanced` or `fields N`."""

    connections: int = 50
    headers: tuple[str, ...] = ()
    drawn: str = ""
    path: str = "/"
    scheme: str = "http"
    timeout: float = 5.0

    @property
    def missing(self) -> str:
        return "" if shutil.which("wrk") else "no wrk: apt install wrk"

    def drive(self, address: str, seconds: float, core: int) -> Outcome:
        """Run it on `core` for so long, rounded up to whole seconds."""
        whole = math.ceil(seconds)
        with pinned(core):
            process = subprocess.Popen(
                self.command(address, whole), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        try:
            out, words = process.communicate(timeout=whole + self.timeout + GRACE)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise LoadError(f"wrk was not done {GRACE:.0f} s after it should") from error
        if process.returncode:
            raise LoadError(words.strip() or f"wrk left with {process.returncode}")
        return read(out)

    def command(self, address: str, seconds: int) -> list[str]:
        """Its command line for `HOST:PORT`."""
        if self.missing:
            raise LoadError(self.missing)
        words = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "--timeout", f"{math.ceil(self.timeout)}s"]
        for header in self.headers:
            words += ["-H", header]
        return [
            *words,
            "-s",
            str(SCRIPT),
            f"{self.scheme}://{address}{self.path}",
            *(["--", *self.drawn.split()] if self.drawn else []),
        ]


def read(text: str) -> Outcome:
    """Understand the line of JSON at the end of what it prints."""
    raw = json.loads(text.splitlines()[-1])
    errors = {name: raw[name] for name in ERRORS if raw[name]}
    ok = raw["requests"] - raw["status"]
    return Outcome(raw["requests"], ok, raw["microseconds"] / 1e6, errors, raw["p50"], raw["p99"])
