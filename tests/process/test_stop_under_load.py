"""A stop in the middle of traffic: who reached us is answered, everybody else is refused, and nobody is reset."""

from signal import SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit.door import door_of
from tests.kit.load import Load, Outcome


@pytest.mark.parametrize("bind", ["tcp://127.0.0.1:0", "tcp://[::1]:0", "unix://{folder}/echo.sock"])
def test_nobody_is_reset_by_a_stop_in_the_middle_of_traffic(bind: str, serve: Serve, tmp_path: object) -> None:
    server = serve("classic:EchoHandler", "--workers", "2", "--bind", bind.format(folder=tmp_path), binds=())
    [address] = server.listeners()
    with Load(door_of(address), clients=6, may_lose={Outcome.REFUSED}) as load:
        load.more(100)
        server.signal(SIGTERM)
        assert server.wait_exit() == 0
    assert set(load.accounting) == {Outcome.OK, Outcome.REFUSED}, str(load)
