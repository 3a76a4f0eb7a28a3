"""The metrics of the whole service: what is running, and how its reloads, upgrades, roll-backs and programs went."""

import platform
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from forkful.master.admin.view import View


def collect(view: View) -> Iterator[Metric]:
    facts, reload = view.facts, view.facts["reload"]
    build = {"version": facts["version"], "python": platform.python_version(), "code": facts.get("code", "pure")}
    yield InfoMetricFamily("forkful_build", "What is running.", build)
    yield GaugeMetricFamily("forkful_generation", "The generation of code and settings in use.", facts["generation"])
    yield GaugeMetricFamily("forkful_ready", "Whether every pool can serve, as /readyz says.", float(facts["ready"]))
    yield GaugeMetricFamily(
        "forkful_config_last_reload_successful", "Whether the latest reload succeeded.", float(reload["successful"])
    )
    yield GaugeMetricFamily(
        "forkful_config_last_reload_success_timestamp_seconds",
        "When the code and settings in use were loaded.",
        reload["success_at"],
    )
    for name, text in (("reloads", "Reloads that have finished."), ("upgrades", "Upgrades that have finished.")):
        family = CounterMetricFamily(f"forkful_{name}", text, labels=["result"])
        outcomes = facts["counters"]["reloads" if name == "reloads" else "upgrades"]
        family.add_metric(["success"], outcomes["success"])
        family.add_metric(["failure"], outcomes["failure"])
        family.add_metric(["rolled_back"], outcomes.get("rolled_back", 0))
        yield family
    rollbacks = CounterMetricFamily(
        "forkful_rollbacks",
        "Generations given up after they had served, by reason. failed: the old one could not come back.",
        labels=["reason"],
    )
    for reason, count in facts["counters"].get("rollbacks", {}).items():
        rollbacks.add_metric([reason], count)
    yield rollbacks
    baking = GaugeMetricFamily("forkful_canary_baking", "Whether canaries are compared with old workers now.")
    baking.add_metric([], float(facts.get("bake") is not None))
    yield baking
    text = (
        "Programs that the master has run, by event and by result. merged: events told together with the next; "
        "dropped: not run any more, as the service stopped. Of events that have a program."
    )
    family = CounterMetricFamily("forkful_commands", text, labels=["event", "result"])
    for name, results in facts["counters"].get("commands", {}).items():
        for result, count in results.items():
            family.add_metric([name, result], count)
    yield family
