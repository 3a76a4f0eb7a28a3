"""A real systemd as process 1 of namespaces of its own, and the installed service as an operator would lay it out.

In there are a /run, an /etc and a control group of its own, and /srv/forkful with the package; nothing of it is in the
machine's. The network is the machine's, so that clients are ordinary ones.
Can go wrong: not root, or namespaces or control groups cannot be had: the test is left out (see `neighbour.missing`).
"""

import compileall
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Self

import forkful.master
from tests.kit.wait import PATIENCE, gone, until
from tests.peers.neighbour import DEPLOY, find, missing

SYSTEMD = Path("/lib/systemd/systemd")
_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_UNPRIVILEGED = 64321  # a user and group that nobody has
#: What units of ours order themselves against; the distribution's would bring in a whole machine.
_STUBS = ("basic", "sysinit", "shutdown", "network-online", "sockets", "multi-user", "here")

# What is mounted is private to these namespaces, and gone with their last process.
_BOOT = """
set -e
folder=$1 python=$2 packages=$3
mount --make-rprivate /
mount --bind "$folder/manager.log" /dev/kmsg
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
cp -a /etc /run/etc
rm -rf /run/etc/systemd && mkdir -p /run/etc/systemd/system /run/etc/forkful
cat "$folder/passwd" >>/run/etc/passwd
cat "$folder/group" >>/run/etc/group
mount -t tmpfs -o mode=755 tmpfs /srv
mkdir /srv/forkful
mount --bind "$folder/srv" /srv/forkful
mount --bind "$python" /srv/forkful/python
mount --bind "$packages" /srv/forkful/packages
mount --bind "$folder/units" /run/etc/systemd/system
mount --bind "$folder/settings" /run/etc/forkful
mount --rbind /run/etc /etc
cd /
exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH=/etc/systemd/system SYSTEMD_GENERATOR_PATH=/nowhere \
    "$4" --system --unit=here.target --log-target=kmsg --log-level=info --show-status=no
"""


class SystemManager:
    """One systemd, from its first process to the proof that none of them is left."""

    def __init__(self, folder: Path) -> None:
        if os.geteuid() != 0:
            missing("a systemd of our own needs root")
        if not SYSTEMD.exists():
            missing(f"{SYSTEMD} is not installed (Debian: apt-get install systemd)")
        self.folder = folder
        self.srv, self.units, self.settings = (folder / name for name in ("srv", "units", "settings"))
        for path in (self.srv, self.units, self.settings):
            path.mkdir()
        self.log_path = folder / "manager.log"
        self.log_path.touch()
        self._cgroup = _control_group()
        self._systemctl = find("systemctl", package="systemd")
        _install(self.srv)
        (folder / "passwd").write_text(f"forkful:x:{_UNPRIVILEGED}:{_UNPRIVILEGED}::/nonexistent:/bin/false\n")
        (folder / "group").write_text(f"forkful:x:{_UNPRIVILEGED}:\n")
        for name in _STUBS:
            (self.units / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
        self.pid = 0

    def __enter__(self) -> Self:
        spaces = ("--mount", "--pid", "--cgroup", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc")
        packages = sysconfig.get_path("purelib")
        script = ["sh", "-c", _BOOT, "boot", str(self.folder), sys.base_prefix, packages, str(SYSTEMD)]
        self._process = subprocess.Popen(
            [find("unshare", package="util-linux"), *spaces, *script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: (self._cgroup / "cgroup.procs").write_text(str(os.getpid())) and None,  # noqa: PLW1509
        )
        try:
            until(self._is_up, what=f"a systemd of our own; {self.log_path.read_text()}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            assert self._process.stdout is not None
            missing(f"a systemd of our own cannot run here: {self._process.stdout.read()}{self.log_path.read_text()}")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self.pid = int(children[0]) if children else 0
        return bool(self.pid) and self.run("is-active", "here.target").stdout.strip() == "active"

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # its child, process 1, is killed with it, and by the kernel whoever lives in there
        self._process.wait(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()
        if self.pid:
            gone(self.pid)
        until(self._remove_control_group, what=f"an empty control group {self._cgroup}")

    def _remove_control_group(self) -> bool:
        try:
            for path in sorted(self._cgroup.rglob("*"), reverse=True):
                if path.is_dir():
                    path.rmdir()
            self._cgroup.rmdir()
        except OSError:
            return False
        return True

    def inside(self, path: str) -> Path:
        """The path, as seen from out here, of something in there."""
        return Path(f"/proc/{self.pid}/root{path}")

    def run(self, *arguments: str, within: float = 2 * PATIENCE) -> "subprocess.CompletedProcess[str]":
        """Run `systemctl` in there."""
        return subprocess.run(self._command(*arguments), capture_output=True, text=True, timeout=within, check=False)

    def _command(self, *arguments: str) -> list[str]:
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--cgroup", "--"]
        return [*enter, self._systemctl, *arguments]

    def begin(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Begin to run `systemctl` in there, and do not wait for its end."""
        return subprocess.Popen(self._command(*arguments), stdin=subprocess.DEVNULL)

    def do(self, *arguments: str) -> str:
        """Run `systemctl`, which must succeed, and return what it printed."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"systemctl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def show(self, unit: str = "forkful.service") -> dict[str, str]:
        """The properties of a unit."""
        lines = (line.partition("=") for line in self.do("show", unit).splitlines())
        return {key: value for key, _, value in lines}

    def wait_for(self, *, unit: str = "forkful.service", within: float = 2 * PATIENCE, **wanted: str) -> dict[str, str]:
        """Wait until a unit has these properties, and return all of them."""

        def there() -> dict[str, str]:
            found = self.show(unit)
            return found if wanted.items() <= found.items() else {}

        return until(there, what=f"{unit} with {wanted}", within=within)

    def install(self, unit: str, changes: str) -> None:
        """Install a unit that we hand out, byte for byte, and a drop-in with what a test has to change."""
        shutil.copy(DEPLOY / "systemd" / unit, self.units / unit)
        drop_in = self.units / f"{unit}.d" / "test.conf"
        drop_in.parent.mkdir(exist_ok=True)
        drop_in.write_text(changes)

    @property
    def log(self) -> str:
        return self.log_path.read_text()


def version() -> int:
    """Of the systemd that is installed; 0: none is."""
    try:
        said = subprocess.run([SYSTEMD, "--version"], capture_output=True, text=True, timeout=PATIENCE, check=True)
    except FileNotFoundError:
        return 0
    return int(said.stdout.split()[1])


def _control_group() -> Path:
    """Make a control group for it in the unified hierarchy, cgroups(7), beneath the one that we are in."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    roots = [Path(target) for _, target, kind, *_ in mounts if kind == "cgroup2"]
    if not roots:
        missing("no control groups (cgroup2) are mounted")
    ours = next(
        line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")
    )
    path = roots[0] / ours.lstrip("/") / f"forkful-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        missing(f"a control group cannot be made: {error}")
    return path


def _install(srv: Path) -> None:
    """Lay out /srv/forkful: the package in a .venv of its own, over the interpreter and the packages that run the test.

    What the unit hides from the service, /root, /home and /tmp, is where those may be.
    """
    venv = srv / ".venv"
    site = venv / "lib" / _PYTHON / "site-packages"
    for path in (srv / "python", srv / "packages", venv / "bin", site / "forkful"):
        path.mkdir(parents=True)
    source = Path(next(iter(forkful.master.__path__))).parent
    for name in ("conf", "handlers", "worker", "master"):
        shutil.copytree(source / name, site / "forkful" / name, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(site, quiet=2)
    (site / "packages.pth").write_text("/srv/forkful/packages\n")
    (venv / "pyvenv.cfg").write_text("home = /srv/forkful/python/bin\n")
    (venv / "bin" / "python").symlink_to(f"/srv/forkful/python/bin/{_PYTHON}")
    program = venv / "bin" / "forkful"
    program.write_text("#!/srv/forkful/.venv/bin/python\nfrom forkful.master.cli import main\nmain()\n")
    program.chmod(0o755)
