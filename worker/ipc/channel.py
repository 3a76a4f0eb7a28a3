"""A channel: messages over a Unix stream socket between two processes of the service, with descriptors where asked.

Each is a line of JSON. The end of file is the lifeline: it says at once, without a poll, that the other side died.
Can go wrong: the other side is gone (`closed` becomes true, sending is then silently dropped, as for a dead child);
a line that is no message of the other side's is a `Refused` in its place. What is too long or too much (a child may be
broken or hostile) closes the channel, too; descriptors that nobody expects are not taken.
"""

import array
import contextlib
import fcntl
import json
import math
import os
import socket
import termios
import threading
from collections.abc import Sequence
from typing import Self, TypeVar

from forkful.worker.ipc.messages import FDS, Message, MessageError, Refused, Vocabulary, said

Spoken = TypeVar("Spoken")

_CHUNK = 65_536
_CHUNKS = 16  # at a time: more than a socket holds, and an end for one that is filled as fast as it is read
_GONE = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError)


class Channel:
    """One end. Non-blocking for loops (`receive`, `flush`), blocking for those who have nothing else to do (`call`)."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.closed = False
        self.budget: int | None = None  # how many messages may still come; None: any number
        self.fds: list[int] = []  # received, owned by whoever takes them from here
        self._in = bytearray()
        self._out = bytearray()
        self._held: list[int] = []  # descriptors of ours that go with the first byte of it
        self._sending = threading.RLock()  # what a worker is asked at a prompt is told by whatever thread asks it
        sock.setblocking(False)

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        ours, theirs = socket.socketpair()
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        return self.sock.fileno()

    @property
    def pending(self) -> bool:
        """Whether there is something left to `flush` once the socket is writable."""
        return bool(self._out)

    @property
    def is_unread(self) -> bool:
        """Whether the other side has not received all that we sent: SIOCOUTQ, unix(7)."""
        if self.closed:
            return False
        with contextlib.suppress(OSError):
            return self.pending or fcntl.ioctl(self, termios.TIOCOUTQ, bytes(4)) != bytes(4)  # its other name; an int
        return False

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Queue a message and send what the socket takes now. `fds` go with it, so nothing may be queued before it.

        Raises OSError if the kernel has no room for more descriptors.
        """
        line = json.dumps(said(message), separators=(",", ":")).encode() + b"\n"
        if fds and not self.closed:
            if self._out or len(fds) > FDS:
                raise RuntimeError("descriptors can only be sent on an empty channel")
            try:
                line = line[self._send(line, fds) :]
            except BlockingIOError:  # the socket holds some 280 messages, whatever their size
                self._held = [os.dup(fd) for fd in fds]
            except _GONE:
                self.closed = True
                return
        with self._sending:
            self._out += line
            self._flush()

    def flush(self) -> None:
        with self._sending:
            self._flush()

    def _flush(self) -> None:
        while self._out and not self.closed:
            try:
                sent = self._send(self._out, self._held)
            except BlockingIOError:
                return
            except _GONE:
                self.closed = True
                return
            del self._out[:sent]
            self._let_go()

    def _send(self, data: bytes | bytearray, fds: Sequence[int]) -> int:
        if not fds:
            return self.sock.send(data)
        return self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])

    def _let_go(self) -> None:
        while self._held:
            os.close(self._held.pop())

    def receive(self, known: Vocabulary[Spoken]) -> list[Spoken | Refused]:
        """All messages that are here now; sets `closed` when the other side is gone."""
        for _ in range(_CHUNKS):
            if self.closed or not self._take(known.fds):
                break
            if len(self.fds) > known.fds and not math.isinf(known.most):
                return [self._enough("more descriptors than it can have to give")]
        *lines, rest = self._in.split(b"\n")
        self._in = bytearray(rest)
        too_long = next((True for line in (*lines, rest) if len(line) > known.most), False)
        if too_long:
            return [self._enough(f"a message of more than {known.most} bytes")]
        if self.budget is not None:
            self.budget -= len(lines)
            if self.budget < 0:
                return [self._enough("more messages than it can have to say")]
        return [_understood(line, known) for line in lines]

    def _take(self, most_fds: int) -> bool:
        """Receive what there is; return whether there may be more."""
        fds: list[int] = []
        try:
            if most_fds:
                data, fds, _, _ = socket.recv_fds(self.sock, _CHUNK, most_fds)
            else:
                data = self.sock.recv(_CHUNK)  # the kernel closes what descriptors come along, unix(7)
        except BlockingIOError:
            return False
        except _GONE:
            data = b""
        for fd in fds:
            os.set_inheritable(fd, False)  # recv_fds() takes flags, and drops MSG_CMSG_CLOEXEC
        self.fds += fds
        if not data:
            self.closed = True
        self._in += data
        return True

    def _enough(self, why: str) -> Refused:
        self.closed = True
        self._in.clear()
        self.drop_fds()
        return Refused(why)

    def drop_fds(self) -> None:
        """Close what came and nobody took."""
        while self.fds:
            os.close(self.fds.pop())

    def close(self) -> None:
        self.closed = True
        self.drop_fds()
        self._let_go()
        self.sock.close()


def _understood(line: bytearray, known: Vocabulary[Spoken]) -> Spoken | Refused:
    try:
        return known.parse(json.loads(line))
    except MessageError as error:
        return Refused(str(error))
    except (ValueError, RecursionError):
        return Refused(f"{bytes(line[:60])!r} is no JSON")
