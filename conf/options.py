"""The options: each one declared once, and from this come flags, file keys, variables, checks and documentation.

A test holds its defaults in step with those of `forkful.conf.plan`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

PREFIX = "FORKFUL_"

Default = str | int | float | bool | tuple[str, ...]


class Scope(Enum):
    """Whom an option concerns; the value is its section in the file."""

    MASTER = "master"
    ADMIN = "admin"
    POOL = "pool"


class Form(Enum):
    """What a value looks like: the placeholder in the help, and in words what is right."""

    TEXT = ("TEXT", "a text")
    PERSON = ("NAME|N", "a name or a number")
    HANDLER = ("MODULE:ATTRIBUTE", 'a text like "module:Handler" or "package.module:make_handler()"')
    PATH = ("PATH", "a path")
    COUNT = ("N", "a whole number, like 4")
    WORKERS = ("N|MIN-MAX|auto", 'a whole number, or "auto", or a span like "2-8" or { min = 2, max = 8 }')
    SECONDS = ("SECONDS", 'a number of seconds, like 30 or 0.5, or a text like "500ms", "30s", "2m"')
    SIZE = ("BYTES", 'a number of bytes, or a text like "512M" or "1G"')
    MODE = ("MODE", 'octal digits, like "022"')
    SWITCH = ("", "true or false")
    CHOICE = ("WORD", "one of its words")
    PROXIES = ("ADDRESSES", 'addresses or networks, like "127.0.0.1,10.0.0.0/8", or "*"')
    MOUNT = ("PATH", 'a path like "/app"')
    ATOMS = ("FORMAT", "Gunicorn's atoms, like %(h)s or %({x-id}i)s, or json")
    NETWORKS = ("NETWORK", 'a network, an address or "unix", or a list of them, like 10.0.0.0/8, 2001:db8::/32, unix')
    ADDRESSES = ("ADDRESS", "an address or a list of them, like tcp://127.0.0.1:7000, unix:///run/app.sock or :8000")

    @property
    def metavar(self) -> str:
        return str(self.value[0])

    @property
    def right(self) -> str:
        return str(self.value[1])


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `least` and `most` bound numbers; `reload` and `upgrade` say which of the two may change it."""

    key: str
    scope: Scope
    form: Form
    default: Default
    help: str
    short: str = ""
    least: float = 0
    most: float | None = None
    words: tuple[str, ...] = ()
    reload: bool = True
    upgrade: bool = True

    @property
    def name(self) -> str:
        """Unique over all scopes: what the flag and the variable are made of."""
        return f"admin_{self.key}" if self.scope is Scope.ADMIN else self.key

    @property
    def flag(self) -> str:
        return "HANDLER" if self.form is Form.HANDLER else "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def section(self) -> str:
        return "[pool.NAME]" if self.scope is Scope.POOL else f"[{self.scope.value}]"

    @property
    def right(self) -> str:
        """In words, what would be right."""
        return f"one of {', '.join(self.words)}" if self.words else self.form.right


_P, _M, _A = Scope.POOL, Scope.MASTER, Scope.ADMIN

OPTIONS: tuple[Option, ...] = (
    Option("handler", _P, Form.HANDLER, "", "What serves: MODULE:ATTRIBUTE, looked up from the working directory."),
    Option("bind", _P, Form.ADDRESSES, ("127.0.0.1:8000",), "Where to listen; may be given more than once.", "-b"),
    Option(
        "workers",
        _P,
        Form.WORKERS,
        1,
        "Worker processes; MIN-MAX: as many as are needed; auto: as CPUs.",
        "-w",
        least=1,
    ),
    Option("threads", _P, Form.COUNT, 1, "Threads in each worker, each serving one connection at a time.", least=1),
    Option("timeout", _P, Form.SECONDS, 30.0, "A request that takes longer ends its worker; 0: never.", "-t"),
    Option(
        "timeout_action",
        _P,
        Form.CHOICE,
        "kill",
        "What such a request leads to, once its stacks are in the log.",
        words=("kill", "report"),
    ),
    Option("boot_timeout", _P, Form.SECONDS, 60.0, "How long a worker may take to become ready; 0: for ever."),
    Option("keep_alive", _P, Form.SECONDS, 2.0, "How long to wait for the next request on an HTTP connection."),
    Option("max_requests", _P, Form.COUNT, 0, "Requests after which a worker is replaced; 0: never."),
    Option(
        "max_requests_jitter",
        _P,
        Form.COUNT,
        0,
        "At most so many more, by chance, so that they do not leave at once; a tenth of them if nothing is said.",
    ),
    Option("max_rss", _P, Form.SIZE, 0, "Resident memory beyond which a worker is replaced; 0: never."),
    Option(
        "max_worker_age",
        _P,
        Form.SECONDS,
        0.0,
        "Time after which a worker is replaced, give or take a tenth; 0: never.",
    ),
    Option("max_connections", _P, Form.COUNT, 1000, "Connections of one worker on an event loop at a time.", least=1),
    Option(
        "event_loop",
        _P,
        Form.CHOICE,
        "auto",
        "Which event loop; auto: uvloop where it is installed.",
        words=("auto", "uvloop", "asyncio"),
    ),
    Option("limit_request_line", _P, Form.COUNT, 4094, "Longest request line, in bytes; 414 beyond.", least=64),
    Option("limit_request_fields", _P, Form.COUNT, 100, "Most header fields of a request; 431 beyond.", least=1),
    Option("limit_request_field_size", _P, Form.COUNT, 8190, "Longest header field, in bytes; 431 beyond.", least=64),
    Option(
        "limit_request_head",
        _P,
        Form.SIZE,
        65_536,
        "Longest head of a request, request line and header fields together; 431 beyond.",
        least=256,
    ),
    Option("limit_request_body", _P, Form.SIZE, 1_073_741_824, "Longest body of a request; 413 beyond; 0: any."),
    Option("header_timeout", _P, Form.SECONDS, 20.0, "How long the head of a request may take to come; 408 beyond."),
    Option(
        "body_timeout",
        _P,
        Form.SECONDS,
        20.0,
        "How long its body may take, and a second more for each 500 bytes of it; 408 beyond.",
    ),
    Option(
        "interface",
        _P,
        Form.CHOICE,
        "auto",
        "What a web application is, where its parameters do not tell.",
        words=("auto", "wsgi", "asgi"),
    ),
    Option("root_path", _P, Form.MOUNT, "", "Where a web application is mounted: SCRIPT_NAME, or ASGI's root_path."),
    Option(
        "forwarded_allow_ips",
        _P,
        Form.PROXIES,
        "127.0.0.1,::1",
        "Proxies whose X-Forwarded-For and -Proto, else Forwarded, count: addresses, networks like 10.0.0.0/8, or *.",
    ),
    Option("access_log_format", _P, Form.ATOMS, "", "The access log's lines, in Gunicorn's atoms; json: objects."),
    Option(
        "allow",
        _P,
        Form.NETWORKS,
        (),
        "Who may connect: networks, addresses, or unix for local sockets; empty: everyone. Repeatable.",
    ),
    Option("deny", _P, Form.NETWORKS, (), "Who may not, even if allowed; refused before the handler."),
    Option(
        "handshake_timeout",
        _P,
        Form.SECONDS,
        10.0,
        "How long it may take from accept to handler; at most half of timeout if nothing is said; 0: for ever.",
    ),
    Option("backlog", _P, Form.COUNT, 2048, "How many connections may queue in the kernel.", least=1, most=65535),
    Option(
        "reuse_port",
        _P,
        Form.SWITCH,
        default=False,
        help="Set SO_REUSEPORT: others may share it.",
        reload=False,
        upgrade=False,
    ),
    Option(
        "preload",
        _P,
        Form.SWITCH,
        default=False,
        help="Import the handler once, in the mold, and fork workers from it.",
    ),
    Option("surge", _P, Form.COUNT, 1, "How many workers more than its number a pool may have in a reload.", least=1),
    Option(
        "bind", _A, Form.ADDRESSES, (), "Where metrics, health and commands are served; empty: nowhere.", reload=False
    ),
    Option("name", _M, Form.TEXT, "forkful", "How processes are called in ps.", "-n", reload=False),
    Option("pid", _M, Form.PATH, "", "A file to write the master's process number to.", reload=False),
    Option("chdir", _M, Form.PATH, "", "The working directory.", reload=False),
    Option(
        "user",
        _M,
        Form.PERSON,
        "",
        "The user that workers become, by name or number.",
        "-u",
        reload=False,
        upgrade=False,
    ),
    Option(
        "group",
        _M,
        Form.PERSON,
        "",
        "The group that workers become, by name or number.",
        "-g",
        reload=False,
        upgrade=False,
    ),
    Option(
        "umask",
        _M,
        Form.MODE,
        -1,
        "Mode bits taken from files that are made.",
        "-m",
        least=-1,
        most=0o777,
        reload=False,
    ),
    Option("graceful_timeout", _M, Form.SECONDS, 30.0, "How long a leaving worker may take to finish what it has."),
    Option(
        "drain_delay", _M, Form.SECONDS, 0.0, "How long to go on accepting at a stop, until balancers have seen it."
    ),
    Option(
        "log_level",
        _M,
        Form.CHOICE,
        "info",
        "How much is logged.",
        words=("debug", "info", "warning", "error", "critical"),
    ),
    Option(
        "log_format", _M, Form.CHOICE, "text", "How it is logged: lines of text or of JSON.", words=("text", "json")
    ),
    Option("log_file", _M, Form.PATH, "-", "Where to; - is standard error. USR1 opens it anew."),
    Option("access_log", _M, Form.PATH, "", "Where to log requests; - is standard output, empty: nowhere."),
    Option("log_config", _M, Form.PATH, "", "A logging configuration of your own: TOML, JSON or ini."),
)

BY_NAME = {option.name: option for option in OPTIONS}

#: What was an option once, and what to do instead.
GONE = {"loop": "the handler decides how it is served, so leave this out"}


def of(scope: Scope) -> dict[str, Option]:
    """The options of a scope by their key."""
    return {option.key: option for option in OPTIONS if option.scope is scope}


# -- documentation -----------------------------------------------------------------------------------------------------

MARKERS = ("<!-- settings -->", "<!-- /settings -->")


def table() -> str:
    """The options as Markdown, between `MARKERS`; a test holds the README in step."""
    lines = [MARKERS[0], "| flag | key | default | |", "|---|---|---|---|"]
    for option in OPTIONS:
        flags = f"`{option.short}`, `{option.flag}`" if option.short else f"`{option.flag}`"
        words = f" One of {_code(option.words)}." if option.words else ""
        fixed = "" if option.reload else " Needs an upgrade or a restart." if option.upgrade else " Needs a restart."
        lines.append(f"| {flags} | `{option.section} {option.key}` | {default(option)} | {option.help}{words}{fixed} |")
    return "\n".join([*lines, MARKERS[1]])


def default(option: Option) -> str:
    """What holds where nobody says anything, as Markdown."""
    match option.default:
        case bool(switch):
            return f"`{str(switch).lower()}`"
        case float(number):
            return f"`{number:g}`"
        case () if option.scope is Scope.ADMIN:
            return "`tcp://127.0.0.1:9464` and a Unix socket in the runtime directory"
        case "" | -1:
            return ""
        case tuple(texts):
            return _code(texts)
        case other:
            return f"`{other}`"


def _code(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


if __name__ == "__main__":
    print(table())
