"""What the generator and the kernel say, understood."""

import json
from pathlib import Path

from tests.bench.load import ERRORS, read
from tests.bench.loss import drops


def test_an_outcome_only_has_the_errors_that_happened() -> None:
    raw = dict.fromkeys(ERRORS, 0) | {"requests": 12, "ok": 10, "reset": 2, "seconds": 2.0, "p50_us": 5, "p99_us": 9}
    outcome = read(json.dumps(raw))
    assert outcome.errors == {"reset": 2}
    assert outcome.rate == 5


def test_drops_are_those_of_the_port(tmp_path: Path) -> None:
    table = tmp_path / "udp"
    rows = [
        "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode ref drops",
        " 10: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 21 2 0000000000000000 17",
        " 11: 0100007F:1F91 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 22 2 0000000000000000 99",
    ]
    table.write_text("\n".join(rows) + "\n")
    assert drops(0x1F90, table) == 17
