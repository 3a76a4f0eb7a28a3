"""Where the private socket is, for who makes it and for who looks for it."""

import socket
from pathlib import Path

import pytest

from forkful.conf.address import AddressError
from forkful.conf.runtime import admin_addresses, default_admin, runtime_directory


@pytest.mark.parametrize(
    ("environ", "uid", "directory"),
    [
        ({"RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": "/run/user/7"}, 7, "/run/a"),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, 7, "/run/user/7/forkful"),
        ({}, 0, "/run/forkful"),
        ({}, 7, "/tmp/forkful-7"),
    ],
)
def test_the_runtime_directory_is_private_to_the_service_or_the_user(
    environ: dict[str, str], uid: int, directory: str
) -> None:
    assert runtime_directory(environ, uid) == Path(directory)


def test_a_command_finds_the_socket_by_variable_or_file(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text('[admin]\nbind = ["tcp://:1", "unix:///run/file.sock"]\n')

    def said(environ: dict[str, str], config: str = "") -> str:
        (found,), is_said = admin_addresses(environ, config)
        assert is_said
        return str(found)

    assert said({"FORKFUL_ADMIN": "tcp://127.0.0.1:1", "FORKFUL_ADMIN_BIND": "unix:///x"}) == "tcp://127.0.0.1:1"
    assert said({"FORKFUL_ADMIN_BIND": "tcp://:1,unix:///run/x.sock"}, str(file)) == "unix:///run/x.sock"
    assert said({}, str(file)) == "unix:///run/file.sock"
    assert said({"FORKFUL_CONFIG": str(file)}) == "unix:///run/file.sock"
    with pytest.raises(AddressError):
        said({"FORKFUL_ADMIN": "nonsense"})


def test_a_command_finds_all_sockets_of_the_usual_place(tmp_path: Path) -> None:
    environ = {"RUNTIME_DIRECTORY": str(tmp_path)}
    assert admin_addresses(environ) == ([], False)
    for name in ("admin.sock", "admin-a.sock", "other.sock"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(tmp_path / name))
    (tmp_path / "admin-file.sock").touch()
    found, is_said = admin_addresses(environ | {"FORKFUL_ADMIN_BIND": "nonsense"}, "/nowhere.toml")
    assert [Path(address.path).name for address in found] == ["admin-a.sock", "admin.sock"]
    assert not is_said


def test_the_default_place_has_what_tells_a_service_from_others_in_it() -> None:
    def place(directory: str, *words: str) -> str:
        return default_admin({"RUNTIME_DIRECTORY": directory}, 7, words)[-1].path

    assert place("/run/a", "parcels", "/etc/x.toml") == "/run/a/admin-parcels-etc-x.toml.sock"
    assert place("/run/a", "forkful", "tcp://[::1]:80") == "/run/a/admin-forkful-tcp-1-80.sock"
    one, two = (place("/run/a", "forkful", f"/srv/{'x' * 90}/{end}") for end in "ab")
    assert one != two
    assert len(one) == len(two) <= len("/run/a/admin-.sock") + 44
    assert len(place("/run/" + "y" * 80, "forkful", "/etc/x.toml")) <= 107
