"""The TLS handshake, as a step: the connection goes on with another socket, which encrypts.

The socket is non-blocking meanwhile, so a client that says nothing costs what it holds until the deadline of the steps,
and nobody waits for it in C code.
Can go wrong: the client leaves, or cannot or will not agree on anything; that is counted, and no fault of ours.
"""

import ssl
from collections.abc import Iterator

from forkful.worker.net.accepted import Accepted
from forkful.worker.net.steps import Reason, Refused, Want


class Handshake:
    """By one context. `suppress_ragged_eofs`: an end without goodbye is an end, as for `ssl.SSLSocket`."""

    waits = True

    def __init__(self, context: ssl.SSLContext, *, suppress_ragged_eofs: bool = True) -> None:
        self._context = context
        self._suppress = suppress_ragged_eofs

    def __call__(self, accepted: Accepted) -> Iterator[Want]:
        try:
            secured = self._context.wrap_socket(
                accepted.sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=self._suppress
            )
            accepted.sock, accepted.secure = secured, True
            while True:
                try:
                    secured.do_handshake()
                except ssl.SSLWantReadError:
                    yield Want.READ
                except ssl.SSLWantWriteError:
                    yield Want.WRITE
                else:
                    return
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise Refused(Reason.GONE, "in the TLS handshake") from None
        except (ssl.SSLError, ValueError) as error:
            raise Refused(Reason.TLS, f"TLS: {error}") from None
