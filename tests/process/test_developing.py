"""`serve --reload`: what is saved serves, and a mistake is shown instead of ending anything."""

from collections.abc import Callable
from functools import partial

from tests.conftest import Serve
from tests.kit.app import App
from tests.kit.door import Door
from tests.kit.server import Server
from tests.kit.web import get

Doors = Callable[[str], Door]
WEB = """\
from pathlib import Path

TEXT = {text!r}

def Handler(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [TEXT.encode()]
"""
ASGI = """\
async def Handler(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("none")
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": {text!r}.encode()}})
"""
HTML = "text/html,application/xhtml+xml,*/*;q=0.8"


def web(text: str, source: str = WEB) -> str:
    return source.format(text=text)


def wait_for(server: Server, door: Door, text: str) -> None:
    server.wait_until(lambda: get(door, "/").text == text or None, what=f"the answer {text!r}")


def serves(server: Server, generation: int) -> bool:
    return bool(server.status()["generation"] == generation)


def wait_for_failure(server: Server, word: str) -> None:
    server.wait_until(lambda: word in server.status()["reload"]["message"] or None, what=f"a failure with {word}")


def test_saved_code_serves_and_a_mistake_is_shown_while_the_old_code_goes_on(
    serve: Serve, doors: Doors, app: App
) -> None:
    door = doors("tcp")
    app.write(web("one"))
    server = serve(app.handler, "--reload", binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    assert get(door, "/").text == "one"
    app.write(web("two"))
    wait_for(server, door, "two")

    app.write("import <mistake>\n")
    wait_for_failure(server, "SyntaxError")
    assert get(door, "/").text == "two", "who is no browser is served by the old code"
    assert get(door, "/", "POST", accept=HTML).text == "two"
    page = server.wait_until(lambda: ((a := get(door, "/", accept=HTML)).status == 500 and a) or None, what="the page")
    assert "import &lt;mistake&gt;" in page.text
    assert "<mistake>" not in page.text
    name = page.headers["Forkful-Mistake"]
    assert get(door, "/", forkful_mistake=name).headers["Forkful-Mistake"] == name, "it is not mended yet"

    app.write(web("three"))
    wait_for(server, door, "three")
    assert get(door, "/", accept=HTML).text == "three"
    assert get(door, "/", forkful_mistake=name).headers["Forkful-Mistake"] != name
    assert server.pool()["deaths"] == 0


def test_first_start_waits_until_the_application_can_be_loaded(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    app.write("def Handler(:\n")
    server = serve(app.handler, "--reload", binds=[door], cwd=app.folder, ready=False)
    server.may_log_tracebacks = True
    server.wait_for_log("waiting until a file changes")
    answer = get(door, "/")
    assert (answer.status, answer.headers["Content-Type"]) == (500, "text/plain; charset=utf-8")
    page = server.wait_until(
        lambda: ((a := get(door, "/", accept=HTML)).text.startswith("<!doc") and a) or None, what="it"
    )
    assert "SyntaxError" in page.text
    assert not server.status()["ready"]

    app.write(web("mended", ASGI))
    wait_for(server, door, "mended")
    server.wait_ready()
    app.write("import no_such_module\n")
    wait_for_failure(server, "no_such_module")
    (app.folder / "no_such_module.py").write_text("")
    app.write("import no_such_module\n" + web("again", ASGI))
    wait_for(server, door, "again")


def test_other_files_count_by_pattern_and_by_name(serve: Serve, doors: Doors, app: App) -> None:
    door, away = doors("tcp"), app.folder.parent / "away"
    url = door.url
    away.mkdir()
    (app.folder / "templates").mkdir()
    (app.folder / "generated").mkdir()
    app.write(web("x").replace("TEXT = 'x'", "TEXT = Path('count').read_text() if Path('count').exists() else '0'"))
    section = """
        [master]
        reload = true
        reload_include = ["templates/**/*.html"]
        reload_exclude = ["generated"]
        reload_extra_file = ["../away/extra.txt"]
        [pool.main]
        handler = "versioned:Handler"
        bind = ["{}"]
        """
    server = serve(config=section.format(url), binds=[door], cwd=app.folder)
    server.wait_for_log("files are watched")
    (app.folder / "templates" / "in").mkdir()
    for number, path in enumerate(("templates/a.html", "templates/in/b.html", "../away/extra.txt"), 1):
        (app.folder / "count").write_text(str(number))
        (app.folder / "generated" / "code.py").write_text("")
        (app.folder / "notes.txt").write_text("")
        (app.folder / path).write_text("new")
        wait_for(server, door, str(number))
        server.wait_until(partial(serves, server, number + 1), what="one reload, not more")
    server.configure(section.format(url).replace("templates/**/*.html", "*.txt"))
    (app.folder / "count").write_text("4")
    wait_for(server, door, "4")
    (app.folder / "count").write_text("5")
    server.wait_until(partial(serves, server, 5), what="the settings' reload")
    server.wait_for_log("files are watched", count=2)
    (app.folder / "notes.txt").write_text("new")
    wait_for(server, door, "5")
