"""The table: which modules of a request's path are compiled, and why the others are not."""

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

#: The rest of `worker/http`, and what else each request passes through. A compiled coroutine has no frames, so
#: `forkful stacks` could not say where an application waits in it.
SOURCE: Final = {
    "forkful.worker.http.asgi.exchange": "its coroutines are what an application waits in",
    "forkful.worker.http.asgi.websocket": "its coroutines are what an application waits in",
    "forkful.worker.http.asgi.call": "the coroutine that calls the application",
    "forkful.worker.http.asgi.inbox": "what a WebSocket's coroutines wait for; its future is asyncio's",
    "forkful.worker.http.asgi.frames": "it inherits from the library's protocol, which is source",
    "forkful.worker.http.asgi.handshake": "once for a WebSocket",
    "forkful.worker.http.asgi.extensions": "seldom, or once for a request that asks for it",
    "forkful.worker.http.asgi.service": "coroutines of the lifespan; the rest is once for a connection",
    "forkful.worker.http.wsgi.service": "once for a connection, and coroutines of the drain",
    "forkful.worker.http.wsgi.body": "only requests with a body; file objects that applications inherit from",
    "forkful.worker.http.wsgi.sendable": "only where a file is sent",
    "forkful.worker.http.service": "once for a connection, and coroutines of the drain",
    "forkful.worker.http.file_sender": "only where a file is sent; its time is the kernel's",
    "forkful.worker.http.access_log": "only where it is asked for; its time is that of logging",
    "forkful.worker.http.mistake_page": "only where code is developed",
    "forkful.worker.http.secured": "once for a TLS connection",
    "forkful.worker.http.compiler": "what the source says to the compiler, which needs no speed",
    "forkful.worker.net.networks": "the master imports it before it has looked at the library",
    "forkful.worker.net.accepted": "the master imports it before it has looked at the library",
}
