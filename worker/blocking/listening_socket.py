"""The listening socket, as a server of the user's has it: what its `get_request` accepts comes the lane's way.

`shutdown` on it would end it for every process that shares it, and `close` for lanes that empty its queue: a server
that does either in a `shutdown` or `server_close` of its own does it to nothing.

Can go wrong: it is accepted from in a thread that is no lane; then it is an ordinary socket.
"""

import socket
from threading import get_ident
from typing import Any, Protocol


class Accepts(Protocol):
    """What a lane does instead (`Arrivals`)."""

    def accept(self) -> tuple[socket.socket, Any]: ...  # Any: a peer's address


class ListeningSocket(socket.socket):
    """An ordinary socket on which each lane accepts in its own way. `lanes` are those that do, by thread."""

    __slots__ = ("lanes",)
    lanes: dict[int, Accepts]

    def accept(self) -> tuple[socket.socket, Any]:  # Any: as above
        lane = self.lanes.get(get_ident()) if hasattr(self, "lanes") else None
        return super().accept() if lane is None else lane.accept()

    def shutdown(self, how: int, /) -> None:
        """Nothing, as said above."""

    def close(self) -> None:
        """Nothing, likewise."""

    def enter(self, lane: Accepts) -> None:
        """From now on this thread accepts by `lane`."""
        if not hasattr(self, "lanes"):
            self.lanes = {}
        self.lanes[get_ident()] = lane
