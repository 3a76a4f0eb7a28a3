"""The options: each one declared once, and from this come flags, file keys, variables, checks and documentation.

A test holds its defaults in step with those of `forkful.conf.plan`.
"""

from forkful.conf.option import Form, Option, Scope

_P, _M, _A = Scope.POOL, Scope.MASTER, Scope.ADMIN

OPTIONS: tuple[Option, ...] = (
    Option(
        "handler", _P, Form.HANDLER, "", "The handler, as MODULE:ATTRIBUTE. It is imported from the working directory."
    ),
    Option(
        "bind",
        _P,
        Form.ADDRESSES,
        ("127.0.0.1:8000",),
        "The address to listen on. Repeat the flag for more addresses.",
        "-b",
    ),
    Option(
        "workers",
        _P,
        Form.WORKERS,
        1,
        "The number of worker processes. MIN-MAX: between these, as the load needs. auto: one for each CPU.",
        "-w",
        least=1,
    ),
    Option(
        "threads",
        _P,
        Form.COUNT,
        1,
        "The number of threads in each worker. Each thread serves one connection at a time.",
        least=1,
    ),
    Option(
        "timeout",
        _P,
        Form.SECONDS,
        30.0,
        "If a request takes longer than this, its worker is replaced. 0: no limit.",
        "-t",
    ),
    Option(
        "timeout_action",
        _P,
        Form.CHOICE,
        "kill",
        "What happens after timeout. The stacks are logged in any case; kill also ends the worker.",
        words=("kill", "report"),
    ),
    Option("boot_timeout", _P, Form.SECONDS, 60.0, "How long a worker may take to become ready. 0: no limit."),
    Option("keep_alive", _P, Form.SECONDS, 2.0, "How long an HTTP connection may be idle between two requests."),
    Option("max_requests", _P, Form.COUNT, 0, "A worker is replaced after this many requests. 0: never."),
    Option(
        "max_requests_jitter",
        _P,
        Form.COUNT,
        0,
        "At random up to this many are added to max_requests, so that workers leave one by one. Unset: a tenth.",
    ),
    Option("max_rss", _P, Form.SIZE, 0, "A worker that uses more memory than this is replaced. 0: no limit."),
    Option(
        "max_worker_age",
        _P,
        Form.SECONDS,
        0.0,
        "A worker is replaced at this age, plus or minus a tenth. 0: never.",
    ),
    Option(
        "max_connections",
        _P,
        Form.COUNT,
        1000,
        "The most connections that one worker has at a time, on an event loop.",
        least=1,
    ),
    Option(
        "event_loop",
        _P,
        Form.CHOICE,
        "auto",
        "The event loop. auto: uvloop if it is installed.",
        words=("auto", "uvloop", "asyncio"),
    ),
    Option(
        "limit_request_line",
        _P,
        Form.COUNT,
        4094,
        "The longest request line, in bytes. A longer one is answered with 414.",
        least=64,
    ),
    Option(
        "limit_request_fields",
        _P,
        Form.COUNT,
        100,
        "The most header fields in a request. More are answered with 431.",
        least=1,
    ),
    Option(
        "limit_request_field_size",
        _P,
        Form.COUNT,
        8190,
        "The longest header field, in bytes. A longer one is answered with 431.",
        least=64,
    ),
    Option(
        "limit_request_head",
        _P,
        Form.SIZE,
        65_536,
        "The longest head of a request: request line and header fields. A longer one is answered with 431.",
        least=256,
    ),
    Option(
        "limit_request_body",
        _P,
        Form.SIZE,
        1_073_741_824,
        "The longest request body. A longer one is answered with 413. 0: no limit.",
    ),
    Option("websocket_max_size", _P, Form.SIZE, 16_777_216, "The longest WebSocket message. Then: 1009. 0: no limit."),
    Option("websocket_compression", _P, Form.SWITCH, default=True, help="Compress WebSockets for clients that ask."),
    Option(
        "websocket_ping_interval", _P, Form.SECONDS, 20.0, "Silence until a WebSocket is pinged, then closed. 0: off."
    ),
    Option(
        "header_timeout",
        _P,
        Form.SECONDS,
        20.0,
        "How long a client may take to send the head of a request. After that: 408.",
    ),
    Option(
        "body_timeout",
        _P,
        Form.SECONDS,
        20.0,
        "How long a client may take to send a body, plus a second for each 500 bytes. After that: 408.",
    ),
    Option(
        "interface",
        _P,
        Form.CHOICE,
        "auto",
        "The kind of a web application. auto: its parameters tell.",
        words=("auto", "wsgi", "asgi"),
    ),
    Option(
        "root_path",
        _P,
        Form.MOUNT,
        "",
        "The path below which a web application is mounted: SCRIPT_NAME in WSGI, root_path in ASGI.",
    ),
    Option(
        "forwarded_allow_ips",
        _P,
        Form.PROXIES,
        "127.0.0.1,::1",
        "Proxies that are believed about their clients (X-Forwarded-For, X-Forwarded-Proto, Forwarded). *: all.",
    ),
    Option(
        "access_log_format",
        _P,
        Form.ATOMS,
        "",
        "The lines of the access log, in Gunicorn's format. json: a JSON object for each line.",
    ),
    Option(
        "allow",
        _P,
        Form.NETWORKS,
        (),
        "Who may connect: networks, addresses, or unix for Unix sockets. Empty: everyone. The flag may be repeated.",
    ),
    Option(
        "deny", _P, Form.NETWORKS, (), "Who may not connect, even if allow names them. The handler never sees them."
    ),
    Option(
        "handshake_timeout",
        _P,
        Form.SECONDS,
        10.0,
        "How long a new connection may take until the handler has it. Unset: at most half of timeout. 0: no limit.",
    ),
    Option(
        "backlog",
        _P,
        Form.COUNT,
        2048,
        "How many connections may wait in the kernel until they are accepted.",
        least=1,
        most=65535,
    ),
    Option(
        "reuse_port",
        _P,
        Form.SWITCH,
        default=False,
        help="Set SO_REUSEPORT, so that other programs may listen on the same port.",
        reload=False,
        upgrade=False,
    ),
    Option(
        "preload",
        _P,
        Form.SWITCH,
        default=False,
        help="Import the handler once, before the workers are forked.",
    ),
    Option(
        "ready_min",
        _P,
        Form.SHARE,
        "1",
        "How many ready workers make a pool ready (/readyz). A percentage is of workers, or of MIN.",
    ),
    Option("surge", _P, Form.COUNT, 1, "How many extra workers a pool may have during a reload.", least=1),
    Option(
        "bind",
        _A,
        Form.ADDRESSES,
        (),
        "The addresses for metrics, health checks and commands. Empty: none.",
        reload=False,
    ),
    Option(
        "name",
        _M,
        Form.TEXT,
        "forkful",
        "The name of the service. It begins the titles of its processes in ps.",
        "-n",
        reload=False,
    ),
    Option("pid", _M, Form.PATH, "", "The file for the process id of the master.", reload=False),
    Option("chdir", _M, Form.PATH, "", "The working directory. Handlers are imported from there.", reload=False),
    Option(
        "user",
        _M,
        Form.PERSON,
        "",
        "The user of the workers and of the admin process, by name or number.",
        "-u",
        reload=False,
        upgrade=False,
    ),
    Option(
        "group",
        _M,
        Form.PERSON,
        "",
        "Their group, by name or number. Unset: the group of the user.",
        "-g",
        reload=False,
        upgrade=False,
    ),
    Option(
        "umask",
        _M,
        Form.MODE,
        -1,
        "The umask of the workers.",
        "-m",
        least=-1,
        most=0o777,
        reload=False,
    ),
    Option(
        "graceful_timeout", _M, Form.SECONDS, 30.0, "How long a worker that must leave may take to finish its requests."
    ),
    Option(
        "drain_delay",
        _M,
        Form.SECONDS,
        0.0,
        "At a stop: how long to accept new connections still, until load balancers have noticed.",
    ),
    Option(
        "log_level",
        _M,
        Form.CHOICE,
        "info",
        "The lowest level that is logged.",
        words=("debug", "info", "warning", "error", "critical"),
    ),
    Option(
        "log_format",
        _M,
        Form.CHOICE,
        "text",
        "The form of the log: lines of text, or JSON objects.",
        words=("text", "json"),
    ),
    Option(
        "log_file", _M, Form.PATH, "-", "The file of the log. -: standard error. After a rotation USR1 opens it again."
    ),
    Option("access_log", _M, Form.PATH, "", "The file of the access log. -: standard output. Empty: no access log."),
    Option("log_config", _M, Form.PATH, "", "A file with your own logging configuration, in TOML, JSON or ini format."),
)

BY_NAME = {option.name: option for option in OPTIONS}


def of(scope: Scope) -> dict[str, Option]:
    """The options of a scope by their key."""
    return {option.key: option for option in OPTIONS if option.scope is scope}
