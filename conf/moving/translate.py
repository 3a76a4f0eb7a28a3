"""Gunicorn's settings in ours: what goes into the file, and what is to be told, setting by setting; pure.

Can go wrong: values that Gunicorn itself refuses: `Mistakes`, all of them at once.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Final

from forkful.conf.light import dataclass
from forkful.conf.mistakes import Mistake, Mistakes
from forkful.conf.moving import values
from forkful.conf.moving.hooks import HOOKS
from forkful.conf.moving.provenance import Origin
from forkful.conf.moving.source import Found, Source
from forkful.conf.moving.table import BY_NAME, Row, Shape, Verdict
from forkful.conf.moving.values import Refused
from forkful.conf.moving.workers import Served, served
from forkful.conf.option import Scope
from forkful.conf.options import BY_NAME as OPTIONS

PLACEHOLDER: Final = "MODULE:ATTRIBUTE"
_SECRETS: Final = ("PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "DSN", "_URL")


@dataclass(frozen=True, slots=True)
class Remark:
    """What is told of one setting: its name and value there, how it fares, what it is here."""

    name: str
    value: str
    place: str
    verdict: Verdict
    ours: str = ""  # what was written, `key = value`
    told: str = ""


@dataclass(slots=True)
class Moved:
    """The sections of the file, by key; the remarks; lines for who starts the service; what is left to do."""

    master: dict[str, Any] = field(default_factory=dict)  # Any: what TOML takes
    admin: dict[str, Any] = field(default_factory=dict)
    pool: dict[str, Any] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    hooks: dict[str, str] = field(default_factory=dict)  # ours, by the name of theirs
    todo: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Context:
    """What some settings need to know of others."""

    kind: Served
    secure: bool
    has_unix: bool
    recycles: bool  # max_requests is there


#: What a setting comes to: the value to write (None: nothing), and other words or another verdict than the row's.
_Outcome = tuple[Any, str | None, Verdict | None]
_Maker = Callable[[Any, _Context], _Outcome]


def translate(source: Source, origins: Mapping[str, Origin], environ: Mapping[str, str]) -> Moved:
    """Say it in our words. Raises `Mistakes` with what Gunicorn refuses."""
    said, mistakes = _plain(source)
    threads = said["threads"].value if "threads" in said else 1
    kind = served(said["worker_class"].value if "worker_class" in said else "sync", threads)
    bind = said["bind"].value if "bind" in said else []
    context = _Context(
        kind,
        secure=bool("certfile" in said and said["certfile"].value),
        has_unix=any(address.startswith("unix:") for address in bind),
        recycles=bool("max_requests" in said and said["max_requests"].value),
    )
    moved = Moved()
    for name, row in BY_NAME.items():
        if name in said and name != "config":
            try:
                _move(moved, row, said[name], context, origins.get(name, Origin()))
            except Refused as why:
                mistakes.append(Mistake(f"{said[name].place}: {name}", f"Gunicorn refuses it: {why}"))
    if mistakes:
        raise Mistakes(mistakes)
    _complete(moved, source, context, said, environ)
    return moved


def _plain(source: Source) -> tuple[dict[str, Found], list[Mistake]]:
    said, mistakes = dict[str, Found](), list[Mistake]()
    for name, found in source.said.items():
        try:
            value = values.plain(BY_NAME[name], found.value)
        except Refused as why:
            mistakes.append(Mistake(f"{found.place}: {name}", f"Gunicorn refuses it: {why}"))
            continue
        if value not in ("", []) or name.endswith("_ips"):  # which are trusted then: nobody
            said[name] = Found(value, found.place)
    return said, mistakes


def _move(moved: Moved, row: Row, found: Found, context: _Context, origin: Origin) -> None:
    value, told, verdict = _MAKERS.get(row.name, _as_it_is(row))(found.value, context)
    written = ""
    option = OPTIONS.get(row.ours)
    if value is not None and option is not None:
        sections = {Scope.MASTER: moved.master, Scope.ADMIN: moved.admin, Scope.POOL: moved.pool}
        sections[option.scope][option.key] = value
        written = f"{option.key} = {value!r}"
        if row.verdict is Verdict.NONE:
            verdict = verdict or Verdict.SAME
            told = told or ""
    if row.shape is Shape.HOOK:
        _hook(moved, row, found)
        return
    words = [row.told if told is None else told, _made_from(row, found, origin)]
    moved.remarks.append(
        Remark(
            row.name,
            _shown(found.value, row.name),
            found.place,
            verdict or row.verdict,
            written,
            "; ".join(filter(None, words)),
        )
    )


def _made_from(row: Row, found: Found, origin: Origin) -> str:
    """That a value is of this machine and this day."""
    if found.place in {"command line", "GUNICORN_CMD_ARGS"}:
        return ""
    words = []
    option = OPTIONS.get(row.ours)
    if origin.cpus and row.name in {"workers", "threads"}:
        words.append("the file makes it from this machine's CPUs" + (': "auto" does' if row.name == "workers" else ""))
    if origin.variables and option:
        names = ", ".join(sorted(origin.variables))
        words.append(f"the file makes it from {names}; here {option.variable} or {option.flag} changes it")
    return "; ".join(words)


def _shown(value: object, name: str = "") -> str:
    match value:
        case list() if name == "raw_env":  # there may be secrets among them
            return ", ".join(str(each).partition("=")[0] for each in value)
        case {"class": str(name)} | {"callable": str(name)}:
            return name
        case {"other": str(name)}:
            return f"a {name}"
        case list() if all(isinstance(each, str) for each in value):
            return ", ".join(value)
        case dict():
            return "{...}"
        case bool():
            return "on" if value else "off"
        case _:
            return str(value)


# -- makers ------------------------------------------------------------------------------------------------------------


def _as_it_is(row: Row) -> _Maker:
    def make(value: Any, _: _Context) -> _Outcome:  # Any: of the setting's shape
        return (value if row.ours else None), None, None

    return make


def _bind(value: list[str], context: _Context) -> _Outcome:
    if handed := [text for text in value if text.startswith("fd://")]:
        others = len(handed) < len(value)
        return handed, "Gunicorn does not heed other addresses beside fd://" if others else "", None
    return [values.address(text, secure=context.secure) for text in value], None, None


def _worker_class(_: object, context: _Context) -> _Outcome:
    return None, context.kind.told, context.kind.verdict


def _threads(value: int, context: _Context) -> _Outcome:
    if context.kind.interface == "asgi" or (value > 1 and not context.kind.heeds_threads):
        return None, "leave it out: Gunicorn does not heed it with this class of workers either", Verdict.SAME
    return max(1, value), None, None


def _connections(value: int, context: _Context) -> _Outcome:
    if not context.kind.heeds_connections:
        why = "Gunicorn does not heed it with this class of workers; max_connections (1000) bounds each worker here"
        return None, why, Verdict.SAME
    return max(1, value), None, None


def _timeout(value: int, context: _Context) -> _Outcome:
    if not value or not context.kind.overlaps:
        return value, None, None
    if context.kind.interface == "asgi":
        why = (
            "in Gunicorn it is a heartbeat with this class of workers, not of requests; unset means the same here: an "
            f"event loop may stand still for 30 seconds. timeout = {value} would bound each request"
        )
        return None, why, Verdict.SAME
    return 0, _unbounded(value), Verdict.SAME


def _unbounded(value: int) -> str:
    return (
        "in Gunicorn it is a heartbeat with this class of workers, and its requests have no limit, so 0 here, where it "
        f"bounds each call of the application: write timeout = {value} if no request may take longer"
    )


def _keepalive(value: int, context: _Context) -> _Outcome:
    if not context.kind.overlaps:
        return (
            value,
            "Gunicorn's sync workers close each connection; here it is kept, and blocks no worker",
            Verdict.BETTER,
        )
    return value, None, None


def _jitter(value: int, context: _Context) -> _Outcome:
    if not context.recycles:
        return None, "Gunicorn does not heed it either: there is no max_requests", Verdict.SAME
    return value, None, None


def _umask(value: int, context: _Context) -> _Outcome:
    if not context.has_unix:
        return None, "in Gunicorn it is for its Unix sockets alone, and there is none", Verdict.SAME
    return values.socket_mode(value), None, None


def _format(value: str, context: _Context) -> _Outcome:
    if wrong := values.atoms(value):
        return None, f"there is no atom like {', '.join(wrong)} here; the default format is written", Verdict.NONE
    told = "uvicorn did not heed it; here it counts" if context.kind.interface == "asgi" else ""
    return value, told, None


def _scheme_headers(value: dict[str, Any], _: _Context) -> _Outcome:
    if values.is_usual_scheme_header(value):
        return None, "X-Forwarded-Proto is believed of forwarded_allow_ips", Verdict.SAME
    return None, None, None


def _header_map(value: str, _: _Context) -> _Outcome:
    return None, None, Verdict.SAME if value.lower() == "drop" else None


def _logger(value: object, _: _Context) -> _Outcome:
    same = str(value) in {"simple", "gunicorn.glogging.Logger"}
    return None, "leave it out: it is the usual one" if same else None, Verdict.SAME if same else None


def _protocol(value: str, _: _Context) -> _Outcome:
    return None, "HTTP/1.1 is what is spoken" if value == "http" else None, Verdict.SAME if value == "http" else None


def _level(value: str, _: _Context) -> _Outcome:
    word = values.level(value)
    return word, None if word == value.lower() else f"Gunicorn takes {value!r} for {word}, too", None


def _limit(name: str) -> _Maker:
    return lambda value, _: (values.limit(name, value), values.beyond_the_head(name, value), None)


def _only_if(value: object, _: _Context) -> _Outcome:
    """A switch that says something only where it is on."""
    return (True, None, None) if value else (None, "off, as by default", Verdict.SAME)


_MAKERS: Final[Mapping[str, _Maker]] = {
    "bind": _bind,
    "wsgi_app": lambda value, _: (values.handler(value), None, None),
    "worker_class": _worker_class,
    "threads": _threads,
    "worker_connections": _connections,
    "timeout": _timeout,
    "keepalive": _keepalive,
    "max_requests_jitter": _jitter,
    "umask": _umask,
    "access_log_format": _format,
    "secure_scheme_headers": _scheme_headers,
    "header_map": _header_map,
    "logger_class": _logger,
    "protocol": _protocol,
    "loglevel": _level,
    "cert_reqs": lambda value, _: (values.cert_reqs(value), None, None),
    "proxy_protocol": lambda value, _: (values.proxy_protocol(value), None, None),
    "root_path": lambda value, _: (values.mount(value) or None, None, None),
    "workers": lambda value, _: (max(1, value), None, None),
    "backlog": lambda value, _: (min(max(1, value), 65_535), None, None),
    "ssl_version": lambda *_: (None, "Gunicorn does not heed it either; tls_min_version does", Verdict.SAME),
    "suppress_ragged_eofs": lambda value, _: (None, None, None if value else Verdict.NONE),
    **{name: _limit(name) for name in BY_NAME if name.startswith("limit_request")},
    **{
        row.name: _only_if
        for row in BY_NAME.values()
        if row.shape is Shape.SWITCH and row.name != "suppress_ragged_eofs"
    },
}


# -- what they come to together ----------------------------------------------------------------------------------------


def _hook(moved: Moved, row: Row, found: Found) -> None:
    hook = HOOKS.get(row.name)
    if hook is not None:
        moved.hooks[row.name] = hook.ours
    told = "; ".join(filter(None, [f"{hook.ours}, {hook.told}" if hook else "", row.told]))
    moved.remarks.append(Remark(row.name, _shown(found.value), found.place, row.verdict, "", told))


def _complete(
    moved: Moved, source: Source, context: _Context, said: Mapping[str, Found], environ: Mapping[str, str]
) -> None:
    """What follows from all of it, and what is left for people to do."""
    pool = moved.pool
    if "handler" not in pool:
        pool["handler"] = PLACEHOLDER
        moved.todo.append(f"write your application in place of {PLACEHOLDER}, or give it to this command: MODULE:APP")
    if context.kind.interface:
        pool["interface"] = context.kind.interface
    if context.kind.threads and "threads" not in pool:
        pool["threads"] = min(context.kind.threads, pool.get("max_connections", context.kind.threads))
    if context.kind.overlaps and context.kind.interface == "wsgi" and "timeout" not in said:
        pool["timeout"] = 0
        moved.remarks.append(Remark("timeout", "30", "default", Verdict.SAME, "timeout = 0", _unbounded(30)))
    if context.has_unix and "socket_mode" not in pool:
        pool["socket_mode"] = values.socket_mode(0)
        moved.remarks.append(
            Remark(
                "umask", "0", "default", Verdict.SAME, "socket_mode = '0666'", "whoever may enter its folder connects"
            )
        )
    _tell_environment(moved, source, said, environ)


def _tell_environment(moved: Moved, source: Source, said: Mapping[str, Found], environ: Mapping[str, str]) -> None:
    """What is for who starts the service."""
    raw = said["raw_env"].value if "raw_env" in said else []
    moved.environment |= dict(entry.partition("=")[::2] for entry in raw) | source.environ
    base = os.path.join(source.cwd, said["chdir"].value if "chdir" in said else "")  # noqa: PTH118  # texts
    texts = said["pythonpath"].value.split(",") if "pythonpath" in said else []
    path = [os.path.normpath(os.path.join(base, text)) for text in texts]  # noqa: PTH118  # as above
    if path := [*path, *source.path]:
        moved.environment["PYTHONPATH"] = ":".join(path)
    if source.wrapper:
        moved.todo.append(f"start forkful by {' '.join(source.wrapper)}, too")
    for variable, name in (("WEB_CONCURRENCY", "workers"), ("PORT", "bind")):
        if variable in environ and name in said:
            moved.todo.append(f"{variable} is set here, and counts more than {name} in a file; in Gunicorn it does not")
        elif variable in environ:
            moved.todo.append(f"{variable} is heeded here as it is by Gunicorn, so {name} is not written")


def hidden(name: str, value: str) -> str:
    """A variable as it may be shown."""
    return "..." if any(word in name.upper() for word in _SECRETS) else value
