"""A connection whose reads wait for so long and no longer (`read_timeout`); then it is over.

Python's own timeout of a socket is for everything that is done with it, and `sendall` counts it for the whole of what
it sends: a client that takes a large answer slowly is none that sends nothing. So only reads wait here.
Can go wrong: the client sends nothing: `TimeoutError`, and both sides find the connection ended. A handler that has set
a timeout of its own has that; one that waits by poll(2) or select(2) waits as it likes.
"""

import select
import socket
from collections.abc import Callable
from typing import Any

from forkful.worker.net.counted_socket import AcceptedSocket, Connection, Uncounted
from forkful.worker.net.stillness import TooStillError, end


class _Patient(AcceptedSocket):
    """`patience` in seconds; `too_late` is told before it ends."""

    __slots__ = ()

    def _wait(self, flags: int = 0) -> None:
        if self.gettimeout() is not None or flags & socket.MSG_DONTWAIT:
            return
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        if not poll.poll(self.patience * 1000):
            self.too_late()
            end(self)
            raise TooStillError(f"the client sent nothing for {self.patience:g} s (read_timeout)")


def _waiting(name: str) -> Callable[..., Any]:  # Any: as of the method
    """A method of sockets that reads; the last of its own arguments are flags, where there are any."""
    plain = getattr(socket.socket, name)
    position = {"recv": 1, "recvfrom": 1, "recv_into": 2, "recvfrom_into": 2, "recvmsg": 2, "recvmsg_into": 2}[name]

    def method(self: _Patient, *args: Any) -> Any:  # Any: as above
        self._wait(args[position] if len(args) > position else 0)
        return plain(self, *args)

    method.__name__ = name
    return method


for _name in ("recv", "recvfrom", "recv_into", "recvfrom_into", "recvmsg", "recvmsg_into"):
    setattr(_Patient, _name, _waiting(_name))


class PatientConnection(_Patient, Connection):
    """Of TCP."""

    __slots__ = ()


class PatientUncounted(_Patient, Uncounted):
    """Of a kind that the kernel counts no bytes for."""

    __slots__ = ()
