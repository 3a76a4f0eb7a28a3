"""The runtime directory: where a service keeps its private socket, and how a command finds it there.

Several services of a user share it, so a socket's name says whose it is, and a command may find several.
A settings file that cannot be read is left to those who must read it.
"""

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from forkful.conf.address import SUN_PATH, Address, AddressError

_BEGIN, _END = "admin", ".sock"
_LABEL, _MARK = 44, 8  # characters: of what tells services apart, and of what stands for the rest of one that is long
ADMIN_TCP = Address("tcp", host="127.0.0.1", port=9464)  # the port Prometheus' registry reserves for such exporters


def runtime_directory(environ: Mapping[str, str], uid: int) -> Path:
    """Where the admin socket lives: systemd's choice, the session's, or a private place of this user's.

    In a container whose file system is read-only it is where scratch files go, the same for the service and a command.
    """
    if systemd := environ.get("RUNTIME_DIRECTORY", "").split(":")[0]:  # systemd.exec(5): a list with colons
        return Path(systemd)
    if session := environ.get("XDG_RUNTIME_DIR"):
        return Path(session, "forkful")
    usual = Path("/run/forkful") if uid == 0 else Path(f"/tmp/forkful-{uid}")  # noqa: S108  # the master makes it 0700  # nosec B108
    if not _is_read_only(usual):
        return usual
    from forkful.conf import scratch  # noqa: PLC0415  # most commands need only the usual place

    places = (Path(place, f"forkful-{uid}") for place in scratch.places(environ))
    return next((place for place in places if os.access(place.parent, os.W_OK)), usual)


def _is_read_only(path: Path) -> bool:
    """Whether the file system is, of what there is of this path."""
    there = next(place for place in (path, *path.parents) if place.exists())
    return bool(os.statvfs(there).f_flag & os.ST_RDONLY)


def default_admin(environ: Mapping[str, str], uid: int, words: Iterable[str]) -> tuple[Address, ...]:
    """Where the admin child listens if nobody says otherwise: `words` tell the service from others of its user."""
    directory = runtime_directory(environ, uid)
    label = re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(words)).strip("-.")
    room = min(_LABEL, SUN_PATH - len(os.fsencode(directory / f"{_BEGIN}-{_END}")))
    if len(label) > room:
        import hashlib  # noqa: PLC0415  # 5 ms for few

        mark = hashlib.sha256(label.encode()).hexdigest()[:_MARK]
        label = f"{label[: max(0, room - _MARK - 1)]}-{mark}".strip("-")
    return ADMIN_TCP, Address("unix", path=str(directory / f"{_BEGIN}-{label}{_END}"))


def admin_addresses(environ: Mapping[str, str], config: str = "") -> tuple[list[Address], bool]:
    """Where a running master may take commands, and whether somebody said so.

    It is said by `$FORKFUL_ADMIN`, or as the first Unix socket of `$FORKFUL_ADMIN_BIND` or of the settings file. Else
    it is any of the sockets in the usual place. Raises `AddressError` where `$FORKFUL_ADMIN` is no address, or nobody
    has told one and the usual place is somebody else's.
    """
    if told := environ.get("FORKFUL_ADMIN"):
        return [Address.parse(told)], True
    variable = environ.get("FORKFUL_ADMIN_BIND", "").split(",")
    said = _unix_sockets(variable) or _unix_sockets(_bind_of(config or environ.get("FORKFUL_CONFIG", "")))
    if said:
        return said[:1], True
    directory = runtime_directory(environ, os.getuid())
    if why := distrusted(directory, os.getuid()):
        raise AddressError(f"{why}, so what answers there may be anybody; say --admin ADDRESS if you mean it")
    try:
        names = sorted(path for path in directory.glob(f"{_BEGIN}*{_END}") if path.is_socket())
    except OSError:
        names = []
    return [Address("unix", path=str(path)) for path in names], False


def admin_token_file(environ: Mapping[str, str], config: str = "") -> str:
    """Where the token is that the admin pages want over TCP, as far as that is told; "": nowhere."""
    said = _admin_section(config or environ.get("FORKFUL_CONFIG", "")).get("token_file")
    return environ.get("FORKFUL_ADMIN_TOKEN_FILE") or (said if isinstance(said, str) else "")


def distrusted(directory: str | Path, uid: int) -> str:
    """Why a socket in this directory may be anybody's, for a user who takes root's and his own for good; else ""."""
    try:
        found = (os.lstat(directory), os.stat(directory))
    except OSError:
        return ""  # whoever needs it says so
    for one in found:  # a link is somebody's, too
        if one.st_uid not in {0, uid}:
            return f"{directory} belongs to another user ({one.st_uid})"
    mode, own = found[1].st_mode, found[1].st_gid in {0, os.getegid()}
    if not mode & stat.S_ISVTX and mode & (stat.S_IWOTH if own else stat.S_IWOTH | stat.S_IWGRP):
        return f"{directory} can be written by other users"
    return ""


def _bind_of(config: str) -> list[str]:
    """What the file says under [admin] bind; nothing where it is missing or wrong, as `forkful check` would tell."""
    bind = _admin_section(config).get("bind")
    texts = bind if isinstance(bind, list) else [bind]
    return [text for text in texts if isinstance(text, str)]


def _admin_section(config: str) -> Mapping[str, object]:
    if not config:
        return {}
    import tomllib  # noqa: PLC0415  # only where there is a file

    try:
        admin = tomllib.loads(Path(config).read_text()).get("admin")
    except (OSError, ValueError):
        return {}
    return admin if isinstance(admin, dict) else {}


def _unix_sockets(texts: Iterable[str]) -> list[Address]:
    found = []
    for text in texts:
        try:
            address = Address.parse(text)
        except AddressError:
            continue
        if address.scheme == "unix":
            found.append(address)
    return found
