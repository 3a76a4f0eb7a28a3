"""The tables of the page on moving over, made anew: `python -m tests.bench migrations`."""

import tempfile
from pathlib import Path

from tests.kit import migrations


def main(_: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        migrations.write(Path(folder))
    return 0
