"""`self.server` and the hooks of `socketserver`, as the standard library documents them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Serve
from tests.kit.door import Door


def about(door: Door) -> dict[str, Any]:  # Any: what JSON gives
    answer = json.loads(door.ask(b"about"))
    assert isinstance(answer, dict)
    return answer


def test_handler_alone_gets_a_real_server_object(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    serve("ownserver:AboutServer", binds=[door])
    answer = about(door)

    assert answer["address"] == answer["bound"] == list(door.address)
    assert answer["fileno"]
    assert answer["handler"] == "AboutServer"


@pytest.mark.parametrize("threads", ["1", "3"])
def test_server_subclass_keeps_its_attributes_and_gets_the_shared_socket(
    threads: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    serve("ownserver:Hooked", "--threads", threads, binds=[door])
    answer = about(door)

    assert answer["type"] == "Hooked"
    assert answer["greeting"] == "set in the constructor"
    assert answer["address"] == answer["bound"] == list(door.address)


def test_overridden_hooks_are_called_in_the_standard_order(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve("ownserver:Hooked", binds=[door])
    about(door)

    hooks = [server.events.next() for _ in range(4)]
    assert hooks == ["verify_request", "process_request", "finish_request", "shutdown_request"]


def test_verify_request_refuses_before_the_handler_is_asked(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve("ownserver:Hooked", binds=[door])
    with door.connect() as client:
        client.sendall(b"refuse")
        try:
            refused = client.recv(1)
        except ConnectionResetError:  # it closes with our word unread
            refused = b""

    assert refused == b""
    assert [server.events.next() for _ in range(2)] == ["verify_request", "shutdown_request"]
    about(door)


def test_overridden_handle_error_is_told_of_a_failure_and_the_worker_goes_on(
    serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve("ownserver:Hooked", binds=[door])
    before = server.workers()
    assert door.ask(b"fail") == b""

    server.events.expect("handle_error")
    server.events.expect("shutdown_request")
    about(door)
    assert server.workers() == before
    assert server.metrics_at_rest().sum("forkful_requests_total", pool="main", outcome="error") == 1
