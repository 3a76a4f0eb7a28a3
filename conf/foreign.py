"""What other servers' settings are called here, and what was one here once: answers to those who bring them along.

Gunicorn's are in its table (`forkful.conf.moving.table`); here are those of uvicorn, Granian and their kin.
Can go wrong: a Python file that cannot be parsed has nothing that could be answered.
"""

import ast
import json
from collections.abc import Iterator, Mapping

from forkful.conf.moving.hooks import HOOKS
from forkful.conf.moving.table import ROWS, Row, Shape
from forkful.conf.option import Form
from forkful.conf.options import BY_NAME

_FACTORY = "name the call as the handler: module:make_app()"
_ONE_PARSER = "leave it out: there is one, in C"
_CERT = "write certfile"

_OTHERS: Mapping[str, str] = {
    "loop": "the handler decides how it is served, so leave this out; event_loop chooses uvloop or asyncio",
    "preload_app": "write preload",
    "timeout_keep_alive": "write keep_alive",
    "timeout_graceful_shutdown": "write graceful_timeout",
    "workers_kill_timeout": "write graceful_timeout",
    "error_logfile": "write log_file",
    "pid_file": "write pid",
    "process_name": "write name",
    "host": "write bind",
    "port": "write bind",
    "uds": "write bind, like unix:/run/app.sock",
    "fd": "write bind, like fd://3",
    "root": "write root_path",
    "url_path_prefix": "write root_path",
    "app_dir": "write chdir",
    "working_dir": "write chdir",
    "limit_max_requests": "write max_requests",
    "limit_max_requests_jitter": "write max_requests_jitter",
    "limit_concurrency": "write max_connections",
    "backpressure": "write max_connections",
    "workers_lifetime": "write max_worker_age",
    "workers_max_rss": "write max_rss",
    "respawn_failed_workers": "leave it out: they always are",
    "blocking_threads": "write threads",
    "runtime_threads": "write workers",
    "runtime_mode": "leave it out: a worker has one loop",
    "task_impl": "leave it out",
    "processes": "write workers",
    "ws": "leave it out: WebSockets are always there",
    "ws_max_size": "write websocket_max_size",
    "ws_ping_interval": "write websocket_ping_interval",
    "ws_ping_timeout": "write websocket_ping_interval",
    "ws_per_message_deflate": "write websocket_compression",
    "http": _ONE_PARSER,
    "h11_max_incomplete_event_size": "write limit_request_head",
    "http1_keep_alive": "write keep_alive",
    "http1_header_read_timeout": "write header_timeout",
    "http1_buffer_size": "write limit_request_head",
    "access_log_fmt": "write access_log_format",
    "no_access_log": "leave access_log out, and there is none",
    "no_proxy_headers": 'write forwarded_allow_ips = ""',
    "proxy_headers": "write forwarded_allow_ips",
    "factory": _FACTORY,
    "env_file": "set variables where the service is started: EnvironmentFile= of the unit",
    "env_files": "set variables where the service is started: EnvironmentFile= of the unit",
    "use_colors": "leave it out: a terminal has colours, unless NO_COLOR is set",
    "header": "use a middleware, or the proxy in front",
    "static_path_mount": "the proxy in front serves files, or whitenoise",
    "reload_dir": "leave it out, all that is imported is watched; reload_include adds other files",
    "reload_dirs": "leave it out, all that is imported is watched; reload_include adds other files",
    "ssl_certfile": _CERT,
    "ssl_certificate": _CERT,
    "ssl_keyfile": "write keyfile",
    "ssl_keyfile_password": "write keyfile_password_file",  # nosec B105  # the name of a setting
    "keyfile_password": "write keyfile_password_file",  # nosec B105  # the name of a setting
    "ssl_ca_certs": "write ca_certs",
    "ssl_cert_reqs": "write cert_reqs",
    "ssl_ciphers": "write ciphers",
    "alpn_protocols": "write alpn",
}


def _name(flag: str) -> str:
    return flag.lstrip("-").lower().replace("-", "_")


def _answer(row: Row) -> str:
    """What is written here for a setting of Gunicorn's, or done."""
    if row.ours in BY_NAME:
        return f"write {BY_NAME[row.ours].key}"
    if hook := HOOKS.get(row.name):
        return f"{hook.ours}: {hook.told}"
    return row.told


def _spellings(row: Row) -> dict[str, None]:
    """A setting's name, and its flags as names."""
    return dict.fromkeys([row.name, *map(_name, row.flags)])  # in one order, which a set has not


#: By key: what to write instead. Only asked for what is no option.
INSTEAD: Mapping[str, str] = {
    **{name: _answer(row) for row in ROWS for name in _spellings(row) if name not in BY_NAME and row.name != "config"},
    **_OTHERS,
}


_BARE = frozenset(
    {"no_access_log", "no_proxy_headers", "proxy_headers", "factory", "use_colors", "respawn_failed_workers"}
)
_WITHOUT_VALUE = _BARE | {
    name for row in ROWS if row.shape in {Shape.SWITCH, Shape.OFF, Shape.HOOK, Shape.TABLE} for name in _spellings(row)
}


def takes_value(flag: str) -> bool:
    """Whether another server's flag is followed by its value."""
    name = _name(flag)
    option = BY_NAME.get(name)
    known = option.form is not Form.SWITCH if option else name in INSTEAD
    return known and name not in _WITHOUT_VALUE


def flag_instead(flag: str) -> str:
    """What to do in place of another server's flag: as `instead`, but with flags of ours."""
    answer = instead(flag) or (f"write {name}" if (name := _name(flag)) in BY_NAME else "")
    key = answer.removeprefix("write ").partition(",")[0]
    return answer.replace(key, BY_NAME[key].flag, 1) if key in BY_NAME and key != answer else answer


def instead(name: str) -> str:
    """What to do in place of a setting of this name that is none here."""
    return INSTEAD.get(_name(name), "")


def is_python(path: str, text: str) -> bool:
    """Whether a file that is no TOML is the Python of other servers' settings."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return path.endswith(".py") or any(isinstance(node, ast.Import | ast.FunctionDef) for node in tree.body)


def as_toml(text: str, known: Mapping[str, str]) -> list[str]:
    """The lines for our file that a Python file's plain assignments come to. `known`: section by key."""
    sections: dict[str, list[str]] = {}
    for name, value in _assignments(text):
        key = INSTEAD.get(name, "").removeprefix("write ")
        key = name if name in known else key
        if key in known:
            sections.setdefault(known[key], []).append(f"{key} = {value}")
    return [line for section, lines in sections.items() for line in (section, *lines)]


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    for node in ast.parse(text).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                try:
                    said = ast.literal_eval(value)
                    if said is not None:  # which says nothing, and TOML has no word for it
                        yield name, json.dumps(said)
                except (ValueError, TypeError):
                    continue  # made by a program, which nobody runs here
