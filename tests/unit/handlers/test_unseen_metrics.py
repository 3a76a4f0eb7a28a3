"""Metrics that no file holds are named, and only those."""

import subprocess
import sys

PROGRAM = """
import sys
from forkful.handlers.unseen_metrics import unseen_metrics
assert unseen_metrics() == [] and "prometheus_client" not in sys.modules
from prometheus_client import Counter, Enum, Gauge, Histogram, Info, REGISTRY, Summary
for kind in (Counter, Gauge, Histogram, Summary):
    kind(f"app_{kind.__name__.lower()}", "help", ["label"])
print(unseen_metrics())
Info("app_build", "help")
Enum("app_state", "help", states=["up", "down"])
class Depths:
    def collect(self):
        return []
REGISTRY.register(Depths())
print(unseen_metrics())
"""


def test_info_enum_and_own_collectors_are_named() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=False)

    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["[]", "['Enum app_state', 'Info app_build', 'the collector Depths']"]
