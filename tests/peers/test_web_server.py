"""The example of a web server: paths, ranges and conditions as nginx takes them, by real clients."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.conftest import Serve
from tests.kit.door import Door, host_port
from tests.kit.server import CLI
from tests.kit.wait import PATIENCE, until
from tests.kit.web import get, talk
from tests.peers.browser import Browser
from tests.peers.conftest import Beside
from tests.peers.neighbour import find

Doors = Callable[[str], Door]

NGINX = """
daemon off; {user} error_log stderr; pid {folder}/nginx.pid;
events {{ }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    types {{ text/html html; text/plain txt; }}
    server {{
        listen {address};
        root {root};
        autoindex on;
        location ~ /\\.(?!well-known) {{ return 404; }}
    }}
}}
"""
SECRET = "outside of the root"
#: A request target, and what becomes of it where nginx is not asked: it follows every link, and says 400
#: of a percent sign with nothing behind it.
HOSTILE: dict[str, int | None] = {
    **dict.fromkeys(
        [
            *("/", "/plain.txt", "/sub/page.html", "/sub", "/sub/", "/sub/none", "/none", "/none/", "/plain.txt/"),
            *("//plain.txt", "/./plain.txt", "/sub/../plain.txt", "/sub/%2e%2e/plain.txt", "/sub/..%2Fplain.txt"),
            *("/..", "/../", "/../secret", "/%2e%2e/secret", "/..%2fsecret", "/sub/../../secret", "/%2e%2e%2fsecret"),
            *("/..%5csecret", "/..\\secret", "/....//secret", "/..;/secret", "/.%2e/secret", "/%252e%252e/secret"),
            *("/sub/..%252f..%252fsecret", "/plain.txt%00", "/plain.txt%00.html", "/%00", "/sub/%c0%ae%c0%ae/secret"),
            *("/.git/config", "/%2egit/config", "/sub/../.git/config", "/.env", "/.well-known/security.txt"),
            *(
                "/plain.txt?/../../secret",
                "/sub?/..",
                "/plain%2etxt",
                "/Plain.txt",
                "/%",
                "/%zz",
                "/a%2",
                "//etc/passwd",
            ),
            *(
                "/" + "a" * 300,
                "/" + "a/" * 1500,
                "/" + "%2e%2e/" * 9 + "etc/passwd",
                "/..%c0%afsecret",
                "/sub/.",
                "/sub/..",
            ),
            *(
                "/odd%20name%20%26%20%231%3F.txt",
                "/j%C3%BCrgen.txt",
                "/%ff",
                "/~root",
                "/proc/self/environ",
                "/C:/secret",
            ),
        ]
    ),
    **dict.fromkeys(
        [
            "/%",
            "/%zz",
            "/a%2",
            "//etc/passwd",
            "/out",
            "/sub/out",
            "/etc/passwd",
            "/loop",
            "/broken",
            "/out%2F",
            "/plain.txt.br",
            "/fifo",
        ],
        404,
    ),
    "/inside": 200,
}


def site(folder: Path) -> Path:
    """A folder with what may be asked for, beside what may not."""
    root = folder / "root"
    (root / "sub").mkdir(parents=True)
    (folder / "secret").write_text(SECRET)
    for name in (".git/config", ".env", ".well-known/security.txt", "plain.txt", "sub/page.html"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(f"this is {name}\n" * 20)
    for name in ("odd name & #1?.txt", "jürgen.txt"):
        (root / name).write_text(name)
    for name, target in {"out": "../secret", "sub/out": "../../secret", "etc": "/etc", "loop": "loop"}.items():
        (root / name).symlink_to(target)
    (root / "plain.txt.br").symlink_to("../secret")  # a variant may lead out, too
    (root / "broken").symlink_to("nowhere")
    (root / "inside").symlink_to("sub/page.html")
    os.mkfifo(root / "fifo")
    os.utime(root / "plain.txt", (1_700_000_000, 1_700_000_000))
    return root


def said(door: Door, target: str, *fields: str) -> tuple[int, bytes, bytes]:
    """Status, head and body of the answer to this very target."""
    lines = [f"GET {target} HTTP/1.1", "Host: a", "Connection: close", *fields, "", ""]
    head, _, body = talk(door, "\r\n".join(lines).encode("latin-1")).partition(b"\r\n\r\n")
    return int(head.split()[1]), head, body


@pytest.fixture
def pair(serve: Serve, doors: Doors, neighbour: Beside, tmp_path: Path) -> tuple[Door, Door]:
    """The example's server, and nginx, with the same folder."""
    root = site(tmp_path)
    ours, theirs = doors("tcp"), doors("tcp")
    serve(f"forkful.handlers.examples.web:site({str(root)!r})", "--interface", "asgi", binds=[ours])
    text = NGINX.format(folder=tmp_path, root=root, address=host_port(theirs), user="user root;" * (os.getuid() == 0))
    (tmp_path / "nginx.conf").write_text(text)
    assert theirs.listener is not None
    theirs.listener.setblocking(False)  # as nginx assumes
    fd = theirs.listener.fileno()
    arguments = ("-c", str(tmp_path / "nginx.conf"), "-e", "stderr")
    neighbour("nginx", *arguments, env={"NGINX": f"{fd};"}, fds=[fd])
    return ours, theirs


def test_a_path_leads_where_nginx_has_it_lead_and_never_out(pair: tuple[Door, Door]) -> None:
    ours, theirs = pair
    answers = {target: said(ours, target, "Accept-Encoding: br") for target in HOSTILE}
    statuses = {target: answer[0] for target, answer in answers.items()}
    wanted = {target: known or said(theirs, target)[0] for target, known in HOSTILE.items()}

    assert {t: (statuses[t], wanted[t]) for t in HOSTILE if statuses[t] != wanted[t]} == {}, "ours, wanted"
    leaks = [target for target, answer in answers.items() if SECRET.encode() in answer[2] or b"root:" in answer[2]]
    assert not leaks
    page = answers["/"][2].decode()
    assert "./odd%20name%20%26%20%231%3F.txt" in page
    assert not [name for name in ("out", "etc", "loop", "broken", ".git", ".br", "fifo") if f">{name}" in page]


CONDITIONS = [
    *(
        ("Range: bytes=0-4",),
        ("Range: bytes=5-",),
        ("Range: bytes=-5",),
        ("Range: bytes=-9999",),
        ("Range: bytes=0-0",),
    ),
    *(("Range: bytes=-1",), ("Range: bytes=0-99999",), ("Range: bytes=99999-",), ("Range: items=0-4",)),
    *(("Range: bytes=0-4,99999-",), ("Range: BYTES=1-2",), ("Range: bytes= 1-2 ",), ("Range: bytes=0-4, 10-14, -3",)),
    *(("Range: bytes=0-4", "If-Range: DATE"), ("Range: bytes=0-4", "If-Range: Mon, 01 Jan 2001 00:00:00 GMT")),
    *(("Range: bytes=0-4", "If-Range: ETAG"), ("Range: bytes=0-4", 'If-Range: "other"')),
    *(("If-None-Match: ETAG",), ("If-None-Match: W/ETAG",), ('If-None-Match: "a", ETAG',), ("If-None-Match: *",)),
    *(('If-None-Match: "other"',), ('If-None-Match: "other"', "If-Modified-Since: DATE"), ("If-Modified-Since: DATE",)),
    *(("If-Modified-Since: Mon, 01 Jan 2001 00:00:00 GMT",), ("If-Modified-Since: nonsense",)),
    *(("If-Match: ETAG",), ("If-Match: *",), ('If-Match: "other"',), ("If-Unmodified-Since: DATE",)),
    *(("If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT",), ("Range: bytes=0-4", "If-None-Match: ETAG")),
]


def test_ranges_and_conditions_are_answered_as_nginx_answers(pair: tuple[Door, Door]) -> None:
    def answered(door: Door, fields: tuple[str, ...]) -> tuple[int, str, bytes]:
        known = get(door, "/plain.txt").headers
        own = [field.replace("DATE", known["Last-Modified"]).replace("ETAG", known["ETag"]) for field in fields]
        status, head, body = said(door, "/plain.txt", *own)
        spans = [
            line
            for line in [*head.decode().splitlines(), *body.decode().splitlines()]
            if line.lower().startswith("content-range")
        ]
        return status, str(spans).lower(), body if (status, len(spans)) in {(200, 0), (206, 1)} else b""

    ours, theirs = pair
    found = {fields: (answered(ours, fields), answered(theirs, fields)) for fields in CONDITIONS}
    assert {fields: both for fields, both in found.items() if both[0] != both[1]} == {}


def test_variants_and_what_is_compressed_on_the_way_are_the_same_to_curl(
    serve: Serve, doors: Doors, tmp_path: Path
) -> None:
    door, root = doors("tcp"), tmp_path / "root"
    root.mkdir()
    text = "".join(f"{number}\n" for number in range(20_000))
    for name in ("made.txt", "app.0a1b2c3d.js"):
        (root / name).write_text(text)
    subprocess.run([sys.executable, "-m", "whitenoise.compress", "-q", str(root)], check=True)
    for name in ("fresh.txt", "stale.txt", "small.txt"):
        (root / name).write_text(text if name != "small.txt" else "small")
    (root / "stale.txt.gz").write_bytes(gzip.compress(b"of last year"))
    os.utime(root / "stale.txt.gz", (1_000_000_000, 1_000_000_000))
    serve(f"forkful.handlers.examples.web:site({str(root)!r})", "--interface", "asgi", binds=[door])

    for name in ("made.txt", "fresh.txt", "stale.txt"):
        url = f"http://{host_port(door)}/{name}"
        plain = subprocess.run([find("curl"), "-sS", "--compressed", url], check=True, capture_output=True, text=True)
        assert plain.stdout == text
        packed, whole = get(door, f"/{name}", Accept_Encoding="gzip"), get(door, f"/{name}")
        assert (packed.headers["Content-Encoding"], gzip.decompress(packed.body).decode()) == ("gzip", text)
        assert len(packed.body) < len(text) / 2
        assert packed.headers["ETag"] != whole.headers["ETag"]
        assert get(door, f"/{name}", Accept_Encoding="gzip", If_None_Match=packed.headers["ETag"]).status == 304
        assert get(door, f"/{name}", If_None_Match=packed.headers["ETag"]).body.decode() == text
        assert get(door, f"/{name}", Accept_Encoding="gzip", Range="bytes=0-3").body == b"0\n1\n"
        assert whole.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert get(door, "/fresh.txt", Accept_Encoding="br, gzip;q=0").body.decode() == text
    assert "Content-Encoding" not in get(door, "/small.txt", Accept_Encoding="gzip").headers
    assert "immutable" in get(door, "/app.0a1b2c3d.js").headers["Cache-Control"]
    assert get(door, "/fresh.txt").headers["Cache-Control"] == "public, max-age=60"


def test_one_service_has_files_wsgi_asgi_by_prefix_and_host_and_a_websocket_that_comes_again(
    serve: Serve, doors: Doors, tmp_path: Path
) -> None:
    door = doors("tcp")
    server = serve(script=[*CLI, "demo", "web", "--bind", door.url], binds=[door])
    where = host_port(door)

    assert "SCRIPT_NAME = /wsgi\nPATH_INFO = /a b\n" in get(door, "/wsgi/a%20b").text
    assert json.loads(get(door, "/api/").text)["worker"] in server.workers("web").values()
    assert json.loads(get(door, "/", Host="api.localhost").text)["worker"] in server.workers("web").values()
    with Browser(tmp_path) as browser, browser.page() as page:
        page.open(f"http://{where}/")
        shown = "return ['said', 'clock'].map(id => document.getElementById(id).textContent)"
        until(lambda: "…" not in page.run(shown), what="what the WebSocket and the clock said")
        before = page.run(shown)[1].split()[-1]
        with connect(f"ws://{where}/echo") as socket:
            socket.send("wörld")
            assert socket.recv(PATIENCE) == "wörld"
            server.hup()
            with pytest.raises(ConnectionClosed) as told:
                socket.recv(PATIENCE)
        assert told.value.rcvd is not None
        assert told.value.rcvd.code == 1012
        until(lambda: page.run(shown)[1].split()[-1] != before, what="the clock of another worker")
        page.run("say.value = 'again'; say.dispatchEvent(new Event('input'))")
        until(lambda: page.run(shown)[0] == "again", what="the WebSocket of another worker")
        assert not [told for told in page.complaints() if "exceptionDetails" in told]
