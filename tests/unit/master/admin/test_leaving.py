"""An admin child that is replaced answers whom it has taken, and leaves all others to the next one."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from forkful.master.admin import http_server
from forkful.master.cli.client import Client, Reply
from forkful.worker.ipc import messages
from tests.kit.door import read_all
from tests.kit.fake_master import Doors, FakeMaster, child_of
from tests.kit.wait import PATIENCE

UPGRADES, ASKERS = 20, 4
STACKS = b"POST /stacks HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doors]:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    doors = Doors(tmp_path)
    yield doors
    doors.close()


def connect(doors: Doors) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    client.connect(doors.unix.getsockname())
    return client


def counted(master: FakeMaster, heard: threading.Semaphore) -> None:
    """Have each question be told of before it is answered."""
    answer = master.answers[messages.TellFacts]

    def tell(number: int) -> messages.ToAdmin:
        heard.release()
        return answer(number)

    master.answers[messages.TellFacts] = tell


def has_gone(thread: threading.Thread) -> bool:
    thread.join(PATIENCE)
    return not thread.is_alive()


def test_who_has_asked_is_answered_by_the_child_that_leaves(doors: Doors) -> None:
    master = FakeMaster()
    with child_of(master, doors) as child, connect(doors) as client:
        client.sendall(STACKS)
        question = master.next_heard()
        master.say(messages.Leave())
        master.say(messages.Answer(question.id, ok=True, message="so it went"))

        assert b"so it went" in read_all(client)
        assert has_gone(child)


def test_who_is_about_to_ask_is_answered_by_the_child_that_leaves(doors: Doors) -> None:
    master = FakeMaster()
    with child_of(master, doors) as child, connect(doors) as early, connect(doors) as client:
        early.sendall(STACKS)
        question = master.next_heard()
        client.sendall(b"GET /livez HT")
        assert Client(doors.unix_address).get("/livez").code == 200, "who came later: so it was taken"
        master.say(messages.Leave())
        master.say(messages.Answer(question.id, ok=True, message="so it went"))
        assert b"so it went" in read_all(early)
        client.sendall(b"TP/1.1\r\nHost: x\r\n\r\n")

        assert read_all(client).startswith(b"HTTP/1.1 200")
        assert has_gone(child)


def test_who_comes_then_is_the_next_childs(doors: Doors) -> None:
    first, second = FakeMaster(), FakeMaster()
    with child_of(first, doors) as child:
        assert Client(doors.unix_address).get("/livez").code == 200
        first.say(messages.Leave())
        assert has_gone(child)
        with ThreadPoolExecutor(2) as threads:
            replies = [
                threads.submit(Client(address).get, "/livez") for address in (doors.tcp_address, doors.unix_address)
            ]
            with child_of(second, doors):
                assert [reply.result(PATIENCE).code for reply in replies] == [200, 200]


def test_child_does_not_wait_for_ever_for_who_says_nothing_or_is_not_answered(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "LAST_ANSWERS", 0.05)
    master = FakeMaster()
    with child_of(master, doors) as child, connect(doors) as silent, connect(doors) as client:
        client.sendall(STACKS)
        master.next_heard()
        master.say(messages.Leave())

        assert has_gone(child)
        assert read_all(silent) == b""
        answer = read_all(client)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"this admin child is replaced" in answer, "and not that there is no master any more"


def test_storm_of_questions_across_many_upgrades_has_not_one_refusal(doors: Doors) -> None:
    over = threading.Event()

    def ask(path: str) -> list[Reply]:
        replies = []
        while not over.is_set():
            replies.append(Client(doors.unix_address).get(path))
        return replies

    paths = ["/status.json", "/livez", "/metrics", "/readyz"]
    with ThreadPoolExecutor(ASKERS) as threads:
        asked = [threads.submit(ask, paths[number % len(paths)]) for number in range(ASKERS)]
        try:
            for number in range(UPGRADES):
                master, heard = FakeMaster(), threading.Semaphore(0)
                counted(master, heard)
                with child_of(master, doors) as child:
                    for _ in range(ASKERS):
                        assert heard.acquire(timeout=PATIENCE)
                    master.say(messages.Leave())
                    assert has_gone(child), f"upgrade {number}"
            over.set()
            with child_of(FakeMaster(), doors):
                codes = [reply.code for each in asked for reply in each.result(PATIENCE)]
        finally:
            over.set()

    assert set(codes) == {200}
    assert len(codes) > UPGRADES * ASKERS
