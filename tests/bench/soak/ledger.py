"""The ledger: what befell the service, what its clients noticed of it, and whether they were promised otherwise.

What a client notices is put down to the fault that was under way, or has been just before. While nothing happens
nothing may be noticed; a fault of one application is no other's.
Can go wrong: what was noticed is not in `MAY`: a complaint, which names who noticed what and when.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Fault(NamedTuple):
    """What is done to the service; to one application of it, or `of` "": to all."""

    name: str
    of: str = ""


CALM = Fault("nothing")
#: What may be noticed, of which fault; "*": of any. Who holds a connection for long may be told to come again. Where
#: a worker has not one descriptor left, all of a sudden, libuv takes connections only to drop them.
MAY: dict[str, frozenset[str]] = {
    "told to come again": frozenset({"*"}),
    "connection torn": frozenset({"worker killed"}),
    "request lost": frozenset({"worker killed", "worker out of descriptors"}),
    "message lost": frozenset({"worker killed"}),
    "answer refused": frozenset({"worker out of descriptors"}),
    "room forgotten": frozenset({"worker killed", "scaled", "emptied"}),
    "silence of 3 s": frozenset({"worker killed", "scaled", "emptied", "worker frozen"}),
    "status not answered": frozenset({"admin child killed"}),
}


class Notice(NamedTuple):
    """Somebody noticed something."""

    application: str
    what: str
    fault: Fault


def is_promised_not_to_be(notice: Notice) -> bool:
    """Whether this was to be noticed by nobody."""
    fault, may = notice.fault, MAY.get(notice.what, frozenset())
    is_theirs = fault.of in ("", notice.application)
    return fault == CALM or not is_theirs or not may & {"*", fault.name}


class Ledger:
    """All of it, from many threads."""

    def __init__(self) -> None:
        self.faults: Counter[Fault] = Counter()
        self.notices: Counter[Notice] = Counter()
        self.counts: dict[str, Counter[str]] = {}
        self.remarks: list[str] = []  # the first few that were promised not to be, in words
        self._now = CALM
        self._lock = threading.Lock()

    def begin(self, fault: Fault) -> None:
        """From now on what is noticed is this fault's."""
        with self._lock:
            self._now = fault
            if fault != CALM:
                self.faults[fault] += 1

    def count(self, application: str, what: str, by: int = 1) -> None:
        with self._lock:
            self.counts.setdefault(application, Counter())[what] += by

    def notice(self, application: str, what: str, remark: str = "") -> None:
        with self._lock:
            notice = Notice(application, what, self._now)
            self.notices[notice] += 1
            if is_promised_not_to_be(notice) and len(self.remarks) < 20:  # to be read
                self.remarks.append(f"{application}: {what} ({self._now.name}): {remark}")

    def done_to(self, application: str, name: str) -> int:
        """How often this befell this application."""
        return sum(times for fault, times in self.faults.items() if fault.name == name and fault.of == application)

    def complaints(self) -> Iterator[str]:
        for notice, times in sorted(self.notices.items()):
            if is_promised_not_to_be(notice):
                of = f" of {notice.fault.of}" if notice.fault.of else ""
                yield f"{notice.application}: {notice.what}, {times} times, by {notice.fault.name}{of}"


class Balance(NamedTuple):
    """What clients sent and what was counted, of one kind; `at_most` may be missing, and nothing may be too much."""

    application: str
    what: str
    sent: int
    counted: int
    at_most: int
    why: str  # so many may be missing

    @property
    def missing(self) -> int:
        return self.sent - self.counted

    @property
    def is_even(self) -> bool:
        return 0 <= self.missing <= self.at_most


def table_of_faults(ledger: Ledger) -> list[str]:
    """For each fault how often, and what clients noticed."""
    noticed: dict[str, Counter[str]] = {}
    for notice, times in ledger.notices.items():
        noticed.setdefault(notice.fault.name, Counter())[f"{notice.application}: {notice.what}"] += times
    times_of = Counter[str]()
    for fault, times in ledger.faults.items():
        times_of[fault.name] += times
    rows = ["| what was done | times | what clients noticed |", "|---|---|---|"]
    rows += [f"| {name} | {n} | {_listed(noticed.get(name, Counter()))} |" for name, n in times_of.most_common()]
    return [*rows, f"| {CALM.name} | | {_listed(noticed.get(CALM.name, Counter()))} |"]


def table_of_counts(ledger: Ledger) -> list[str]:
    rows = ["| application | what its clients did and saw |", "|---|---|"]
    for application, counts in sorted(ledger.counts.items()):
        text = ", ".join(f"{what} {times:,}" for what, times in sorted(counts.items()))
        rows.append(f"| {application} | {text} |")
    return rows


def table_of_balances(balances: Iterable[Balance]) -> list[str]:
    rows = ["| application | what | by clients | counted | missing | may be missing |", "|---|---|---|---|---|---|"]
    rows += [
        f"| {each.application} | {each.what} | {each.sent:,} | {each.counted:,} | {each.missing:,} "
        f"| {each.at_most:,}: {each.why} |"
        for each in balances
    ]
    return rows


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{what} {times}" for what, times in sorted(counts.items())) or "nothing"
