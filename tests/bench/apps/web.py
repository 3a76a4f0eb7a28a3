"""Django, imported and set up as a project of some size has it, behind a plain handler and as a WSGI application."""

import gc
import itertools
import os
from collections.abc import Callable, Iterable
from importlib import import_module
from socketserver import BaseRequestHandler

# By name, since some of Django can only be imported once it is set up; and it has no types.
import_module("django.conf").settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    ROOT_URLCONF=__name__,
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    ALLOWED_HOSTS=["*"],
)
import_module("django").setup()
for name in ("django.contrib.auth.views", "django.core.handlers.wsgi", "django.forms", "django.template.loader"):
    import_module(name)

urlpatterns: list[object] = []

_PAGE = import_module("django.template").Template(
    "{% for name, value in rows %}<p>{{ name }}: {{ value }}</p>{% endfor %}"
)
_CONTEXT = import_module("django.template").Context


#: After so many requests a worker collects all its garbage once, as CPython does by itself sooner or later; 0 is never.
_COLLECT_AFTER = int(os.environ.get("BENCH_COLLECT_AFTER", "0"))
_requests = itertools.count(1)


def work() -> bytes:
    """What a small page costs, so that workers allocate and write to what they share, as real ones do."""
    if next(_requests) == _COLLECT_AFTER:
        gc.collect()
    rows = [(f"row {number}", {"number": number}) for number in range(20)]
    page: str = _PAGE.render(_CONTEXT({"rows": rows}))
    return page.encode()


class Once(BaseRequestHandler):
    """One read, some work, one reply."""

    def handle(self) -> None:
        data = self.request.recv(1024)
        work()
        self.request.sendall(data)


def application(_environ: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
    page = work()
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(page)))])
    return [page]
