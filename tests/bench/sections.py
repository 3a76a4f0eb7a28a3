"""The sections of the report, by name: what is measured beside peers, how cost grows, and the promises."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench import (
    aio,
    balance,
    defer,
    files,
    growth,
    hello,
    idle,
    idleness,
    promises,
    pythons,
    save,
    secure,
    slow,
    speed,
    web_socket,
)
from tests.bench.comparison import Rounds
from tests.bench.figure import Figure
from tests.bench.loss import loss
from tests.bench.memory import memory
from tests.bench.replacement import replacement
from tests.bench.scrape import scrape
from tests.bench.start import start


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    name: str
    title: str
    run: Callable[[Rounds], list[Figure]]


MEASURED = (
    Section("tcp", "TCP echo of 64 bytes, one connection per request", speed.tcp),
    Section("persistent", "TCP echo of 64 bytes over 50 persistent connections", speed.persistent),
    Section("udp", "UDP echo of 64 bytes", speed.udp),
    Section("aio", "TCP echo on an event loop, 50 persistent connections", aio.aio),
    Section("http", "WSGI hello, keep-alive, 50 connections", hello.kept),
    Section("balancer", "Hello behind a balancer: every request another client's", hello.balancer),
    Section("browser", "WSGI hello with a browser's header fields", hello.browser),
    Section("close", "WSGI hello, one connection per request", hello.closing),
    Section("threads", "WSGI hello in four threads", hello.threads),
    Section("asgi", "ASGI hello", hello.asgi),
    Section("websocket", "WebSocket echo, 50 connections", web_socket.web_socket),
    Section("tls", "TLS: handshakes, and bodies of 1 MB", secure.secure),
    Section("files", "Files of 1 KB, 100 KB and 100 MB", files.files),
    Section("idle", "10,000 idle HTTP connections on one worker", idle.idle_connections),
    Section("defer", "defer_accept: clients that speak first, that wait to be greeted, that say nothing", defer.defer),
    Section("slow", "200 slow HTTP clients of one worker", slow.slow),
    Section("balance", "Long-lived connections over 4 workers: the biggest share", balance.balance),
    Section("loss", "UDP under more than its queue can hold", loss),
    Section("scrape", "A scrape of /metrics", scrape),
    Section("replacement", "A worker killed, its handler's import takes 1 s", replacement),
    Section("start", "From the command to the first answer, nothing to import", start),
    Section("master", "The master by itself", idleness.master),
    Section("save", "A file saved to the first answer of the new code, an application of three lines", save.save),
    Section("pythons", "Other Pythons beside this one", pythons.pythons),
    Section("memory", "Memory of a worker with Django imported (PSS, 4 workers)", memory),
)

PROMISES = tuple(Section(each.name, each.title, promises.run(each)) for each in promises.PROMISES)
GROWTHS = tuple(Section(f"growth-{each.name}", each.title, each.run) for each in growth.GROWTHS)
SECTIONS = (*MEASURED, *GROWTHS, *PROMISES)

#: Names for several sections; `goals` are those with which we have said what we want to reach.
GROUPS = {
    "goals": (
        *("balancer", "close", "browser", "http", "threads", "asgi", "aio", "websocket", "tcp", "udp"),
        *("memory", "replacement", "start", "master"),
    ),
    "measured": tuple(section.name for section in MEASURED),
    "growth": tuple(section.name for section in GROWTHS),
    "promises": tuple(section.name for section in PROMISES),
    "all": tuple(section.name for section in SECTIONS),
}


def named(names: list[str]) -> list[Section]:
    """The sections with these names or of these groups, each once, in the table's order. KeyError: no such name."""
    known = {section.name for section in SECTIONS}
    wanted = {each for name in names for each in GROUPS.get(name, (name,))}
    if unknown := wanted - known:
        raise KeyError(", ".join(sorted(unknown)))
    return [section for section in SECTIONS if section.name in wanted]
