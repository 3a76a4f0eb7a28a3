"""The README's table of metrics, held in step with the page of a running server."""

from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.wait import until
from tests.kit.web import get

README = Path(__file__).parent.parent.parent / "README.md"
MARKERS = ("<!-- metrics -->", "<!-- /metrics -->")


def table(page: str) -> Iterator[str]:
    """Our own metrics as Markdown."""
    yield from ("| metric | labels | |", "|---|---|---|")
    for family in text_string_to_metric_families(page):
        if family.name.startswith("forkful_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le")
            yield f"| `{name}` | {', '.join(f'`{label}`' for label in labels)} | {family.documentation} |"


def test_readme_names_every_metric(serve: Serve, doors: Callable[[str], Door], certificate: Path) -> None:
    stream, datagram, web = doors("tcp"), doors("udp"), doors("tcp")
    config = f"""
        [pool.stream]
        handler = "classic:EchoHandler"
        bind = ["{stream.url}"]
        certfile = "{certificate}"
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

    said = README.read_text().partition(MARKERS[0])[2].partition(MARKERS[1])[0].strip()

    assert said == expected, f"the README's table should be:\n{expected}"
