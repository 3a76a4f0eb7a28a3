"""What is said of one address of a pool alone: read, matched, pinned, shown, and told where nobody can follow it."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from forkful.conf.address import Address
from forkful.conf.check import check
from forkful.conf.cpus import Cpus
from forkful.conf.machine import Machine
from forkful.conf.mistakes import Mistakes
from forkful.conf.options import OPTIONS
from forkful.conf.pins import pinned, told
from forkful.conf.plan import Plan, PoolPlan
from forkful.conf.reader import Answer, read, settle

MACHINE = Machine(pids=frozenset(), uid=0, gid=0, cwd="/", cpus=lambda: Cpus(2, "auto"), stop_limit=lambda _: None)
POOL = '[pool.web]\nhandler = "x:Y"\nbacklog = 7\n'


def plan(tmp_path: Path, text: str) -> Plan:
    (tmp_path / "x.toml").write_text(text)
    return read(["-c", str(tmp_path / "x.toml")], {}, MACHINE, lambda *_: Answer("stream"))


def mistakes(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        plan(tmp_path, text)
    return [str(mistake).replace(str(tmp_path), "CWD") for mistake in caught.value.mistakes]


def backlogs(made: Plan) -> dict[str, int]:
    (pool,) = made.pools
    return {str(address): pool.at(address).backlog for address in pool.bind}


@pytest.mark.parametrize(
    ("bind", "said", "backlog"),
    [
        ('["http://127.0.0.1:1", "http://127.0.0.2:1"]', "http://127.0.0.2:1", {"http://127.0.0.2:1": 9}),
        ('["127.0.0.1:1", "127.0.0.2:1"]', "127.0.0.2:1", {"tcp://127.0.0.2:1": 9}),
        ('["127.0.0.1:1", "127.0.0.2:1"]', "tcp://127.0.0.2:1", {"tcp://127.0.0.2:1": 9}),
        ('["tcp://*:1", "tcp://*:2"]', ":2", {"tcp://*:2": 9}),
        ('["tcp://[::1]:1", "tcp://[::1]:2"]', "tcp://[::1]:2", {"tcp://[::1]:2": 9}),
        ('["unix:a.sock", "unix:@b"]', "unix:a.sock", {"unix:///a.sock": 9}),
        ('["unix:a.sock", "unix:@b"]', "unix:@b", {"unix:@b": 9}),
        ('["fd://7", "fd://8"]', "fd://8", {"fd://8": 9}),
        (
            '["tcp://127.0.0.1:0", "tcp://127.0.0.1:0"]',
            "tcp://127.0.0.1:0",
            {"tcp://127.0.0.1:0": 9, "tcp://127.0.0.1:0 (web)": 9},
        ),
        (
            '["localhost:1", "127.0.0.2:2"]',
            "localhost:1",
            {"tcp://127.0.0.1:1": 9, "tcp://[::1]:1": 9},
        ),
    ],
)
def test_what_is_said_of_an_address_goes_with_it_whatever_it_becomes(
    tmp_path: Path, bind: str, said: str, backlog: dict[str, int]
) -> None:
    made = plan(tmp_path, f"{POOL}bind = {bind}\n[pool.web.listener.{said!r}]\nbacklog = 9\n")
    found = backlogs(made)

    assert {address: length for address, length in found.items() if length == 9} == backlog
    assert {length for address, length in found.items() if address not in backlog} <= {7}
    assert Plan.from_json(made.to_json()) == made


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('"http://127.0.0.1:8"', "pool web has no such address; did you mean http://127.0.0.1:80?"),
        ('"unix:@other"', "pool web has no such address; it has http://127.0.0.1:80, unix:@web"),
        ('"foo://x:1"', "'foo' is not a scheme"),
    ],
)
def test_an_address_that_the_pool_does_not_have_is_a_mistake(tmp_path: Path, table: str, words: str) -> None:
    bind = 'bind = ["http://127.0.0.1:80", "unix:@web"]\n'

    (mistake,) = mistakes(tmp_path, f"{POOL}{bind}[pool.web.listener.{table}]\nbacklog = 9\n")

    assert mistake.startswith(f"CWD/x.toml: [pool.web.listener.{table}]: ")
    assert words in mistake


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("workers = 2", "workers: an address cannot have that for itself; write it for the whole pool"),
        ("baklog = 2", "baklog: there is no such key; did you mean backlog?"),
        ("backlog = 0", "backlog: 0 is out of bounds"),
        ('socket_owner = "nosuchuser"', "socket_owner: there is no user 'nosuchuser'"),
    ],
)
def test_what_is_wrong_there_is_told_with_its_place(tmp_path: Path, line: str, words: str) -> None:
    bind = 'bind = ["tcp://127.0.0.1:1", "unix:@web"]\n'

    (mistake,) = mistakes(tmp_path, f'{POOL}{bind}[pool.web.listener."unix:@web"]\n{line}\n')

    assert mistake.startswith('CWD/x.toml: [pool.web.listener."unix:@web"] ')
    assert words in mistake


def test_a_table_without_an_address_and_a_second_one_for_it_are_mistakes(tmp_path: Path) -> None:
    bind = 'bind = ["tcp://*:1"]\n'

    (mistake,) = mistakes(tmp_path, f"{POOL}{bind}[pool.web.listener]\nbacklog = 9\n")
    assert 'write what one address has for itself under [pool.web.listener."ADDRESS"]' in mistake
    (mistake,) = mistakes(tmp_path, f'{POOL}{bind}[pool.web.listener.":1"]\n[pool.web.listener."*:1"]\n')
    assert "tcp://*:1 has a table already" in mistake


def test_check_shows_it_and_its_text_is_a_settings_file_again(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(f'{POOL}bind = ["tcp://[::1]:1"]\n[pool.web.listener."tcp://[::1]:1"]\ndeny = ["::1"]\n')

    text, code = check(["-c", str(path)], {}, machine=MACHINE)
    found = tomllib.loads(text)

    assert code == 0
    assert found["pool"]["web"]["listener"] == {"tcp://[::1]:1": {"deny": ["::1"]}}
    assert '[pool.web.listener."tcp://[::1]:1"] deny' in check(["-c", str(path)], {}, as_json=True, machine=MACHINE)[
        0
    ].replace('\\"', '"')
    path.write_text(text)
    assert tomllib.loads(check(["-c", str(path)], {}, machine=MACHINE)[0]) == found


def test_what_that_address_cannot_follow_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(f'{POOL}bind = ["tcp://*:1", "unix:/x"]\n[pool.web.listener.":1"]\nsocket_mode = "0600"\n')

    (line,) = [line for line in settle(["-c", str(path)], {}, MACHINE).warnings if "not used" in line]

    assert line.endswith('[pool.web.listener.":1"] socket_mode is not used: tcp://*:1 is no Unix socket with a path')


def test_what_needs_a_restart_is_kept_for_each_address_and_told_by_its_name() -> None:
    one, two, new = (Address("tcp", "127.0.0.1", port) for port in (1, 2, 3))
    shared = {"reuse_port": True}
    old = Plan(pools=(PoolPlan("a", "x:y", (one, two), listener={str(one): shared}),))
    asked = PoolPlan("a", "x:y", (one, two, new), listener={str(two): shared, str(new): shared})
    kept = pinned(old, Plan(pools=(asked,)))

    (pool,) = kept.pools
    assert [pool.at(address).reuse_port for address in pool.bind] == [True, False, True]
    assert told(old, kept) == (
        f'[pool.a.listener."{one}"] reuse_port, [pool.a.listener."{two}"] reuse_port changed, '
        "and will only after a restart"
    )
    same = replace(asked, bind=(one, two), listener={str(one): {**shared, "backlog": 5}})
    assert pinned(old, Plan(pools=(same,))).pools[0] == same
    assert told(old, pinned(old, Plan(pools=(same,)))) == ""


def test_every_option_of_listeners_is_a_pools() -> None:
    assert all(option.section == "[pool.NAME]" for option in OPTIONS if option.listener)
