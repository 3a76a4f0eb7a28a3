"""Who has something computed: jobs of a few tasks one after the other, by the application's own client."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from forkful.handlers.examples.compute.client import compute
from forkful.handlers.examples.compute.jobs import Task, cut, join
from tests.bench.soak.applications import Crew
from tests.bench.soak.ledger import Balance, Ledger
from tests.kit.admin import Metrics
from tests.kit.door import Door, host_port

NAME = "compute"
_WORDS = [f"word{number}" for number in range(500)]
_SAMPLES = 150_000


class Jobs:
    """A count of words, whose result is known, and an estimate of pi, which takes a worker some time."""

    def __init__(self, ledger: Ledger) -> None:
        self._crew = Crew(ledger, NAME)
        self._numbers, self._dice = itertools.count(1), random.Random(1)
        self._results = 0

    def start(self, doors: Mapping[str, list[Door]]) -> None:
        self._host = host_port(doors["jobs"][0])
        self._crew.send(self._ask, 0.4)

    def _ask(self) -> None:
        number = next(self._numbers)
        if number % 2:
            words = [*self._dice.choices(_WORDS, k=5_000), f"job{number}"]
            self._job("words", {"texts": [" ".join(words)]}, dict(Counter(words)))
        else:
            self._job("pi", {"samples": _SAMPLES, "seed": number}, None)

    def _job(self, kind: str, arguments: dict[str, Any], expected: object) -> None:  # Any: JSON
        tasks: list[Task] = cut(kind, arguments)
        told = Counter[str]()

        def tell(_: str, said: dict[str, Any]) -> None:  # Any: JSON
            if "result" in said:
                told[said["key"]] += 1

        self._crew.count("tasks sent", len(tasks))
        try:
            results = compute(tasks, [self._host], tell)
        except (RuntimeError, TimeoutError, OSError) as error:
            self._crew.notice("task failed", repr(error))
            return
        self._results += len(results)
        self._crew.count("tasks answered", len(results))
        if doubled := sum(told.values()) - len(told):
            self._crew.count("results that came twice", doubled)
        found = join(kind, tasks, [results[task.key] for task in tasks])
        if found != expected if expected is not None else not 3 < found < 3.3:  # pi
            self._crew.notice("result wrong", f"{kind}: {found!r:.100}")

    def stop(self) -> None:
        self._crew.stop()

    def balances(self, metrics: Metrics) -> Iterator[Balance]:
        """A task that is asked for again, as the connection ended, is counted again, and comes from the cache then."""
        counted = sum(int(metrics.sum("compute_tasks_total", how=how)) for how in ("computed", "cached"))
        again = int(metrics.sum("compute_tasks_total", how="cached"))
        yield Balance(NAME, "results, less those of the cache", self._results, min(counted, self._results), 0, "none")
        yield Balance(NAME, "computed", counted - again, self._results, 0, "none, and none twice")
