"""A monitor: StatsD, Graphite and syslog come in, are added up over all workers, and show on a live page.

`forkful demo monitor` starts all of it; what it is made of stands in `monitor.md` beside this package.
"""

from forkful.handlers.examples.monitor.collector import Lines, collect
from forkful.handlers.examples.monitor.page import page

__all__ = ["Lines", "collect", "page"]
