"""Gunicorn's settings in ours: what is written, and what is told."""

import tomllib
from typing import Any

import pytest

from forkful.conf.check import check
from forkful.conf.mistakes import Mistakes
from forkful.conf.moving.provenance import Origin, origins, unread
from forkful.conf.moving.source import Found, Source
from forkful.conf.moving.table import BY_NAME, Row, Shape, Verdict
from forkful.conf.moving.translate import Moved, translate
from forkful.conf.moving.written import report, settings_file


def moved(**said: Any) -> Moved:
    source = Source({name: Found(value, "gunicorn.conf.py") for name, value in said.items()})
    return translate(source, {}, {})


def written(**said: Any) -> dict[str, Any]:
    """What the file says, all sections together."""
    raw = tomllib.loads(settings_file(moved(wsgi_app="a:b", **said), []))
    found: dict[str, Any] = {**raw.get("master", {}), **raw["pool"]["main"]}
    return {key: value for key, value in found.items() if key not in {"handler", "interface"}}


def told(name: str, **said: Any) -> tuple[Verdict, str]:
    (remark,) = [remark for remark in moved(**said).remarks if remark.name == name]
    return remark.verdict, remark.told


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        ({"bind": "127.0.0.1:8000"}, {"bind": ["http://127.0.0.1:8000"]}),
        ({"bind": ["0.0.0.0", "[::1]:81", "[::]:82", ":83"]},
         {"bind": ["http://0.0.0.0:8000", "http://[::1]:81", "http://*:82", "http://0.0.0.0:83"]}),
        ({"bind": "tcp://localhost:80"}, {"bind": ["http://localhost:80"]}),
        ({"bind": "fd://3"}, {"bind": ["fd://3"]}),
        ({"bind": ["fd://3", ":80", "fd://4"]}, {"bind": ["fd://3", "fd://4"]}),
        ({"bind": ["unix:@app"]}, {"bind": ["http+unix:./@app"], "socket_mode": "0666"}),
        ({"forwarded_allow_ips": ""}, {"forwarded_allow_ips": ""}),
        ({"bind": ["unix:app.sock"]}, {"bind": ["http+unix:app.sock"], "socket_mode": "0666"}),
        ({"bind": ["unix:///run/a.sock"], "umask": 7}, {"bind": ["http+unix:///run/a.sock"], "socket_mode": "0660"}),
        ({"bind": ["unix:/run/a.sock"], "umask": "91"}, {"bind": ["http+unix:///run/a.sock"], "socket_mode": "0644"}),
        ({"umask": 7}, {}),
        ({"bind": ":443", "certfile": "c.pem", "keyfile": "k.pem", "cert_reqs": 2, "ca_certs": "a.pem"},
         {"bind": ["https://0.0.0.0:443"], "certfile": "c.pem", "keyfile": "k.pem", "cert_reqs": "required",
          "ca_certs": "a.pem"}),
        ({"timeout": 90}, {"timeout": 90}),
        ({"timeout": "90", "worker_class": "sync"}, {"timeout": 90}),
        ({"timeout": 90, "threads": 4}, {"timeout": 0, "threads": 4}),
        ({"timeout": 0, "threads": 4}, {"timeout": 0, "threads": 4}),
        (
            {"timeout": 90, "worker_class": "gevent", "worker_connections": 10},
            {"timeout": 0, "threads": 10, "max_connections": 10},
        ),
        ({"timeout": 90, "worker_class": "uvicorn.workers.UvicornWorker", "worker_connections": 10, "threads": 2}, {}),
        ({"worker_connections": 10}, {}),
        (
            {"worker_class": "gthread", "threads": 3, "worker_connections": 10},
            {"timeout": 0, "threads": 3, "max_connections": 10},
        ),
        ({"keepalive": 75}, {"keep_alive": 75}),
        ({"limit_request_line": 0, "limit_request_fields": 0, "limit_request_field_size": 0},
         {"limit_request_line": 65536, "limit_request_fields": 32768, "limit_request_field_size": 65536}),
        ({"limit_request_line": 20000}, {"limit_request_line": 8190}),
        ({"ssl_version": 5, "http2_cleartext": True}, {}),
        ({"proc_name": "shop", "pidfile": "/run/a.pid", "user": "www-data", "group": 33, "chdir": "/srv"},
         {"name": "shop", "pid": "/run/a.pid", "user": "www-data", "group": "33", "chdir": "/srv"}),
        ({"accesslog": "-", "errorlog": "e.log", "loglevel": "DEBUG"},
         {"access_log": "-", "log_file": "e.log", "log_level": "debug"}),
        ({"loglevel": "warn"}, {"log_level": "info"}),
        ({"preload_app": "true", "reuse_port": True, "daemon": True}, {"preload": True, "reuse_port": True}),
        ({"preload_app": False, "reload": True, "max_requests_jitter": 5}, {"reload": True}),
        ({"forwarded_allow_ips": ["10.0.0.1", "10.0.0.2"]}, {"forwarded_allow_ips": "10.0.0.1,10.0.0.2"}),
        ({"proxy_protocol": True, "proxy_allow_ips": "*"}, {"proxy_protocol": "auto", "proxy_allow_from": "*"}),
        ({"root_path": "/app/"}, {"root_path": "/app"}),
        ({"asgi_loop": "uvloop", "asgi_lifespan": "off"}, {"event_loop": "uvloop", "lifespan": "off"}),
        ({"access_log_format": '%(h)s "%(r)s" %({x-id}o)s'}, {"access_log_format": '%(h)s "%(r)s" %({x-id}o)s'}),
        ({"access_log_format": "%(h)s %(zz)s"}, {}),
        ({"workers": 0, "backlog": 100_000}, {"workers": 1, "backlog": 65535}),
    ],
)  # fmt: skip
def test_value_is_written_as_ours(said: dict[str, Any], ours: dict[str, Any]) -> None:
    assert written(**said) == ours


@pytest.mark.parametrize(
    ("text", "handler"),
    [("app", "app:application"), ("pkg.wsgi:app", "pkg.wsgi:app"), ("CTFd:create_app()", "CTFd:create_app()")],
)
def test_application_is_named(text: str, handler: str) -> None:
    assert moved(wsgi_app=text).pool["handler"] == handler


def test_without_an_application_there_is_a_place_for_it() -> None:
    found = moved(workers=2)

    assert found.pool["handler"] == "MODULE:ATTRIBUTE"
    assert "MODULE:ATTRIBUTE" in found.todo[0]


@pytest.mark.parametrize(
    ("said", "interface"),
    [
        ({}, "wsgi"),
        ({"worker_class": "egg:gunicorn#gevent"}, "wsgi"),
        ({"worker_class": "eventlet"}, "wsgi"),
        ({"worker_class": "meinheld.gmeinheld.MeinheldWorker"}, "wsgi"),
        ({"worker_class": "uvicorn.workers.UvicornH11Worker"}, "asgi"),
        ({"worker_class": "uvicorn_worker.UvicornWorker"}, "asgi"),
        ({"worker_class": "asgi"}, "asgi"),
        ({"worker_class": "sanic.worker.GunicornWorker"}, "asgi"),
        ({"worker_class": {"class": "shop.Mine", "bases": ["uvicorn.workers.UvicornWorker", "x.Worker"]}}, "asgi"),
        ({"worker_class": "shop.workers.MyUvicornWorker"}, "asgi"),
        ({"worker_class": "aiohttp.GunicornWebWorker"}, None),
        ({"worker_class": "tornado"}, None),
        ({"worker_class": "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"}, None),
        ({"worker_class": "shop.workers.Mine"}, None),
    ],
)
def test_class_of_workers_says_the_interface_where_it_can(said: dict[str, Any], interface: str | None) -> None:
    assert moved(**said).pool.get("interface") == interface


@pytest.mark.parametrize(
    ("name", "said", "verdict", "words"),
    [
        ("worker_class", {"worker_class": "gevent"}, Verdict.NONE, "threads, not in greenlets"),
        ("worker_class", {"worker_class": "aiohttp.GunicornWebWorker"}, Verdict.NONE, "owns_loop"),
        ("worker_class", {"worker_class": "shop.Mine"}, Verdict.NONE, "shop.Mine is not known here"),
        ("worker_class", {"worker_class": {"class": "shop.Mine", "bases": ["uvicorn.workers.UvicornWorker"]}},
         Verdict.SAME, "what shop.Mine changes in its class is not read"),
        ("timeout", {"timeout": 90, "threads": 2}, Verdict.SAME, "heartbeat"),
        ("daemon", {"daemon": True}, Verdict.NONE, "service manager"),
        ("daemon", {"daemon": False}, Verdict.SAME, "off, as by default"),
        ("secure_scheme_headers", {"secure_scheme_headers": {"X-FORWARDED-PROTO": "https"}}, Verdict.SAME, "believed"),
        ("secure_scheme_headers", {"secure_scheme_headers": {"X-SCHEME": "https"}}, Verdict.NONE, "have the proxy set"),
        ("access_log_format", {"access_log_format": "%(zz)s"}, Verdict.NONE, "no atom like %(zz)s"),
        ("header_map", {"header_map": "drop"}, Verdict.SAME, "underscore"),
        ("header_map", {"header_map": "dangerous"}, Verdict.NONE, "underscore"),
        ("on_starting", {"on_starting": {"callable": "f"}}, Verdict.NONE, "ExecStartPre"),
        ("post_fork", {"post_fork": {"callable": "f"}}, Verdict.SAME, "post_fork, in each worker"),
        ("when_ready", {"when_ready": "shop.ready"}, Verdict.NONE, "on_ready, a command"),
        ("certfile", {"certfile": "a.pem"}, Verdict.BETTER, "a reload takes the new certificate"),
        ("umask", {"umask": 7}, Verdict.SAME, "there is none"),
    ],
)  # fmt: skip
def test_what_becomes_of_it_is_told(name: str, said: dict[str, Any], verdict: Verdict, words: str) -> None:
    found = told(name, **said)

    assert found[0] is verdict
    assert words in found[1]


SAMPLES: dict[Shape, Any] = {
    Shape.TEXT: "x", Shape.COUNT: 1, Shape.OCTAL: 0o22, Shape.SWITCH: True, Shape.OFF: False, Shape.LIST: ["A=1"],
    Shape.MAYBE: "v1", Shape.CLASS: "x.Y", Shape.TABLE: {"a": "b"}, Shape.HOOK: {"callable": "f"},
}  # fmt: skip
RIGHT = {
    "bind": ["[::1]:80"], "forwarded_allow_ips": "*", "proxy_allow_ips": "*", "asgi_loop": "auto",
    "asgi_lifespan": "auto", "access_log_format": "%(h)s", "user": "root", "group": "root", "chdir": "/",
    "limit_request_field_size": 100, "limit_request_line": 100,
}  # fmt: skip
ABSENT = {
    "certfile",
    "keyfile",
    "ca_certs",
    "ciphers",
    "logconfig",
    "logconfig_json",
    "cert_reqs",
}  # files that are not here


@pytest.mark.parametrize("row", [row for row in BY_NAME.values() if row.name != "config"], ids=lambda row: row.name)
def test_nothing_is_passed_over_in_silence(row: Row) -> None:
    """Whatever is said, there is a word on it, and our own reader takes the file."""
    found = moved(**{"wsgi_app": "a:b", row.name: RIGHT.get(row.name, SAMPLES[row.shape])})
    (remark,) = [remark for remark in found.remarks if remark.name == row.name]

    assert remark.ours or remark.told
    assert row.name in report(found, [], "FILE")


@pytest.mark.parametrize("row", [row for row in BY_NAME.values() if row.name not in {"config", *ABSENT}],
                         ids=lambda row: row.name)  # fmt: skip
def test_what_is_written_passes_our_check(row: Row, tmp_path: Any) -> None:
    found = moved(**{"wsgi_app": "a:b", row.name: RIGHT.get(row.name, SAMPLES[row.shape])})
    path = tmp_path / "forkful.toml"
    path.write_text(settings_file(found, ["-w", "1"]))

    assert check(["-c", str(path)], {})[1] == 0


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"workers": "x"}, "workers: Gunicorn refuses it: 'x' is no whole number"),
        ({"timeout": 1.5}, "timeout: Gunicorn refuses it: 1.5 is no whole number"),
        ({"workers": -1}, "workers: Gunicorn refuses it: -1 is less than 0"),
        ({"bind": ":x"}, "bind: Gunicorn refuses it: ':x': 'x' is no port"),
        ({"bind": [1]}, "bind: Gunicorn refuses it: [1] is no list of texts"),
        ({"preload_app": "yes"}, "preload_app: Gunicorn refuses it: 'yes' is neither True nor False"),
        ({"proc_name": 3}, "proc_name: Gunicorn refuses it: 3 is no text"),
        ({"proxy_protocol": "v9"}, "proxy_protocol: Gunicorn refuses it: 'v9' is none of off, v1, v2, auto"),
        ({"cert_reqs": 7}, "cert_reqs: Gunicorn refuses it: 7 is no kind of verification: 0, 1 or 2"),
    ],
)
def test_what_gunicorn_refuses_is_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(Mistakes) as wrong:
        moved(**said)

    assert f"gunicorn.conf.py: {why}" in str(wrong.value)


def test_environment_is_for_who_starts_the_service_and_secrets_are_not_shown() -> None:
    source = Source({"raw_env": Found(["A=1", "DB_PASSWORD=geheim"], "x")}, environ={"B": "2"}, path=["/srv/lib"])
    found = translate(source, {}, {"PORT": "80"})
    text = report(found, [], "FILE")

    assert found.environment == {"A": "1", "DB_PASSWORD": "geheim", "B": "2", "PYTHONPATH": "/srv/lib"}
    assert "DB_PASSWORD=..." in text
    assert "geheim" not in text + settings_file(found, [])
    assert "PORT is heeded here" in text


def test_path_of_imports_is_where_gunicorn_would_look() -> None:
    source = Source({"pythonpath": Found("lib,../x,/abs", "x"), "chdir": Found("site", "x")}, cwd="/srv/app")

    assert translate(source, {}, {}).environment == {"PYTHONPATH": "/srv/app/site/lib:/srv/app/x:/abs"}


def test_value_that_was_made_from_something_is_told() -> None:
    text = (
        "import multiprocessing, os\ncores = multiprocessing.cpu_count()\nworkers = cores * 2 + 1\n"
        'port = os.getenv("SHOP_PORT", "80")\nbind = f"0.0.0.0:{port}"\nthreads: int = int(os.environ["T"])\n'
        "timeout = 3\n"
    )
    found = origins(text)

    assert found["workers"] == Origin(cpus=True)
    assert found["bind"] == Origin({"SHOP_PORT"})
    assert found["threads"] == Origin({"T"})
    assert "timeout" not in found
    source = Source({"workers": Found(5, "x"), "bind": Found("0.0.0.0:80", "x")})
    words = {remark.name: remark.told for remark in translate(source, found, {}).remarks}
    assert '"auto" does' in words["workers"]
    assert "the file makes it from SHOP_PORT; here FORKFUL_BIND or --bind changes it" in words["bind"]


def test_helpers_of_a_file_are_no_settings_and_are_not_named() -> None:
    assert unread("host = 1\nport = 2\nbind = f'{host}'\nloglever = 'x'\n") >= {"port", "loglever"}
    assert "host" not in unread("host = 1\nbind = f'{host}'")
    assert unread("(") == set()
    assert origins("(") == {}
