"""What is refused before a head is whole, found by counting; an expression that looks at each byte is the oracle."""

import random
import re

import pytest

from forkful.worker.http.fields import Refused, check_partial

_BARE = re.compile(rb"\0|(?<!\r)\n|\r(?!\n|\Z)")


def refused(pieces: list[bytes]) -> bool:
    head = bytearray()
    for piece in pieces:
        since = len(head)
        head += piece
        try:
            check_partial(head, since)
        except Refused:
            return True
    return False


@pytest.mark.parametrize("seed", range(20))
def test_bare_line_ends_and_nulls_are_found_wherever_the_pieces_end(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(100):
        lines = bytes(dice.choices(b"\r\nab\0", [5, 5, 20, 20, 0.2], k=dice.randrange(1, 12)))
        raw = b"GET / HTTP/1.1\r\n" + lines.replace(b"\n", b"\r\n", 2 * dice.randrange(2))
        cuts = (
            sorted({*dice.sample(range(17, len(raw)), min(3, len(raw) - 17)), 16, len(raw)})
            if len(raw) > 17
            else [16, len(raw)]
        )
        pieces = [raw[a:b] for a, b in zip([0, *cuts], cuts, strict=False) if raw[a:b]]

        assert refused(pieces) == bool(_BARE.search(raw)), raw
