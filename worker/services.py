"""Services: for each kind of handler the one that connects it with the event loop.

Can go wrong: an ASGI application's start-up fails, or a setting cannot be understood: `BootError`.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from forkful.conf import logs
from forkful.handlers.kinds import Form, Served
from forkful.worker.eventloop.coroutines import StreamService
from forkful.worker.eventloop.protocols import ProtocolService
from forkful.worker.ipc.boot_error import BootError
from forkful.worker.ipc.scoreboard import UNTIMED
from forkful.worker.net.stillness import StillLimits

logger = logging.getLogger("forkful.worker")

if TYPE_CHECKING:
    from forkful.handlers.wsgi import Application as WsgiApplication
    from forkful.worker.eventloop.acceptor import Make
    from forkful.worker.eventloop.accounting import Accounting
    from forkful.worker.eventloop.brief import Manner
    from forkful.worker.http.access_log import Access
    from forkful.worker.http.limits import Limits
    from forkful.worker.http.service import HttpService
    from forkful.worker.ipc.assignment import Assignment
    from forkful.worker.net.local_address import LocalAddress


class Service(Protocol):
    """What a loop asks of that which serves its connections."""

    @property
    def manner(self) -> "Manner": ...

    def welcome(self) -> int: ...

    @property
    def busy(self) -> int: ...

    @property
    def stuck(self) -> bool:
        """Whether something goes on that cannot be cut short."""
        ...

    def maker(self, local: "LocalAddress", /) -> "Make[asyncio.BaseProtocol]": ...

    def drain(self) -> None: ...

    async def close(self) -> None: ...


async def make_service(
    loop: asyncio.AbstractEventLoop,
    accounting: "Accounting",
    assignment: "Assignment",
    served: Served,
    rows: "list[memoryview[int]]",
) -> Service:
    """Raises `BootError`."""
    plan = assignment.plan
    if served.form in {Form.WSGI, Form.ASGI} and (plan.idle_timeout or plan.read_timeout) and not assignment.slot:
        logger.warning(
            "%s: idle_timeout and read_timeout are not for HTTP, which has keep_alive, header_timeout and body_timeout",
            assignment,
        )
    match served.form:
        case Form.COROUTINE:
            accounting.overlap()
            return StreamService(loop, accounting, served.target, StillLimits.of(plan), plan.reader_limit)
        case Form.PROTOCOL:
            accounting.overlap()
            return ProtocolService(loop, accounting, served.target, StillLimits.of(plan))
        case Form.ASGI:
            accounting.overlap()
            web: HttpService = await _asgi(loop, accounting, assignment, served)
        case _:
            web = _wsgi(loop, accounting, assignment, served, rows)
    web.incognito = not all(address.scheme.startswith("http") for address in plan.bind)
    return web


def warm(form: Form, *, mounted: bool) -> None:
    """Import what this form is served with."""
    if form in {Form.WSGI, Form.ASGI}:  # stream pools do without HTTP
        import forkful.worker.http.access_log  # noqa: PLC0415
        import forkful.worker.http.limits  # noqa: PLC0415
        import forkful.worker.net.trust  # noqa: PLC0415

        if mounted:
            import forkful.handlers.mount  # noqa: PLC0415
    if form is Form.WSGI:
        import forkful.worker.http.wsgi.service  # noqa: PLC0415
        import forkful.worker.http.wsgi.thread_pool  # noqa: PLC0415
    elif form is Form.ASGI:
        import forkful.handlers.asgi  # noqa: PLC0415
        import forkful.worker.http.asgi.service  # noqa: PLC0415
        import forkful.worker.http.asgi.websocket  # noqa: F401, PLC0415  # 70 ms, which a worker's first would wait for


def _wsgi(
    loop: asyncio.AbstractEventLoop,
    accounting: "Accounting",
    assignment: "Assignment",
    served: Served,
    rows: "list[memoryview[int]]",
) -> "HttpService":
    from forkful.worker.http.wsgi.service import WsgiService  # noqa: PLC0415  # as above
    from forkful.worker.http.wsgi.thread_pool import Pool  # noqa: PLC0415  # as above
    from forkful.worker.net.trust import Trust  # noqa: PLC0415  # stream pools do without HTTP

    plan = assignment.plan
    pool = Pool(loop, rows)
    pool.start()
    app: WsgiApplication = served.target
    if plan.root_path:
        from forkful.handlers.mount import mounted_wsgi  # noqa: PLC0415  # others do without

        app = mounted_wsgi(app, plan.root_path)
    if assignment.log.developing:
        from forkful.worker.http.mistake_page import for_wsgi  # noqa: PLC0415  # as above

        app = for_wsgi(app)
    return WsgiService(
        loop,
        accounting,
        limits(assignment),
        app,
        pool,
        trust=Trust.parse(plan.forwarded_allow_ips.split(",")),
        access=access(assignment),
        processes=plan.workers > 1 or plan.workers_max > 1,
    )


async def _asgi(
    loop: asyncio.AbstractEventLoop, accounting: "Accounting", assignment: "Assignment", served: Served
) -> "HttpService":
    from forkful.handlers.asgi import Lifespan, LifespanError  # noqa: PLC0415  # WSGI pools do without it
    from forkful.worker.http.asgi.service import AsgiService  # noqa: PLC0415  # as above
    from forkful.worker.net.trust import Trust  # noqa: PLC0415  # as above

    accounting.row[UNTIMED] = not assignment.plan.timeout_said
    lifespan = Lifespan(served.target, loop, required=assignment.plan.lifespan == "on")
    try:
        if assignment.plan.lifespan != "off":
            await lifespan.startup()
    except LifespanError as error:
        raise BootError(str(error), error.traceback) from error
    trust = Trust.parse(assignment.plan.forwarded_allow_ips.split(","))
    app = served.target
    if assignment.plan.root_path:
        from forkful.handlers.mount import mounted_asgi  # noqa: PLC0415  # as above

        app = mounted_asgi(app, assignment.plan.root_path)
    if assignment.log.developing:
        from forkful.worker.http.mistake_page import for_asgi  # noqa: PLC0415  # as above

        app = for_asgi(app)
    return AsgiService(loop, accounting, limits(assignment), app, lifespan, trust=trust, access=access(assignment))


def limits(assignment: "Assignment") -> "Limits":
    from forkful.worker.http.limits import Limits  # noqa: PLC0415  # as above

    plan = assignment.plan
    return Limits(
        line=plan.limit_request_line,
        fields=plan.limit_request_fields,
        field_size=plan.limit_request_field_size,
        head=plan.limit_request_head,
        body=plan.limit_request_body,
        websocket_size=plan.websocket_max_size,
        websocket_compression=plan.websocket_compression,
        websocket_ping=plan.websocket_ping_interval,
        keep_alive=plan.keep_alive,
        header_timeout=plan.header_timeout,
        body_timeout=plan.body_timeout,
        write_timeout=plan.write_timeout,
    )


def access(assignment: "Assignment") -> "Access | None":
    """The access log, if there is to be one."""
    from forkful.worker.http.access_log import COMMON, DEVELOPING, Access  # noqa: PLC0415  # as above

    if not assignment.log.access and not logs.ACCESS.isEnabledFor(logging.INFO):  # by log_config
        return None
    usual = "json" if assignment.log.format == "json" else DEVELOPING if assignment.log.developing else COMMON
    template = assignment.plan.access_log_format or usual
    if assignment.log.developing:
        from forkful.worker.http.mistake_page import Watched  # noqa: PLC0415  # as above

        return Watched(logs.ACCESS, template, fields=assignment.log.format == "json")
    return Access(logs.ACCESS, template, fields=assignment.log.format == "json")
