"""Imported by each Python that has this directory on its PYTHONPATH, site(3): see `tests.bench.stripping`."""

import os

from tests.bench.stripping import What, install

install(What(os.environ["BENCH_STRIP"]))
