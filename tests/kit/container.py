"""A container, as far as a server sees one: what of its file system can be written, who it is, which CPUs it may use.

`wrapper(...)` is put before a server's command. All of it is made of namespaces, in which the server keeps its process
id, and with it all that the tests know about it; `Container` is one where the server is process 1.
Can go wrong: no right to make namespaces: the server does not start, and its log says why.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import Signals

from tests.kit.server import Server
from tests.kit.wait import until

STRANGER = 1_000_620_000  # a number such as OpenShift gives, which is nobody's here

_READ_ONLY = """
for place in $(awk '{print $5}' /proc/self/mountinfo | sort -ru); do
    [ "$place" = "$keep" ] || mount -o remount,bind,ro "$place" || true
done
"""


def wrapper(
    keep: Path,
    *,
    read_only: bool = False,
    writable: Sequence[str] = (),
    unset: Sequence[str] = (),
    cgroup: str = "",
    files: Mapping[str, str] = {},
) -> list[str]:
    """Make the file system read-only but for `keep` and what is `writable`, and have the control group say something.

    `cgroup` is the content of /proc/self/cgroup, `files` what is below /sys/fs/cgroup.
    """
    lines = [f"keep={shlex.quote(str(keep))}", "mount --bind $keep $keep"]
    if cgroup:
        lines += [f"echo {shlex.quote(cgroup)} >$keep/cgroup", "mount --bind $keep/cgroup /proc/$$/cgroup"]
    if files:
        lines.append("mount -t tmpfs none /sys/fs/cgroup")
        for name, text in files.items():
            path = shlex.quote(f"/sys/fs/cgroup/{name}")
            lines += [f"mkdir -p $(dirname {path})", f"echo {shlex.quote(text)} >{path}"]
    if read_only:
        lines.append(_READ_ONLY)
    covered = [
        path
        for path in dict.fromkeys([keep, Path(__file__).parents[2], Path(sys.prefix)])
        if any(path.is_relative_to(place) for place in writable)
    ]
    lines += [f"exec {3 + number}<{shlex.quote(str(path))}" for number, path in enumerate(covered)]
    lines += [f"mount -t tmpfs -o mode=1777 none {shlex.quote(place)}" for place in writable]
    for number, kept in enumerate(covered):  # what is below a place that was just mounted comes back
        lines += [f"mkdir -p {kept}", f"mount -c --bind /proc/self/fd/{3 + number} {kept}", f"exec {3 + number}<&-"]
    lines += [f"unset {name}" for name in unset]
    script = "\n".join(["set -e", *lines, 'exec "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]


def stranger() -> list[str]:
    """What runs a server as a user without an entry in passwd, in root's group and without any right of root's."""
    return ["unshare", "--user", f"--map-user={STRANGER}", "--map-group=0"]


class Container(Server):
    """A server that is process 1 of its own process ids. What it says of processes are numbers of these."""

    def launch(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        init = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", *command]
        super().launch(init, cwd=cwd, env=env)

    @property
    def master(self) -> int:
        """Its number as we see it."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return until(lambda: int((children.read_text().split() or ["0"])[0]), what="the first process of the container")

    def signal(self, number: Signals) -> None:
        os.kill(self.master, number)

    def inside(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in there."""
        enter = ["nsenter", "--mount", "--pid", f"--target={self.master}", f"--wd={self.folder}"]
        return subprocess.run([*enter, *command], capture_output=True, text=True, timeout=30, check=False)
