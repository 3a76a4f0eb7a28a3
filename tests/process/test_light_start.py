"""What a start does not need is not imported by it: each of these costs every start, every reload and every test."""

import subprocess
import sys

import pytest

# What is imported, and what must not come with it.
_CLIENT = (
    "asyncio",
    "click",
    "email",
    "http",
    "logging",
    "rich",
    "ssl",
    "subprocess",
    "tempfile",
    "tomllib",
)
_LIGHT = {
    "forkful.master.cli.remote, forkful.master.cli.which": _CLIENT,
    "forkful.master.cli.tables": _CLIENT,
    "forkful.master.cli.serving": ("asyncio", "click", "email", "http", "importlib.metadata", "rich", "ssl", "zipfile"),
    "forkful.master.main": ("asyncio", "click", "email", "importlib.metadata", "prometheus_client", "rich", "ssl"),
    "forkful.master.admin.server": ("asyncio", "click", "email", "http.client", "prometheus_client", "psutil", "ssl"),
}


@pytest.mark.parametrize("module", _LIGHT)
def test_heavy_modules_do_not_come_with(module: str) -> None:
    heavy = ",".join(_LIGHT[module])
    code = f"import {module}, sys; print(*{{*'{heavy}'.split(',')}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
