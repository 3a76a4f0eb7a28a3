"""The bytes of a PROXY header, version 1 and 2, and what they say. Pure functions.

Specification: HAProxy's proxy-protocol.txt. PyPI's proxy-protocol was the other choice; it does not check what a
receiver must (lengths, families, numbers like "+80"), raises whatever `struct` and `int` do, and costs a worker 30 ms.
The tests hold it beside this.
Can go wrong: bytes that are no header: `MalformedError`, with what is wrong in words.
"""

import re
import socket
import struct
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

from forkful.handlers.proxied import CRC32C, NOOP, SSL, ProxyHeader, ProxySsl, Tlvs

V1: Final = b"PROXY "
V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
LONGEST_V1: Final = 107  # bytes, with its end
HEAD: Final = 16  # bytes of version 2 before what has a length

_PORT = b"(0|[1-9][0-9]{0,4})"
_LINE = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) " + _PORT + b" " + _PORT + b"\r\n")
_UNKNOWN = re.compile(rb"PROXY UNKNOWN( [^\r\n]*)?\r\n")
_FAMILIES = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}
_LAST_PORT = 65_535

_VERSION, _LOCAL, _PROXY = 0x20, 0, 1
_UNSPECIFIED = 0x00
#: The byte of family and transport, of streams: addresses of what shape.
_SHAPES: Final = {
    0x11: struct.Struct("!4s4sHH"),
    0x21: struct.Struct("!16s16sHH"),
    0x31: struct.Struct("!108s108s"),
}
_TLV = struct.Struct("!BH")
_SSL = struct.Struct("!BI")
_CHECKSUM = struct.Struct("!I")


class MalformedError(ValueError):
    """This is no PROXY header."""


class Version(Enum):
    """Which header begins here. PART: more has to come before anybody can tell."""

    V1 = "v1"
    V2 = "v2"
    NONE = "none"
    PART = "part"


def version_of(opening: bytes, wanted: frozenset[Version]) -> Version:
    """By the first bytes of a connection, where headers of these versions are wanted."""
    for version, signature in ((Version.V1, V1), (Version.V2, V2)):
        if version in wanted:
            if opening.startswith(signature):
                return version
            if signature.startswith(opening):
                return Version.PART
    return Version.NONE


# -- version 1 ---------------------------------------------------------------------------------------------------------


def line_ends(line: bytes) -> bool:
    """Whether a line of version 1 is whole. Raises `MalformedError` where it never will be."""
    end = line.find(b"\n")
    if end < 0 and len(line) < LONGEST_V1:
        return False
    if end < 0 or end >= LONGEST_V1:
        raise MalformedError(f"its line is longer than {LONGEST_V1} bytes")
    if line[end - 1 : end] != b"\r":
        raise MalformedError("its line ends without a carriage return")
    return True


def read_v1(line: bytes) -> ProxyHeader:
    """From a whole line."""
    found = _LINE.fullmatch(line)
    if found is None:
        if _UNKNOWN.fullmatch(line):
            return ProxyHeader(1)
        raise MalformedError(f"{line!r} is no header of version 1")
    family = _FAMILIES[found[1]]
    return ProxyHeader(1, _v1_address(family, found[2], found[4]), _v1_address(family, found[3], found[5]))


def _v1_address(family: socket.AddressFamily, host: bytes, port: bytes) -> Any:  # Any: as of the socket module
    try:
        packed = socket.inet_pton(family, host.decode("ascii"))
    except OSError:
        raise MalformedError(f"{host!r} is no address of its family") from None
    if int(port) > _LAST_PORT:
        raise MalformedError(f"{port!r} is no port")
    return _address(packed, int(port))


def _address(packed: bytes, port: int) -> Any:  # Any: as above
    if len(packed) == 4:  # noqa: PLR2004  # of IPv4
        return socket.inet_ntop(socket.AF_INET, packed), port
    return socket.inet_ntop(socket.AF_INET6, packed), port, 0, 0


# -- version 2 ---------------------------------------------------------------------------------------------------------


def length_of(head: bytes) -> int:
    """How many bytes follow these `HEAD` ones."""
    version, command = head[12] & 0xF0, head[12] & 0x0F
    if not head.startswith(V2) or version != _VERSION or command not in (_LOCAL, _PROXY):
        raise MalformedError(f"it has version {version >> 4} and command {command}")
    if command == _PROXY and head[13] != _UNSPECIFIED and head[13] not in _SHAPES:
        raise MalformedError(f"its addresses are of a kind that no stream has ({head[13]:#04x})")
    return int.from_bytes(head[14:16], "big")


def read_v2(head: bytes, rest: bytes) -> ProxyHeader:
    """From its head and all that follows it."""
    if length_of(head) != len(rest):
        raise MalformedError("its length is wrong")
    if head[12] & 0x0F == _LOCAL:
        return ProxyHeader(2, is_local=True)  # whatever else is in it is to be passed over
    source = destination = None
    offset = 0
    shape = _SHAPES.get(head[13])
    if shape is not None:
        if len(rest) < shape.size:
            raise MalformedError(f"it has {len(rest)} bytes for addresses of {shape.size}")
        said = shape.unpack_from(rest)
        offset = shape.size
        if len(said) == 2:  # noqa: PLR2004  # without ports
            source, destination = _unix_address(said[0]), _unix_address(said[1])
        else:
            source, destination = _address(said[0], said[2]), _address(said[1], said[3])
    tlvs = tuple(_tlvs(head + rest, HEAD + offset))
    ssl = next((_ssl(value) for kind, value in tlvs if kind == SSL), None)
    return ProxyHeader(2, source, destination, tlvs=tlvs, ssl=ssl)


def _unix_address(padded: bytes) -> Any:  # Any: as above
    if padded[:1] == b"\0" and padded.strip(b"\0"):
        return padded.rstrip(b"\0")  # an abstract one, unix(7)
    return padded.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _tlvs(header: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Those from here on; the checksum is looked at, and padding left out."""
    for kind, start, end in _spans(header, offset):
        if kind == CRC32C:
            _check(header, start, end)
        elif kind != NOOP:
            yield kind, header[start:end]


def _spans(block: bytes, offset: int) -> Iterator[tuple[int, int, int]]:
    """(type, start, end) of each TLV."""
    while offset < len(block):
        if offset + _TLV.size > len(block):
            raise MalformedError("a TLV is cut off")
        kind, length = _TLV.unpack_from(block, offset)
        offset += _TLV.size
        if offset + length > len(block):
            raise MalformedError(f"a TLV of type {kind:#04x} is longer than what is left")
        yield kind, offset, offset + length
        offset += length


def _ssl(value: bytes) -> ProxySsl:
    if len(value) < _SSL.size:
        raise MalformedError("its TLV about TLS is cut off")
    client, verify = _SSL.unpack_from(value)
    inner: Tlvs = tuple((kind, value[start:end]) for kind, start, end in _spans(value, _SSL.size))
    return ProxySsl(client, verify, inner)


def _check(header: bytes, start: int, end: int) -> None:
    if end - start != _CHECKSUM.size:
        raise MalformedError("its checksum has a wrong length")
    if _CHECKSUM.unpack_from(header, start)[0] != crc32c(header[:start] + bytes(_CHECKSUM.size) + header[end:]):
        raise MalformedError("its checksum is wrong")


def _table() -> Iterator[int]:
    for value in range(256):
        rest = value
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
        yield rest


_TABLE: Final = tuple(_table())


def crc32c(data: bytes) -> int:
    """Castagnoli's (RFC 4960, appendix B). In Python, since a header has a hundred bytes."""
    rest = 0xFFFFFFFF
    for byte in data:
        rest = rest >> 8 ^ _TABLE[(rest ^ byte) & 0xFF]
    return rest ^ 0xFFFFFFFF
