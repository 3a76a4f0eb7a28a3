"""The sinks: to whom metrics are pushed, as the settings say."""

from forkful.conf.plan import MasterPlan
from forkful.master.admin.push import Sink


def of(plan: MasterPlan, *, is_first: bool) -> list[Sink]:
    """Who is told, as the settings say. `is_first`: nobody was told anything of this service before."""
    sinks: list[Sink] = []
    if plan.statsd_host:
        from forkful.master.admin.statsd import Statsd  # noqa: PLC0415  # its library comes with an extra

        sinks.append(Statsd(plan.statsd_host, plan.statsd_prefix, plan.dogstatsd_tags, is_first=is_first))
    if plan.otlp_endpoint:
        from forkful.master.admin.otlp import Otlp  # noqa: PLC0415  # as above

        sinks.append(Otlp(plan.otlp_endpoint, plan.name))
    return sinks
