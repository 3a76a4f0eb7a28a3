"""What a proxy said of a connection in its PROXY header, as handlers get it.

For handlers of sockets it is `self.request.proxy_header`, on an event loop `get_extra_info("proxy_header")`, in WSGI
`environ["forkful.proxy_header"]`, in ASGI `scope["extensions"]["proxy_protocol"]["header"]`; None, or not there, where
there was no header. The addresses are the connection's own already, so few need it.
Nothing a client sends over HTTP has these names, so it cannot pass for a proxy by them.
Specification: HAProxy's proxy-protocol.txt.
"""

from dataclasses import dataclass, field
from typing import Any

#: Types of TLVs, and of those inside of the one for TLS (section 2.2 of the specification).
ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID, SSL, NETNS = 0x01, 0x02, 0x03, 0x04, 0x05, 0x20, 0x30
SSL_VERSION, SSL_CN, SSL_CIPHER, SSL_SIG_ALG, SSL_KEY_ALG = 0x21, 0x22, 0x23, 0x24, 0x25
_CLIENT_SSL, _CERT_CONN, _CERT_SESS = 1, 2, 4

Tlvs = tuple[tuple[int, bytes], ...]


def _value(tlvs: Tlvs, kind: int) -> bytes:
    return next((value for found, value in tlvs if found == kind), b"")


def _text(tlvs: Tlvs, kind: int) -> str:
    return _value(tlvs, kind).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class ProxySsl:
    """TLS between the client and the proxy. `tlvs` are all that it said; texts are "" where it said nothing."""

    client: int
    verify: int  # 0: the client gave a certificate and it was good
    tlvs: Tlvs = ()

    @property
    def is_tls(self) -> bool:
        """Whether the client came by TLS at all."""
        return bool(self.client & _CLIENT_SSL)

    @property
    def is_verified(self) -> bool:
        """Whether the client has shown a certificate, now or earlier in its session, that the proxy found good."""
        return self.is_tls and bool(self.client & (_CERT_CONN | _CERT_SESS)) and not self.verify

    @property
    def version(self) -> str:
        """Like "TLSv1.3"."""
        return _text(self.tlvs, SSL_VERSION)

    @property
    def cn(self) -> str:
        """The common name in the client's certificate."""
        return _text(self.tlvs, SSL_CN)

    @property
    def cipher(self) -> str:
        return _text(self.tlvs, SSL_CIPHER)

    @property
    def sig_alg(self) -> str:
        """How the proxy's certificate is signed, like "RSA-SHA256"."""
        return _text(self.tlvs, SSL_SIG_ALG)

    @property
    def key_alg(self) -> str:
        """Which key the proxy's certificate has, like "RSA2048"."""
        return _text(self.tlvs, SSL_KEY_ALG)


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """One header. `source` and `destination` have the shape of the socket module's addresses (Any).

    They are None where the header names nobody: a health check of the proxy's own (`is_local`), or an unknown client.
    """

    version: int
    source: Any = None
    destination: Any = None
    is_local: bool = False
    tlvs: Tlvs = field(default=())
    ssl: ProxySsl | None = None

    @property
    def family(self) -> str:
        """As version 1 has it: "TCP4", "TCP6" or "UNKNOWN"; "UNIX" for Unix sockets."""
        if self.source is None:
            return "UNKNOWN"
        if not isinstance(self.source, tuple):
            return "UNIX"
        return "TCP6" if ":" in self.source[0] else "TCP4"

    @property
    def alpn(self) -> bytes:
        """What client and proxy agreed to speak, like b"h2"."""
        return _value(self.tlvs, ALPN)

    @property
    def authority(self) -> str:
        """The host that the client asked for, as by SNI."""
        return _text(self.tlvs, AUTHORITY)

    @property
    def unique_id(self) -> bytes:
        return _value(self.tlvs, UNIQUE_ID)

    @property
    def netns(self) -> str:
        """The network namespace of the proxy's."""
        return _text(self.tlvs, NETNS)

    @property
    def is_tls(self) -> bool:
        """Whether the client came to the proxy by TLS."""
        return self.ssl is not None and self.ssl.is_tls


def variables(header: ProxyHeader) -> dict[str, Any]:  # Any: an environ's
    """What an environ has of it: Gunicorn's three, the header, and PROXY_PROTOCOL_... where it says more."""
    found: dict[str, Any] = {"forkful.proxy_header": header, "PROXY_PROTOCOL": header.family}
    if isinstance(header.destination, tuple):
        found["PROXY_ADDR"], found["PROXY_PORT"] = header.destination[0], str(header.destination[1])
    more = {
        "ALPN": header.alpn.decode("latin-1"),
        "AUTHORITY": header.authority,
        "UNIQUE_ID": header.unique_id.decode("latin-1"),
        "NETNS": header.netns,
    }
    if (ssl := header.ssl) is not None and ssl.is_tls:
        more |= {"SSL_VERSION": ssl.version, "SSL_CIPHER": ssl.cipher, "SSL_CN": ssl.cn}
        more["SSL_VERIFY"] = "SUCCESS" if ssl.is_verified else "NONE"
    return found | {f"PROXY_PROTOCOL_{name}": value for name, value in more.items() if value}
