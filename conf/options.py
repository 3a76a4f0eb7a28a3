"""The options: each one declared once, and from this come flags, file keys, variables, checks and documentation.

A test holds its defaults in step with those of `forkful.conf.plan`.
"""

from forkful.conf.listener_options import LISTENER
from forkful.conf.option import Option, Scope
from forkful.conf.pool_options import POOL
from forkful.conf.service_options import SERVICE
from forkful.conf.tls_options import TLS
from forkful.conf.web_options import WEB

OPTIONS: tuple[Option, ...] = (*POOL, *LISTENER, *TLS, *WEB, *SERVICE)

BY_NAME = {option.name: option for option in OPTIONS}


def of(scope: Scope) -> dict[str, Option]:
    """The options of a scope by their key."""
    return {option.key: option for option in OPTIONS if option.scope is scope}


def of_listeners() -> dict[str, Option]:
    """Those that may be said of one address of a pool, by their key."""
    return {option.key: option for option in OPTIONS if option.listener}
