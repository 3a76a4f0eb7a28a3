"""Options of a pool that are for web applications."""

from forkful.conf.option import Form, Option, Scope

_P = Scope.POOL

WEB: tuple[Option, ...] = (
    Option("keep_alive", _P, Form.SECONDS, 2.0, "How long an HTTP connection may be idle between two requests."),
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
    Option("websocket_max_size", _P, Form.SIZE, 16_777_216, "A longer message ends a WebSocket (1009). 0: no limit."),
    Option("websocket_compression", _P, Form.SWITCH, default=True, help="Compress WebSockets for clients that ask."),
    Option(
        "websocket_ping_interval", _P, Form.SECONDS, 20.0, "Ping a silent WebSocket after this, then close it. 0: off."
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
        "lifespan",
        _P,
        Form.CHOICE,
        "auto",
        "Whether an ASGI application has a start-up and a shutdown. auto: it is asked. on: it must have them.",
        words=("auto", "on", "off"),
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
)
