"""What the source says to mypyc alone (`deploy/build`): without it, as in pure Python, it means nothing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr  # noqa: PLC0414  # by this name mypyc knows it
else:

    def mypyc_attr(**_: object) -> object:
        """Of a class: source may inherit from it, though it is compiled (`allow_interpreted_subclasses`)."""
        return lambda decorated: decorated
