"""What is said of PROXY headers and cannot be is refused, and what is dangerous is told."""

import pytest

from forkful.conf.cpus import Cpus
from forkful.conf.machine import Machine
from forkful.conf.mistakes import Mistakes
from forkful.conf.reader import Answer, read, settle

MACHINE = Machine(uid=0, cwd="/", cpus=lambda: Cpus(2, "auto: 2"), stop_limit=lambda _: None)


def arguments(*flags: str, bind: str) -> list[str]:
    return ["app:Handler", *flags, "-b", bind]


@pytest.mark.parametrize("mode", ["v1", "v2", "auto"])
@pytest.mark.parametrize("bind", ["udp://127.0.0.1:1", "unixgram:///x"])
def test_datagrams_have_no_header(mode: str, bind: str) -> None:
    settings = settle(arguments("--proxy-protocol", mode, bind=bind), {}, MACHINE)

    (mistake,) = settings.mistakes
    assert (mistake.place, bind in mistake.what) == ("--proxy-protocol", True)


def test_nor_have_those_of_which_the_handler_says_so() -> None:
    with pytest.raises(Mistakes, match="is for datagrams"):
        read(arguments("--proxy-protocol", "v2", bind="127.0.0.1:1"), {}, MACHINE, lambda *_: Answer("datagram"))


@pytest.mark.parametrize(
    ("bind", "is_told"),
    [
        ("tcp://*:1", True),
        ("tcp://0.0.0.0:1", True),
        ("http://[::]:1", True),
        ("tcp://8.8.8.8:1", True),
        ("tcp://127.0.0.1:1", False),
        ("tcp://[::1]:1", False),
        ("tcp://10.0.0.1:1", False),
        ("http+unix:///x", False),
    ],
)
def test_believing_everybody_on_a_public_address_is_told(bind: str, is_told: bool) -> None:
    flags = "--proxy-protocol", "v2", "--proxy-allow-from"
    warnings = settle(arguments(*flags, "*", bind=bind), {}, MACHINE).warnings
    assert any('proxy_allow_from = "*"' in line for line in warnings) is is_told
    assert not settle(arguments(*flags, "192.0.2.1", bind=bind), {}, MACHINE).warnings


def test_whom_to_believe_without_headers_is_told_to_be_idle() -> None:
    warnings = settle(arguments("--proxy-allow-from", "192.0.2.1", bind="tcp://*:1"), {}, MACHINE).warnings
    assert warnings == ["--proxy-allow-from is not used: proxy_protocol is off"]


def test_believing_nobody_is_told() -> None:
    flags = "--proxy-protocol", "v2", "--proxy-allow-from", ""
    (warning,) = settle(arguments(*flags, bind="tcp://*:1"), {}, MACHINE).warnings
    assert "names nobody" in warning
