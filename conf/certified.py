"""What the settings say of TLS, tried: files are found, keys match, certificates are valid, each address has its own.

A mold makes the contexts once more; here mistakes are told before anything is begun, all at once.
Can go wrong: whatever an operator does to certificates; each comes back as a `Mistake`.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from time import time
from typing import Final

from forkful.conf.address import Address
from forkful.conf.mistakes import Mistake
from forkful.conf.plan import Certificate
from forkful.conf.settings import Settings
from forkful.conf.values import Said, Section

SOON: Final = 14  # days before its end in which a certificate is warned of
_DAY: Final = 86_400
_FILES: Final = ("certfile", "keyfile", "keyfile_password_file", "ca_certs")


def absolute(settings: Settings, base: str) -> None:
    """Have the paths of TLS files begin somewhere."""
    for section in _sections(settings):
        for key in _FILES:
            if key in section and section[key].value:
                said = section[key]
                section[key] = replace(said, value=os.path.join(base, said.value))  # noqa: PTH118  # texts
        if "certificates" in section:
            said = section["certificates"]
            pairs = tuple(
                (os.path.join(base, one), os.path.join(base, other))  # noqa: PTH118  # as above
                for one, other in said.value
            )
            section["certificates"] = replace(said, value=pairs)


def _sections(settings: Settings) -> Iterator[Section]:
    yield from settings.pools.values()
    for apart in settings.listeners.values():
        yield from apart.values()


def weigh(settings: Settings, now: float | None = None) -> Iterator[Mistake]:
    """Try what every address has; keep what its certificates say."""
    now = time() if now is None else now
    for address in settings.admin["bind"].value:
        if address.is_secure:
            yield Mistake(settings.admin["bind"].place, f"{address}: the admin pages have no TLS", "write tcp://")
    told = set[Mistake]()
    for name, address, section in settings.each_address():
        for mistake in _at(settings, name, address, section, now):
            if mistake not in told:
                told.add(mistake)
                yield mistake


def _at(settings: Settings, name: str, address: Address, section: Section, now: float) -> Iterator[Mistake]:
    has_one = section["certfile"].value or section["certificates"].value
    if section["keyfile"].value and not section["certfile"].value:
        yield Mistake(section["keyfile"].place, "there is no certificate for this key", "write certfile as well")
    elif not has_one and address.is_secure:
        yield Mistake(section["bind"].place, f"{address} needs a certificate", "write certfile and keyfile")
    if address.scheme == "https" and "h2" in section["alpn"].value:
        yield Mistake(section["alpn"].place, "HTTP/2 is not spoken", "write http/1.1, or leave it out")
    if has_one and address.scheme in ("tls", "https", "fd", ""):
        yield from _tried(settings, name, section, now)


def _tried(settings: Settings, name: str, section: Section, now: float) -> Iterator[Mistake]:
    from forkful.conf import tls  # noqa: PLC0415  # who has no TLS does without ssl

    try:
        made = tls.TlsSettings.of({key: section[key].value for key in tls.KEYS})
        tls.context(made)
        for file, _ in made.pairs:
            found, starts = tls.certificate(file), tls.starts(file)
            if starts > now:
                yield Mistake(_place(section, file), f"{file!r} is not valid before {_date(starts)}")
            if found.expires <= now:
                yield Mistake(_place(section, file), f"{file!r} expired on {_date(found.expires)}", "renew it")
            elif found not in settings.certificates.setdefault(name, []):
                settings.certificates[name].append(found)
    except tls.TlsError as error:
        said = section[error.key]
        if said.place == "default":
            said = section["certfile" if section["certfile"].value else "certificates"]
        yield Mistake(said.place, error.what, error.hint)


def _place(section: Section, file: str) -> str:
    said: Said = section["certfile"] if section["certfile"].value == file else section["certificates"]
    return said.place


def expiring(settings: Settings, now: float | None = None) -> Iterator[str]:
    """A warning for each certificate that has only days left."""
    now = time() if now is None else now
    for name, found in settings.certificates.items():
        yield from (in_words(name, each, now) for each in found if each.expires < now + SOON * _DAY)


def in_words(pool: str, found: Certificate, now: float | None = None) -> str:
    """Until when it is valid."""
    now = time() if now is None else now
    days = int((found.expires - now) // _DAY)
    left = f"{days} days" if days != 1 else "1 day"
    return f"[pool.{pool}] certificate {found.file} ({found.name}) expires in {left}, on {_date(found.expires)}"


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
