"""The arena's rules: inputs that count once, shots by what the shooter saw, snapshots, rooms that are handed on."""

import json
import random
import struct

import pytest

from forkful.handlers.examples.game.room import BURST, DAMAGE, KEPT, REWIND, SPEED, UNIT, WHOLE, Player, Room
from tests.kit.arena import SNAPSHOT, World, changed

HOME = ("127.0.0.1", 1)


def room_of(count: int) -> tuple[Room, list[Player]]:
    room = Room("here")
    made = [room.join(f"p{number}", f"t{number}", ("127.0.0.1", number)) for number in range(count)]
    return room, [player for player in made if player is not None]


def packed(*inputs: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("<bbHBB", dx, dy, 0, 0, 0) for dx, dy in inputs)


def put(player: Player, x: int, y: int) -> None:
    player.x, player.y = x * UNIT, y * UNIT


def world(room: Room) -> World:
    return {number: [*parts] for number, parts in room.history[room.tick].items()}


def test_who_has_seen_any_of_the_last_ticks_gets_what_is_now_from_what_has_changed() -> None:
    dice = random.Random(15)
    room, players = room_of(5)
    seen: dict[int, World] = {0: {}}
    for _ in range(3 * KEPT):
        if dice.random() < 0.05 and players:
            room.players.pop(players.pop(dice.randrange(len(players))).id)
        if dice.random() < 0.05 and (new := room.join("new", "t", HOME)) is not None:
            players.append(new)
        for player in players:
            if dice.random() < 0.7:
                turn = dice.randrange(65536), int(dice.random() < 0.3), room.tick & 0xFF
                player.waiting.append((dice.randint(-80, 80), dice.randint(-80, 80), *turn))
        room.step()
        seen[room.tick] = world(room)
        for player in players:
            player.ack = dice.choice([0, room.tick - 1, room.tick - KEPT + 1, dice.randrange(room.tick + 1), 10**6])
            data = room.snapshot(player)
            _, tick, base, _ = SNAPSHOT.unpack_from(data)
            assert tick == room.tick
            assert base in {0, player.ack}
            assert changed(seen[base], data[SNAPSHOT.size :]) == seen[tick]


def test_snapshot_of_nothing_new_is_but_its_head() -> None:
    room, (player, *_) = room_of(8)
    room.step()
    whole = room.snapshot(player)
    player.ack = room.tick
    room.step()

    assert len(room.snapshot(player)) == SNAPSHOT.size < len(whole)


def test_inputs_that_come_again_or_late_or_twice_count_once_and_in_order() -> None:
    room, (player, *_) = room_of(1)
    put(player, 100, 100)
    player.take(2, packed((16, 0), (16, 0)))
    player.take(4, packed((16, 0), (16, 0), (0, 16), (0, 16)))
    player.take(2, packed((16, 0), (16, 0)))
    player.take(3, packed((16, 0), (16, 0), (0, 16)))
    room.step()

    assert (player.x, player.y, player.seq) == (102 * UNIT, 102 * UNIT, 4)


def test_numbers_of_inputs_go_on_from_the_highest_to_0() -> None:
    room, (player, *_) = room_of(1)
    put(player, 100, 100)
    player.seq = 0xFFFE
    player.take(1, packed((16, 0), (16, 0), (16, 0)))
    room.step()

    assert (player.x, player.seq) == (103 * UNIT, 1)


@pytest.mark.parametrize("speed", [SPEED, -SPEED])
def test_nobody_is_faster_than_the_others_by_saying_more(speed: int) -> None:
    room, (player, *_) = room_of(1)
    put(player, 800, 400)
    for tick in range(1, 31):
        player.take(10 * tick, packed(*[(speed, 0)] * 10))
        room.step()

    assert abs(player.x - 800 * UNIT) <= (30 + BURST) * SPEED


def test_input_that_is_too_fast_does_not_move() -> None:
    room, (player, *_) = room_of(1)
    put(player, 800, 400)
    player.take(1, packed((127, 127)))
    room.step()

    assert (player.x, player.y, player.seq) == (800 * UNIT, 400 * UNIT, 1)


@pytest.mark.parametrize(("ago", "hits"), [(0, False), (REWIND - 1, True), (REWIND, True), (REWIND + 2, False)])
def test_shot_hits_who_stood_there_when_the_shooter_saw_it_at_most_200_ms_ago(ago: int, hits: bool) -> None:
    room, (shooter, target) = room_of(2)
    put(shooter, 100, 100)
    for tick in range(1, 40):  # it moves out of the line of fire, and is in it in one tick only
        put(target, 300, 100 if tick == 40 - ago else 100 + 5 * (tick + 20))
        room.step()
    shooter.waiting = [(0, 0, 0, 1, (40 - ago) & 0xFF)]
    room.step()

    assert target.health == (WHOLE - DAMAGE if hits else WHOLE)
    assert shooter.shot[1] == (200 if hits else 700)


def test_who_has_lost_all_health_begins_anew_and_the_other_scores() -> None:
    room, (shooter, target) = room_of(2)
    for _ in range(WHOLE // DAMAGE):
        put(shooter, 100, 100)
        put(target, 200, 100)
        room.step()
        shooter.cool = 0
        shooter.waiting = [(0, 0, 0, 1, room.tick & 0xFF)]
        room.step()

    assert (shooter.score, target.health) == (1, WHOLE)


def test_room_goes_on_in_the_next_worker_as_it_would_have() -> None:
    room, players = room_of(3)
    for _ in range(50):
        for player in players:
            player.take(player.seq + 1, packed((3, 4)))
        room.step()
    players[0].ack, players[1].waiting = room.tick - 3, [(1, 2, 3, 1, room.tick & 0xFF)]
    heir = Room.load(json.loads(json.dumps(room.dump(), default=lambda part: part.decode("latin-1"))))
    for each in (room, heir):
        each.step()

    assert [heir.snapshot(player) for player in heir.players.values()] == [room.snapshot(each) for each in players]
    assert heir.dump() == room.dump()
