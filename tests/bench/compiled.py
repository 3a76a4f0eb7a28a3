"""The wheel with the compiled HTTP path, made and tried: `python -m tests.bench compiled`.

It builds the wheel as an operator does, installs it where a virtual environment of its own finds it before this one,
and runs there the tests of units, of HTTP, and of versions that replace each other while they are in use. Some minutes.
Can go wrong: no C compiler; then it says what pip said, and leaves with 1.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
#: What is asked of it, if nobody says anything else.
TESTS = (
    "tests/unit/worker",
    "tests/process/test_compiled.py",
    "tests/process/test_two_versions.py",
    "tests/process/test_asgi.py",
    "tests/process/test_asgi_promises.py",
    "tests/process/test_http.py",
    "tests/process/test_proxied_http.py",
    "tests/process/test_stacks.py",
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench compiled", description="Make the wheel and try it.")
    parser.add_argument("--folder", type=Path, help="where the environment stays, for measurements")
    parser.add_argument("tests", nargs="*", help="instead of the usual ones")
    options = parser.parse_args(arguments)
    if options.folder is not None:
        return _try(options.folder.resolve(), options.tests or TESTS)
    with tempfile.TemporaryDirectory() as folder:
        return _try(Path(folder), options.tests or TESTS)


def _try(folder: Path, tests: "list[str] | tuple[str, ...]") -> int:
    python = install(folder)
    if python is None:
        return 1
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile", *tests]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def install(folder: Path) -> Path | None:
    """The wheel in an environment that has all else from ours; its Python."""
    if not any((folder / "wheel").glob("*.whl")):
        pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder / "wheel"), str(ROOT)]
        if subprocess.run(pip, env={**os.environ, "FORKFUL_COMPILED": "1"}, check=False).returncode:
            return None
    [wheel] = (folder / "wheel").glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (Path(where) / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n")  # our own forkful is not in there
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True)
    return python
