"""The hooks of a server of the user's, called in the order and with the meaning that `socketserver` documents.

Can go wrong: any of them raises. The standard library would end `serve_forever`; here it is that request's outcome.
"""

import errno
import logging
import socket
from collections.abc import Callable
from typing import Any

from forkful.worker.blocking.listener import Listener
from forkful.worker.blocking.outcome import Outcomes
from forkful.worker.net.counted_socket import last_info

logger = logging.getLogger("forkful.worker")


class Hooks:
    """Of one listener's server."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._server = listener.server
        self._own = next((name for name in ("process_request", "process_request_thread") if name in listener.hooks), "")

    def take(self, failed: Callable[[], object]) -> tuple[Any, Any]:  # Any: whatever it makes of a connection
        """`get_request`, whose errors are those of the network: what else it raises is told and becomes one."""
        try:
            request, peer = self._server.get_request()
        except OSError:
            failed()
            raise
        except BaseException as error:
            failed()
            logger.exception("%s: get_request failed", self._listener)
            raise OSError(errno.EPROTO, "get_request failed") from error
        return request, peer

    def serve(self, request: Any, peer: Any, outcomes: Outcomes) -> bytes:  # Any: as above
        """What `BaseServer._handle_request_noblock` does with a request. Returns TCP_INFO as of before our FIN."""
        server = self._server
        try:
            if not server.verify_request(request, peer):
                outcomes.refused()
            elif self._own:
                getattr(server, self._own)(request, peer)  # shuts the request down, or has left that to someone
                return last_info(request)
            else:
                server.finish_request(request, peer)
        except BaseException as error:  # noqa: BLE001  # SystemExit and KeyboardInterrupt end no worker
            outcomes.failed(error, request, peer)
        info = last_info(request)
        try:
            server.shutdown_request(request)
        except BaseException:
            logger.exception("%s: shutdown_request failed", self._listener)
            if isinstance(request, socket.socket):
                request.close()
        return info
