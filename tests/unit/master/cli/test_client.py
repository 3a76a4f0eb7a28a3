"""The client and the commands: what an operator reads when it works, and when nobody or a stranger answers."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from forkful.master.cli import commands
from forkful.master.cli.client import Client, ClientError
from forkful.worker.ipc import messages
from tests.kit.fake_master import Doors, FakeMaster, running
from tests.kit.wait import PATIENCE


@pytest.fixture
def master() -> FakeMaster:
    return FakeMaster()


@pytest.fixture
def doors(master: FakeMaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doors]:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    with running(master, tmp_path) as doors:
        yield doors


@pytest.fixture
def client(doors: Doors) -> Client:
    return Client(doors.unix_address)


def test_status_is_a_table(client: Client) -> None:
    outcome = commands.status(client)

    assert outcome.exit_code == 0
    assert "main" in outcome.text
    assert "tcp://127.0.0.1:7000" in outcome.text
    assert "2/2" in outcome.text


def test_status_as_json_is_the_document(client: Client) -> None:
    document = json.loads(commands.status(client, as_json=True).text)

    assert document["pools"][0]["name"] == "main"


def test_status_of_a_master_that_does_not_answer_is_an_error_either_way(
    client: Client, master: FakeMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    del master.answers[messages.TellFacts]
    monkeypatch.setattr("forkful.master.admin.master_client.MasterClient.facts.__defaults__", (0.01,))
    for as_json in (True, False):
        outcome = commands.status(client, as_json=as_json)
        assert outcome.exit_code == 1
        assert "did not answer" in outcome.text


def test_reload_that_failed_shows_why_and_exits_with_1(client: Client, master: FakeMaster) -> None:
    trace = 'Traceback (most recent call last):\n  File "app.py", line 1\nSyntaxError: invalid syntax\n'
    master.will_answer(messages.Reload, "app:Handler could not be loaded", ok=False, traceback=trace)
    outcome = commands.reload(client, wait=True)

    assert outcome.exit_code == 1
    assert "app:Handler could not be loaded" in outcome.text
    assert "SyntaxError" in outcome.text


def test_reload_that_nobody_waits_for_is_begun(client: Client, master: FakeMaster) -> None:
    assert commands.reload(client).exit_code == 0
    assert master.next_heard().order == messages.Reload()


def test_reload_whose_master_dies_meanwhile_is_an_error_in_words(master: FakeMaster, tmp_path: Path) -> None:
    outcomes = []
    with running(master, tmp_path) as doors:
        client = Client(doors.unix_address)
        waiting = threading.Thread(target=lambda: outcomes.append(commands.reload(client, wait=True)))
        waiting.start()
        master.next_heard()
    waiting.join(PATIENCE)

    assert outcomes[0].exit_code == 1
    assert "the master is gone" in outcomes[0].text


def test_scale_stop_reopen_and_stacks_reach_the_master(client: Client, master: FakeMaster) -> None:
    for order in (messages.Scale, messages.Stop, messages.ReopenLogs, messages.ShowStacks):
        master.will_answer(order, f"{order.__name__} it is")

    assert commands.scale(client, "web & co", 3) == commands.Outcome("Scale it is")
    assert master.next_heard().order == messages.Scale("web & co", 3)
    assert commands.stop(client, quick=True).text == "Stop it is"
    assert master.next_heard().order == messages.Stop(quick=True)
    assert commands.reopen_logs(client).text == "ReopenLogs it is"
    assert commands.stacks(client, "main[1]").text == "ShowStacks it is"
    assert [master.next_heard().order for _ in range(2)] == [messages.ReopenLogs(), messages.ShowStacks("main", 1)]


def test_stacks_of_what_is_no_slot_is_refused_here(client: Client, master: FakeMaster) -> None:
    assert commands.stacks(client, "main[x]").exit_code == 1
    assert master.heard.empty()


def test_command_over_tcp_says_where_to_go(doors: Doors) -> None:
    outcome = commands.stop(Client(doors.tcp_address))

    assert outcome.exit_code == 1
    assert doors.unix_address in outcome.text


def test_nobody_there_is_said_with_where_to_look(tmp_path: Path) -> None:
    for address in (f"unix://{tmp_path}/none.sock", "tcp://127.0.0.1:1"):
        outcome = commands.status(Client(address))
        assert outcome.exit_code == 1
        assert address in outcome.text
        assert "--admin" in outcome.text


@pytest.mark.parametrize("address", ["udp://127.0.0.1:1", "nonsense", "ftp://x:1", "unix://relative"])
def test_address_that_cannot_be_is_refused(address: str) -> None:
    with pytest.raises(ClientError):
        Client(address)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut",
        b"HTTP/1.1 200 OK\r\n\r\nnot JSON",
        b"HTTP/1.1 200 OK\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
    ],
)
def test_stranger_at_the_address_is_an_error_in_words(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def be_a_stranger() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65_536)
                sock.sendall(answer)

        stranger = threading.Thread(target=be_a_stranger)
        stranger.start()
        outcome = commands.status(Client(f"tcp://127.0.0.1:{listener.getsockname()[1]}"))
        stranger.join(PATIENCE)

    assert outcome.exit_code == 1
    assert "127.0.0.1" in outcome.text or "Forkful" in outcome.text
