"""The same tasks on Dask, the engine to move to when this one is outgrown: `pip install distributed` there and here."""

from collections.abc import Callable, Sequence

from distributed import Client, as_completed

from forkful.handlers.examples.compute.jobs import Json, Task, result


def compute(tasks: Sequence[Task], scheduler: str, tell: Callable[[str, dict[str, Json]], object]) -> dict[str, Json]:
    """The results by their keys, computed by the workers of this scheduler, which can import this module."""
    found = {}
    with Client(scheduler) as client:  # type: ignore[no-untyped-call]  # Dask has no types
        futures = client.map(result, tasks, key=[each.key for each in tasks])
        for future, outcome in as_completed(futures, with_results=True):  # type: ignore[no-untyped-call]
            found[future.key] = outcome
            tell(scheduler, {"key": future.key, "result": outcome})
    return found
