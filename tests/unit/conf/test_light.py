"""Light dataclasses do what the standard library's do."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from forkful.conf import light

Make = Callable[..., Any]  # Any: a decorator, as either of the two gives it
LIBRARY, OURS = dataclasses.dataclass, light.dataclass


def classes(make: Make, *, frozen: bool) -> tuple[Any, Any]:  # Any: classes made by either
    """A class with all that ours use, and one that descends from it."""

    @make(frozen=frozen, slots=True)
    class Base:
        """Documented."""

        KIND: ClassVar[str] = "base"
        first: int
        second: str = "two"
        third: list[int] = dataclasses.field(default_factory=list)
        fourth: int = dataclasses.field(default=4, compare=False, repr=False)

        @property
        def both(self) -> str:
            return f"{self.first} {self.second}"

    @make(frozen=frozen, slots=True)
    class Derived(Base):
        """Documented."""

        KIND: ClassVar[str] = "derived"
        second: str = "zwei"
        fifth: int = 5

        def __post_init__(self) -> None:
            if self.fifth < 0:
                raise ValueError("negative")

    return Base, Derived


def outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except Exception as error:  # noqa: BLE001  # compared by its type
        return type(error)


ASKED: list[Callable[[Any, Any], object]] = [
    lambda base, _: repr(base(1)),
    lambda _, derived: repr(derived(1, third=[3])),
    lambda base, _: base(1) == base(1, "two", [], 99),
    lambda base, _: base(1) == base(2),
    lambda base, derived: base(1) == derived(1),
    lambda base, _: base(1) == 1,
    lambda base, _: hash(base(1, third=())) == hash(base(1, third=(), fourth=9)),
    lambda base, _: base(1).third is base(1).third,
    lambda base, _: [field.name for field in dataclasses.fields(base)],
    lambda _, derived: dataclasses.asdict(derived(1)),
    lambda _, derived: repr(dataclasses.replace(derived(1), second="x")),
    lambda base, _: dataclasses.is_dataclass(base),
    lambda _, derived: (derived.KIND, derived.__match_args__, derived(7).both),
    lambda base, _: base(),
    lambda base, _: base(1, 2, 3, 4, 5),
    lambda base, _: base(1, first=1),
    lambda base, _: base(1, sixth=6),
    lambda base, _: setattr(base(1), "first", 2),
    lambda base, _: delattr(base(1), "first"),
    lambda base, _: setattr(base(1), "second", "deux"),
    lambda _, derived: derived(1, fifth=-1),
    lambda base, _: hasattr(base(1), "__dict__"),
]


@pytest.mark.parametrize("asked", ASKED, ids=range(len(ASKED)))
@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "mutable"])
def test_a_light_dataclass_answers_as_the_library_does(asked: Callable[[Any, Any], object], frozen: bool) -> None:
    ours, theirs = classes(OURS, frozen=frozen), classes(LIBRARY, frozen=frozen)

    assert outcome(lambda: asked(*ours)) == outcome(lambda: asked(*theirs))


def test_it_may_be_written_without_parameters() -> None:
    @light.dataclass
    class Plain:
        """Documented."""

        first: int

    assert Plain(1) == Plain(first=1)
