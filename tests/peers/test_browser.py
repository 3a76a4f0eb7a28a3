"""A browser in front: its WebSockets, event streams, forms and parallel requests, and our own pages."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit.app import App
from tests.kit.door import Door, door_of, host_port
from tests.kit.fake_master import FakeMaster, pool, running
from tests.peers.browser import Browser, Page

Doors = Callable[[str], Door]

# What the tests' scripts begin with: a promise of the first time that something happens.
NEXT = "const next = (on, what) => new Promise(heard => on.addEventListener(what, heard, {once: true}));"

HASTY = ("--keep-alive", "0.2")  # so that connections which nothing more is said on are closed, and counted


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, serve: Serve) -> Iterator[Page]:  # noqa: ARG001  # the page goes before the server does
    with browser.page() as page:
        yield page


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_page_and_its_websocket_echo_text_and_bytes_compressed(
    loop: str, serve: Serve, doors: Doors, page: Page
) -> None:
    door = doors("tcp")
    server = serve("browsed:page", "--event-loop", loop, *HASTY, binds=[door])
    page.open(f"http://{host_port(door)}/")

    heard = page.run(
        NEXT
        + """
        const chat = new WebSocket(location.origin.replace("http", "ws"));
        chat.binaryType = "arraybuffer";
        const who = (await next(chat, "message")).data;
        const heard = {who, title: document.title, extensions: chat.extensions};
        chat.send("wörld 🍴".repeat(50_000));
        heard.text = (await next(chat, "message")).data;
        chat.send(Uint8Array.from({length: 100_000}, (_, i) => i * i >> 8));
        heard.bytes = [...new Uint8Array((await next(chat, "message")).data)];
        chat.send("");
        heard.nothing = (await next(chat, "message")).data;
        chat.close(4000, "enough");
        const {code, reason, wasClean} = await next(chat, "close");
        return {...heard, end: [code, reason, wasClean]};
        """
    )

    assert heard.pop("bytes") == [(i * i >> 8) % 256 for i in range(100_000)]
    assert heard.pop("text") == "wörld 🍴" * 50_000
    assert heard.pop("extensions").startswith("permessage-deflate")
    assert heard == {
        "who": str(server.workers()[0]),
        "title": "A page",
        "nothing": "",
        "end": [4000, "enough", True],
    }
    metrics = server.metrics_at_rest()
    assert metrics.sum("forkful_requests_total", outcome="ok") == metrics.sum("forkful_requests_total") >= 2
    for way in ("received", "sent"):
        assert 1_000 < metrics.sum(f"forkful_{way}_bytes_total") < 100_000, "of more than 600,000"
    assert not page.complaints()


def test_a_websocket_is_told_of_the_restart_and_its_page_meets_the_next_generation(
    serve: Serve, doors: Doors, page: Page
) -> None:
    door = doors("tcp")
    server = serve("browsed:page", binds=[door])
    page.open(f"http://{host_port(door)}/")
    old = page.run(
        NEXT
        + """
        const connect = () => {
          const chat = new WebSocket(location.origin.replace("http", "ws"));
          return [next(chat, "message").then(said => said.data), next(chat, "close")];
        };
        const [who, end] = connect();
        globalThis.after = end.then(async ({code, reason, wasClean}) =>
          ({end: [code, reason, wasClean], who: await connect()[0]}));
        return await who;
        """
    )

    server.hup()
    after = page.run("return await after")

    assert after == {"end": [1012, "service restart", True], "who": str(server.workers()[0])}
    assert after["who"] != old


@pytest.mark.parametrize(
    ("path", "patience"),
    [("/events", "60"), ("/endless", "0.5")],
    ids=["ended by the application", "cut at the deadline"],
)
def test_an_event_stream_goes_on_in_the_next_generation_where_it_ended(
    path: str, patience: str, serve: Serve, doors: Doors, page: Page
) -> None:
    door = doors("tcp")
    server = serve("browsed:page", "--graceful-timeout", patience, binds=[door])
    page.open(f"http://{host_port(door)}/")
    page.run(
        f"""
        globalThis.stream = new EventSource("{path}");
        globalThis.heard = [];
        globalThis.three = that => new Promise(enough => {{
          const look = () => heard.filter(([, who]) => that(who)).length >= 3 && enough(heard);
          stream.addEventListener("message", look);
          look();
        }});
        stream.addEventListener("message", event => heard.push([+event.lastEventId, +event.data]));
        await three(() => true);
        """
    )
    old = server.workers()[0]

    server.hup()
    heard = page.run(f"await three(who => who !== {old}); stream.close(); return heard")

    new = server.workers()[0]
    before = len(heard) - 3  # a connection that was kept may lead to the old worker once more, which says goodbye again
    assert before >= 3
    assert heard == [[number, old if number <= before else new] for number in range(1, before + 4)]
    assert old != new


def test_a_form_with_files_arrives_whole(serve: Serve, doors: Doors, page: Page) -> None:
    door = doors("tcp")
    serve("browsed:form", "--threads", "3", binds=[door])
    page.open(f"http://{host_port(door)}/")

    page.run(
        """
        const large = new Uint8Array(3_000_000).fill(7);
        const chosen = new DataTransfer();
        chosen.items.add(new File([large], "large \\"ö\\".bin", {type: "application/x-test"}));
        chosen.items.add(new File([], "empty.txt", {type: "text/plain"}));
        document.querySelector("[name=file]").files = chosen.files;
        document.querySelector("[name=word]").value = "naïve & = 🍴";
        document.forms[0].submit();
        """
    )
    page.wait_until_loaded()

    answer = json.loads(page.run("return document.body.textContent"))
    large, nothing = (hashlib.sha256(data).hexdigest() for data in (b"\7" * 3_000_000, b""))
    assert answer["word"] == "naïve & = 🍴"
    assert answer["files"] == [
        ['large "ö".bin', "application/x-test", large],
        ["empty.txt", "text/plain", nothing],
    ]


def test_many_requests_at_once_share_few_connections(serve: Serve, doors: Doors, page: Page) -> None:
    door = doors("tcp")
    server = serve("browsed:form", "--threads", "3", "--keep-alive", "20", binds=[door])
    page.open(f"http://{host_port(door)}/")

    digests = page.run(
        """
        const ask = async number => {
          const body = new Uint8Array(number * 1000).fill(number);
          const answer = await fetch("/digest/" + number, {method: "POST", body});
          return (await answer.json()).digest;
        };
        return await Promise.all(Array.from({length: 60}, (_, number) => ask(number)));
        """
    )

    assert digests == [hashlib.sha256(bytes([number]) * number * 1000).hexdigest() for number in range(60)]
    metrics = server.metrics()
    assert metrics.sum("forkful_requests_total", outcome="ok") == metrics.sum("forkful_requests_total") >= 61
    assert metrics.sum("forkful_connections_accepted_total") <= 10


# -- our own pages -----------------------------------------------------------------------------------------------------

PHONE = 320
WIDTH = "return document.documentElement.scrollWidth"  # innerWidth grows with what does not fit


def test_the_status_page_renews_itself_under_what_somebody_reads_and_says_when_it_cannot(
    serve: Serve, doors: Doors, page: Page
) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--admin-bind", "tcp://127.0.0.1:0", binds=[door])
    (admin,) = [address for address in server.status()["admin"] if address.startswith("tcp")]
    page.open(f"http://{host_port(door_of(admin))}/")
    page.run(
        """
        getSelection().selectAllChildren(document.querySelector("h2"));
        document.querySelector("a").focus();
        globalThis.told = (id, enough) => new Promise(told => new MutationObserver(() => {
          const {textContent} = document.getElementById(id);
          if (enough(textContent)) told(textContent);
        }).observe(document.body, {subtree: true, childList: true, characterData: true}));
        globalThis.rate = told("rate-0", text => parseFloat(text) > 0);
        """
    )
    for _ in range(10):
        door.ask(b"count me")

    assert page.run("return await rate").endswith("/s")
    assert page.run("return getSelection() + ' ' + document.activeElement.textContent") == "main /metrics"
    assert page.run("return document.getElementById('note').textContent") == ""
    assert not page.complaints()

    server.signal(SIGTERM)
    server.wait_exit()
    assert page.run("return await told('note', text => text)").startswith("No answer: ")


def test_the_status_page_fits_a_phone_and_takes_what_others_said_for_text(page: Page, tmp_path: Path) -> None:
    evil = "</code></main><script>document.title = 'evil'</script><img src=x onerror=alert(1)>" + "x" * 200
    master = FakeMaster()
    master.facts["name"] = evil
    master.facts["reload"] |= {"successful": False, "message": evil, "traceback": evil}
    master.facts["pools"] = [pool(evil), {**pool("b", 1), "handler": evil, "trouble": evil, "throttled_for": 9.0}]
    master.facts["pools"][0]["listeners"][0]["address"] = evil

    with running(master, tmp_path) as admin:
        page.resize(PHONE)
        page.open(f"http://{host_port(door_of(admin.tcp_address))}/")

        assert page.run(WIDTH) == PHONE
        assert page.run("return [document.title, document.querySelector('h2').textContent]") == [
            f"{evil}: ready",
            "The last reload failed",
        ]
        assert page.run("return [document.images.length, document.scripts.length]") == [0, 1]
        assert not page.complaints()


def test_the_built_in_page_fits_a_phone(serve: Serve, doors: Doors, page: Page) -> None:
    door = doors("tcp")
    serve("forkful.handlers.page:PageHandler", binds=[door])
    page.resize(PHONE)
    page.open(f"http://{host_port(door)}/")

    assert page.run(WIDTH) == PHONE
    assert page.run("return document.querySelector('h1').textContent") == "Forkful runs."
    assert not page.complaints()


def test_the_page_of_a_mistake_goes_away_when_it_is_mended(serve: Serve, doors: Doors, app: App, page: Page) -> None:
    door = doors("tcp")
    web = 'def Handler(environ, start_response):\n    start_response("200 OK", [])\n    return [b"<title>{}</title>"]\n'
    app.write(web.format("old"))
    server = serve(app.handler, "--reload", binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    url = f"http://{host_port(door)}/?a=1"
    app.write("<script>document.title = 'executed'</script>\n")
    server.wait_until(lambda: not server.status()["reload"]["successful"], what="the failure")
    page.open(url)
    shown = page.run("return {title: document.title, text: document.body.innerText}")
    assert shown["title"] == "The application cannot be loaded"
    assert "<script>document.title = 'executed'</script>" in shown["text"]

    app.write("import another_mistake\n")
    page.wait_until_loaded()
    assert "another_mistake" in page.run("return document.body.innerText")

    app.write(web.format("new"))
    page.wait_until_loaded()
    assert page.run("return [document.title, location.search]") == ["new", "?a=1"]
