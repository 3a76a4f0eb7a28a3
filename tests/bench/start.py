"""Start: from the command to the first answer of an application that imports nothing, and what `forkful status` takes.

The client is in the queue before the server is there, so nothing is polled. Turn by turn with the peer, on all cores.
Can go wrong: no answer in time: `ServerError`.
"""

import subprocess
import time
from dataclasses import replace
from statistics import median

from tests.bench.comparison import Rounds
from tests.bench.contenders import FORKFUL, forkful, gunicorn
from tests.bench.figure import Figure, halves, ratio
from tests.bench.hello import WSGI
from tests.bench.server import ROOT, Contender, Ready, Server

PART = 0.7  # of Gunicorn's
STATUS_MS = 150.0


def start(rounds: Rounds) -> list[Figure]:
    """Both starts by turns, and the status of a service that is idle."""
    ours, theirs = (
        replace(contender, ready=Ready.ANSWERS, all_cores=True)
        for contender in (forkful("forkful", WSGI), gunicorn("Gunicorn", WSGI))
    )
    if theirs.missing:
        return [Figure("start to the first answer / Gunicorn", target=PART, absent=theirs.missing)]
    times = [(_to_answer(ours), _to_answer(theirs)) for _ in range(rounds.rounds * 3)]
    found = ratio([mine for mine, _ in times], [other for _, other in times])
    detail = (
        f"{median(mine for mine, _ in times):.0f} ms / {median(other for _, other in times):.0f}; {len(times)} starts"
    )
    spent = [_cpu(contender) for _ in range(rounds.rounds) for contender in (ours, theirs)]
    used = ratio(spent[::2], spent[1::2])
    words = f"{median(spent[::2]):.0f} ms of CPU / {median(spent[1::2]):.0f}"
    status = [each for _ in range(2) for each in _status(rounds.rounds)]
    begun = Figure("start to the first answer / Gunicorn", found.value, "x", PART, None, found.low, found.high, detail)
    asked = Figure("forkful status", median(status), "ms", STATUS_MS, None, min(status), max(status))
    return [
        replace(begun, control=halves([mine for mine, _ in times])),
        Figure("CPU of the start / Gunicorn", used.value, "x", low=used.low, high=used.high, detail=words),
        replace(asked, detail=f"{len(status)} times", control=halves(status)),
    ]


def _to_answer(contender: Contender) -> float:
    """Milliseconds."""
    began = time.monotonic()
    with Server(contender):
        return (time.monotonic() - began) * 1e3


def _cpu(contender: Contender) -> float:
    """Milliseconds, of all its processes."""
    with Server(contender) as server:
        return server.cpu() * 1e3


def _status(times: int) -> list[float]:
    found = []
    with Server(forkful("forkful", WSGI)) as server:
        command = [*FORKFUL[:-1], "status", "--admin", f"unix://{server.directory}/admin.sock"]
        for _ in range(times):
            began = time.monotonic()
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
            found.append((time.monotonic() - began) * 1e3)
    return found
