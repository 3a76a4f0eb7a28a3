"""The sinks: to whom metrics are pushed, as the settings say. Where they name none, nothing is imported for it."""

from typing import TYPE_CHECKING

from forkful.conf.plan import MasterPlan

if TYPE_CHECKING:
    from forkful.master.admin.metrics import Handlers
    from forkful.master.admin.push import Pusher, Sink


def pusher(plan: MasterPlan, handlers: "Handlers | None", *, is_first: bool) -> "Pusher | None":
    """Who pushes, if somebody is told. `is_first`: nobody was told anything of this service before."""
    told = _of(plan, is_first=is_first)
    if not told:
        return None
    from forkful.master.admin.push import Pusher  # noqa: PLC0415  # it brings prometheus_client

    return Pusher(told, handlers)


def _of(plan: MasterPlan, *, is_first: bool) -> "list[Sink]":
    sinks: list[Sink] = []
    if plan.statsd_host:
        from forkful.master.admin.statsd import Statsd  # noqa: PLC0415  # its library comes with an extra

        sinks.append(Statsd(plan.statsd_host, plan.statsd_prefix, plan.dogstatsd_tags, is_first=is_first))
    if plan.otlp_endpoint:
        from forkful.master.admin.otlp import Otlp  # noqa: PLC0415  # as above

        sinks.append(Otlp(plan.otlp_endpoint, plan.name))
    return sinks
