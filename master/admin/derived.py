"""What a status document comes to: the figures and words that tables and pages show of it.

Whoever shows a document needs this alone, and nothing of what it is made from.
"""

from typing import TYPE_CHECKING

from forkful.master.model import format as as_text

if TYPE_CHECKING:
    from forkful.master.admin.status import PoolStatus, Status
    from forkful.master.model import facts


def generations(service: "Status") -> list[str]:
    """In words: the canaries that are compared, and what can be had back."""
    lines = []
    if bake := service.get("bake"):
        lines.append(f"canaries of generation {bake['generation']}: {as_text.age(bake['seconds'])} left")
        lines += [f"{each['pool']}: new: {_side(each['new'])}; old: {_side(each['old'])}" for each in bake["pools"]]
    if spare := service.get("spare"):
        left = as_text.age(spare["seconds"])
        lines.append(f"generation {spare['generation']} can be had back for {left} (forkful rollback)")
    return lines


def _side(side: "facts.Side") -> str:
    share = side["failed"] / side["requests"] if side["requests"] else 0.0
    return (
        f"{as_text.number(side['requests'])} requests, {share:.1%} failed, {as_text.duration(side['mean_seconds'])}, "
        f"{side['deaths']} deaths, {as_text.size(side['resident_bytes'])}"
    )


def ended(pool: "PoolStatus") -> int:
    """All calls of the handler that have ended, however they went."""
    return sum(pool["requests"].values())


def failed(pool: "PoolStatus") -> int:
    """The calls that went wrong for a reason of ours: an error, a timeout, a worker's death."""
    return sum(pool["requests"].get(outcome, 0) for outcome in ("error", "timeout", "lost"))


def answered(pool: "PoolStatus", code: str) -> int | None:
    """HTTP answers of a class; None where the pool gives none. The document may be of a version without."""
    responses = pool.get("responses") or {}
    return responses.get(code, 0) if responses else None


def ready(pool: "PoolStatus") -> int:
    return sum(worker["phase"] == "READY" for worker in pool["workers"])


def waiting(pool: "PoolStatus") -> int:
    """Connections that wait in the listeners' queues."""
    return sum(each["queue"] or 0 for each in pool["listeners"])


def restarts(pool: "PoolStatus") -> int:
    """Workers that died. Who left when told to, also by a signal, has not, nor who was tried in a reload and failed."""
    return pool.get("deaths", 0)
