"""What workers, mold and admin child of another user are left with by a master that is root, each told in a jail."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from signal import SIGHUP, SIGKILL

from tests.kit.door import door_of
from tests.kit.environment import for_servers
from tests.kit.jail import WORKER, Jail, Outcome, tell
from tests.kit.server import APPS, Server
from tests.kit.wait import until


def children(server: Server) -> dict[str, int]:
    (worker,) = server.workers().values()
    return {"worker": worker, "mold": server.child("mold"), "admin": server.child("admin")}


def field(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{name}:")).split()[1]


NOTHING = "0" * 16
FIELDS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")


def capabilities(jail: Jail) -> Outcome:
    server = jail.server()
    found = {name: [field(pid, each) for each in FIELDS] for name, pid in children(server).items()}
    server.hup()
    again = {name: [field(pid, each) for each in FIELDS] for name, pid in children(server).items()}
    return {"start": found, "reload": again}


def test_no_child_has_a_capability_or_can_get_one() -> None:
    found = tell(capabilities)

    for told in (found["start"], found["reload"]):
        assert told == {name: [*[NOTHING] * 5, "1"] for name in ("worker", "mold", "admin")}


def secrets_of_others(jail: Jail) -> Outcome:
    """A process of the workers' user, which is not theirs, tries to read their memory and descriptors."""
    server = jail.server()
    pids = [*children(server).values(), server.pid]
    result = jail.home / "read"

    def peep() -> None:
        opened = []
        for pid in pids:
            for what in ("mem", "environ", "fd/3", "maps"):
                try:
                    with Path(f"/proc/{pid}/{what}").open("rb") as file:
                        file.read(1)
                except PermissionError:
                    continue
                except OSError:
                    opened.append(f"{pid} {what}: open")
                    continue
                opened.append(f"{pid} {what}")
        result.write_text(json.dumps(opened))

    jail.does(peep)
    return {"opened": json.loads(result.read_text())}


def test_processes_of_the_same_user_do_not_read_each_others_memory() -> None:
    assert tell(secrets_of_others)["opened"] == []


def descriptors_of_the_shell(jail: Jail) -> Outcome:
    victim = jail.victim()
    server = jail.server(wrapper=["sh", "-c", f'exec 7<{victim} 8</; exec "$@"', "sh"])
    links = {
        name: [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if os.path.lexists(link)]
        for name, pid in (children(server) | {"master": server.pid}).items()
    }
    return {"holds": [name for name, found in links.items() if str(victim) in found or "/" in found]}


def test_no_child_has_what_the_starting_shell_had_open() -> None:
    assert tell(descriptors_of_the_shell)["holds"] == []


def masters_end_while_the_mold_imports(jail: Jail) -> Outcome:
    folder = jail.root / "app"
    folder.mkdir()
    (folder / "endless.py").write_text(
        "import os, time\nopen('/tmp/w/importing', 'a').close()\ntime.sleep(60)\nclass Handler: pass\n"
    )
    server = jail.server(
        "--preload", "--chdir", str(folder), handler="endless:Handler", bind="tcp://127.0.0.1:0", ready=False
    )
    until((jail.home / "importing").exists, what="the import")
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    molds = [pid for pid in pids if b": mold" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    fds = [os.pidfd_open(pid) for pid in molds]
    os.kill(server.pid, SIGKILL)
    server.process.wait()
    ended = [bool(select.select([fd], [], [], 5.0)[0]) for fd in fds]
    server.was_killed()
    return {"ended": ended}


def test_mold_that_imports_dies_with_its_master_although_it_is_somebody_else() -> None:
    assert tell(masters_end_while_the_mold_imports)["ended"] == [True]


def scoreboard_of_others(jail: Jail) -> Outcome:
    server = jail.server(handler="gossip:Vandal", bind="127.0.0.1:0")
    with door_of(server.listeners()[0]).connect() as client:
        client.sendall(b"how")
        client.shutdown(1)
        return {"ways": client.recv(100).decode()}


def test_worker_of_another_user_has_no_way_to_write_rows_of_others() -> None:
    assert tell(scoreboard_of_others)["ways"] == ""


# -- what root executes ------------------------------------------------------------------------------------------------

SPY = """
import os
with open("/tmp/w/seen", "a") as file:
    file.write(f"{os.getuid()} {' '.join(open('/proc/self/cmdline').read().split(chr(0)))}\\n")
"""
APP = """
import os
import pathed
from socketserver import StreamRequestHandler
class Handler(StreamRequestHandler):
    def handle(self):
        self.wfile.write(f"{pathed.HERE} {os.environ['PYTHONPATH']}".encode())
"""


def python_path(jail: Jail) -> Outcome:
    """A directory of the workers, with what every interpreter imports, and the application's modules."""
    folder, app = jail.home / "site", jail.root / "app"
    folder.mkdir()
    app.mkdir()
    for name in ("sitecustomize", "usercustomize"):
        (folder / f"{name}.py").write_text(SPY)
    (folder / "pathed.py").write_text("HERE = 'found'\n")
    (app / "handling.py").write_text(APP)
    (jail.home / "seen").touch()
    (jail.home / "seen").chmod(0o666)
    server = jail.server(
        "--chdir", str(app), handler="handling:Handler", bind="127.0.0.1:0", env={"PYTHONPATH": str(folder)}
    )
    answer = door_of(server.listeners()[0]).ask(b"").decode()
    server.signal(SIGHUP)
    reload = server.run("reload", "--wait").returncode
    upgrade = server.run("upgrade", "--wait").returncode
    again = door_of(server.listeners()[0]).ask(b"").decode()
    seen = [line.split(" ", 1) for line in (jail.home / "seen").read_text().splitlines()]
    by_root = [
        command for uid, command in seen if uid == "0" and "-m forkful " not in command
    ]  # whom the operator started
    return {
        "answers": [answer, again],
        "by_root": by_root,
        "codes": [reload, upgrade],
        "by_workers": any(uid == str(WORKER) for uid, _ in seen),
    }


def test_python_path_is_the_workers_and_reaches_nothing_that_root_executes() -> None:
    found = tell(python_path)

    assert found["by_root"] == []
    assert found["answers"] == ["found /tmp/w/site"] * 2
    assert found["codes"] == [0, 0]
    assert found["by_workers"]
    assert "can write /tmp/w (PYTHONPATH)" in found["log"]


# -- what is warned of -------------------------------------------------------------------------------------------------


def places(jail: Jail) -> Outcome:
    for name in ("run", "log", "work"):
        (jail.home / name).mkdir()
        os.chown(jail.home / name, WORKER, WORKER)
    config = jail.root / "conf" / "forkful.toml"
    config.parent.mkdir()
    config.write_text(
        f'[admin]\nbind = "unix://{jail.root}/admin.sock"\n'
        f'[master]\nuser = "{WORKER}"\npid = "{jail.home}/run/pid"\nlog_file = "{jail.home}/log/log"\n'
        f'chdir = "{jail.home}/work"\n[pool.main]\nhandler = "forkful.handlers.echo:EchoStream"\nbind = "tcp://127.0.0.1:0"\n'
    )
    command = [sys.executable, "-m", "forkful.master.cli.main", "check", "--json", "-c", str(config)]

    def warnings() -> list[str]:
        told = subprocess.run(
            command, env=for_servers(os.environ), capture_output=True, text=True, check=True, cwd=APPS
        )
        found: list[str] = json.loads(told.stdout)["warnings"]
        return found

    first = warnings()
    os.chown(config, WORKER, WORKER)
    second = warnings()
    os.chown(config, 0, 0)
    config.parent.chmod(0o777)
    third = warnings()
    config.parent.chmod(0o755)
    config.chmod(0o666)
    fourth = warnings()
    return {
        "first": first,
        "settings": [[each for each in told if "settings" in each] for told in (second, third, fourth)],
    }


def test_places_of_roots_that_the_workers_user_can_write_are_named() -> None:
    found = tell(places)
    said = "\n".join(found["first"])

    for what in ("the directory of the pid file", "the directory of log_file", "chdir"):
        assert f"user {WORKER} can write /tmp/w ({what})" in said
    assert len(found["first"]) == 3
    assert not any("settings" in each for each in found["first"])
    for told in found["settings"]:
        (line,) = told
        assert "the settings file" in line
        assert "log_file" in line
