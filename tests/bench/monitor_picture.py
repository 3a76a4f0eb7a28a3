"""The monitor's picture: a site's good and bad hours, told by StatsD, Graphite and syslog, as the page shows it.

    python -m tests.bench monitor-picture --seconds 90

It writes `handlers/examples/monitor.png`, which the page beside it shows.
Can go wrong: Chromium is not installed: exit code 2.
"""

import argparse
import base64
import math
import random
import shutil
import sys
import time
from contextlib import ExitStack

from tests.bench.monitor import CONFIG, MONITOR, PAGE, serving
from tests.bench.server import ROOT
from tests.kit.door import door_of
from tests.peers.browser import Browser

PICTURE = ROOT / "handlers" / "examples" / "monitor.png"
SIZE = (900, 640)


def said(at: float, dice: random.Random) -> list[bytes]:
    """What a site of two hosts says in a tenth of a second; in its last quarter the second one is in trouble."""
    lines = []
    for number, host in enumerate((b"web1", b"web2")):
        trouble = number == 1 and at > 0.75
        wave = 1 + 0.6 * math.sin(9 * at + number) + 0.2 * dice.random()
        for _ in range(round(6 * wave)):
            code = 500 if dice.random() < (0.2 if trouble else 0.01) else 200
            lines.append(b"requests:1|c|#code:%d,host:%s" % (code, host))
            lines.append(b"answer:%.0f|ms|#host:%s" % (dice.lognormvariate(4.2 + 2 * trouble, 0.6), host))
        lines.append(b"queue:%d|g|#host:%s" % (3 * wave + 40 * trouble, host))
        lines.append(b"servers.load;host=%s %.2f -1" % (host, wave * (3 if trouble else 1)))
        lines.append(b"visitors:%d|s" % dice.randrange(round(400 * wave)))
        if trouble or dice.random() < 0.05:
            level = 27 if trouble else 30  # daemon, err or info
            lines.append(b"<%d>1 - %s shop - - - the database does not answer" % (level, host))
    return lines


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench monitor-picture", description="A picture for its page.")
    parser.add_argument("--seconds", type=int, default=90, help="of a site's life before the picture (default 90)")
    seconds = parser.parse_args(arguments).seconds
    if not shutil.which("chromium"):
        print("bench: no chromium: apt install it", file=sys.stderr)
        return 2
    dice = random.Random(15)
    with ExitStack() as life:
        server = life.enter_context(serving(CONFIG.format(pool="main", handler=f"{MONITOR}:collect", workers=2) + PAGE))
        site = life.enter_context(door_of(server.listeners()[0]).connect())
        page = life.enter_context(life.enter_context(Browser(server.folder)).page())
        page.resize(*SIZE)
        page.open("http://{}:{}/".format(*door_of(server.listeners("page")[0]).address))
        began = time.monotonic()
        while (at := (time.monotonic() - began) / seconds) < 1:
            for line in said(at, dice):
                site.send(line)
            time.sleep(0.1)
        PICTURE.write_bytes(base64.b64decode(page.call("Page.captureScreenshot", format="png")["data"]))
    print(f"written: {PICTURE}, {PICTURE.stat().st_size:,} bytes")
    return 0
