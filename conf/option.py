"""What an option is: whom it concerns, what its values look like, what may change it."""

from enum import Enum

from forkful.conf.light import dataclass

PREFIX = "FORKFUL_"
APART = "listener"  # the table of a pool in which each of its addresses may have one

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
    OWNER = ("USER[:GROUP]", 'a user, a group or both, like "app", "app:www-data" or ":www-data"')
    PROXIES = ("ADDRESSES", 'addresses or networks, like "127.0.0.1,10.0.0.0/8", or "*"')
    MOUNT = ("PATH", 'a path like "/app"')
    ATOMS = ("FORMAT", "Gunicorn's atoms, like %(h)s or %({x-id}i)s, or json")
    NETWORKS = ("NETWORK", 'a network, an address or "unix", or a list of them, like 10.0.0.0/8, 2001:db8::/32, unix')
    HOSTS = ("HOST", "a host's name, or a list of them, like status.example.org, *.example.org or *")
    INTERFACE = ("NAME", "the name of an interface, like eth0")
    GROUPS = ("GROUP[%IF]", "a multicast group or a list of them, like 239.1.2.3, 239.1.2.3%eth0 or ff05::1%eth0")
    SHARE = ("N|N%", 'a whole number of at least 1, or a percentage of at most 100, like "60%"')
    HOOKS = (
        "MODULE|NAME=FUNCTION",
        'a module, like "hooks", or a table of functions, like { post_fork = "hooks:connect" }',
    )
    PERCENT = ("N%", 'a percentage, like "50%" or "0.5%"')
    COMMAND = ("COMMAND", 'a program and its arguments, as a text or a list, like ["/usr/bin/notify", "down"]')
    CERTIFICATES = ("CERT:KEY", 'pairs of files, like [{ certfile = "a.pem", keyfile = "a.key" }] or "a.pem:a.key"')
    PROTOCOLS = ("NAME", 'names of protocols, like "http/1.1", or a list of them')
    PATHS = ("PATH", "a path or a list of them")
    PATTERNS = ("GLOB", "a pattern or a list of them, like *.html or templates/**")
    ADDRESSES = ("ADDRESS", "an address or a list of them, like tcp://127.0.0.1:7000, unix:///run/app.sock or :8000")

    @property
    def metavar(self) -> str:
        return str(self.value[0])

    @property
    def right(self) -> str:
        return str(self.value[1])


#: Of these there may be several: a list, a flag that is repeated, a variable with commas.
LISTS = frozenset(
    {
        *(Form.ADDRESSES, Form.NETWORKS, Form.HOSTS, Form.GROUPS, Form.CERTIFICATES, Form.PROTOCOLS),
        *(Form.HOOKS, Form.PATHS, Form.PATTERNS),
    }
)


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `least` and `most` bound numbers; `reload` and `upgrade` say which of the two may change it.

    `listener`: of a pool, and may be said of one address of it alone; who asks, asks `PoolPlan.at(address)`.
    """

    key: str
    scope: Scope
    form: Form
    default: Default
    help: str
    short: str = ""
    least: float = 0
    most: float | None = None
    words: tuple[str, ...] = ()
    synonyms: tuple[tuple[str, str], ...] = ()  # what others write for one of the words
    reload: bool = True
    upgrade: bool = True
    listener: bool = False

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
