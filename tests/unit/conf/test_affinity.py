"""What affinity cannot go with is refused by name."""

from pathlib import Path

import pytest

from forkful.conf.cpus import Cpus
from forkful.conf.machine import Machine
from forkful.conf.reader import settle

MACHINE = Machine(uid=0, cwd="/", cpus=lambda: Cpus(2, "auto: 2"), stop_limit=lambda _: None)
UDP = "udp://127.0.0.1:5060"


def mistakes(*flags: str, binds: tuple[str, ...] = (UDP,)) -> list[str]:
    said = ["app:Handler", "--affinity", "peer", *flags, *(word for bind in binds for word in ("-b", bind))]
    return [str(mistake) for mistake in settle(said, {}, MACHINE).mistakes]


@pytest.mark.parametrize(
    ("flags", "bind", "why"),
    [
        ((), "tcp://127.0.0.1:1", "tcp://127.0.0.1:1 is no udp:// address"),
        ((), "unixgram:///x", "unixgram:///x is no udp:// address"),
        ((), "fd://7", "fd://7 is no udp:// address"),
        ((), "127.0.0.1:1", "127.0.0.1:1 is no udp:// address"),
        (("--reuse-port",), UDP, "reuse_port and affinity"),
        (("--multicast", "239.1.2.3"), "udp://0.0.0.0:1", "multicast and affinity"),
        (("--workers", "2-4"), UDP, "workers is 2-4"),
        (("--workers", "257"), UDP, "257 workers"),
    ],
)
def test_what_it_cannot_go_with_is_refused(flags: tuple[str, ...], bind: str, why: str) -> None:
    (mistake,) = mistakes(*flags, binds=(bind,))
    assert why in mistake


def test_with_several_udp_addresses_it_is_fine() -> None:
    assert not mistakes("--workers", "auto", binds=(UDP, "udp://[::1]:5060"))


def test_of_a_file_the_address_that_differs_is_judged_too(tmp_path: Path) -> None:
    file = tmp_path / "forkful.toml"
    text = f'[pool.sip]\nhandler = "a:B"\nbind = ["{UDP}"]\naffinity = "peer"\n'
    file.write_text(text + f'[pool.sip.listener."{UDP}"]\nreuse_port = true\n')
    (mistake,) = settle(["-c", str(file)], {}, MACHINE).mistakes
    assert "reuse_port and affinity" in str(mistake)
