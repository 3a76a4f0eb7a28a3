"""The TLS handshake, as a step: for a lane it ends with a socket that encrypts, for an event loop with what encrypts.

The socket is non-blocking meanwhile, so a client that says nothing costs what it holds until the deadline of the steps,
and nobody waits for it in C code.
Can go wrong: the client leaves, or cannot or will not agree on anything; that is counted, and no fault of ours.
"""

import contextlib
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from forkful.conf.tls import ServerContext
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.counted_socket import INFO_SIZE, NOTHING, TCP, TCP_INFO
from forkful.worker.net.steps import Reason, Refused, Want
from forkful.worker.net.tls_outcome import Outcome

RECORD: Final = 16_709  # bytes: the longest one, RFC 5246 section 6.2.3, with its head


class Handshake:
    """For a lane. `suppress_ragged_eofs`: an end without goodbye is an end, as for `ssl.SSLSocket`."""

    waits = True

    def __init__(self, context: ssl.SSLContext, *, suppress_ragged_eofs: bool = True) -> None:
        self._context = context
        if isinstance(context, ServerContext):  # of a program's own, it stays as the program knows it
            context.sslsocket_class = PoliteSocket
        self._suppress = suppress_ragged_eofs

    def __call__(self, accepted: Accepted) -> Iterator[Want]:
        with _refusals():
            secured = self._context.wrap_socket(
                accepted.sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=self._suppress
            )
            accepted.sock = secured
            yield from _shake(accepted, secured.do_handshake)
            _agreed(accepted, secured)


@dataclass(frozen=True, slots=True)
class Engine:
    """TLS of one connection between what came (`incoming`) and what is to be sent (`outgoing`), both encrypted."""

    tls: ssl.SSLObject
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO


class PoliteSocket(ssl.SSLSocket):
    """One that says goodbye (close_notify) before its end, which `SSLSocket` leaves to `unwrap`.

    Without it a client cannot tell the end of an answer from one that somebody cut off. It waits for nobody's in turn.
    `info` is what the kernel has counted, once it is closed; `failed` what its peer sent that is no TLS.
    """

    info: bytes = NOTHING
    failed: ssl.SSLError | None = None
    _parted = False

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002  # Any, a name: as of SSLSocket
        try:
            return super().read(len, buffer)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self.failed = error
            raise

    def shutdown(self, how: int) -> None:
        if how != socket.SHUT_RD:
            self._part()
        super().shutdown(how)

    def _real_close(self) -> None:  # what socket.close() calls once no file object uses the socket any more
        self._part()
        with contextlib.suppress(OSError):
            self.info = self.getsockopt(TCP, TCP_INFO, INFO_SIZE)
        super()._real_close()  # type: ignore[misc]  # typeshed does not have it

    def _part(self) -> None:
        tls = self._sslobj  # type: ignore[attr-defined]  # typeshed does not have it
        if tls is None or self._parted:
            return
        self._parted = True
        patience = self.gettimeout()
        try:
            self.settimeout(0.0)
            while not _is_told(tls):
                poll = select.poll()
                poll.register(self, select.POLLOUT)
                if not poll.poll(None if patience is None else patience * 1000):
                    return
        except (OSError, ValueError):  # nobody is there any more
            return
        finally:
            with contextlib.suppress(OSError):
                self.settimeout(patience)


def _is_told(tls: Any) -> bool:  # Any: the C half of an SSLSocket
    """Whether the goodbye is on its way."""
    try:
        tls.shutdown()
    except ssl.SSLWantReadError:  # it would wait for the client's
        return True
    except ssl.SSLWantWriteError:
        return False
    return True


class EngineHandshake:
    """For an event loop, which reads and writes by itself: the socket stays as it is, and `accepted.engine` secures."""

    waits = True

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def __call__(self, accepted: Accepted) -> Iterator[Want]:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with _refusals():
            tls = self._context.wrap_bio(incoming, outgoing, server_side=True)
            accepted.handshake = Outcome.GONE
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    yield from _send(accepted, outgoing.read())
                    yield Want.READ
                    _receive(accepted, incoming)
                except ssl.SSLError:
                    with contextlib.suppress(OSError):
                        accepted.sock.send(outgoing.read())  # the alert; whoever does not read it learns nothing
                    raise
            yield from _send(accepted, outgoing.read())
            accepted.engine = Engine(tls, incoming, outgoing)
            _agreed(accepted, tls)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """What a handshake raises, by whose fault it is."""
    try:
        yield
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        raise Refused(Reason.GONE, "in the TLS handshake") from None
    except (ssl.SSLError, ValueError) as error:
        raise Refused(Reason.TLS, f"TLS: {error}") from None


def _shake(accepted: Accepted, do_handshake: Callable[[], object]) -> Iterator[Want]:
    accepted.handshake = Outcome.GONE
    while True:
        try:
            do_handshake()
        except ssl.SSLWantReadError:
            yield Want.READ
        except ssl.SSLWantWriteError:
            yield Want.WRITE
        else:
            return


def _agreed(accepted: Accepted, tls: ssl.SSLSocket | ssl.SSLObject) -> None:
    accepted.tls, accepted.secure = tls, True
    accepted.handshake = Outcome.RESUMED if tls.session_reused else Outcome.OK


def _receive(accepted: Accepted, incoming: ssl.MemoryBIO) -> None:
    """What has come; a wait may have been for nothing."""
    try:
        data = accepted.sock.recv(RECORD)
    except BlockingIOError:
        return
    if not data:
        raise Refused(Reason.GONE, "in the TLS handshake")
    incoming.write(data)


def _send(accepted: Accepted, data: bytes) -> Iterator[Want]:
    while data:
        try:
            data = data[accepted.sock.send(data) :]
        except BlockingIOError:
            yield Want.WRITE
