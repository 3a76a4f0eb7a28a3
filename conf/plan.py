"""The plan: everything a service was told to be, validated, frozen, and plain enough to cross a pipe as JSON.

Settings (`forkful.conf.settings`) are read and checked in a process of their own and arrive in the master as this.
So the master and all that is forked from it never import the settings library (137 ms and 25 MB).
A plan that exists was valid when it was read.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, field, fields, replace
from socket import AF_UNIX
from typing import Any, Self

from forkful.conf.address import Address
from forkful.conf.light import dataclass

COMMANDS = ("on_ready", "on_reload", "on_worker_lost", "on_stop")  # of [master]: programs that it runs
MAX_SLOTS = 256  # of a pool with affinity: what the kernel's rule has room for


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """One pool: a handler, its addresses, and the workers that serve it. Times in seconds, sizes in bytes, 0 is off."""

    name: str
    handler: str
    bind: tuple[Address, ...]
    workers: int = 1
    workers_reason: str = ""  # how `auto` got there, for the log
    threads: int = 1
    workers_min: int = 0  # elastic between these two; `workers_max` 0: not elastic
    workers_max: int = 0
    timeout: float = 30.0
    timeout_said: bool = True  # by the operator; else it is about blocked loops alone, where requests overlap
    timeout_action: str = "kill"  # or "report"
    boot_timeout: float = 60.0
    keep_alive: float = 2.0
    max_requests: int = 0
    max_requests_jitter: int = 0
    max_rss: int = 0
    max_worker_age: float = 0.0
    max_connections: int = 1000
    reader_limit: int = 65_536
    event_loop: str = "auto"  # or "uvloop", "asyncio"
    limit_request_line: int = 4094
    limit_request_fields: int = 100
    limit_request_field_size: int = 8190
    limit_request_head: int = 65_536
    limit_request_body: int = 1_073_741_824
    websocket_max_size: int = 16 * 1024 * 1024
    websocket_compression: bool = True
    websocket_ping_interval: float = 20.0
    header_timeout: float = 20.0
    body_timeout: float = 20.0
    write_timeout: float = 60.0
    idle_timeout: float = 0.0
    read_timeout: float = 0.0
    interface: str = "auto"  # or "wsgi", "asgi"
    lifespan: str = "auto"  # or "on", "off"
    root_path: str = ""
    forwarded_allow_ips: str = "127.0.0.1,::1"  # addresses and networks, separated by commas
    access_log_format: str = ""
    allow: tuple[str, ...] = ()  # networks, addresses, "unix"; empty: everyone
    deny: tuple[str, ...] = ()
    max_connections_per_ip: int = 0
    max_rate_per_ip: int = 0
    proxy_protocol: str = "off"  # or "v1", "v2", "auto"
    proxy_allow_from: str = "127.0.0.1,::1"  # addresses and networks, separated by commas
    handshake_timeout: float = 10.0
    backlog: int = 2048
    reuse_port: bool = False
    keepalive_idle: float = 0.0
    nodelay: bool = False
    defer_accept: float = 0.0
    receive_buffer: int = 0
    send_buffer: int = 0
    bind_device: str = ""
    broadcast: bool = False
    multicast: tuple[str, ...] = ()  # GROUP or GROUP%INTERFACE
    affinity: str = "none"  # or "peer": each slot has a socket of its own
    socket_mode: int = -1  # of Unix sockets; -1: 0666 less the umask
    socket_owner: str = ""  # USER[:GROUP]
    certfile: str = ""
    keyfile: str = ""
    keyfile_password_file: str = ""
    certificates: tuple[tuple[str, str], ...] = ()  # files with a certificate, and with its key
    ca_certs: str = ""
    cert_reqs: str = "none"  # or "optional", "required"
    ciphers: str = ""
    tls_min_version: str = "1.2"
    alpn: tuple[str, ...] = ()
    preload: bool = False
    hooks: tuple[tuple[str, str], ...] = ()  # a moment and its function; "" and a module that has such functions
    surge: int = 1
    ready_min: str = "1"  # or a percentage, "60%"
    listener: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # where an address differs; Any: as above

    def secures(self, address: Address, family: int) -> bool:
        """Whether connections at this address speak TLS. A descriptor does not say, so there the settings do."""
        if address.scheme == "fd":
            return bool(self.certfile or self.certificates) and family != AF_UNIX
        return address.is_secure

    def at(self, address: Address) -> "PoolPlan":
        """The pool as it is at one of its addresses."""
        own = self.listener.get(str(address))
        return replace(self, **own) if own else self


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a file had when the settings were read: for whom its certificate is, and until when (Unix time)."""

    file: str
    name: str
    expires: float


@dataclass(frozen=True, slots=True)
class LogPlan:
    """Where and how the log is written. `file` "-" is standard error; `access` "" is off, "-" is standard output."""

    level: str = "info"
    format: str = "text"
    file: str = "-"
    access: str = ""
    config: str = ""  # the content of log_config, see there
    developing: bool = False  # in colours where a terminal shows them, and nothing that repeats is left out


@dataclass(frozen=True, slots=True)
class MasterPlan:
    """What concerns the whole service. Empty strings mean: leave as it is."""

    name: str = "forkful"
    pid: str = ""
    chdir: str = ""
    user: str = ""
    group: str = ""
    umask: int = -1
    graceful_timeout: float = 30.0
    drain_delay: float = 0.0
    bake_time: float = 0.0
    canary: str = ""  # a number or a percentage; "": none
    canary_requests: int = 50
    canary_errors: str = "1%"
    canary_latency: str = "50%"
    canary_memory: str = "50%"
    on_ready: tuple[str, ...] = ()  # words
    on_reload: tuple[str, ...] = ()
    on_worker_lost: tuple[str, ...] = ()
    on_stop: tuple[str, ...] = ()
    command_timeout: float = 30.0
    command_user: str = ""
    statsd_host: str = ""
    statsd_prefix: str = ""
    dogstatsd_tags: str = ""
    otlp_endpoint: str = ""
    debug: bool = False
    reload: bool = False  # at each change of a file
    reload_include: tuple[str, ...] = ()
    reload_exclude: tuple[str, ...] = ()
    reload_extra_file: tuple[str, ...] = ()
    log: LogPlan = field(default_factory=LogPlan)

    @property
    def pushed(self) -> tuple[str, ...]:
        """To whom metrics are pushed, and how; empty: to nobody."""
        pushed = (self.statsd_host, self.statsd_prefix, self.dogstatsd_tags, self.otlp_endpoint)
        return pushed if self.statsd_host or self.otlp_endpoint else ()


@dataclass(frozen=True, slots=True)
class AdminPlan:
    """Who may do what at the admin child's addresses."""

    group: str = ""
    allowed_hosts: tuple[str, ...] = ()
    token_file: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole service. `admin` are the addresses of the admin child; `warnings` are for the log."""

    pools: tuple[PoolPlan, ...]
    master: MasterPlan = field(default_factory=MasterPlan)
    admin: tuple[Address, ...] = ()
    access: AdminPlan = field(default_factory=AdminPlan)
    certificates: tuple[Certificate, ...] = ()  # of all pools, each once
    warnings: tuple[str, ...] = ()
    unheeded: tuple[str, ...] = ()  # what the settings ask of a running service in vain, `[section] key = value`
    assumed: bool = False  # what a handler serves was, since it could not be loaded to be asked
    stand_in: bool = False  # in place of what cannot be loaded at the first start, with `reload`
    settings: str = ""  # the file, by its whole path
    version: str = ""  # of the Forkful that made this plan, and so of the one that will run it

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        raw = json.loads(text)
        master = dict(raw["master"])
        master["log"] = LogPlan(**_known(LogPlan, master["log"]))
        return cls(
            pools=tuple(_pool(pool) for pool in raw["pools"]),
            master=MasterPlan(**_known(MasterPlan, master)),
            admin=_addresses(raw["admin"]),
            access=AdminPlan(**_known(AdminPlan, raw.get("access", {}))),
            certificates=tuple(Certificate(**_known(Certificate, each)) for each in raw.get("certificates", ())),
            warnings=tuple(raw["warnings"]),
            unheeded=tuple(raw.get("unheeded", ())),
            assumed=raw.get("assumed", False),
            stand_in=raw.get("stand_in", False),
            settings=raw.get("settings", ""),
            version=raw.get("version", ""),
        )


def _pool(raw: dict[str, Any]) -> PoolPlan:
    apart = {address: _known(PoolPlan, own) for address, own in raw.get("listener", {}).items()}
    return PoolPlan(**_known(PoolPlan, raw) | {"bind": _addresses(raw["bind"]), "listener": apart})


def _addresses(raw: list[dict[str, Any]]) -> tuple[Address, ...]:
    return tuple(Address(**address) for address in raw)


def _known(record: type[Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """Drop keys that this version does not know, so that a newer or older neighbour (an upgrade) can be understood."""
    names = {f.name for f in fields(record)}
    return {key: _tupled(value) for key, value in raw.items() if key in names}


def _tupled(value: Any) -> Any:  # Any: JSON's
    return tuple(_tupled(each) for each in value) if isinstance(value, list) else value
