"""What an application is told of TLS: variables of WSGI as mod_ssl names them, and the extension of ASGI.

They are made from the connection alone, once; a client's fields have other names and cannot pass for them.
https://httpd.apache.org/docs/2.4/mod/mod_ssl.html#envvars, https://asgi.readthedocs.io/en/latest/specs/tls.html.
"""

import ssl
from collections.abc import Iterable
from typing import Any, Final

from forkful.conf.tls import ServerContext

Tls = ssl.SSLObject | ssl.SSLSocket
Certificate = dict[str, Any]  # Any: as of `getpeercert`
Name = Iterable[Iterable[tuple[str, str]]]

_VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
#: RFC 4519; OpenSSL's long names for what RFC 4514 writes short.
_SHORT: Final = {
    "commonName": "CN", "countryName": "C", "domainComponent": "DC", "localityName": "L", "organizationName": "O",
    "organizationalUnitName": "OU", "stateOrProvinceName": "ST", "streetAddress": "STREET", "userId": "UID",
}  # fmt: skip


def variables(tls: Tls) -> dict[str, str]:
    """For an environ; those of the client's certificate only where it has shown one."""
    cipher = tls.cipher() or ("", "", 0)
    told = {
        "HTTPS": "on",
        "SSL_PROTOCOL": tls.version() or "",
        "SSL_CIPHER": cipher[0],
        "SSL_CIPHER_USEKEYSIZE": str(cipher[2]),
        "SSL_SESSION_RESUMED": "Resumed" if tls.session_reused else "Initial",
        "SSL_CLIENT_VERIFY": "NONE",
    }
    found = client(tls)
    if found:
        der = tls.getpeercert(binary_form=True)
        told |= {
            "SSL_CLIENT_VERIFY": "SUCCESS",
            "SSL_CLIENT_S_DN": _native(distinguished(found["subject"])),
            "SSL_CLIENT_I_DN": _native(distinguished(found["issuer"])),
            "SSL_CLIENT_M_SERIAL": found["serialNumber"],
            "SSL_CLIENT_V_START": found["notBefore"],
            "SSL_CLIENT_V_END": found["notAfter"],
            "SSL_CLIENT_CERT": ssl.DER_cert_to_PEM_cert(der) if der else "",
        }
        for part in found["subject"]:
            for key, value in part:
                if key == "commonName":
                    told["SSL_CLIENT_S_DN_CN"] = _native(value)
    return told


def extension(tls: Tls) -> dict[str, Any]:  # Any: as the specification has it
    """For a scope's `extensions`."""
    context, cipher, found = tls.context, tls.cipher(), client(tls)
    pem, suites = (context.pem, context.suites) if isinstance(context, ServerContext) else (None, {})
    return {
        "server_cert": pem,
        "client_cert_chain": _chain(tls) if found else [],
        "client_cert_name": distinguished(found["subject"]) if found else None,
        "client_cert_error": None,  # a client whose certificate is not believed comes no further than the handshake
        "tls_version": _VERSIONS.get(tls.version() or ""),
        "cipher_suite": suites.get(cipher[0]) if cipher else None,
    }


def client(tls: Tls) -> Certificate:
    """The certificate that the client has shown, and that was believed; empty: none."""
    return tls.getpeercert() or {} if tls.context.verify_mode is not ssl.CERT_NONE else {}


def _chain(tls: Tls) -> list[str]:
    """As the client sent it, where this Python tells (3.13); else its first."""
    chain = getattr(tls, "get_unverified_chain", lambda: [tls.getpeercert(binary_form=True)])()
    return [ssl.DER_cert_to_PEM_cert(each) for each in chain if each]


def distinguished(name: Name) -> str:
    """A name as text, RFC 4514: the last part first."""
    parts = ["+".join(f"{_SHORT.get(key, key)}={_escaped(value)}" for key, value in part) for part in name]
    return ",".join(reversed(parts))


def _escaped(value: str) -> str:
    text = "".join(f"\\{sign}" if sign in '",+<>;\\' else "\\00" if sign == "\0" else sign for sign in value)
    if text[:1] in ("#", " "):
        text = f"\\{text}"
    if text[-1:] == " " and text != "\\ ":
        text = f"{text[:-1]}\\ "
    return text


def _native(text: str) -> str:
    """A text as PEP 3333 has it: bytes, each as a sign of its own."""
    return text.encode().decode("latin-1")
