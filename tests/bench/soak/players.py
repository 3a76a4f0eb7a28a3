"""Who plays the game: headless players over UDP and by WebSockets, as the game's own tests have them."""

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping

import websockets

from tests.bench.soak.applications import Crew
from tests.bench.soak.ledger import Balance, Ledger
from tests.kit.admin import Metrics
from tests.kit.arena import Guest, Guests, Player, UdpGuest, WebGuest
from tests.kit.door import Door, host_port

NAME = "game"
OVER_UDP, IN_BROWSERS, ROOMS = 5, 2, 2
_SILENCE = 3.0  # seconds without a snapshot that a player notices
_LATE = 0.1 + 1 / 30  # seconds from a snapshot to the next: 100 ms more than a tick
_LOOK = 0.25
_GOODBYES = frozenset({1001, 1012})


class _Browser(WebGuest):
    """One that comes again however its WebSocket ended, and says how."""

    def __init__(self, player: Player, url: str, crew: Crew) -> None:
        super().__init__(player, url)
        self._where, self._crew = url, crew

    async def _play(self) -> None:
        while True:
            try:
                async with websockets.connect(self._where, compression=None, open_timeout=60) as self._socket:
                    self.player.joined = False
                    self.say(self.player.join())
                    with contextlib.suppress(websockets.ConnectionClosed):
                        async for data in self._socket:
                            assert isinstance(data, bytes)
                            self.say(self.player.take(data))
            except (OSError, EOFError, websockets.WebSocketException) as error:
                self._crew.notice("request lost", f"the handshake: {error!r}")
                await asyncio.sleep(_LOOK)
                continue
            code = self._socket.close_code
            self._crew.notice("told to come again" if code in _GOODBYES else "connection torn", code)


class Players:
    """All of them on one event loop in a thread of its own."""

    def __init__(self, ledger: Ledger) -> None:
        self._crew, self._ledger = Crew(ledger, NAME), ledger
        self._thread = threading.Thread(target=lambda: asyncio.run(self._play()), daemon=True)
        self._trouble: BaseException | None = None

    def start(self, doors: Mapping[str, list[Door]]) -> None:
        (arena,), (page,) = doors["arena"], doors["page"]
        host, _, port = host_port(arena).rpartition(":")
        url = f"ws://{host_port(page)}/play"
        players = [Player(f"p{number}", room=f"soak{number % ROOMS}") for number in range(OVER_UDP + IN_BROWSERS)]
        self._guests: list[Guest] = [UdpGuest(player, (host, int(port))) for player in players[:OVER_UDP]]
        self._guests += [_Browser(player, url, self._crew) for player in players[OVER_UDP:]]
        self._seen = [Counter[str]() for _ in players]
        self._silent = [False] * len(players)
        self._thread.start()

    async def _play(self) -> None:
        guests = Guests(self._guests, random.Random(1))
        watching = asyncio.create_task(self._watch())
        try:
            await guests.play(self._crew.over.is_set, 1e9)
        except BaseException as error:
            self._trouble = error
            raise
        finally:
            watching.cancel()
            guests.close()

    async def _watch(self) -> None:
        """Put down what players have noticed since the last look, and let go of what they remember of each snapshot."""
        while True:
            await asyncio.sleep(_LOOK)
            for number, guest in enumerate(self._guests):
                player, seen = guest.player, self._seen[number]
                for _ in range(player.counts["dropped"] - seen["dropped"]):
                    self._crew.notice("room forgotten", player.name)
                self._crew.count("snapshots", player.counts["S"] - seen["S"])
                self._crew.count("joined", player.counts["W"] - seen["W"])
                self._crew.count("ticks late by more than 100 ms", sum(gap > _LATE for gap in player.gaps))
                self._seen[number] = Counter(player.counts)
                player.gaps.clear()
                player.errors.clear()
                del player.sizes[2:]
                is_silent = bool(player.came) and time.monotonic() - player.came > _SILENCE
                if is_silent and not self._silent[number]:
                    self._crew.notice("silence of 3 s", f"{player.name}, {player.counts}")
                self._silent[number] = is_silent

    def stop(self) -> None:
        self._crew.over.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the players do not end"
        if self._trouble is not None:
            self._crew.notice("the client failed", repr(self._trouble))

    def balances(self, metrics: Metrics) -> Iterator[Balance]:
        """Who is new has a new token; one whose welcome was lost asks again, and has the same."""
        tokens = len(self._seen) + sum(seen["dropped"] for seen in self._seen)
        made = int(metrics.sum("arena_joined_total", how="new"))
        at_most = self._ledger.done_to(NAME, "worker killed") * len(self._seen)
        yield Balance(NAME, "places given, and taken", made, tokens, at_most, "by a worker that was killed then")
