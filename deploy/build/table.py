"""The table: which modules are compiled, and why the others of a request's path are not."""

from typing import Final

#: In the order of a request. All of them run for each one, or are what those know the insides of.
COMPILED: Final = (
    "forkful.worker.http.http1",
    "forkful.worker.http.outgoing",
    "forkful.worker.http.fields",
    "forkful.worker.http.request",
    "forkful.worker.http.chunks",
    "forkful.worker.http.forwarded",
    "forkful.worker.http.response",
    "forkful.worker.http.asked",
    "forkful.worker.http.clock",
    "forkful.worker.http.wire",
    "forkful.worker.http.budget",
    "forkful.worker.http.limits",
    "forkful.worker.net.trust",
    "forkful.worker.net.local_address",
    "forkful.worker.eventloop.accounting",
    "forkful.worker.http.wsgi.call",
    "forkful.worker.http.wsgi.caller",
    "forkful.worker.http.wsgi.environ",
    "forkful.worker.http.wsgi.exchange",
    "forkful.worker.http.wsgi.outbox",
    "forkful.worker.http.wsgi.thread_pool",
    "forkful.worker.http.asgi.scope",
)
