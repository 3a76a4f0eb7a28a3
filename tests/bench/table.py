"""The table: figures as lines of text, one section per benchmark."""

from tests.bench.figure import Figure

WIDTH = 58
HEADER = f"{'':{WIDTH}} {'target':>9} {'measured':>10}  {'spread':<15} verdict"


def header(title: str) -> str:
    """The first line of a section."""
    return HEADER.replace(" " * WIDTH, f"{title:{WIDTH}}", 1)


def line(figure: Figure) -> str:
    if figure.absent:
        return f"  {figure.what:{WIDTH - 2}} {figure.verdict.value}: {figure.absent}"
    target = "" if figure.target is None else f"<= {number(figure.target)}"
    spread = "" if figure.low is None or figure.high is None else f"{number(figure.low)} .. {number(figure.high)}"
    measured = f"{number(figure.value)} {figure.unit}".rstrip()
    text = f"  {figure.what:{WIDTH - 2}} {target:>9} {measured:>10}  {spread:<15} {figure.verdict.value:<9}"
    aim = ""
    if figure.aim is not None:
        aim = f"aim {number(figure.aim)} {'met' if figure.value <= figure.aim else 'missed'}"
    words = (text, aim, figure.detail, _control(figure), figure.faults, figure.reason)
    return "  ".join(part for part in words if part).rstrip()


def _control(figure: Figure) -> str:
    """The same against itself, which is one on a machine that does nothing else."""
    if figure.control is None:
        return ""
    return f"(itself {number(figure.control.value)}, {number(figure.control.low)} .. {number(figure.control.high)})"


def number(value: float) -> str:
    """Three digits that mean something."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
