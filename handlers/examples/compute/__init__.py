"""A computation over many cores and hosts: jobs are cut into tasks with keys, which workers compute.

`forkful demo compute` starts the service, `python -m forkful.handlers.examples.compute` is its client; what they are
made of stands in `compute.md` beside this package.
"""

from forkful.handlers.examples.compute.service import Worker, jobs

__all__ = ["Worker", "jobs"]
