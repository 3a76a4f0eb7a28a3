"""The files that `forkful init` writes, as texts: settings with a comment for each key, a unit, a container file."""

import re
from collections.abc import Iterator
from string import Template

from forkful.conf.documentation import default
from forkful.conf.option import Scope
from forkful.conf.options import of
from forkful.master.cli.surroundings import Surroundings

#: Keys that are shown as comments, beside those that are written: what people look for first.
_MASTER = ("graceful_timeout", "drain_delay", "access_log", "log_level", "log_format")
_POOL = ("workers", "threads", "timeout", "max_requests", "max_rss", "preload", "max_connections")
_WEB = ("interface", "keep_alive", "forwarded_allow_ips", "limit_request_body", "root_path")

_UNIT = Template("""\
# $name under systemd, written by forkful init.
#
#   install -m 644 $name.service /etc/systemd/system/$name.service
#   systemctl daemon-reload && systemctl enable --now $name
#
# `systemctl start` returns when the workers are ready; `systemctl reload` when the new code serves, and it fails, with
# the old code still serving, when the new one could not start.

[Unit]
Description=$name, served by Forkful
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
# The master turns, or it is replaced; its listening sockets wait with systemd meanwhile.
WatchdogSec=30
FileDescriptorStoreMax=64
$who
WorkingDirectory=$directory
ExecStart=$program serve -c $file
ExecReload=$program reload --wait
# Where commands (forkful status, reload, stop) find the service, and where Prometheus reads.
Environment=FORKFUL_ADMIN=unix:///run/$name/admin.sock
Environment="FORKFUL_ADMIN_BIND=tcp://127.0.0.1:9464,unix:///run/$name/admin.sock"
Environment=PYTHONUNBUFFERED=1
$variables
RuntimeDirectory=$name
RuntimeDirectoryMode=0750
RuntimeDirectoryPreserve=restart

TimeoutStartSec=120
# drain_delay + graceful_timeout (30) + 10 to spare. Raise this together with the file.
TimeoutStopSec=45
KillMode=mixed
Restart=on-failure
RestartSec=1
OOMPolicy=continue
LimitNOFILE=65536
UMask=0027

# What the application may not do. What it writes to is listed in ReadWritePaths=.
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=$home
ReadWritePaths=$writable
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
""")

_CONTAINER = Template("""\
# $name in a container, written by forkful init.
#
#   docker build -t $name . && docker run --rm -p $port:$port/$protocol $name

FROM python:$python-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --system --uid 10001 --no-create-home app
WORKDIR /app
$install
USER 10001

# The address of forkful.toml is this machine's alone; here it is every interface of the container.
ENV FORKFUL_BIND=$scheme://*:$port
EXPOSE $port/$protocol
# 503 while it starts and from the moment a stop is asked for.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \\
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["forkful"]
CMD ["serve", "-c", "forkful.toml"]
""")

_OWN_USER = "# A user of its own, which systemd makes; it must be able to read WorkingDirectory.\nDynamicUser=yes"
_NOTHING = "# There is no requirements.txt and no pyproject.toml: what the application needs goes here."
IGNORED = ".venv/\nvenv/\n.git/\n**/__pycache__/\n**/*.pyc\n.env\n"


def settings(found: Surroundings) -> str:
    """The settings file."""
    return "\n".join([*_settings(found), ""])


def _settings(found: Surroundings) -> Iterator[str]:
    yield f"# {found.name}, served by Forkful; written by forkful init."
    yield "# forkful check -c forkful.toml says what is in effect, and whence. After a change: forkful reload."
    yield "# All keys: deploy/reference/settings.md, or forkful manual."
    yield ""
    yield "[master]"
    yield f'name = "{found.name}"'
    yield from _comments(Scope.MASTER, _MASTER, "access_log" if found.kind == "http" else "")
    yield ""
    yield "[admin]"
    yield "# Metrics, health checks and the status page: http://127.0.0.1:9464/. Commands come by a Unix socket."
    yield '# bind = ["tcp://127.0.0.1:9464", "unix:///run/forkful/admin.sock"]'
    yield ""
    yield "[pool.main]"
    yield f'handler = "{found.handler}"'
    yield f'bind = ["{found.scheme}://127.0.0.1:{found.port}"]'
    yield from _comments(Scope.POOL, (*_POOL, *(_WEB if found.kind == "http" else ())), "workers")


#: What is written instead of the default.
_CHOSEN = {"workers": '"auto"', "access_log": '"-"'}


def _comments(scope: Scope, keys: tuple[str, ...], written: str) -> Iterator[str]:
    options = of(scope)
    for key in keys:
        yield f"# {options[key].help}"
        if key == written:
            yield f"{key} = {_CHOSEN[key]}"
        else:
            yield f"# {key} = {_value(default(options[key]).strip('`'))}"


def _value(text: str) -> str:
    return text if text in {"true", "false"} or text.replace(".", "").isdecimal() else f'"{text}"'


def unit(found: Surroundings) -> str:
    """The systemd unit."""
    who = f"User={found.user}" if found.user else _OWN_USER
    return _UNIT.substitute(
        name=found.name,
        directory=str(found.directory).replace("%", "%%"),
        file=_word(f"{found.directory}/forkful.toml"),
        writable=_word(str(found.directory)),
        program=found.program.replace("%", "%%"),
        who=who,
        variables=f"EnvironmentFile=-{found.variables}".replace("%", "%%")
        if found.variables
        else "# EnvironmentFile=-/etc/default/NAME",
        home="read-only" if found.is_home else "yes",
    )


def _word(path: str) -> str:
    """A path as one word of a line in a unit, systemd.syntax(7)."""
    text = path.replace("%", "%%")
    return f'"{text}"' if re.search(r"\s", text) else text


def container(found: Surroundings) -> str:
    """The container file."""
    ours = f"forkful=={found.forkful}"
    match found.requirements:
        case "":
            install = f"COPY . .\n{_NOTHING}\nRUN pip install {ours}"
        case ".":
            install = f"COPY . .\nRUN pip install . {ours}"
        case file:
            install = f"COPY {file} {file}\nRUN pip install -r {file} {ours}\nCOPY . ."
    return _CONTAINER.substitute(
        name=found.name,
        python=found.python,
        install=install,
        scheme=found.scheme,
        port=found.port,
        protocol="udp" if found.kind == "datagram" else "tcp",
    )
