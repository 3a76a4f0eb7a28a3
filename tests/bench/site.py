"""A picture of the web server's page of a folder, as `handlers/examples/web.md` shows it.

    python -m tests.bench site

Can go wrong: Chromium is not installed: exit code 2.
"""

import base64
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench.contenders import forkful
from tests.bench.server import ROOT, Server
from tests.kit.environment import short
from tests.peers.browser import Browser

PICTURE = ROOT / "handlers" / "examples" / "web.png"
SIZE = (760, 480)
#: Names, bytes, and when they were changed (Unix time).
SHOWN = {
    "2026/": (0, 1_796_000_000),
    "drawings/": (0, 1_790_500_000),
    "handbook.pdf": (2_431_556, 1_788_300_000),
    "measurements.csv": (48_211_903, 1_795_999_000),
    "readme.txt": (1_812, 1_777_000_000),
    "Überblick & <notes>.html": (9_377, 1_792_220_000),
    "film.webm": (734_003_200, 1_785_000_000),
}


def main(_: list[str]) -> int:
    if not shutil.which("chromium"):
        print("bench: no chromium: apt install it", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="site-", dir=short(tempfile.gettempdir())) as folder:
        shared = Path(folder, "root", "shared")
        shared.mkdir(parents=True)
        for name, (size, changed) in SHOWN.items():
            if name.endswith("/"):
                (shared / name).mkdir()
            else:
                (shared / name).touch()
                os.truncate(shared / name, size)  # with holes: it takes no room
            os.utime(shared / name, (changed, changed))
        site = forkful("site", f"forkful.handlers.examples.web:site({str(shared.parent)!r})", "--interface", "asgi")
        with Server(site) as server, Browser(Path(folder)) as browser, browser.page() as page:
            page.resize(*SIZE)
            page.open(f"http://{server.address}/shared/")
            PICTURE.write_bytes(base64.b64decode(page.call("Page.captureScreenshot", format="png")["data"]))
    print(f"written: {PICTURE}")
    return 0
