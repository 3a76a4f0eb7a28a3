"""What tests of event loops share: both loops, as a worker has them."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

import pytest
import uvloop

from forkful.worker.eventloop.proxied_transport import unwrap
from tests.kit.turns import turn

LOOPS: Final[dict[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    loop = LOOPS[request.param]()
    loop.set_exception_handler(lambda *_: None)
    unwrap(loop)
    yield loop
    loop.run_until_complete(turn())
    loop.close()
