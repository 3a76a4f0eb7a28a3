"""Metrics of a handler's own that `/metrics` cannot show, by name.

prometheus_client's multiprocess mode writes counters, gauges, histograms and summaries to files, and nothing else: an
`Info`, an `Enum` and a collector that the application wrote for itself live in the memory of one process.
https://prometheus.github.io/client_python/multiprocess/
"""

import sys


def unseen_metrics() -> list[str]:
    """What is registered with prometheus_client and is in no file; empty where the handler does not use the library."""
    if "prometheus_client" not in sys.modules:
        return []
    from prometheus_client import (  # noqa: PLC0415  # the handler has imported it; who does not use it need not
        GC_COLLECTOR,
        PLATFORM_COLLECTOR,
        PROCESS_COLLECTOR,
        REGISTRY,
        Enum,
        Info,
    )
    from prometheus_client.metrics import MetricWrapperBase  # noqa: PLC0415

    standard = (GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR)
    found = []
    for collector, names in REGISTRY._collector_to_names.items():  # noqa: SLF001  # the only list there is of them
        if isinstance(collector, Info | Enum):
            found.append(f"{type(collector).__name__} {min(names, key=len)}")
        elif not isinstance(collector, MetricWrapperBase) and collector not in standard:
            found.append(f"the collector {type(collector).__qualname__}")
    return sorted(found)
