"""Several pools under one master: each with its own handler, addresses and troubles."""

from collections.abc import Callable

from tests.conftest import Serve
from tests.kit.app import App
from tests.kit.door import Door, door_of
from tests.kit.load import Load

Doors = Callable[[str], Door]


def test_each_pool_serves_its_own_handler_at_its_own_addresses(serve: Serve, doors: Doors) -> None:
    tcp, udp, unix = doors("tcp"), doors("udp"), doors("unix")
    config = f"""
[pool.echo]
handler = "classic:EchoHandler"
bind = ["{tcp.url}", "{unix.url}"]
workers = 2

[pool.upper]
handler = "classic:DatagramUpper"
bind = ["{udp.url}"]
"""
    server = serve(binds=[tcp, udp, unix], config=config)

    assert (tcp.ask(b"a"), unix.ask(b"b"), udp.ask(b"c")) == (b"a", b"b", b"C")
    assert (len(server.workers("echo")), len(server.workers("upper"))) == (2, 1)
    metrics = server.metrics_at_rest()
    assert metrics.sum("forkful_requests_total", pool="echo", outcome="ok") == 2
    assert metrics.sum("forkful_requests_total", pool="upper", outcome="ok") == 1


def test_trouble_of_one_pool_is_not_the_trouble_of_another(serve: Serve, doors: Doors, app: App) -> None:
    good, bad = doors("tcp"), doors("tcp")
    (app.folder / "good.py").write_text(app.path.read_text())
    config = f"""
[pool.good]
handler = "good:Handler"
bind = ["{good.url}"]
workers = 2

[pool.bad]
handler = "{app.handler}"
bind = ["{bad.url}"]
"""
    server = serve(binds=[good, bad], config=config, cwd=app.folder)
    server.may_log_tracebacks = True
    untouched = server.workers("good")
    app.write("raise OSError('away')\n")
    with Load(good) as load:
        server.kill(server.workers("bad")[0])
        server.wait_for_log("deaths in a row", count=2)
        load.more(20)
        assert server.workers("good") == untouched
        code, reason = server.admin.get("/readyz")
        assert code == 503
        assert "bad" in reason
        app.echo()
        server.wait_for_workers(1, pool="bad")
    assert bad.ask(b"healed") == b"healed"


def test_reload_that_fails_in_one_pool_changes_no_pool(serve: Serve, doors: Doors, app: App) -> None:
    one, two = doors("tcp"), doors("tcp")
    (app.folder / "other.py").write_text(app.path.read_text())
    config = f"""
[pool.one]
handler = "other:Handler"
bind = ["{one.url}"]

[pool.two]
handler = "{app.handler}"
bind = ["{two.url}"]
"""
    server = serve(binds=[one, two], config=config, cwd=app.folder)
    server.may_log_tracebacks = True
    before = server.workers("one") | {9: server.workers("two")[0]}
    app.write("raise OSError('away')\n")

    assert server.reload().returncode != 0
    assert server.workers("one") | {9: server.workers("two")[0]} == before
    assert (one.ask(b"1"), two.ask(b"2")) == (b"1", b"2")


def test_each_port_0_is_a_port_of_its_own_and_a_reload_keeps_them(serve: Serve) -> None:
    anywhere = "tcp://127.0.0.1:0"
    config = f"""
[pool.echo]
handler = "classic:EchoHandler"
bind = ["{anywhere}", "{anywhere}"]

[pool.staged]
handler = "stages:Staged"
bind = ["{anywhere}"]
"""
    server = serve(binds=[], config=config)
    before = [*server.listeners("echo"), *server.listeners("staged")]
    assert len({*before}) == 3
    assert [door_of(address).ask(b"x") for address in before] == [b"x"] * 3
    metrics = server.metrics_at_rest()
    assert metrics.sum("forkful_requests_total", pool="echo") == 2
    server.hup()

    assert [*server.listeners("echo"), *server.listeners("staged")] == before
    server.now_holds_more()
