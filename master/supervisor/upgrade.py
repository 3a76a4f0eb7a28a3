"""An upgrade in place: the new installation is probed in a child, then the master executes it, keeping its process id.

The probe is a whole small service of the new code: same settings, private addresses, one worker per pool. Only if that
becomes ready does the master execute itself, with listeners, scoreboard and the table of children handed over; the
new image then reloads, as for a HUP. In drop-in mode the code to upgrade is the script, so there a reload is this.
Can go wrong: the probe fails or hangs: nothing has changed. The exec itself is refused: likewise.
"""

import json
import os
import signal
import socket
import sys
from dataclasses import replace

from forkful.conf import descriptors
from forkful.conf.address import Address
from forkful.conf.plan import Plan, PoolPlan
from forkful.master.model import document
from forkful.master.model.events import UpgradeProbed
from forkful.master.supervisor import command_line, handover, helpers
from forkful.master.supervisor.state import State
from forkful.master.supervisor.transaction import Transaction
from forkful.master.system import metrics_dir, spawn
from forkful.worker.ipc import messages

PROBE_VARIABLE = "FORKFUL_PROBE"  # drop-in mode: the script is tried out; the descriptor of what it would take over
STATE_VARIABLE = "FORKFUL_STATE"  # drop-in mode: the descriptor of the hand-over
_SECOND = "forkful.master.second_start"  # named here, for it imports the entrance, which imports this
_PATIENCE = 5.0  # seconds for the probe itself, beyond a boot_timeout for its mold and one for its workers
#: Drop-in mode: how the interpreter was told to run the script, after its own options. None: as this process was.
script_command: list[str] | None = None
_BOOT_TIMEOUT = 60.0  # seconds, where the pools may take for ever


def probe(state: State, transaction: Transaction, back: helpers.Back, now: float) -> None:
    """Send the new installation to be tried out. In drop-in mode there is no plan: the script makes its own."""
    plan = transaction.plan
    pools = plan.pools if plan is not None else state.current.plan.pools if state.current is not None else ()
    transaction.allow(now + _PATIENCE + 2 * max(pool.boot_timeout or _BOOT_TIMEOUT for pool in pools))
    not_its = {*spawn.FROM_THE_MANAGER, metrics_dir.VARIABLE}  # it makes a directory of its own for that
    environ = {key: value for key, value in os.environ.items() if key not in not_its}
    handed = {"probe": handover.dump(state)[0], "argv": state.argv}  # to be read there, but for the descriptors
    if plan is not None:
        handed["plan"] = json.loads(private(plan).to_json())
    fd = document.write(handed)
    try:
        if plan is None:
            environ[PROBE_VARIABLE] = str(fd)
            helper = helpers.send("probe of the script", [*_options(), *_script()], environ, back, fd)
        else:
            arguments = [*descriptors.switches(), "-P", "-m", "forkful.master.main", str(fd)]
            helper = helpers.send("probe of the new installation", arguments, environ, back, fd)
    finally:
        os.close(fd)
    transaction.send(helper)
    state.watch_helper(helper)


def private(plan: Plan) -> Plan:
    """The plan as a probe serves it: one worker per pool, on addresses that nobody else knows, and nothing shared."""
    pools = tuple(replace(pool, workers=1, workers_reason="", bind=_private_addresses(pool)) for pool in plan.pools)
    return replace(plan, pools=pools, admin=(), warnings=(), master=replace(plan.master, pid="", name="forkful probe"))


def _private_addresses(pool: PoolPlan) -> tuple[Address, ...]:
    """As many addresses of the same kinds. Autobound abstract sockets need no file and cannot collide, unix(7)."""
    found = []
    for address in pool.bind:
        if address.scheme == "fd":
            found.append(Address("tcp" if _is_stream(address.fd) else "udp", host="127.0.0.1"))
        elif address.is_unix:
            found.append(replace(address, path=""))
        else:
            found.append(replace(address, host="127.0.0.1", port=0))
    return tuple(found)


def _is_stream(fd: int) -> bool:
    with socket.socket(fileno=os.dup(fd)) as sock:
        return sock.type == socket.SOCK_STREAM


def _options() -> list[str]:
    return command_line.split(sys.orig_argv).options


def _script() -> list[str]:
    if script_command is not None:
        return script_command
    return sys.orig_argv[1 + len(_options()) :]


def execute(state: State) -> None:
    """Execute the new image in place. Returns only if the kernel refuses, with its `OSError`."""
    transaction = state.transaction
    assert transaction is not None
    state.journal.report(UpgradeProbed())
    # Until the next image has its handlers a signal would do its default, which for most is to end the master. What has
    # been heard here and not been acted on is sent again, and waits for the next image, too.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, spawn.HEARD)
    try:
        for number in state.unheard():
            signal.raise_signal(number)
        if state.admin.channel is not None:
            state.admin.channel.send(messages.Executing())
        _execute(state, transaction)
    finally:  # the kernel refused
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _execute(state: State, transaction: Transaction) -> None:
    left, fds = handover.dump(state)
    plan = json.loads(transaction.plan.to_json()) if transaction.plan is not None else None
    fd = document.write({"state": left, "plan": plan, "argv": state.argv})
    for kept in [*fds, fd]:
        os.set_inheritable(kept, True)
    if state.server is not None:
        os.environ[STATE_VARIABLE] = str(fd)
        arguments = [sys.executable, *_options(), "-m", _SECOND, *_script()]
    else:
        arguments = [sys.executable, *descriptors.switches(), "-P", "-m", "forkful.master.main", str(fd)]
    try:
        os.execv(sys.executable, arguments)
    except OSError:
        os.environ.pop(STATE_VARIABLE, None)
        os.close(fd)
        for kept in fds:
            os.set_inheritable(kept, False)
        raise
