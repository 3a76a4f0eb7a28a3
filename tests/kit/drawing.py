"""The drawing of the state machines in CONTRIBUTING.md, made from their tables: `python -m tests.kit.drawing`.

Can go wrong: the page has no place for one: `ValueError`.
"""

import re
from collections import defaultdict
from enum import Enum
from pathlib import Path
from typing import Any

from forkful.master.policy import stop, transaction

PAGE = Path(__file__).parent.parent.parent / "CONTRIBUTING.md"
MACHINES = {
    "transaction": (transaction.TABLE, transaction.Stage.IDLE),
    "stop": (stop.TABLE, stop.Stage.UP),
}


def draw(table: Any, start: Enum) -> str:  # Any: a table of any machine
    """A table as Mermaid draws it: an arrow has the events and, behind the stroke, what is done."""
    arrows: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for (state, event), row in table.items():
        arrows[state.name, row.next.name, row.do.name].append(event.name)
    stages = list(type(start).__members__)
    ordered = sorted(
        arrows.items(), key=lambda arrow: (stages.index(arrow[0][0]), stages.index(arrow[0][1]), arrow[0][2])
    )
    lines = [f"    {a} --> {b}: {', '.join(events)} / {do}" for (a, b, do), events in ordered]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {start.name}", *lines])


def between(page: str, name: str) -> tuple[int, int]:
    """Where on the page the drawing of a machine stands."""
    found = re.search(rf"<!-- {name}: drawn -->\n```mermaid\n(.*?)\n```\n", page, re.DOTALL)
    if found is None:
        raise ValueError(f"{PAGE.name} has no place for the drawing of the {name}")
    return found.span(1)


def main() -> None:
    """Draw all anew."""
    page = PAGE.read_text()
    for name, (table, start) in MACHINES.items():
        begin, end = between(page, name)
        page = page[:begin] + draw(table, start) + page[end:]
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
