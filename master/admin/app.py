"""The application: what the admin child answers to HTTP requests, as WSGI (PEP 3333).

Anyone who reaches a listener may read the pages, if the gate lets him. Commands are taken only over the Unix socket:
the mode of its file says who may connect. GET /livez: 200 as long as the master answers. GET /readyz: 200, or 503 and
the reason. Commands are POST and answer JSON
{"ok", "message", "traceback"}: 200 done, 202 begun (a reload nobody waits for), 400 not understood, 409 refused or
failed, 503 no answer.
Can go wrong: the master does not answer: 503.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

from forkful.conf.light import dataclass
from forkful.master.admin import page_assets, status, status_page
from forkful.master.admin.gate import Gate
from forkful.master.admin.history import History
from forkful.master.admin.http_server import LOCAL, PROBES
from forkful.master.admin.master_client import MasterClient, NoAnswerError
from forkful.master.admin.view import Viewer
from forkful.worker.ipc import messages

if TYPE_CHECKING:
    from forkful.master.admin.metrics import Handlers

_STATUS = {
    200: "200 OK",
    202: "202 Accepted",
    400: "400 Bad Request",
    401: "401 Unauthorized",
    403: "403 Forbidden",
    404: "404 Not Found",
    405: "405 Method Not Allowed",
    409: "409 Conflict",
    421: "421 Misdirected Request",
    503: "503 Service Unavailable",
}
_TEXT = "text/plain; charset=utf-8"
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
#: With each answer: what it says is of now, is what it says it is, loads nothing, and is nothing for other sites.
_ALWAYS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_YES, _NO = frozenset({"1", "true", "yes", "on"}), frozenset({"", "0", "false", "no", "off"})

Query = dict[str, str]


class QueryError(ValueError):
    """A parameter of a command is missing or is not what it should be."""


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    body: bytes
    content_type: str = _TEXT
    headers: tuple[tuple[str, str], ...] = field(default=())
    policy: str = _NOTHING  # Content-Security-Policy


def _text(code: int, text: str, *headers: tuple[str, str]) -> Answer:
    return Answer(code, f"{text}\n".encode(), headers=headers)


def _json(code: int, document: object) -> Answer:
    return Answer(code, json.dumps(document).encode() + b"\n", "application/json")


class App:
    """The application."""

    def __init__(
        self,
        master: MasterClient,
        viewer: Viewer,
        handlers: "Handlers | None",
        history: History,
        gate: Gate,
    ) -> None:
        self._gate = gate
        self._master = master
        self._viewer = viewer
        self._handlers = handlers
        self._history = history
        named = " or ".join(gate.sockets)
        where = f"{named} only" if named else "a Unix socket only, and --admin-bind names none"
        self._elsewhere = f"commands are taken over {where}"
        self._pages: dict[str, Callable[[WSGIEnvironment], Answer]] = {
            "/": self._page,
            "/status.json": self._document,
            "/history.json": lambda _: _json(200, self._history.document()),
            "/metrics": self._metrics,
            "/livez": self._livez,
            "/readyz": self._readyz,
        }
        self._commands: dict[str, Callable[[Query], Answer]] = {
            "/reload": self._reload,
            "/upgrade": self._upgrade,
            "/reload/promote": lambda _: self._ask(messages.Promote()),
            "/reload/abort": lambda _: self._ask(messages.Abort()),
            "/rollback": self._rollback,
            "/scale": self._scale,
            "/stop": self._stop,
            "/logs/reopen": lambda _: self._ask(messages.ReopenLogs()),
            "/stacks": self._stacks,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = self._answer(environ)
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            ("Content-Security-Policy", answer.policy),
            *_ALWAYS,
            *answer.headers,
        ]
        start_response(_STATUS[answer.code], headers)
        return [answer.body]

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path not in PROBES and (refusal := self._refusal(environ)) is not None:
            return refusal
        if path in self._pages:
            if method not in ("GET", "HEAD"):
                return _text(405, f"{path} is a page: GET it", ("Allow", "GET, HEAD"))
            try:
                return self._pages[path](environ)
            except NoAnswerError as problem:
                return _text(503, str(problem))
        if path in self._commands:
            if method != "POST":
                return _text(405, f"{path} is a command: POST it", ("Allow", "POST"))
            return self._command(environ)
        return _text(404, f"not here; pages: {' '.join(self._pages)}; commands: {' '.join(self._commands)}")

    def _refusal(self, environ: WSGIEnvironment) -> Answer | None:
        if environ.get(LOCAL):
            return None
        if not self._gate.knows(environ.get("HTTP_HOST", "")):
            return _text(421, "this is not the name of an admin page here; admin.allowed_hosts may name it")
        if not self._gate.trusts(environ):
            return _text(401, "the token of admin.token_file is wanted", ("WWW-Authenticate", "Bearer"))
        return None

    # -- pages -------------------------------------------------------------------------------------------------------

    def _page(self, _: WSGIEnvironment) -> Answer:
        text = status_page.render(status.document(self._viewer.take(), self._viewer.board), self._history)
        return Answer(200, text.encode(), "text/html; charset=utf-8", policy=page_assets.POLICY)

    def _document(self, _: WSGIEnvironment) -> Answer:
        return _json(200, status.document(self._viewer.take(), self._viewer.board))

    def _metrics(self, environ: WSGIEnvironment) -> Answer:
        from forkful.master.admin.metrics import Exposition  # noqa: PLC0415  # half of our start; not all are scraped

        exposition = Exposition(self._viewer, self._handlers)
        made = exposition.page(environ.get("HTTP_ACCEPT", ""), environ.get("HTTP_ACCEPT_ENCODING", ""))
        encoding = (("Content-Encoding", made.encoding),) if made.encoding else ()
        return Answer(200, made.body, made.content_type, (("Vary", "Accept, Accept-Encoding"), *encoding))

    def _livez(self, _: WSGIEnvironment) -> Answer:
        self._master.probe()
        return _text(200, "the master turns")

    def _readyz(self, environ: WSGIEnvironment) -> Answer:
        facts = self._master.probe()
        if facts["ready"]:
            return _text(200, "ready")
        return _text(503, (not self._refusal(environ) and facts["reason"]) or "not ready")

    # -- commands ----------------------------------------------------------------------------------------------------

    def _command(self, environ: WSGIEnvironment) -> Answer:
        if not environ.get(LOCAL):
            return _json(403, _outcome(self._elsewhere))
        query = {key: values[-1] for key, values in parse_qs(environ["QUERY_STRING"], keep_blank_values=True).items()}
        try:
            return self._commands[environ["PATH_INFO"]](query)
        except QueryError as problem:
            return _json(400, _outcome(str(problem)))
        except NoAnswerError as problem:
            return _json(503, _outcome(str(problem)))

    def _ask(self, order: messages.Order | messages.Steer) -> Answer:
        return _answered(self._master.ask(order))

    def _reload(self, query: Query) -> Answer:
        return self._begin(messages.Reload(), "reload", query)

    def _upgrade(self, query: Query) -> Answer:
        return self._begin(messages.Upgrade(), "upgrade", query)

    def _rollback(self, query: Query) -> Answer:
        return self._begin(messages.Rollback(), "rollback", query)

    def _begin(self, order: messages.Order | messages.Steer, name: str, query: Query) -> Answer:
        if _flag(query, "wait"):
            return _answered(self._master.ask(order, timeout=None))
        self._master.tell(order)
        return _json(202, {"ok": True, "message": f"the {name} begins", "traceback": ""})

    def _scale(self, query: Query) -> Answer:
        return self._ask(messages.Scale(_named(query, "pool"), _number(query, "workers")))

    def _stop(self, query: Query) -> Answer:
        return self._ask(messages.Stop(_flag(query, "quick")))

    def _stacks(self, query: Query) -> Answer:
        slot = _number(query, "slot") if query.get("slot") else None
        return self._ask(messages.ShowStacks(query.get("pool") or None, slot))


def _outcome(message: str) -> dict[str, object]:
    return {"ok": False, "message": message, "traceback": ""}


def _answered(reply: messages.Answer) -> Answer:
    done = {"ok": reply.ok, "message": reply.message, "traceback": reply.traceback}
    return _json(200 if reply.ok else 409, done)


def _named(query: Query, key: str) -> str:
    if not query.get(key):
        raise QueryError(f"{key}= is missing")
    return query[key]


def _number(query: Query, key: str) -> int:
    text = _named(query, key)
    if not (text.isascii() and text.isdigit() and len(text) < 6):  # noqa: PLR2004 - more workers than any machine has
        raise QueryError(f"{key}= must be a number, and is {text!r}")
    return int(text)


def _flag(query: Query, key: str) -> bool:
    value = query.get(key, "no").lower()
    if value not in _YES | _NO:
        raise QueryError(f"{key}= is 1 or 0, and not {value!r}")
    return value in _YES
