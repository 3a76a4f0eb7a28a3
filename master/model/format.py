"""Figures and states as people read them, the same in tables and on the status page."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_STEP = 1024
_WHOLE = 100  # from here on digits after the point are noise
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def age(seconds: float) -> str:
    """12s, 4m 05s, 3h 20m, 5d 7h."""
    whole = int(max(0.0, seconds))
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR}h"


def size(count: float) -> str:
    """512 B, 31.4 MiB."""
    for unit in _UNITS:
        if count < _STEP or unit == _UNITS[-1]:
            break
        count /= _STEP
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def number(count: float) -> str:
    """1,234,567."""
    return f"{count:,.0f}"


def rate(per_second: float) -> str:
    """0.25/s, 8.1/s, 12,345/s."""
    if per_second >= _WHOLE:
        return f"{per_second:,.0f}/s"
    return f"{per_second:.1f}/s" if per_second >= 1 or per_second == 0 else f"{per_second:.2f}/s"


def duration(seconds: float) -> str:
    """85 µs, 4.2 ms, 1.35 s, and from a minute on as `age`."""
    if seconds >= _MINUTE:
        return age(seconds)
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"  # noqa: PLR2004  # a millisecond


def share(part: float) -> str:
    """0 %, 3.2 %, 100 %."""
    return f"{part * 100:.3g} %"


def plain(said: str, keep: str = "") -> str:
    """What others said, without what would move a cursor, ring the bell or turn the direction of writing."""
    return "".join(char if char.isprintable() or char in keep else "\N{REPLACEMENT CHARACTER}" for char in said)
