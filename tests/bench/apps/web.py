"""Django as a small project has it, answering requests: through a plain handler, and as a WSGI application."""

import gc
import itertools
import os
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from io import BytesIO
from socketserver import BaseRequestHandler
from typing import Any

# By name, since some of Django can only be imported once it is set up; and it has no types.
import_module("django.conf").settings.configure(
    SECRET_KEY="of a benchmark",
    INSTALLED_APPS=[f"django.contrib.{name}" for name in ("contenttypes", "auth", "sessions")],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
)
_django: Any = import_module("django.core.wsgi").get_wsgi_application()  # Any: no types; runs django.setup()
_templates: Any = import_module("django.template")
_page = _templates.Template("{% for name, value in rows %}<p>{{ name }}: {{ value }}</p>{% endfor %}")
_response: Any = import_module("django.http").HttpResponse

#: After so many requests a worker collects all its garbage once, as CPython does by itself sooner or later; 0 is never.
_COLLECT_AFTER = int(os.environ.get("BENCH_COLLECT_AFTER", "0"))
_requests = itertools.count(1)


def view(_request: object) -> object:
    """A page of some rows."""
    if next(_requests) == _COLLECT_AFTER:
        gc.collect()
    rows = [(f"row {number}", {"number": number}) for number in range(20)]
    return _response(_page.render(_templates.Context({"rows": rows})))


urlpatterns = [import_module("django.urls").path("", view)]


def application(environ: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Django's own, for Gunicorn."""
    answer: Iterable[bytes] = _django(environ, start_response)
    return answer


class Once(BaseRequestHandler):
    """One read, one request to Django, one reply: the same work for a worker without HTTP."""

    def handle(self) -> None:
        data = self.request.recv(1024)
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        answer = _django(environ, lambda _status, _headers, _error=None: None)
        b"".join(answer)
        answer.close()
        self.request.sendall(data)
