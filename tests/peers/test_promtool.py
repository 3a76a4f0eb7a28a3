"""Prometheus' own linter on what we expose: names, units, types and help as its conventions want them."""

import subprocess

from forkful.master.admin.metrics import Exposition
from forkful.master.admin.view import Viewer
from forkful.worker.ipc.scoreboard import Scoreboard
from tests.kit.fake_master import Known


def test_promtool_has_nothing_to_say_about_our_metrics() -> None:
    page = Exposition(Viewer(Known(), Scoreboard())).page().body
    result = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)

    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
