"""What is written for strangers: the metrics' table is the page's, links lead somewhere, the README's example runs."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.wait import until
from tests.kit.web import get

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
METRICS = ROOT / "deploy" / "reference" / "metrics.md"
MARKERS = ("<!-- metrics -->", "<!-- /metrics -->")


def table(page: str) -> Iterator[str]:
    """Our own metrics as Markdown."""
    yield from ("| metric | labels | |", "|---|---|---|")
    for family in text_string_to_metric_families(page):
        if family.name.startswith("forkful_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le")
            yield f"| `{name}` | {', '.join(f'`{label}`' for label in labels)} | {family.documentation} |"


def test_the_reference_names_every_metric(serve: Serve, doors: Callable[[str], Door], certificate: Path) -> None:
    stream, datagram, web = doors("tcp"), doors("udp"), doors("tcp")
    config = f"""
        [master]
        on_stop = "true"
        [pool.stream]
        handler = "classic:EchoHandler"
        bind = ["{stream.url}"]
        certfile = "{certificate}"
        hooks = {{ post_fork = "optioned:hook" }}
        [pool.datagram]
        handler = "classic:DatagramEcho"
        bind = ["{datagram.url}"]
        [pool.flows]
        handler = "classic:DatagramEcho"
        bind = ["udp://127.0.0.1:0"]
        affinity = "peer"
        [pool.web]
        handler = "wsgi:echo"
        bind = ["{web.url}"]
        """
    server = serve(config=config, binds=[stream, datagram, web])
    assert get(web, "/").status == 200
    until(lambda: "forkful_http_responses_total{" in server.admin.get("/metrics")[1], what="the answer to be counted")
    expected = "\n".join(table(server.admin.get("/metrics")[1]))

    said = METRICS.read_text().partition(MARKERS[0])[2].partition(MARKERS[1])[0].strip()

    assert said == expected, f"the table of metrics.md should be:\n{expected}"


def test_the_readme_is_read_in_three_minutes() -> None:
    assert len(README.read_text().splitlines()) < 130


@pytest.mark.parametrize("page", [README, *sorted((ROOT / "deploy").rglob("*.md"))], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", page.read_text()) if not link.startswith("http")]

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_example_of_the_readme_runs_as_it_is_shown(serve: Serve, tmp_path: Path) -> None:
    text = README.read_text()
    (program,) = re.findall(r"\(`echo\.py`\):\n\n```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "echo.py").write_text(program)
    (shown,) = re.findall(r"^forkful serve (echo:Echo) --bind :7000 (.*)$", text, re.MULTILINE)
    server = serve(shown[0], *shown[1].split(), cwd=tmp_path)

    with server.doors[0].connect() as client:
        client.sendall(b"hello\nworld\n")
        client.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: client.recv(100), b"")) == b"HELLO\nWORLD\n"
    server.hup()
