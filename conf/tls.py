"""TLS as the settings have it: the context that an address's connections are secured by, and what its certificates say.

The reader makes contexts to see that nothing is wrong, and a mold makes those that its workers serve with. This
imports ssl (20 ms and 5 MB), so only who has TLS imports it.
Can go wrong: a file cannot be read, is not what it should be, or does not go with the others: `TlsError`.
"""

import _ssl
import contextlib
import ssl
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

from forkful.conf.light import dataclass
from forkful.conf.plan import Certificate, PoolPlan

#: The options that say it, all of which an address may have for itself.
KEYS: Final = (
    "certfile", "keyfile", "keyfile_password_file", "certificates", "ca_certs", "cert_reqs", "ciphers",
    "tls_min_version", "alpn",
)  # fmt: skip

_MODES = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TlsError(ValueError):
    """There is no TLS by these settings. `key` is the option at fault; `hint` says what would be right."""

    def __init__(self, key: str, what: str, hint: str = "") -> None:
        super().__init__(f"{what}; {hint}" if hint else what)
        self.key, self.what, self.hint = key, what, hint


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What is said of one address, or of all in a pool."""

    pairs: tuple[tuple[str, str], ...]  # files with a certificate, and with its key; the first is the default one
    password_file: str
    ca_certs: str
    cert_reqs: str
    ciphers: str
    min_version: str
    alpn: tuple[str, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:  # Any: each of its option's type
        own = values["certfile"]
        return cls(
            pairs=(*([(own, values["keyfile"] or own)] if own else ()), *values["certificates"]),
            password_file=values["keyfile_password_file"],
            ca_certs=values["ca_certs"],
            cert_reqs=values["cert_reqs"],
            ciphers=values["ciphers"],
            min_version=values["tls_min_version"],
            alpn=values["alpn"],
        )

    @classmethod
    def at(cls, plan: PoolPlan) -> Self:
        """Of a pool as it is at one address."""
        return cls.of({key: getattr(plan, key) for key in KEYS})


class ServerContext(ssl.SSLContext):
    """A context that knows which certificate it shows. `others` are those that the client's choice of name leads to."""

    pem: str
    others: tuple["ServerContext", ...] = ()

    @property
    def all(self) -> tuple["ServerContext", ...]:
        return (self, *self.others)

    def offer(self, protocols: Iterable[str]) -> None:
        """Offer these by ALPN, RFC 7301."""
        for context in self.all:
            context.set_alpn_protocols(list(protocols))

    @cached_property
    def suites(self) -> dict[str, int]:
        """The numbers of the ciphers by their names, as TLS has them."""
        return {str(each["name"]): int(each["id"]) & 0xFFFF for each in self.get_ciphers()}

    def forget(self) -> None:
        """Let the keys go with the last reference: a callback that names contexts would keep them."""
        self.sni_callback = None
        self.others = ()


def context(settings: TlsSettings) -> ServerContext:
    """What an address with these settings serves by. Raises `TlsError`."""
    if not settings.pairs:
        raise TlsError("certfile", "there is no certificate", "write certfile and keyfile")
    made = [_context(settings, *pair) for pair in settings.pairs]
    main, main.others = made[0], tuple(made[1:])
    if main.others:
        by_name = {name: made for made, (file, _) in zip(made, settings.pairs, strict=True) for name in names(file)}

        def choose(secured: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            asked = (name or "").lower()
            found = by_name.get(asked) or by_name.get(f"*.{asked.partition('.')[2]}")
            if found is not None and found is not main:
                secured.context = found

        main.sni_callback = choose
    return main


def certificate(file: str) -> Certificate:
    """What a file's certificate says, the first one in it. Raises `TlsError`."""
    told = _decoded(file)
    name = next(iter(_names(told)), "") or Path(file).name
    return Certificate(file, name, float(ssl.cert_time_to_seconds(told["notAfter"])))


def starts(file: str) -> float:
    """From when it is valid (Unix time)."""
    return float(ssl.cert_time_to_seconds(_decoded(file)["notBefore"]))


def names(file: str) -> list[str]:
    """For which hosts it is, in lower case: RFC 6125 looks at the subject only where there is nothing else."""
    return _names(_decoded(file))


def _names(told: Mapping[str, Any]) -> list[str]:  # Any: as of `_decoded`
    found = [value.lower() for kind, value in told.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    subject = [value.lower() for part in told.get("subject", ()) for key, value in part if key == "commonName"]
    return found or subject


def _decoded(file: str) -> dict[str, Any]:  # Any: texts and tuples, as of `SSLSocket.getpeercert`
    _see(file, "certfile")
    try:
        # Not public, and has been there since Python 2.6; the public way is a handshake with oneself.
        told: dict[str, Any] = _ssl._test_decode_cert(file)  # type: ignore[attr-defined]  # noqa: SLF001
    except (ssl.SSLError, ValueError, OSError):
        raise TlsError("certfile", f"{file!r} has no certificate in PEM format") from None
    return told


def _see(file: str, key: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        raise TlsError(key, f"{file!r} cannot be read: {what}") from None


def _context(settings: TlsSettings, certificate: str, key: str) -> ServerContext:
    made = ServerContext(ssl.PROTOCOL_TLS_SERVER)  # with the module's defaults: ciphers, no compression
    made.minimum_version = _VERSIONS[settings.min_version]
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_SINGLE_ECDH_USE
    if settings.ciphers:
        try:
            made.set_ciphers(settings.ciphers)
        except ssl.SSLError:
            raise TlsError("ciphers", f"{settings.ciphers!r} selects no cipher of OpenSSL's") from None
    _load_key(made, certificate, key, settings.password_file)
    _load_authorities(made, settings)
    if settings.alpn:
        made.set_alpn_protocols(list(settings.alpn))
    made.pem = _first(_see(certificate, "certfile").decode("ascii", "ignore"))
    return made


def _first(text: str) -> str:
    """The first certificate of a file, alone."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return f"{begin}{text.partition(begin)[2].partition(end)[0]}{end}\n"


class _Encrypted(Exception):  # noqa: N818  # taken back at once
    """A key wants a password and there is none."""


def _load_key(context: ssl.SSLContext, certificate: str, key: str, password_file: str) -> None:
    _decoded(certificate)
    _see(key, "keyfile")
    password = (_see(password_file, "keyfile_password_file").splitlines() or [b""])[0] if password_file else None

    def ask() -> bytes:  # OpenSSL would ask on the terminal
        if password is None:
            raise _Encrypted
        return password

    try:
        context.load_cert_chain(certificate, key, ask)
    except _Encrypted:
        hint = "write keyfile_password_file"
        raise TlsError("keyfile", f"the key in {key!r} is encrypted", hint) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError("keyfile", f"the key in {key!r} is not that of the certificate in {certificate!r}") from None
        if password is not None and b"ENCRYPTED" in _see(key, "keyfile"):
            raise TlsError("keyfile_password_file", f"its password does not open the key in {key!r}") from None
        why = (error.reason or "").replace("_", " ").lower()
        what = f"{certificate!r} and {key!r} cannot be used: {why}" if why and why != "pem lib" else ""
        raise TlsError("keyfile", what or f"{key!r} has no key in PEM format") from None
    except ValueError as error:  # a password too long
        raise TlsError("keyfile_password_file", str(error)) from None


def _load_authorities(context: ssl.SSLContext, settings: TlsSettings) -> None:
    context.verify_mode = _MODES[settings.cert_reqs]
    where = settings.ca_certs
    if not where:
        if context.verify_mode is not ssl.CERT_NONE:
            raise TlsError("cert_reqs", "nobody is said to certify clients", "write ca_certs")
        return
    if Path(where).is_dir():
        context.load_verify_locations(capath=where)
        return
    _see(where, "ca_certs")
    with contextlib.suppress(ssl.SSLError):
        context.load_verify_locations(cafile=where)
        return
    raise TlsError("ca_certs", f"{where!r} has no certificate in PEM format")
