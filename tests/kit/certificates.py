"""Certificates for tests, made by openssl(1): of one's own, or of an authority.

Can go wrong: openssl is missing, or older than 1.1.1.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in a file each."""

    certificate: Path
    key: Path

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--certfile", str(self.certificate), "--keyfile", str(self.key))


def self_signed(folder: Path, name: str = "localhost", *also: str) -> Pair:
    """For a host, and for others `also`."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    names = ",".join(f"DNS:{each}" for each in (name, *also))
    command = ["req", "-x509", *_EC, "-nodes", "-keyout", str(pair.key), "-out", str(pair.certificate)]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName={names},IP:127.0.0.1"]
    _openssl(*command, "-addext", "keyUsage=critical,digitalSignature,keyCertSign", "-days", "30")
    return pair


def expired(folder: Path, pair: Pair) -> Pair:
    """The same until now."""
    certificate = folder / f"{pair.certificate.stem}.expired.crt"
    signed = ("-in", str(pair.certificate), "-signkey", str(pair.key), "-days", "0")
    _openssl("x509", *signed, "-out", str(certificate))
    return Pair(certificate, pair.key)


def encrypted(pair: Pair, password: str) -> Pair:
    """The same with a key that has a password."""
    key = pair.key.with_suffix(".locked")
    _openssl("ec", "-in", str(pair.key), "-aes256", "-passout", f"pass:{password}", "-out", str(key))
    return Pair(pair.certificate, key)


def issued(folder: Path, authority: Pair, subject: str, file: str) -> Pair:
    """For a client, by an authority."""
    pair, request = Pair(folder / f"{file}.crt", folder / f"{file}.key"), folder / f"{file}.csr"
    _openssl("req", *_EC, "-nodes", "-utf8", "-keyout", str(pair.key), "-out", str(request), "-subj", subject)
    signed = ["-CA", str(authority.certificate), "-CAkey", str(authority.key), "-CAcreateserial", "-days", "3"]
    _openssl("x509", "-req", "-in", str(request), *signed, "-out", str(pair.certificate))
    return pair
