"""The opening handshake of a WebSocket (RFC 6455 section 4.2): what the client asks, and the answer that accepts.

Can go wrong: a request that is no such handshake, `Refused` with 400, or one of another version, with 426; an
application that accepts with fields which cannot be sent, `BadResponse`.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Any, Final

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension, parse_subprotocol
from websockets.utils import accept_key

from forkful.worker.http import response
from forkful.worker.http.fields import Refused
from forkful.worker.http.response import DATE, SERVED_BY, BadResponse

_VERSION: Final = b"13"
_KEY: Final = 16  # bytes, in Base64
_START: Final = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
_OURS: Final = frozenset({b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol"})
#: Windows of 4 KB instead of 32: a connection takes a fifth of the memory, for a tenth more bytes (websockets' advice).
_DEFLATE: Final = ServerPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)


class Handshake:
    """What one client asked: `subprotocols` in its order, and the extensions that it offers."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        said: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            if name.startswith(b"sec-websocket-"):
                said.setdefault(name, []).append(value)
        versions = said.get(b"sec-websocket-version", [])
        if versions != [_VERSION]:
            raise Refused(426 if versions else 400, f"a WebSocket handshake of version {versions!r:.40}")
        keys = said.get(b"sec-websocket-key", [])
        if len(keys) != 1 or not _is_key(keys[0]):
            raise Refused(400, "a WebSocket handshake without a key of 16 bytes")
        self._key = keys[0].decode("ascii")
        try:
            self.subprotocols = _listed(said, b"sec-websocket-protocol", parse_subprotocol)
            self._offers = _listed(said, b"sec-websocket-extensions", parse_extension)
        except (InvalidHeader, UnicodeError) as error:
            raise Refused(400, f"not a WebSocket handshake: {error}") from error

    def accept(
        self, subprotocol: str | None, headers: Iterable[Any], *, compression: bool
    ) -> tuple[bytes, list[Extension]]:
        """The answer, and the extensions that hold from here on. Raises `BadResponse`."""
        lines = [_START, f"Sec-WebSocket-Accept: {accept_key(self._key)}\r\n".encode()]
        if subprotocol is not None:
            if subprotocol not in self.subprotocols:
                raise BadResponse(f"the client did not offer the subprotocol {subprotocol!r}")
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}\r\n".encode())
        extensions: list[Extension] = []
        for name, wanted in self._offers if compression else ():
            if name == _DEFLATE.name and not extensions:
                try:
                    params, extension = _DEFLATE.process_request_params(wanted, extensions)
                except NegotiationError:  # an offer that makes no sense is declined: RFC 7692 section 7
                    continue
                extensions.append(extension)
                lines.append(f"Sec-WebSocket-Extensions: {build_extension([(name, params)])}\r\n".encode())
        lines += [line for name, value in headers if (line := _line(bytes(name), bytes(value)))]
        return b"".join([*lines, b"\r\n"]), extensions


def _is_key(text: bytes) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY
    except binascii.Error:
        return False


def _listed(said: dict[bytes, list[bytes]], name: bytes, parse: Any) -> list[Any]:  # Any: one parser or the other
    return [item for value in said.get(name, ()) for item in parse(value.decode("ascii"))]


def _line(name: bytes, value: bytes) -> bytes:
    """A field of the application's; what is the handshake's or the connection's is ours to say."""
    if name.lower() in _OURS:
        raise BadResponse(f"{name.decode('latin-1')} is not the application's to say; a subprotocol has its own key")
    made = response.examine(name, value)
    if isinstance(made, bytes):
        return made
    return made.line if made.kind in (DATE, SERVED_BY) else b""
