"""Where the private socket is, for who makes it and for who looks for it."""

import os
from pathlib import Path

import pytest

from forkful.conf.address import AddressError
from forkful.conf.runtime import admin_address, default_admin, runtime_directory


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


def test_a_command_finds_the_socket_by_variable_file_or_default(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text('[admin]\nbind = ["tcp://:1", "unix:///run/file.sock"]\n')
    runtime = {"RUNTIME_DIRECTORY": "/run/a"}

    def found(environ: dict[str, str], config: str = "") -> str:
        return str(admin_address(environ, config))

    assert found({"FORKFUL_ADMIN": "tcp://127.0.0.1:1", "FORKFUL_ADMIN_BIND": "unix:///x"}) == "tcp://127.0.0.1:1"
    assert found({"FORKFUL_ADMIN_BIND": "tcp://:1,unix:///run/x.sock"}, str(file)) == "unix:///run/x.sock"
    assert found({}, str(file)) == "unix:///run/file.sock"
    assert found({"FORKFUL_CONFIG": str(file)}) == "unix:///run/file.sock"
    assert found(runtime) == "unix:///run/a/admin.sock" == str(default_admin(runtime, os.getuid())[-1])
    assert found(runtime | {"FORKFUL_ADMIN_BIND": "nonsense"}, "/nowhere.toml") == "unix:///run/a/admin.sock"
    with pytest.raises(AddressError):
        found({"FORKFUL_ADMIN": "nonsense"})
