"""The table of Gunicorn's settings: each one once, with its flags, and what it is here.

A test reads Gunicorn's own list and fails where one is missing. The rows are what `forkful migrate gunicorn` parses
with and tells, what `forkful serve` answers to a flag it does not have, and the table of the page on moving over.
"""

from enum import Enum
from typing import Final

from forkful.conf.light import dataclass


class Verdict(Enum):
    """How a setting fares; the value is how it is told."""

    SAME = "same"
    BETTER = "better here"
    NONE = "no counterpart"


class Shape(Enum):
    """What values Gunicorn takes, and how its flag takes them."""

    TEXT = "text"
    COUNT = "count"
    OCTAL = "octal"
    SWITCH = "switch"
    OFF = "off"  # a flag without a value that switches off
    LIST = "list"
    MAYBE = "maybe"  # a flag whose value may be left out
    CLASS = "class"
    TABLE = "table"  # only in a file
    HOOK = "hook"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting of Gunicorn's. `ours` is the name of our option, "" where there is none; `told` says the rest.

    Where there is no option, `told` is what to do instead.
    """

    name: str
    flags: tuple[str, ...]
    verdict: Verdict
    ours: str
    told: str = ""
    shape: Shape = Shape.TEXT


def _row(verdict: Verdict, shape: Shape, said: str, told: str = "") -> Row:
    """`said`: the name, then the flags, then `> OURS`."""
    left, _, ours = said.partition(" > ")
    name, *flags = left.split()
    return Row(name, tuple(flags), verdict, ours.strip(), told, shape)


_S, _B, _N = Verdict.SAME, Verdict.BETTER, Verdict.NONE
_T, _C, _W, _L, _H = Shape.TEXT, Shape.COUNT, Shape.SWITCH, Shape.LIST, Shape.HOOK

_NOT_IN_MASTER: Final = "the master runs no code of yours"
_STRICT: Final = "such requests are refused, as Gunicorn does by default"
_NO_H2: Final = "HTTP/2 ends at the proxy in front (nginx, HAProxy, Caddy), which speaks HTTP/1.1 to us"
_DIRTY: Final = "make a pool of its own for such work, [pool.NAME], with its own handler, workers and timeout"
_ADMIN: Final = "commands come by the admin's Unix socket: forkful status, scale, reload"
_SYSLOG: Final = "log to standard error, which journald or the container's runtime takes, or use log_config"

ROWS: Final[tuple[Row, ...]] = (
    _row(_S, _T, "config -c --config", "the file was read; ours is TOML, and is given by -c, too"),
    _row(_S, _T, "wsgi_app > handler", "the name after the colon is always written"),
    _row(_S, _L, "bind -b --bind > bind", "with a scheme, as in http://0.0.0.0:8000"),
    _row(_S, _C, "backlog --backlog > backlog"),
    _row(_S, _C, "workers -w --workers > workers", "auto is the number of CPUs, by the container's quota"),
    _row(
        _B,
        Shape.CLASS,
        "worker_class -k --worker-class",
        "the handler decides how it is served; set threads or max_connections",
    ),
    _row(_S, _C, "threads --threads > threads"),
    _row(_S, _C, "worker_connections --worker-connections > max_connections"),
    _row(_B, _C, "max_requests --max-requests > max_requests", "the successor is ready before the worker leaves"),
    _row(_B, _C, "max_requests_jitter --max-requests-jitter > max_requests_jitter", "unset it is a tenth"),
    _row(_B, _C, "timeout -t --timeout > timeout", "the stacks of what was stuck are logged"),
    _row(_S, _C, "graceful_timeout --graceful-timeout > graceful_timeout"),
    _row(_S, _C, "keepalive --keep-alive > keep_alive"),
    _row(_S, _C, "limit_request_line --limit-request-line > limit_request_line"),
    _row(_S, _C, "limit_request_fields --limit-request-fields > limit_request_fields"),
    _row(_S, _C, "limit_request_field_size --limit-request-field_size > limit_request_field_size"),
    _row(_B, _W, "reload --reload > reload", "a mistake is shown, in the browser too, and leaves the old code serving"),
    _row(_N, _T, "reload_engine --reload-engine", "leave it out; WATCHFILES_FORCE_POLLING=1 looks at files by turns"),
    _row(_S, _L, "reload_extra_files --reload-extra-file > reload_extra_file"),
    _row(_N, _W, "spew --spew", "forkful stacks shows what each thread does; py-spy traces"),
    _row(_B, _W, "check_config --check-config", "run forkful check --import"),
    _row(_B, _W, "print_config --print-config", "run forkful check, which names the place of each value"),
    _row(_B, _W, "preload_app --preload > preload", "a reload loads new code all the same"),
    _row(_N, Shape.OFF, "sendfile --no-sendfile", "leave it out: files go by sendfile where that is safe"),
    _row(_S, _W, "reuse_port --reuse-port > reuse_port"),
    _row(_S, _T, "chdir --chdir > chdir"),
    _row(_N, _W, "daemon -D --daemon", "let a service manager run it in the background (forkful init writes a unit)"),
    _row(_N, _L, "raw_env -e --env", "set it where the service is started: Environment= of the unit, ENV of the image"),
    _row(_S, _T, "pidfile -p --pid > pid"),
    _row(_B, _T, "worker_tmp_dir --worker-tmp-dir", "leave it out: heartbeats are in shared memory, not in files"),
    _row(_S, _T, "user -u --user > user"),
    _row(_S, _T, "group -g --group > group"),
    _row(
        _S,
        Shape.OCTAL,
        "umask -m --umask > socket_mode",
        "in Gunicorn it is for its Unix sockets alone; umask here is that of the workers",
    ),
    _row(_B, _W, "initgroups --initgroups", "the groups of user are always taken on"),
    _row(_N, _T, "tmp_upload_dir", "set TMPDIR: a large request body waits in a file there"),
    _row(
        _N,
        Shape.TABLE,
        "secure_scheme_headers",
        "X-Forwarded-Proto and Forwarded are believed; have the proxy set one of them",
    ),
    _row(
        _B,
        _T,
        "forwarded_allow_ips --forwarded-allow-ips > forwarded_allow_ips",
        "their X-Forwarded-For becomes the client's address (REMOTE_ADDR) and is logged",
    ),
    _row(_S, _T, "accesslog --access-logfile > access_log"),
    _row(_N, _W, "disable_redirect_access_to_syslog --disable-redirect-access-to-syslog", "leave it out"),
    _row(_S, _T, "access_log_format --access-logformat > access_log_format", "json is a JSON object for each line"),
    _row(_S, _T, "errorlog --error-logfile --log-file > log_file"),
    _row(_S, _T, "loglevel --log-level > log_level"),
    _row(_B, _W, "capture_output --capture-output", "leave it out: what the application prints is never lost"),
    _row(
        _N,
        Shape.CLASS,
        "logger_class --logger-class",
        'use log_config for handlers and formatters, or log_format = "json"',
    ),
    _row(
        _S,
        _T,
        "logconfig --log-config > log_config",
        "the same ini file; its loggers are of your modules, and forkful instead of gunicorn.error",
    ),
    _row(_N, Shape.TABLE, "logconfig_dict", "put the dictionary into a JSON or TOML file, and name it as log_config"),
    _row(_S, _T, "logconfig_json --log-config-json > log_config"),
    _row(_N, _T, "syslog_addr --log-syslog-to", _SYSLOG),
    _row(_N, _W, "syslog --log-syslog", _SYSLOG),
    _row(_N, _T, "syslog_prefix --log-syslog-prefix", _SYSLOG),
    _row(_N, _T, "syslog_facility --log-syslog-facility", _SYSLOG),
    _row(_B, _W, "enable_stdio_inheritance -R --enable-stdio-inheritance", "leave it out: nothing is closed"),
    _row(_S, _T, "statsd_host --statsd-host > statsd_host", "the figures are those of /metrics, under its names"),
    _row(_S, _T, "dogstatsd_tags --dogstatsd-tags > dogstatsd_tags", "labels become tags, too"),
    _row(_S, _T, "statsd_prefix --statsd-prefix > statsd_prefix"),
    _row(
        _B, _W, "enable_backlog_metric --enable-backlog-metric", "leave it out: the queue is always among the metrics"
    ),
    _row(_S, _T, "proc_name -n --name > name"),
    _row(_N, _T, "default_proc_name", "write name"),
    _row(
        _N, _T, "pythonpath --pythonpath", "set PYTHONPATH where the service is started; chdir is on the path already"
    ),
    _row(_N, _T, "paste --paste --paster", "make a module with paste.deploy.loadapp, and name it as the handler"),
    _row(_N, _H, "on_starting", f"{_NOT_IN_MASTER}: do it in the unit's ExecStartPre="),
    _row(_N, _H, "on_reload"),
    _row(_N, _H, "when_ready"),
    _row(_N, _H, "pre_fork", _NOT_IN_MASTER),
    _row(_S, _H, "post_fork"),
    _row(_S, _H, "post_worker_init"),
    _row(_N, _H, "worker_int", "Gunicorn calls it for INT and QUIT alone"),
    _row(_N, _H, "worker_abort", "leave it out: the stacks are in the log, and on_worker_lost is told"),
    _row(_N, _H, "pre_exec", f"{_NOT_IN_MASTER}: an upgrade is tried in a child first (forkful upgrade --wait)"),
    _row(_N, _H, "pre_request", "use a middleware (WSGI or ASGI)"),
    _row(_N, _H, "post_request", "use a middleware (WSGI or ASGI); durations are in the access log and the metrics"),
    _row(
        _N,
        _H,
        "child_exit",
        "for the files of prometheus_client there is nothing to do: they are looked after",
    ),
    _row(_S, _H, "worker_exit"),
    _row(_N, _H, "nworkers_changed", "read forkful_workers_target in the metrics"),
    _row(_N, _H, "on_exit"),
    _row(_N, _H, "ssl_context", "write certfile, keyfile, ca_certs, cert_reqs, ciphers, tls_min_version"),
    _row(_S, Shape.MAYBE, "proxy_protocol --proxy-protocol > proxy_protocol"),
    _row(_S, _T, "proxy_allow_ips --proxy-allow-from > proxy_allow_from"),
    _row(_N, _T, "protocol --protocol", "HTTP/1.1 is spoken: nginx wants proxy_pass in place of uwsgi_pass"),
    _row(_N, _T, "uwsgi_allow_ips --uwsgi-allow-from", "nginx wants proxy_pass in place of uwsgi_pass"),
    _row(_S, _T, "keyfile --keyfile > keyfile"),
    _row(
        _B,
        _T,
        "certfile --certfile > certfile",
        "a reload takes the new certificate, and check says until when it is valid",
    ),
    _row(_N, _T, "ssl_version --ssl-version", "write tls_min_version"),
    _row(_S, _C, "cert_reqs --cert-reqs > cert_reqs"),
    _row(_S, _T, "ca_certs --ca-certs > ca_certs"),
    _row(_S, _W, "suppress_ragged_eofs --suppress-ragged-eofs", "an end without goodbye is an end, as by default"),
    _row(
        _B,
        _W,
        "do_handshake_on_connect --do-handshake-on-connect",
        "handshakes have their place, and handshake_timeout",
    ),
    _row(_S, _T, "ciphers --ciphers > ciphers"),
    _row(_N, _T, "http_protocols --http-protocols", _NO_H2),
    _row(_N, _T, "http2_cleartext --http2-cleartext", _NO_H2),
    _row(_N, _C, "http2_max_concurrent_streams --http2-max-concurrent-streams", _NO_H2),
    _row(_N, _C, "http2_initial_window_size --http2-initial-window-size", _NO_H2),
    _row(_N, _C, "http2_max_frame_size --http2-max-frame-size", _NO_H2),
    _row(_N, _C, "http2_max_header_list_size --http2-max-header-list-size", _NO_H2),
    _row(_N, _L, "raw_paste_global_conf --paste-global", "give it to paste.deploy.loadapp in your own module"),
    _row(_N, _W, "permit_obsolete_folding --permit-obsolete-folding", _STRICT),
    _row(_N, _W, "strip_header_spaces --strip-header-spaces", _STRICT),
    _row(_N, _W, "permit_unconventional_http_method --permit-unconventional-http-method", _STRICT),
    _row(_N, _W, "permit_unconventional_http_version --permit-unconventional-http-version", _STRICT),
    _row(_N, _W, "casefold_http_method --casefold-http-method", "methods are passed on as they come"),
    _row(_N, _T, "forwarder_headers --forwarder-headers", "root_path says SCRIPT_NAME; a header cannot"),
    _row(_N, _T, "header_map --header-map", "fields with an underscore are dropped, as Gunicorn does by default"),
    _row(_S, _T, "asgi_loop --asgi-loop > event_loop"),
    _row(_S, _T, "asgi_lifespan --asgi-lifespan > lifespan"),
    _row(
        _N,
        _C,
        "asgi_disconnect_grace_period --asgi-disconnect-grace-period",
        "an application hears of a client that left, and has until graceful_timeout",
    ),
    _row(_S, _C, "websocket_max_message_size --websocket-max-message-size > websocket_max_size"),
    _row(_N, _T, "http_parser --http-parser", "leave it out: there is one parser, in C"),
    _row(_S, _T, "root_path --root-path > root_path"),
    _row(_N, _L, "dirty_apps --dirty-app", _DIRTY),
    _row(_N, _C, "dirty_workers --dirty-workers", _DIRTY),
    _row(_N, _C, "dirty_timeout --dirty-timeout", _DIRTY),
    _row(_N, _C, "dirty_threads --dirty-threads", _DIRTY),
    _row(_N, _C, "dirty_graceful_timeout --dirty-graceful-timeout", _DIRTY),
    _row(_N, _H, "on_dirty_starting", _DIRTY),
    _row(_N, _H, "dirty_post_fork", _DIRTY),
    _row(_N, _H, "dirty_worker_init", _DIRTY),
    _row(_N, _H, "dirty_worker_exit", _DIRTY),
    _row(_B, _T, "control_socket --control-socket", _ADMIN),
    _row(
        _B, Shape.OCTAL, "control_socket_mode --control-socket-mode", "write group under [admin]: who may give commands"
    ),
    _row(
        _N,
        _W,
        "control_socket_disable --no-control-socket",
        "write bind = [] under [admin], and there are no commands and no metrics",
    ),
)

BY_NAME: Final = {row.name: row for row in ROWS}
