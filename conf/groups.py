"""The groups of options, as `--help` and the manual show them: a title, an example, and the table of each."""

from typing import Final

from forkful.conf.light import dataclass
from forkful.conf.listener_options import LISTENER
from forkful.conf.option import Option
from forkful.conf.pool_options import POOL
from forkful.conf.service_options import SERVICE
from forkful.conf.tls_options import TLS
from forkful.conf.web_options import WEB


@dataclass(frozen=True, slots=True)
class Group:
    """`example` is what follows `forkful serve`."""

    title: str
    example: str
    options: tuple[Option, ...]


GROUPS: Final = (
    Group("Workers", "shop.wsgi:application -b :8000 -w auto --threads 4 --max-requests 10000", POOL),
    Group("Listening, and connections", "dns:Handler -b udp://*:53 --reuse-port --receive-buffer 4M", LISTENER),
    Group("TLS", "shop:app -b https://*:8443 --certfile chain.pem --keyfile key.pem", TLS),
    Group("Web applications", "shop:app -b :8000 --forwarded-allow-ips 10.0.0.0/8 --limit-request-body 10M", WEB),
    Group("The service", "shop:app -b :8000 -n shop --access-log - --log-format json --graceful-timeout 60", SERVICE),
)
