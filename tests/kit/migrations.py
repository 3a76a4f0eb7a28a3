"""How real projects start Gunicorn: the settings they chose, as short cases of our own, and what each becomes here.

Of a project only facts are here, as its public repository had them: names of settings and their values.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forkful.conf.check import check
from forkful.conf.machine import Machine
from forkful.conf.moving.hooks import HOOKS
from forkful.conf.moving.provenance import origins
from forkful.conf.moving.source import gather
from forkful.conf.moving.table import ROWS, Verdict
from forkful.conf.moving.translate import Moved, translate
from forkful.conf.moving.written import settings_file
from forkful.conf.options import BY_NAME as OPTIONS
from tests.kit.certificates import self_signed

MARKERS = ("<!-- migrations -->", "<!-- /migrations -->")
GUNICORN = ("<!-- gunicorn -->", "<!-- /gunicorn -->")
PAGE = Path(__file__).parents[2] / "deploy/reference/moving.md"
_HOOK = "def {name}(*_):\n    pass\n"


@dataclass(frozen=True)
class Case:
    """A project: the words of its command line, the settings of its file, hooks and whatever else it does there."""

    project: str
    words: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    hooks: str = ""
    before: str = ""  # lines of Python

    @property
    def file(self) -> str:
        lines = [self.before, *(f"{name} = {value!r}" for name, value in self.settings.items())]
        return "\n".join([*lines, *(_HOOK.format(name=name) for name in self.hooks.split())])

    @property
    def has_file(self) -> bool:
        return bool(self.settings or self.hooks or self.before)


_UVICORN = "uvicorn.workers.UvicornWorker"
_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

CASES: tuple[Case, ...] = (
    Case(
        "apache/airflow",
        "-k sync -w 4 -t 120 -b 0.0.0.0:8080 -n airflow-webserver -p airflow.pid --preload "
        "'airflow.www.app:cached_app()'",
        hooks="post_worker_init on_starting",
    ),
    Case(
        "apache/superset",
        "--bind 0.0.0.0:8088 --access-logfile - --error-logfile - --workers 1 --worker-class gthread --threads 20 "
        "--log-level info --timeout 60 --keep-alive 2 --max-requests 0 --max-requests-jitter 0 --limit-request-line 0 "
        "--limit-request-field_size 0 --statsd-host=localhost:8125 --statsd-prefix=superset app",
    ),
    Case(
        "archesproject/arches",
        "arches.wsgi:application",
        {
            "bind": "127.0.0.1:8000",
            "backlog": 2048,
            "workers": 1,
            "worker_class": "sync",
            "worker_connections": 1000,
            "timeout": 30,
            "keepalive": 2,
            "spew": False,
            "daemon": False,
            "raw_env": ["DJANGO_SECRET_KEY=x", "SPAM=eggs"],
            "pidfile": None,
            "umask": 0,
            "user": None,
            "tmp_upload_dir": None,
            "errorlog": "-",
            "loglevel": "info",
            "accesslog": "-",
            "access_log_format": _FORMAT,
            "proc_name": None,
        },
        hooks="post_fork pre_fork pre_exec when_ready worker_int worker_abort",
    ),
    Case(
        "bcgov/namex",
        "wsgi:app",
        {
            "workers": 3,
            "worker_class": "sync",
            "threads": 1,
            "timeout": 30,
            "keepalive": 2,
            "forwarded_allow_ips": "*",
            "secure_scheme_headers": {"X-Forwarded-Proto": "https"},
        },
    ),
    Case(
        "CTFd/CTFd",
        "'CTFd:create_app()' --bind 0.0.0.0:8000 --workers 1 --worker-tmp-dir /dev/shm --worker-class gevent "
        "--access-logfile - --error-logfile -",
    ),
    Case(
        "dariusmazeika/city-tour-app",
        "config.wsgi",
        {
            "bind": "0.0.0.0:8000",
            "workers": 2,
            "loglevel": "info",
            "access_log_format": _FORMAT.replace('"', ""),
            "secure_scheme_headers": {
                "X-FORWARDED-PROTOCOL": "ssl",
                "X-FORWARDED-PROTO": "https",
                "X-FORWARDED-SSL": "on",
            },
        },
    ),
    Case("frappe/bench", "-b 127.0.0.1:8000 -w 4 -t 120 frappe.app:application --preload"),
    Case(
        "getredash/redash",
        "-b [::]:5000 --name redash -w4 redash.wsgi:app --max-requests 1000 --max-requests-jitter 100 "
        "--timeout 60 --limit-request-line 0",
    ),
    Case(
        "goauthentik/authentik",
        "authentik.root.asgi:application",
        {
            "worker_class": "lifecycle.worker.DjangoUvicornWorker",
            "worker_tmp_dir": "/tmp/authentik",
            "preload": True,
            "bind": "unix:///tmp/authentik-core.sock",
            "max_requests": 1000,
            "max_requests_jitter": 50,
            "workers": 2,
            "threads": 4,
            "logconfig_dict": {"version": 1},
        },
        hooks="post_fork worker_exit on_starting nworkers_changed on_reload pre_fork post_worker_init",
        before='import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "authentik.root.settings")',
    ),
    Case(
        "IBM/mcp-context-forge",
        "mcpgateway.main:app",
        {
            "bind": "127.0.0.1:4444",
            "workers": 2,
            "timeout": 600,
            "loglevel": "info",
            "max_requests": 100000,
            "max_requests_jitter": 100,
            "preload_app": True,
            "reuse_port": True,
            "worker_class": _UVICORN,
        },
        hooks="ssl_context on_starting when_ready post_fork post_worker_init worker_int worker_abort worker_exit "
        "child_exit",
    ),
    Case(
        "inventree/InvenTree",
        "InvenTree.wsgi -b 0.0.0.0:8000",
        {
            "accesslog": "-",
            "errorlog": "-",
            "loglevel": "warning",
            "capture_output": True,
            "worker_tmp_dir": "/dev/shm",
            "threads": 4,
            "max_requests": 1000,
            "max_requests_jitter": 50,
            "preload_app": True,
        },
        before='import multiprocessing, os\ntimeout = os.environ.get("INVENTREE_GUNICORN_TIMEOUT", 90)\n'
        "workers = multiprocessing.cpu_count() * 2 + 1",
    ),
    Case(
        "langgenius/dify",
        "--bind 0.0.0.0:5001 --workers 1 --worker-class gevent --worker-connections 10 --timeout 200 app:app",
    ),
    Case(
        "mmvitamush/MyGitHub",
        "app:app",
        {
            "bind": "127.0.0.1:8000",
            "workers": 5,
            "backlog": 2048,
            "worker_class": "gevent",
            "debug": True,
            "daemon": True,
            "pidfile": "gunicorn.pid",
            "logfile": "gunicorn.log",
        },
    ),
    Case(
        "mozilla/bedrock",
        "wsgi.app:application -b 0.0.0.0:8000 -w 2 --error-logfile - --access-logfile - --log-level info "
        "--worker-class meinheld.gmeinheld.MeinheldWorker",
    ),
    Case(
        "paperless-ngx/paperless-ngx",
        "paperless.asgi:application",
        {"bind": "0.0.0.0:8000", "workers": 2, "worker_class": "paperless.workers.ConfigurableWorker", "timeout": 120},
        hooks="pre_fork pre_exec when_ready worker_int worker_abort",
    ),
    Case(
        "pgadmin-org/pgadmin4",
        "run_pgadmin:app",
        {
            "access_log_format": '%(h)s %(l)s %({x-remote-user}o)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
            "logconfig_dict": {"version": 1, "loggers": {"gunicorn.error": {"level": "INFO"}}},
        },
    ),
    Case(
        "pretix/pretix",
        "pretix.wsgi --name pretix --workers 4 --max-requests 1200 --max-requests-jitter 50 "
        "--log-level=info --bind=unix:/tmp/pretix.sock",
    ),
    Case(
        "Sciebo-RDS/Sciebo-RDS",
        "src.server:app",
        {
            "bind": "127.0.0.1:5000",
            "workers": 5,
            "loglevel": "debug",
            "logfile": "gunicorn.log",
            "errorlog": "gunicorn.err.log",
            "capture_output": True,
            "worker_class": "eventlet",
        },
        hooks="when_ready child_exit",
    ),
    Case(
        "thruflo/thruflo",
        "thruflo.app:application",
        {
            "backlog": 2048,
            "bind": "unix:/tmp/gunicorn.sock",
            "daemon": False,
            "keepalive": 5,
            "loglevel": "info",
            "pidfile": None,
            "workers": 4,
            "umask": 0,
            "user": None,
            "spew": False,
            "timeout": 30,
            "tmp_upload_dir": None,
            "worker_class": "egg:gunicorn#gevent",
            "worker_connections": 1000,
        },
        hooks="when_ready",
    ),
    Case(
        "tiangolo/uvicorn-gunicorn-docker",
        "main:app",
        {
            "loglevel": "info",
            "errorlog": "-",
            "worker_tmp_dir": "/dev/shm",
            "graceful_timeout": 120,
            "timeout": 120,
            "keepalive": 120,
            "worker_class": _UVICORN,
        },
        before="import json, multiprocessing, os\nworkers = max(multiprocessing.cpu_count(), 2)\n"
        "bind = f\"{os.getenv('HOST', '0.0.0.0')}:{os.getenv('PORT', '80')}\"\nprint(json.dumps({\"bind\": bind}))",
    ),
    Case(
        "WeblateOrg/weblate",
        "--preload --timeout 3600 --graceful-timeout 3600 --worker-class=gthread --workers=2 "
        "--threads=16 --bind unix:/run/gunicorn.sock weblate.wsgi:application",
    ),
    Case(
        "xuwang/microservices-dev", "-w1 -b 0.0.0.0:443 --certfile=certs/server.crt --keyfile=certs/server.key app:app"
    ),
)


def migrate(case: Case, folder: Path) -> tuple[Moved, str]:
    """What it becomes, and the settings file."""
    folder.mkdir(parents=True, exist_ok=True)
    if "certs/" in case.words:
        (folder / "certs").mkdir(exist_ok=True)
        self_signed(folder / "certs", "server")
    if case.has_file:
        (folder / "gunicorn.conf.py").write_text(case.file)
    environ = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    words = [f"gunicorn {case.words}"]
    source = gather(words, environ, folder)
    moved = translate(source, origins(case.file), {})
    return moved, settings_file(moved, words)


def verdicts(moved: Moved) -> dict[Verdict, list[str]]:
    """Names of settings, by how they fare."""
    return {
        verdict: [remark.name for remark in moved.remarks if remark.verdict is verdict and remark.name != "wsgi_app"]
        for verdict in Verdict
    }


def checked(text: str, folder: Path) -> int:
    """The exit code of `forkful check` with the file."""
    path = folder / "forkful.toml"
    path.write_text(text)
    return check(["-c", str(path)], {}, machine=Machine(cwd=str(folder)))[1]


def table(rows: Mapping[str, tuple[Moved, int]]) -> str:
    """As Markdown, between `MARKERS`."""
    return "\n".join([MARKERS[0], *_lines(rows), MARKERS[1]])


def _lines(rows: Mapping[str, tuple[Moved, int]]) -> Iterator[str]:
    yield "| project | the same | better here | no counterpart | check |"
    yield "|---|---|---|---|---|"
    for project, (moved, code) in rows.items():
        cells = [", ".join(names) or "-" for names in verdicts(moved).values()]
        yield f"| {project} | {' | '.join(cells)} | {code} |"


# -- the page ----------------------------------------------------------------------------------------------------------


def settings() -> str:
    """Gunicorn's settings and what each is here, as Markdown, between markers."""
    lines = ["| Gunicorn | here | |", "|---|---|---|"]
    for row in ROWS:
        names = ", ".join(f"`{name}`" for name in (row.name, *row.flags))
        option = OPTIONS.get(row.ours)
        hook = HOOKS.get(row.name)
        ours = f"`{option.section} {option.key}`" if option else f"`{hook.ours}`" if hook else "-"
        words = "; ".join(filter(None, [hook.told if hook else "", row.told]))
        lines.append(f"| {names} | {ours} | {words} |")
    return "\n".join([GUNICORN[0], *lines, GUNICORN[1]])


def in_page(markers: tuple[str, str] = MARKERS) -> str:
    """A table as the page has it."""
    text = PAGE.read_text()
    return text[text.index(markers[0]) : text.index(markers[1]) + len(markers[1])]


def write(folder: Path) -> None:
    """Make the tables anew, and put them into the page."""
    text = PAGE.read_text().replace(in_page(), made(folder)).replace(in_page(GUNICORN), settings())
    PAGE.write_text(text)


def made(folder: Path) -> str:
    """The table of projects, made in this folder."""
    rows = {}
    for number, case in enumerate(CASES):
        place = folder / str(number)
        moved, text = migrate(case, place)
        rows[case.project] = (moved, checked(text, place))
    return table(rows)
