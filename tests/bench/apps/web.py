"""Django, imported and set up as a project of some size has it, behind a plain handler and as a WSGI application."""

from collections.abc import Callable, Iterable
from importlib import import_module
from socketserver import BaseRequestHandler

# By name, since some of Django can only be imported once it is set up; and it has no types.
import_module("django.conf").settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
)
import_module("django").setup()
for name in ("django.contrib.auth.views", "django.core.handlers.wsgi", "django.forms", "django.template.loader"):
    import_module(name)

urlpatterns: list[object] = []


class Once(BaseRequestHandler):
    """One read, one reply."""

    def handle(self) -> None:
        self.request.sendall(self.request.recv(1024))


def application(_environ: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
