"""The recipes of hooks.md, as they stand there: a reload and a stop lose nothing, each connection has one process."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from signal import SIGHUP, SIGTERM, Signals

from tests.conftest import Serve
from tests.kit.collectors import running
from tests.kit.door import Door
from tests.kit.server import Server
from tests.kit.telemetry import Telemetry
from tests.kit.web import get

PAGE = Path(__file__).parents[2] / "deploy/reference/hooks.md"
RECIPES = PAGE.read_text().partition("## Recipes\n")[2].partition("\n## ")[0]
SITE = """\
import atexit
import os

import sentry_sdk
from opentelemetry import trace
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware
from sqlalchemy import event, text

from myapp.db import engine

tracer = trace.get_tracer("myapp")
told = open(os.environ["EVENTS"], "a", buffering=1)


@event.listens_for(engine, "connect")
def connected(connection, record):
    record.info["pid"] = os.getpid()


@event.listens_for(engine, "close")
def closed(connection, record):
    print("closed", record.info["pid"], "by", os.getpid(), file=told)


with engine.connect() as connection:  # as programs do that read their settings from a database
    connection.execute(text("SELECT 1"))


def site(environ, start_response):
    atexit.register(os._exit, 0)  # before those of the libraries: what is sent at the end, worker_exit has sent
    with tracer.start_as_current_span("answer", attributes={"worker": os.getpid()}), engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        try:
            raise LookupError(os.getpid())
        except LookupError:
            sentry_sdk.capture_exception()
        start_response("500 Mine", [])
        return [f"{os.getpid()} {connection.info['pid']}".encode()]


application = SentryWsgiMiddleware(site)
"""


def installed(folder: Path) -> str:
    """Put the modules of the page and the application there; returns the page's settings."""
    package = folder / "myapp"
    package.mkdir(parents=True)
    modules = re.findall(r"```python\n# myapp/(\w+\.py)\n(.*?)```", RECIPES, re.DOTALL)
    assert [name for name, _ in modules] == ["errors.py", "tracing.py", "db.py"]
    for name, text in [*modules, ("site.py", SITE)]:
        (package / name).write_text(text)
    (settings,) = re.findall(r"```toml\n(.*?)```", RECIPES, re.DOTALL)
    return str(settings)


def ask(door: Door, answers: Counter[int]) -> None:
    """Ask once, and count the worker that answers."""
    answer = get(door, "/some/where")
    assert answer.status == 500
    worker, connected = map(int, answer.text.split())
    assert connected == worker, "a connection of another process"
    answers[worker] += 1


def of_errors(telemetry: Telemetry) -> Counter[int]:
    return Counter(int(error["exception"]["values"][-1]["value"]) for error in telemetry.errors)


def of_spans(telemetry: Telemetry) -> Counter[int]:
    return Counter(span["worker"] for _, span in telemetry.spans)


def use_and_end(server: Server, door: Door, telemetry: Telemetry, answers: Counter[int], end: Signals) -> None:
    """Let each worker tell its errors, then keep some waiting in them until the first leaves."""
    workers = {*server.workers().values()}

    def each_has_answered() -> bool:
        ask(door, answers)
        return workers <= answers.keys()

    server.wait_until(each_has_answered, what="an answer of each worker")
    server.wait_until(lambda: of_errors(telemetry) == answers, what="an error for each answer")
    told = of_spans(telemetry)
    telemetry.is_open.clear()
    for _ in range(10):
        ask(door, answers)
    assert not workers & told.keys(), "spans wait for the end"
    server.signal(end)
    server.wait_until(lambda: server.workers(phase="draining"), what="a worker that drains")
    telemetry.is_open.set()


def test_the_recipes_lose_nothing_and_share_no_connection(
    serve: Serve, doors: Callable[[str], Door], tmp_path: Path
) -> None:
    door = doors("tcp")
    settings = installed(tmp_path / "site").replace(
        "preload = true\n", f'preload = true\nbind = "{door.url}"\ninterface = "wsgi"\nworkers = 2\n'
    )
    answers: Counter[int] = Counter()
    with running(Telemetry()) as telemetry:
        env = {
            **telemetry.environment,
            "DATABASE_URL": f"sqlite:///{tmp_path}/file.db",
            "OTEL_BSP_SCHEDULE_DELAY": "600000",  # only a shutdown sends
        }
        server = serve(config=settings, binds=[door], cwd=tmp_path / "site", env=env)
        use_and_end(server, door, telemetry, answers, SIGHUP)
        of_first = Counter(answers)
        server.wait_until(lambda: of_spans(telemetry) == of_errors(telemetry) == of_first, what="what the first said")
        server.wait_for_workers(2, besides=[*of_first])

        use_and_end(server, door, telemetry, answers, SIGTERM)
        assert server.wait_exit() == 0
        assert of_errors(telemetry) == of_spans(telemetry) == answers
        assert len(answers) == 4
        assert all(resource["process.pid"] == span["worker"] for resource, span in telemetry.spans)
        tags = {(error["tags"]["worker"], error["tags"]["generation"]) for error in telemetry.errors}
        assert tags == {(f"main[{slot}]", generation) for slot in (0, 1) for generation in (1, 2)}
        assert all(error["request"]["url"].endswith("/some/where") for error in telemetry.errors)
    closed = sorted(server.events.next() for _ in answers)
    assert closed == sorted(f"closed {pid} by {pid}" for pid in answers)
