"""A Python that the workers' user cannot read, as one in root's home is: told at the start, a reload and an upgrade."""

import sys
import sysconfig
from pathlib import Path

from tests.kit.jail import WORKER, Jail, Outcome, tell

#: Runs the server by another interpreter than the one that its command names.
_BY = ("sh", "-c", 'shift; exec "$0" "$@"')
_WORDS = "--user: user '{user}' cannot read {closed}, where this Python"


def _environment(folder: Path) -> Path:
    """A virtual environment there with what is installed here; its interpreter."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}"))
    (folder / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\n")
    packages = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    packages.parent.mkdir(parents=True)
    packages.symlink_to(sysconfig.get_paths()["purelib"])
    return python


def environment_is_closed_while_it_serves(jail: Jail) -> Outcome:
    closed = jail.root / "closed"
    closed.mkdir()
    by = [*_BY, str(_environment(closed / "venv"))]
    server = jail.server(bind="tcp://127.0.0.1:0", wrapper=by)
    workers = server.workers()  # and so its admin child has imported what it needs
    closed.chmod(0o700)
    reload, upgrade = (server.run(command, "--wait") for command in ("reload", "upgrade"))
    server.may_log_tracebacks = True
    server.kill(server.child("admin"))  # no other can begin
    lost = server.run("upgrade", "--wait")
    again = jail.server(bind="tcp://127.0.0.1:0", wrapper=by, ready=False)
    start = again.wait_exit()
    closed.chmod(0o755)
    return {
        "start": [start, again.log.strip()],
        "reload": [reload.returncode, reload.stderr.strip()],
        "upgrade": [upgrade.returncode, upgrade.stderr.strip()],
        "lost": [lost.returncode, lost.stderr.strip()],
        "serve": [Path(f"/proc/{pid}").exists() for pid in workers.values()],
    }


def test_python_that_the_workers_cannot_read_is_named_by_the_start_a_reload_and_an_upgrade() -> None:
    told = tell(environment_is_closed_while_it_serves)

    words = _WORDS.format(user=WORKER, closed="/tmp/root/closed")
    for what in ("start", "reload", "upgrade"):
        code, said = told[what]
        assert code == 1, what
        assert words in said, what
        assert "Traceback" not in said
    code, said = told["lost"]
    assert (code, "times in a row" in said) == (1, True), said
    assert told["serve"] == [True]
