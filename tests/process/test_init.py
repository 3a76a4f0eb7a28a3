"""What `forkful init` writes serves."""

import os
import subprocess
from pathlib import Path

from tests.conftest import Serve
from tests.kit.door import open_door
from tests.kit.environment import for_servers
from tests.kit.server import CLI
from tests.kit.web import get

APP = """\
def create_app():
    def application(environ, start_response):
        start_response("200 OK", [("Content-Length", "2")])
        return [b"hi"]
    return application
"""


def test_application_of_a_directory_is_served_by_the_file_that_init_wrote(tmp_path: Path, serve: Serve) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "wsgi.py").write_text(APP)
    environment = for_servers(os.environ) | {"PWD": str(folder)}
    subprocess.run([*CLI, "init"], cwd=folder, env=environment, capture_output=True, timeout=60, check=True)
    door = open_door("tcp", tmp_path)
    text = (folder / "forkful.toml").read_text()
    serve("", "--bind", door.url, "--workers", "1", config=text, binds=[door], cwd=folder)

    assert get(door, "/").body == b"hi"
