"""Closed directories, opened for a server whose workers are somebody else: where root's home holds the interpreter.

A directory that others may not enter hides what is below it from the user that workers become. In a mount namespace of
the server's own an open one takes its place, with only the interpreter and this checkout in it, mount_namespaces(7).
Can go wrong: no right to make a namespace: the server does not start, and its log says why.
"""

import shlex
import stat
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def wrapper() -> list[str]:
    """What to run a server with, so that any user may read the interpreter and this checkout; often nothing."""
    closed: dict[Path, list[Path]] = {}
    for path in {Path(sys.base_prefix), Path(sys.prefix), _ROOT}:
        if (barrier := _barrier(path.resolve())) is not None:
            closed.setdefault(barrier, []).append(path.resolve())
    if not closed:
        return []
    lines = ["set -e", "hold=$(mktemp -d)", "mount -t tmpfs none $hold"]
    for number, (barrier, paths) in enumerate(closed.items()):
        for index, path in enumerate(paths):
            lines += [f"mkdir $hold/{number}.{index}", f"mount --bind {shlex.quote(str(path))} $hold/{number}.{index}"]
        lines.append(f"mount -t tmpfs -o mode=755 none {shlex.quote(str(barrier))}")
        for index, path in enumerate(paths):
            where = shlex.quote(str(path))
            lines += [f"mkdir -p {where}", f"mount --bind $hold/{number}.{index} {where}"]
    return ["unshare", "-m", "sh", "-c", "\n".join([*lines, "umount -l $hold", "rmdir $hold", 'exec "$@"']), "sh"]


def _barrier(path: Path) -> Path | None:
    """The outermost directory on the way to `path` that others may not enter."""
    for parent in reversed([path, *path.parents]):
        if not parent.stat().st_mode & stat.S_IXOTH:
            return parent
    return None
