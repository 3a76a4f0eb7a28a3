"""Prometheus with the configuration and rules we hand out, and every query of the Grafana dashboard put to it."""

import http.client
import json
import math
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.load import LOSSES, Load
from tests.kit.wait import PATIENCE, until
from tests.kit.web import get
from tests.peers.conftest import Beside
from tests.peers.neighbour import DEPLOY, find
from tests.peers.test_haproxy import admin_page

FOLDER = DEPLOY / "prometheus"
DASHBOARD = json.loads((DEPLOY / "grafana" / "forkful.json").read_text())
VARIABLES = {"$__rate_interval": "5s", "$__interval": "1s", "$job": ".*", "$instance": ".*", "$pool": ".*"}


class Query(NamedTuple):
    """One query of the dashboard: where it stands, what it asks, and how Grafana names what it returns."""

    title: str
    expression: str
    legend: str

    def __str__(self) -> str:
        return f"{self.title}: {self.expression}"


def queries() -> Iterator[Query]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield Query(panel["title"], expand(target["expr"]), target["legendFormat"])
    for annotation in DASHBOARD["annotations"]["list"]:
        # It marks the moments at which a generation came, and there may be none: ask for the figure it looks at.
        yield Query(annotation["name"], expand(annotation["expr"]).removesuffix(" > 0"), "")


def expand(expression: str) -> str:
    """Put values in place of Grafana's variables, the longest name first."""
    for name in sorted(VARIABLES, key=len, reverse=True):
        expression = expression.replace(name, VARIABLES[name])
    assert "$" not in expression, f"a variable that the test does not know: {expression}"
    return expression


class Prometheus:
    """A client of a real one, started on a port of its own choice."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **parameters: str) -> Any:  # Any: what JSON gives
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        try:
            connection.request("GET", f"/api/v1/{path}?{urlencode(parameters)}")
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert answer["status"] == "success", answer
        return answer["data"]

    def answers(self, query: Query) -> bool:
        """Whether a query returns a figure, with the labels that its legend names."""
        result = self.get("query", query=query.expression)["result"]
        figures = [sample["metric"] for sample in result if not math.isnan(float(sample["value"][1]))]
        wanted = set(re.findall(r"{{(\w+)}}", query.legend))
        return bool(figures) and all(wanted <= set(labels) for labels in figures)


@pytest.fixture
def prometheus(neighbour: Beside, tmp_path: Path) -> Callable[[str], Prometheus]:
    def start(target: str) -> Prometheus:
        text = (FOLDER / "prometheus.yml").read_text()
        for said, instead in (
            ("127.0.0.1:9464", target),
            ("_interval: 15s", "_interval: 500ms"),
            ("- forkful.rules.yml", f"- {FOLDER / 'forkful.rules.yml'}"),
        ):
            assert said in text
            text = text.replace(said, instead)
        own = tmp_path / "prometheus.yml"
        own.write_text(text)
        started = neighbour(
            "prometheus",
            f"--config.file={own}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            "--web.listen-address=127.0.0.1:0",
        )
        log = started.wait_for_log("Server is ready to receive web requests", within=60)
        listening = re.search(r'msg="Listening on" address=(\S+)', log)
        assert listening, log
        return Prometheus(listening[1])

    return start


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "forkful.rules.yml"),
        ("test", "rules", "forkful.rules.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_no_fault(arguments: tuple[str, ...]) -> None:
    check = subprocess.run(
        [find("promtool", package="prometheus"), *arguments],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_metrics_page_is_good_exposition(serve: Serve) -> None:
    page = serve("classic:EchoHandler").admin.get("/metrics")[1]
    lint = subprocess.run(
        [find("promtool", package="prometheus"), "check", "metrics"],
        input=page,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_every_query_of_the_dashboard_and_every_rule_returns_data(
    serve: Serve, doors: Callable[[str], Door], prometheus: Callable[[str], Prometheus]
) -> None:
    find("prometheus")
    stream, datagram, web = doors("tcp"), doors("udp"), doors("tcp")
    config = f"""
        [pool.chat]
        handler = "faulty:Faulty"
        bind = ["{stream.url}"]
        workers = 2
        [pool.dns]
        handler = "classic:DatagramEcho"
        bind = ["{datagram.url}"]
        [pool.web]
        handler = "wsgi:echo"
        bind = ["{web.url}"]
        """
    server = serve("", "--admin-bind", "tcp://127.0.0.1:0", config=config, binds=[stream, datagram, web])
    server.may_log_tracebacks = True
    here = prometheus(admin_page(server))
    until(lambda: here.get("query", query="up == 1")["result"], what="the first scrape")

    with Load(stream, clients=2, may_lose=LOSSES) as streams, Load(datagram, clients=1, may_lose=LOSSES) as datagrams:
        assert stream.ask(b"raise") == b""
        assert get(web, "/").status == 200
        server.kill(server.workers("chat")[0])
        server.wait_for_workers(2, pool="chat")
        assert server.reload().returncode == 0
        silent = set(queries())

        def all_answer() -> bool:
            silent.difference_update([query for query in silent if here.answers(query)])
            return not silent

        try:
            until(all_answer, what="every query to return data", within=45)
        except AssertionError:
            pytest.fail("these return no data:\n" + "\n".join(map(str, sorted(silent))))
    assert streams.ok
    assert datagrams.ok
    rules = [rule for group in here.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}, rules
    firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
    assert not firing & {"ForkfulDown", "ForkfulWorkersMissing", "ForkfulReloadFailed"}
