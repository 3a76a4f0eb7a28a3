"""Multicast groups: as they are written, and which addresses they reach."""

import pytest

from forkful.conf.address import Address
from forkful.conf.cpus import Cpus
from forkful.conf.machine import Machine
from forkful.conf.multicast import Group
from forkful.conf.reader import settle

MACHINE = Machine(uid=0, cwd="/", cpus=lambda: Cpus(2, "auto: 2"), stop_limit=lambda _: None)


@pytest.mark.parametrize("text", ["239.1.2.3", "239.1.2.3%eth0", "ff02::fb%eth0.7", "ff05::1"])
def test_a_group_is_written_with_an_interface_or_without(text: str) -> None:
    assert str(Group.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "::1", "239.1.2.3%", "239.1.2.3%a/b", "239.1.2", "group", "ff02::1%" + "x" * 16]
)
def test_what_is_no_group_is_refused(text: str) -> None:
    settings = settle(["app:Handler", "-b", "udp://:1", "--multicast", text], {}, MACHINE)

    (mistake,) = settings.mistakes
    assert "is not a multicast group or a list of them, like 239.1.2.3" in mistake.what


@pytest.mark.parametrize(
    ("group", "bind", "reached"),
    [
        ("239.1.2.3", "udp://*:1", True),
        ("ff02::fb%lo", "udp://*:1", True),
        ("239.1.2.3", "udp://0.0.0.0:1", True),
        ("ff02::fb", "udp://0.0.0.0:1", False),
        ("239.1.2.3", "udp://[::]:1", False),
        ("ff02::fb", "udp://[::]:1", True),
        ("239.1.2.3", "udp://127.0.0.1:1", False),
        ("239.1.2.3", "udp://239.1.2.3:1", True),
        ("239.1.2.3", "udp://239.1.2.4:1", False),
        ("ff02::fb%lo", "udp://[ff02::fb%lo]:1", True),
        ("239.1.2.3", "fd://7", True),
        ("239.1.2.3", "127.0.0.1:1", False),
    ],
)
def test_a_group_that_reaches_no_address_is_a_mistake(group: str, bind: str, reached: bool) -> None:
    assert Group.parse(group).reaches(Address.parse(bind)) is reached
    settings = settle(["app:Handler", "-b", bind, "--multicast", group], {}, MACHINE)
    told = [str(mistake) for mistake in settings.mistakes]
    assert [line.partition(";")[0] for line in told] == (
        [] if reached else [f"--multicast: what is sent to {group} reaches no address of pool main"]
    )


def test_each_address_of_a_pool_may_take_some_of_them() -> None:
    binds = ["-b", "udp://0.0.0.0:1", "-b", "udp://[::]:1"]

    said = settle(
        ["app:Handler", *binds, "--multicast", "239.1.2.3, ff02::fb", "--multicast", "239.1.2.3"], {}, MACHINE
    )

    assert not said.mistakes
    assert said.pools["main"]["multicast"].value == ("239.1.2.3", "ff02::fb")
