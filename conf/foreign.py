"""What other servers' settings are called here, and what was one here once: answers to those who bring them along.

Can go wrong: a Python file that cannot be parsed has nothing that could be answered.
"""

import ast
import json
from collections.abc import Iterator, Mapping

_SERVED = "the handler decides how it is served; set threads or max_connections"

#: By key: what to write instead. Only asked for what is no option.
INSTEAD: Mapping[str, str] = {
    "loop": "the handler decides how it is served, so leave this out",
    "reload": "forkful reload, or SIGHUP, loads the new code",
    "worker_class": _SERVED,
    "k": _SERVED,
    "worker_connections": "write max_connections",
    "keepalive": "write keep_alive",
    "timeout_keep_alive": "write keep_alive",
    "preload_app": "write preload",
    "pidfile": "write pid",
    "proc_name": "write name",
    "errorlog": "write log_file",
    "error_logfile": "write log_file",
    "accesslog": "write access_log",
    "access_logfile": "write access_log",
    "access_logformat": "write access_log_format",
    "loglevel": "write log_level",
    "logconfig": "write log_config",
    "daemon": "let a service manager run it in the background",
    "d": "let a service manager run it in the background",
    "pythonpath": "set PYTHONPATH, or chdir",
    "check_config": "run forkful check",
    "print_config": "run forkful check",
    "statsd_host": "Prometheus reads /metrics on the address of the admin process",
    "initgroups": "the groups of user are always taken on",
    "host": "write bind",
    "port": "write bind",
    "uds": "write bind, like unix:/run/app.sock",
    "fd": "write bind, like fd://3",
    "proxy_allow_ips": "write proxy_allow_from",
    "root": "write root_path",
    "limit_max_requests": "write max_requests",
    "limit_concurrency": "write max_connections",
    "processes": "write workers",
    "ssl_certfile": "write certfile",
    "ssl_keyfile": "write keyfile",
    "ssl_keyfile_password": "write keyfile_password_file",  # nosec B105  # the name of a setting
    "keyfile_password": "write keyfile_password_file",  # nosec B105  # the name of a setting
    "ssl_ca_certs": "write ca_certs",
    "ssl_certificate": "write certfile",
    "ssl_cert_reqs": "write cert_reqs",
    "ssl_ciphers": "write ciphers",
    "alpn_protocols": "write alpn",
    "ssl_version": "write tls_min_version",
    "do_handshake_on_connect": "handshakes have their place, and handshake_timeout",
    "suppress_ragged_eofs": "an end without goodbye is an end, as by default",
}


def instead(name: str) -> str:
    """What to do in place of a setting of this name that is none here."""
    return INSTEAD.get(name.lstrip("-").lower().replace("-", "_"), "")


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
                    yield name, json.dumps(ast.literal_eval(value))
                except (ValueError, TypeError):
                    continue  # made by a program, which nobody runs here
