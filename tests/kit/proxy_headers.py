"""PROXY headers as a proxy writes them, byte by byte from the specification, good ones and others."""

import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
TCP4, TCP6, UNIX = 0x11, 0x21, 0x31
ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID, SSL, NETNS = 0x01, 0x02, 0x03, 0x04, 0x05, 0x20, 0x30


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def v2(family: int, block: bytes, *, command: int = PROXY, length: int | None = None) -> bytes:
    """`length`: another one than the block's."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(block) if length is None else length) + block


def tcp4(source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """The addresses of version 2."""
    hosts = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    return hosts + struct.pack("!HH", source[1], destination[1])


def tcp6(source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    hosts = b"".join(socket.inet_pton(socket.AF_INET6, host) for host, _ in (source, destination))
    return hosts + struct.pack("!HH", source[1], destination[1])


def unix(source: bytes, destination: bytes) -> bytes:
    return source.ljust(108, b"\0") + destination.ljust(108, b"\0")


def with_crc(header: bytes, checksum: int | None = None) -> bytes:
    """The same with a checksum behind all else, computed bit by bit; or with this one."""
    length = struct.unpack_from("!H", header, 14)[0] + 7
    whole = header[:14] + struct.pack("!H", length) + header[16:] + tlv(CRC32C, bytes(4))
    if checksum is None:
        checksum = 0xFFFFFFFF
        for byte in whole:
            checksum ^= byte
            for _ in range(8):
                checksum = checksum >> 1 ^ (0x82F63B78 if checksum & 1 else 0)
        checksum ^= 0xFFFFFFFF
    return whole[:-4] + struct.pack("!I", checksum)
