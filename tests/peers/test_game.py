"""The arena with players over UDP, WebSockets and in a browser: nobody is dropped; rooms over workers and hosts."""

import asyncio
import itertools
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit.arena import Guest, Guests, Player, UdpGuest, WebGuest
from tests.kit.door import door_of
from tests.kit.wait import PATIENCE
from tests.peers.browser import Browser
from tests.peers.neighbour import Neighbour, find

MODULE = "forkful.handlers.examples.game"
HERE = itertools.count(1)


class Game:
    """A running one."""

    def __init__(self, serve: Serve, **environment: str) -> None:
        # An address of its own, for the page must know the arena's port before there is one.
        self.arena = (f"127.{os.getpid() >> 8 & 0x3F | 0x40}.{os.getpid() & 0xFF}.{next(HERE)}", 9999)
        udp = "{}:{}".format(*self.arena)
        self.server = serve(
            binds=(),
            config=f"""
                [pool.arena]
                handler = "{MODULE}:Arena"
                bind = ["udp://{udp}"]
                workers = 2
                affinity = "peer"
                preload = true
                [pool.page]
                handler = "{MODULE}:page"
                bind = ["http://127.0.0.1:0"]
                preload = true
            """,
            env={"ARENA_UDP": udp, **environment},
        )
        self.url = "ws://{}:{}/play".format(*door_of(self.server.listeners("page")[0]).address)

    def guests(self, udp: int, web: int, room: str = "") -> list[Guest]:
        return [
            *(UdpGuest(Player(f"udp{number}", room), self.arena) for number in range(udp)),
            *(WebGuest(Player(f"web{number}", room), self.url) for number in range(web)),
        ]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "redis.sock"
    command = [find("redis-server"), "--port", "0", "--unixsocket", str(path), "--save", ""]
    with Neighbour(command, tmp_path, env={}, fds=()) as server:
        server.wait_for_log("The server is now ready to accept connections at")
        yield f"unix://{path}"


async def meanwhile(guests: Guests, work: Callable[[], object]) -> None:
    """They play while something blocking is done."""
    working = asyncio.create_task(asyncio.to_thread(work))
    await guests.play(working.done, 5 * PATIENCE)
    await working


async def until(guests: Guests, fact: Callable[[], bool]) -> None:
    """They play until it is so."""
    await guests.play(fact, PATIENCE)


def all_play(guests: Guests, ticks: int = 5) -> Callable[[], bool]:
    """Whether each has joined, and seen so many ticks more than now."""
    before = [player.tick for player in guests.players]
    return lambda: all(
        player.joined and player.tick >= tick + ticks for player, tick in zip(guests.players, before, strict=True)
    )


def test_nobody_is_dropped_by_reloads_and_an_upgrade_and_all_come_back_after_a_kill(serve: Serve) -> None:
    game = Game(serve)

    async def match() -> None:
        guests = Guests(game.guests(6, 2) + game.guests(2, 2, room="ours"), random.Random(15))
        await until(guests, all_play(guests))
        tokens = [player.token for player in guests.players]
        ours = [player for player in guests.players if player.room == "ours"]
        assert len(ours) == 4
        await until(guests, lambda: all(len(player.names()) == 4 for player in ours))
        for befalls in (game.server.hup, game.server.usr2):
            await meanwhile(guests, befalls)
            await until(guests, all_play(guests))
        assert [player.token for player in guests.players] == tokens
        assert sum(player.counts["dropped"] for player in guests.players) == 0
        assert all(guest.player.counts["again"] >= 2 for guest in guests.guests if isinstance(guest, WebGuest))
        assert all(player.counts["?"] == 0 for player in guests.players[:6]), "they never were strangers"
        for pid in game.server.workers("arena").values():
            await meanwhile(guests, lambda: game.server.kill(pid))  # noqa: B023  # it is over before the next
        await until(guests, lambda: all(player.counts["dropped"] for player in guests.players))
        await until(guests, all_play(guests))
        assert {player.room for player in ours} == {"ours"}
        await until(guests, lambda: all(len(player.names()) == 4 for player in ours))
        await guests.leave()

    asyncio.run(match())
    metrics = game.server.metrics()
    assert metrics.sum("arena_joined_total", how="new") == 24
    game.server.wait_until(lambda: game.server.metrics().sum("arena_players") == 0, what="all have left")


def test_leaving_is_seen_at_once_and_who_was_away_comes_back_to_its_place(serve: Serve) -> None:
    game = Game(serve)

    async def match() -> None:
        stays, leaves, moves = game.guests(3, 0, room="r")
        guests = Guests([stays, leaves, moves], random.Random(15))
        await until(guests, lambda: len(stays.player.names()) == 3)
        leaves.say(b"L")
        guests.guests.remove(leaves)
        await until(guests, lambda: stays.player.names() == {"udp0", "udp2"})
        assert isinstance(moves, UdpGuest)
        token, number = moves.player.token, moves.player.id
        await moves.open()  # from another port, as after a change of networks
        await until(guests, lambda: moves.player.counts["W"] > 1)
        await until(guests, all_play(guests))
        assert (moves.player.token, moves.player.id) == (token, number)
        assert stays.player.names() == {"udp0", "udp2"}
        leaves.close()
        await guests.leave()

    asyncio.run(match())


def test_hosts_send_players_of_a_room_to_the_one_that_has_it(serve: Serve, redis: str) -> None:
    here, there = (Game(serve, ARENA_REDIS=redis, ARENA_HERE=json.dumps({"udp": name})) for name in ("first", "second"))

    async def match() -> None:
        guests = Guests(here.guests(1, 1, room="r"), random.Random(15))
        await until(guests, all_play(guests))
        wanders = UdpGuest(Player("wanders", "r"), there.arena)
        lost = Guests([wanders], random.Random(15))
        await until(lost, lambda: wanders.player.elsewhere != "")
        assert json.loads(wanders.player.elsewhere) == {"udp": "first"}
        wanders.arena = here.arena
        await wanders.open()
        guests = Guests([*guests.guests, wanders], random.Random(15))
        await until(guests, lambda: wanders.player.joined and len(wanders.player.names()) == 3)
        await guests.leave()

    asyncio.run(match())


def test_browser_plays_by_keyboard_and_touch_and_stays_in_the_match_through_a_reload(
    serve: Serve, tmp_path: Path
) -> None:
    game = Game(serve)
    with Browser(tmp_path) as browser, browser.page() as page:
        page.open(f"{game.url.replace('ws', 'http', 1).removesuffix('play')}#name=eve&room=r&play")

        def shows(what: str) -> object:
            return game.server.wait_until(lambda: page.run(f"return {what}"), what=what)

        async def match() -> None:
            guests = Guests(game.guests(1, 0, room="r"), random.Random(15))
            (player,) = guests.players
            await until(guests, lambda: player.names() == {"eve", "udp0"})
            await meanwhile(guests, lambda: shows("game.me.joined && game.tick > 10"))
            x = page.run("return game.x")
            way = ("KeyD", "KeyA") if x < 12800 else ("KeyA", "KeyD")
            page.call("Input.dispatchKeyEvent", type="keyDown", code=way[0])
            await meanwhile(guests, lambda: shows(f"Math.abs(game.x - {x}) > 1000"))
            page.call("Input.dispatchKeyEvent", type="keyUp", code=way[0])
            tick = page.run("return game.tick")
            await meanwhile(guests, game.server.hup)
            await meanwhile(guests, lambda: shows(f"game.again && game.me.joined && game.tick > {tick} + 20"))
            assert page.run("return game.dropped") == 0
            assert player.names() == {"eve", "udp0"}
            page.call("Emulation.setTouchEmulationEnabled", enabled=True)
            page.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": 600, "y": 300}])
            page.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": 660, "y": 300}])
            await meanwhile(guests, lambda: shows("game.worlds.get(game.tick).get(game.me.id).shots > 1"))
            page.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            page.run("document.getElementById('leave').click()")
            await until(guests, lambda: player.names() == {"udp0"})
            await guests.leave()

        asyncio.run(match())
        assert page.complaints() == []
