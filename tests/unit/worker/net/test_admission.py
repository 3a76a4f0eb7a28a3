"""Who may connect: a table of lists and peers."""

import pytest

from forkful.worker.net.admission import Admission

V4, MAPPED, V6 = ("10.1.2.3", 5000), ("::ffff:10.1.2.3", 5000, 0, 0), ("2001:db8::7", 5000, 0, 0)
ZONED = ("fe80::1%eth0", 5000, 0, 2)
LOCALS = ("", b"\0name", "/run/x.sock", None)


@pytest.mark.parametrize("peer", [V4, MAPPED, V6, ZONED, *LOCALS])
def test_without_lists_everyone_may_connect(peer: object) -> None:
    assert Admission((), ()).permits(peer)


@pytest.mark.parametrize(
    ("network", "matching"),
    [
        ("10.0.0.0/8", [V4, MAPPED]),
        ("10.1.2.3", [V4, MAPPED]),
        ("10.1.2.4/16", [V4, MAPPED]),  # bits of the host mean nothing, as for nginx
        ("10.1.2.4", []),
        ("0.0.0.0/0", [V4, MAPPED]),
        ("::ffff:10.0.0.0/104", [V4, MAPPED]),
        ("::ffff:10.1.2.3", [V4, MAPPED]),
        ("::/0", [V6, ZONED]),  # an IPv4 client is none of IPv6, whatever the socket is
        ("2001:db8::/32", [V6]),
        ("fe80::/10", [ZONED]),
        ("unix", [*LOCALS]),
    ],
)
def test_a_network_means_its_clients_and_no_others(network: str, matching: list[object]) -> None:
    everyone = [V4, MAPPED, V6, ZONED, *LOCALS]

    assert [peer for peer in everyone if Admission((network,), ()).permits(peer)] == matching
    assert [peer for peer in everyone if not Admission((), (network,)).permits(peer)] == matching


def test_who_is_denied_is_refused_even_if_allowed() -> None:
    admission = Admission(("10.0.0.0/8",), ("10.1.0.0/16",))

    assert not admission.permits(V4)
    assert admission.permits(("10.2.0.1", 1))
    assert not admission.permits(("192.0.2.1", 1))
