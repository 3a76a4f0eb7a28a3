"""Metric files as handlers leave them behind: written by prometheus_client's own code, in the name of any process."""

from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict, mmap_key

NOBODY = 5_000_000  # above the highest process id there can be: proc_sys_kernel(5), pid_max


def write(file: Path, metric: str, sample: str, value: float, timestamp: float = 0.0, **labels: str) -> None:
    """Set one value in a file, which is made if it is not there."""
    values = MmapedDict(str(file))  # type: ignore[no-untyped-call]
    key = mmap_key(metric, sample, list(labels), list(labels.values()), "Help.")
    values.write_value(key, value, timestamp)  # type: ignore[no-untyped-call]
    values.close()  # type: ignore[no-untyped-call]


def count(directory: Path, pid: int, value: float) -> None:
    """What a process leaves that has counted `app_echoes` up to `value`."""
    write(directory / f"counter_{pid}.db", "app_echoes", "app_echoes_total", value)


def files(directory: Path) -> list[str]:
    """The names of the files that belong to a process."""
    return sorted(path.name for path in directory.glob("*.db"))
