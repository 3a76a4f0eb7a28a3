"""The client: how the command line talks to a running service, over HTTP on its Unix socket or TCP.

Can go wrong: nobody answers, or somebody who is no Forkful (`ClientError`, whose message says what to do).
"""

import json
import socket
import struct
from pathlib import Path
from typing import Any

import httptools

from forkful.conf.address import Address, AddressError
from forkful.conf.light import dataclass

CONNECT = 5.0  # seconds
ANSWER = 15.0  # seconds; longer than the admin child waits for the master, so that its word comes first

Document = dict[str, Any]  # Any: what JSON gives

_MOST = 64 * 1024 * 1024  # bytes of an answer
_PIECE = 65_536  # bytes that are read at once

_EVERYWHERE = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to connect, not to bind  # nosec B104
_HTTP = frozenset({"", "tcp", "http"})
_UNIX = frozenset({"unix", "http+unix"})


class ClientError(Exception):
    """The service could not be asked; the message is for the operator."""


class LostError(ClientError):
    """The connection ended before the answer: the admin child, or the whole service, went away meanwhile."""


@dataclass(frozen=True, slots=True)
class Reply:
    code: int
    body: bytes

    def json(self) -> Document:
        try:
            document = json.loads(self.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ClientError(f"that answer is no document of Forkful's: {self.body[:200].decode(errors='replace')!r}")
        return document


class _Coming:
    """An answer as it arrives, RFC 9112, section 6.3: without a length it ends with the connection."""

    def __init__(self) -> None:
        self.body: list[bytes] = []
        self.size = 0
        self.is_whole = self.ends_with_connection = False
        self._has_length = False

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: ARG002  # httptools gives both
        self._has_length |= name.lower() in {b"content-length", b"transfer-encoding"}

    def on_headers_complete(self) -> None:
        self.ends_with_connection = not self._has_length

    def on_body(self, data: bytes) -> None:
        self.body.append(data)
        self.size += len(data)

    def on_message_complete(self) -> None:
        self.is_whole = True


class Client:
    """One service, found by the address of its admin child. A connection for each request."""

    def __init__(self, address_text: str, token_file: str = "") -> None:  # nosec B107  # a path, or none
        self._token_file = token_file
        try:
            self._address = Address.parse(address_text)
        except AddressError as problem:
            raise ClientError(f"the admin address is wrong: {problem}") from None
        if self._address.scheme not in _HTTP | _UNIX:
            raise ClientError(f"{self._address}: the admin child is reached over tcp:// or unix://")

    @property
    def address(self) -> str:
        return str(self._address)

    def get(self, path: str) -> Reply:
        return self._request("GET", path, ANSWER)

    def post(self, path: str, timeout: float | None = ANSWER) -> Reply:
        """Send a command; `timeout` None waits for as long as the service lives."""
        return self._request("POST", path, timeout)

    def peer(self) -> int:
        """The process that listens there, as the kernel has it (unix(7), SO_PEERCRED)."""
        if self._address.scheme not in _UNIX:
            raise ClientError(f"{self.address}: only a Unix socket says whose it is, and takes commands")
        with self._connect() as sock:
            pid, _, _ = struct.unpack(
                "3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            )
        return int(pid)

    def _request(self, method: str, path: str, timeout: float | None) -> Reply:
        fields = {"Host": "localhost", "Connection": "close", "Content-Length": "0", **self._token()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        with self._connect() as sock:
            sock.settimeout(timeout)
            try:
                sock.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
                return self._answer(sock)
            except TimeoutError:
                raise ClientError(f"{self.address} took the request and did not answer within {timeout:g} s") from None
            except ConnectionError:
                raise LostError(f"the connection to {self.address} ended before the answer") from None
            except httptools.HttpParserError as problem:
                raise ClientError(f"what answers at {self.address} does not speak HTTP: {problem!r}") from None

    def _answer(self, sock: socket.socket) -> Reply:
        coming = _Coming()
        parser = httptools.HttpResponseParser(coming)
        while not coming.is_whole:
            data = sock.recv(_PIECE)
            if not data:
                if not coming.ends_with_connection:
                    raise ConnectionResetError
                break
            parser.feed_data(data)
            if coming.size > _MOST:
                raise ClientError(f"what answers at {self.address} says more than Forkful would")
        return Reply(parser.get_status_code(), b"".join(coming.body))

    def _token(self) -> dict[str, str]:
        if not self._token_file or self._address.is_unix:
            return {}
        try:
            return {"Authorization": f"Bearer {Path(self._token_file).read_text().strip()}"}
        except (OSError, ValueError) as problem:
            raise ClientError(f"the token in {self._token_file} cannot be read: {problem}") from None

    def _connect(self) -> socket.socket:
        where = self._address
        try:
            if where.scheme in _UNIX:
                sock = socket.socket(socket.AF_UNIX)
                try:
                    sock.settimeout(CONNECT)
                    sock.connect(where.unix_name)
                except OSError:
                    sock.close()
                    raise
                return sock
            return socket.create_connection((_EVERYWHERE.get(where.host, where.host), where.port), CONNECT)
        except PermissionError:
            raise ClientError(f"you may not talk to {self.address}: its owner, or root, may") from None
        except OSError as problem:
            raise ClientError(
                f"no forkful answers at {self.address} ({problem.strerror or problem});"
                " is it running? say where with --admin or $FORKFUL_ADMIN"
            ) from None


def text_of(document: Document, key: str) -> str:
    """A text in a document, or "" where it is missing or is something else."""
    value = document.get(key, "")
    return value if isinstance(value, str) else ""
