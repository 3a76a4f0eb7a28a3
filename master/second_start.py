"""The second start of a drop-in script: executed in place by a reload, with a way back until it serves.

    python [options] -m forkful.master.second_start script.py arguments      (or: -m module arguments)

The process, its listeners and the old workers with their mold are here already. The script is run as `python script.py`
would; when its `serve_forever` takes over, what was handed over is its. If it ends before that, in whatever way Python
can tell (an exception, `sys.exit`, its last line), the old generation goes on under this process: a reload that failed.
Can go wrong: it ends the process itself (`os._exit`, a crash in C). Nothing can go back from there.
"""

import os
import runpy
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, ModuleType

from forkful.master import main, servers
from forkful.master.model.fleet import Failure
from forkful.master.supervisor import upgrade
from forkful.master.supervisor.command_line import split
from forkful.master.supervisor.loop import Loop
from forkful.master.system import spawn


class LostScript:
    """In place of the server object of a script that did not come to serve: the mold of the old generation has it."""


class _Heard:
    """Signals that came before there was somebody to act on them, and are told to the loop."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        for number in spawn.HEARD:
            signal.signal(number, self._note)
        # They were blocked since the last image: whatever the script executes would inherit that.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, spawn.HEARD)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.numbers.append(number)

    def tell(self, loop: Loop) -> None:
        numbers, self.numbers = self.numbers, []
        for number in numbers:
            loop.wake(number)


def start(command: Sequence[str]) -> int:
    """Run the script; if it does not come to serve, go back. Returns the exit code."""
    heard = _Heard()
    upgrade.script_command = list(command)
    servers.on_start = heard.tell
    try:
        _run(command)
    except SystemExit as leaving:
        if not servers.is_handed_over():
            raise
        failure = Failure("boot", f"the script ended before it served: sys.exit({leaving.code!r})", _trace(leaving))
    except BaseException as error:
        if not servers.is_handed_over():
            raise
        said = traceback.format_exception_only(error)[-1].strip()
        failure = Failure("boot", f"the script failed before it served: {said}", _trace(error))
    else:
        if not servers.is_handed_over():
            return 0
        failure = Failure("boot", "the script ended without serving")
    return _go_back(failure, heard)


def _go_back(failure: Failure, heard: _Heard) -> int:
    kept = servers.take_over()
    assert kept is not None
    assert kept.current is not None
    return main.run(
        kept.current.plan, [], kept, script=main.Script(LostScript(), None, heard.tell, servers.STARTED_IN, failure)
    )


def _run(command: Sequence[str]) -> None:
    """What the interpreter does with the rest of its command line."""
    kind, what, arguments = split(["python", *command])[1:]
    sys.argv = [what if kind == "script" else f"-{kind[0]}", *arguments]
    if kind == "module":
        sys.path[0] = str(Path.cwd())
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    elif kind == "code":
        sys.path[0] = ""
        module = ModuleType("__main__")
        sys.modules["__main__"] = module
        exec(compile(what, "<string>", "exec"), vars(module))  # noqa: S102  # it is what the operator wrote  # nosec B102
    else:
        sys.path[0] = os.path.dirname(os.path.realpath(what))  # noqa: PTH120  # as the interpreter does
        runpy.run_path(what, run_name="__main__")


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
