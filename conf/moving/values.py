"""Values of Gunicorn's as values of ours, setting by setting; pure.

Can go wrong: a value that Gunicorn itself refuses: `Refused` says why.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from forkful.conf.atoms import unknown
from forkful.conf.moving.table import Row, Shape

_CERT_REQS: Final = ("none", "optional", "required")
_LEVELS: Final = frozenset({"debug", "info", "warning", "error", "critical"})
#: What Gunicorn means by 0, where it means no limit and ours has none that large; and its own upper bounds.
_NO_LIMIT: Final = {"limit_request_line": 65_536, "limit_request_field_size": 65_536}
#: What Gunicorn takes as a number, a word of `ssl` or a switch, too; here it only decides what is told.
_ANYTHING: Final = frozenset({"ssl_version", "http2_cleartext"})
_MOST: Final = {"limit_request_line": 8190, "limit_request_fields": 32_768}


class Refused(ValueError):  # noqa: N818  # a word that is read with what was refused
    """Gunicorn would not start with this value."""


def plain(row: Row, value: Any) -> Any:  # Any: raw, as a file of Python or a command line has it
    """A value as Gunicorn's validators leave it. Raises `Refused`."""
    match row.shape:
        case Shape.COUNT | Shape.OCTAL:
            return _count(value)
        case Shape.SWITCH | Shape.OFF:
            return _switch(value)
        case Shape.LIST:
            texts = [value] if isinstance(value, str) else value
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise Refused(f"{value!r} is no list of texts")
            return [text.strip() for text in texts]
        case Shape.TEXT if row.name in {"user", "group"} and isinstance(value, int):
            return str(value)
        case Shape.TEXT if row.name in _ANYTHING:
            return str(value)
        case Shape.TEXT if row.name.endswith("_ips") and isinstance(value, list):  # as uvicorn's users write it
            return ",".join(map(str, value))
        case Shape.TEXT:
            if not isinstance(value, str):
                raise Refused(f"{value!r} is no text")
            return value.strip()
        case _:
            return value


def _count(value: object) -> int:
    if isinstance(value, str):
        try:
            value = int(value, 0)
        except ValueError:
            raise Refused(f"{value!r} is no whole number") from None
    if not isinstance(value, int):
        raise Refused(f"{value!r} is no whole number")
    if value < 0:
        raise Refused(f"{value} is less than 0")
    return int(value)


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower().strip() in {"true", "false"}:
        return value.lower().strip() == "true"
    raise Refused(f"{value!r} is neither True nor False")


# -- one setting each --------------------------------------------------------------------------------------------------


def address(text: str, *, secure: bool) -> str:
    """An address of Gunicorn's, with the scheme that a web application has here. Raises `Refused`."""
    if match := re.match(r"unix:(//)?", text):
        path = text[match.end() :]
        return f"http+unix:{'//' if path.startswith('/') else './' if path.startswith('@') else ''}{path}"
    if text.startswith("fd://"):
        return text
    rest = text.removeprefix("tcp://")
    if "[" in rest and "]" in rest:
        host = f"[{rest.partition(']')[0].lstrip('[')}]"
        port = rest.partition("]:")[2] or "8000"
    else:
        host, _, port = rest.partition(":")
        port = port.partition(":")[0] or ("8000" if ":" not in rest else "")
    if not port.isdecimal():
        raise Refused(f"{text!r}: {port!r} is no port")
    # [::] is every interface of both families, where the kernel's bindv6only is off, as it is by default.
    return f"{'https' if secure else 'http'}://{'*' if host == '[::]' else host or '0.0.0.0'}:{port}"  # noqa: S104  # theirs  # nosec B104


def handler(text: str) -> str:
    """MODULE:APP as it is written here; Gunicorn finds `application` where no name is said."""
    module, separator, name = text.partition(":")
    return f"{module}:{name}" if separator and name else f"{module}:application"


def socket_mode(umask: int) -> str:
    """What Gunicorn's umask makes of the permissions of its Unix sockets; to execute one means nothing."""
    return f"0{0o666 & ~umask:03o}"


def limit(name: str, value: int) -> int:
    """A limit of the head of requests: 0 is none there, or nearly."""
    if name == "limit_request_fields":
        return min(value, _MOST[name]) or _MOST[name]
    return max(64, min(value, _MOST.get(name, value))) if value else _NO_LIMIT[name]


def beyond_the_head(name: str, value: int) -> str | None:
    """What is to be said of a limit that the one of the whole head leaves no room for."""
    if name not in _NO_LIMIT or 0 < value < _NO_LIMIT[name]:
        return None
    return f"{value or 'no limit'} in Gunicorn; here limit_request_head bounds line and fields together (65536)"


def level(text: str) -> str:
    """Gunicorn takes what it does not know for info."""
    return text.lower() if text.lower() in _LEVELS else "info"


def cert_reqs(value: object) -> str:
    number = _count(value)
    if number >= len(_CERT_REQS):
        raise Refused(f"{number} is no kind of verification: 0, 1 or 2")
    return _CERT_REQS[number]


def proxy_protocol(value: object) -> str:
    """A switch once, a word today."""
    if isinstance(value, bool):
        return "auto" if value else "off"
    word = str(value).lower().strip()
    word = {"true": "auto", "false": "off", "none": "off"}.get(word, word)
    if word not in {"off", "v1", "v2", "auto"}:
        raise Refused(f"{value!r} is none of off, v1, v2, auto")
    return word


def mount(text: str) -> str:
    """A path without the stroke at its end."""
    return f"/{text.strip('/')}" if text.strip("/") else ""


def atoms(template: str) -> list[str]:
    """What is in a format of the access log, and unknown here."""
    return [*dict.fromkeys(unknown(template))]


def is_usual_scheme_header(value: Mapping[str, Any]) -> bool:
    """Whether secure_scheme_headers says no more than X-Forwarded-Proto does."""
    usual = {"X-FORWARDED-PROTO": "https", "X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-SSL": "on"}
    return all(usual.get(name.upper()) == said for name, said in value.items()) and any(
        name.upper() == "X-FORWARDED-PROTO" for name in value
    )
