"""What `forkful init` finds out, and that the files it writes are true."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from forkful.conf.check import check
from forkful.conf.machine import Machine
from forkful.conf.mistakes import Mistakes, Unloadable
from forkful.master.cli import templates
from forkful.master.cli.init import init
from forkful.master.cli.surroundings import guess, look

WSGI = 'def application(environ, start_response):\n    start_response("200 OK", [])\n    return [b""]\n'
STREAM = "from socketserver import StreamRequestHandler\nclass Echo(StreamRequestHandler):\n    pass\n"
DATAGRAM = "def handle(data, address):\n    return data\n"
ASGI = "async def app(scope, receive, send):\n    pass\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "My Shop"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("PWD", str(place))
    return place


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"app.py": "app = 1"}, "app:app"),
        ({"main.py": "app: int = 1"}, "main:app"),
        ({"wsgi.py": "def create_app(): ..."}, "wsgi:create_app()"),
        ({"app.py": "application = app = 1"}, "app:application"),
        ({"manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')", "shop/wsgi.py": "", "app.py":
          "app = 1"}, "shop.wsgi:application"),
    ],
)  # fmt: skip
def test_application_of_a_directory_is_found(files: dict[str, str], handler: str, folder: Path) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    assert guess(folder) == handler


def test_application_that_may_be_several_is_asked_for(folder: Path) -> None:
    with pytest.raises(Mistakes, match="no application was found"):
        guess(folder)
    (folder / "app.py").write_text("app = 1")
    (folder / "main.py").write_text("api = 1")
    with pytest.raises(Mistakes, match="it may be app:app or main:api"):
        guess(folder)


@pytest.mark.parametrize(
    ("text", "handler", "bind"),
    [
        (WSGI, "app:application", "http://127.0.0.1:8000"),
        (ASGI, "app:app", "http://127.0.0.1:8000"),
        (STREAM, "app:Echo", "tcp://127.0.0.1:7000"),
        (DATAGRAM, "app:handle", "udp://127.0.0.1:7000"),
    ],
)
def test_files_are_true_for_every_kind_of_handler(text: str, handler: str, bind: str, folder: Path) -> None:
    (folder / "app.py").write_text(text)
    (folder / "requirements.txt").touch()

    assert init(handler, force=False) == 0
    raw = tomllib.loads((folder / "forkful.toml").read_text())
    assert raw["pool"]["main"] == {"handler": handler, "bind": [bind], "workers": "auto"}
    _is_accepted("forkful.toml", folder)
    _lints(folder / "Dockerfile")
    _is_a_unit(folder / "my-shop.service")
    container = (folder / "Dockerfile").read_text()
    assert f"ENV FORKFUL_BIND={bind.replace('127.0.0.1', '*')}\n" in container
    assert f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim\n" in container


def _is_accepted(file: str, folder: Path) -> None:
    text, code = check(["-c", file], {}, machine=Machine(cwd=str(folder)))
    assert code == 0, text


def _lints(container: Path) -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, container], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def _is_a_unit(unit: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze")
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])


def test_every_key_that_is_a_comment_may_be_one_no_more(folder: Path) -> None:
    (folder / "app.py").write_text(WSGI)
    text = templates.settings(look("app:application", folder))
    said = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE).replace("/run/forkful/", f"{folder}/")
    (folder / "said.toml").write_text(said)

    assert said.count("\n# ") < text.count("\n# ")
    _is_accepted("said.toml", folder)


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"requirements.txt": ""}, "RUN pip install -r requirements.txt forkful=="),
        ({"pyproject.toml": "[project]\nname = 'x'\n"}, "RUN pip install . forkful=="),
        ({"pyproject.toml": "[tool.ruff]\n"}, "# There is no requirements.txt and no pyproject.toml"),
        ({".python-version": "3.12.4\n"}, "FROM python:3.12-slim"),
    ],
)
def test_container_has_what_the_project_says(files: dict[str, str], line: str, folder: Path) -> None:
    (folder / "app.py").write_text(WSGI)
    for name, text in files.items():
        (folder / name).write_text(text)
    container = templates.container(look("", folder))
    (folder / "Dockerfile").write_text(container)

    assert line in container
    _lints(folder / "Dockerfile")


def test_variables_of_a_project_are_the_unit_s_too(folder: Path) -> None:
    (folder / "app.py").write_text(WSGI)
    (folder / ".env").touch()

    assert f"EnvironmentFile=-{folder}/.env\n" in templates.unit(look("", folder))


def test_nothing_is_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "app.py").write_text(WSGI)
    (folder / "Dockerfile").write_text("mine")

    assert init("", force=False) == 0
    assert (folder / "Dockerfile").read_text() == "mine"
    told = capsys.readouterr()
    assert "wrote forkful.toml\n" in told.out
    assert "forkful serve -c forkful.toml" in told.out
    assert "left as they are: Dockerfile (--force" in told.err
    assert init("", force=False) == 1
    assert init("", force=True) == 0
    assert (folder / "Dockerfile").read_text() != "mine"


def test_handler_that_cannot_be_imported_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "app.py").write_text("1 / 0")

    assert init("app:application", force=False) == Unloadable.code
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert not (folder / "forkful.toml").exists()
