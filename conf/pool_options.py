"""Options of a pool: what it runs, and with which workers."""

from forkful.conf.option import Form, Option, Scope

_P = Scope.POOL

POOL: tuple[Option, ...] = (
    Option(
        "handler", _P, Form.HANDLER, "", "The handler, as MODULE:ATTRIBUTE. It is imported from the working directory."
    ),
    Option(
        "bind",
        _P,
        Form.ADDRESSES,
        ("127.0.0.1:8000",),
        "The address to listen on. Repeat the flag for more addresses.",
        "-b",
    ),
    Option(
        "workers",
        _P,
        Form.WORKERS,
        1,
        "The number of worker processes. MIN-MAX: between these, as the load needs. auto: one for each CPU.",
        "-w",
        least=1,
    ),
    Option(
        "threads",
        _P,
        Form.COUNT,
        1,
        "The number of threads in each worker. Each thread serves one connection at a time.",
        least=1,
    ),
    Option(
        "timeout",
        _P,
        Form.SECONDS,
        30.0,
        "If a request takes longer than this, its worker is replaced. 0: no limit.",
        "-t",
    ),
    Option(
        "timeout_action",
        _P,
        Form.CHOICE,
        "kill",
        "What happens after timeout. The stacks are logged in any case; kill also ends the worker.",
        words=("kill", "report"),
    ),
    Option("boot_timeout", _P, Form.SECONDS, 60.0, "How long a worker may take to become ready. 0: no limit."),
    Option("max_requests", _P, Form.COUNT, 0, "A worker is replaced after this many requests. 0: never."),
    Option(
        "max_requests_jitter",
        _P,
        Form.COUNT,
        0,
        "A random number up to this is added to max_requests, so that workers leave one by one. Unset: a tenth.",
    ),
    Option("max_rss", _P, Form.SIZE, 0, "A worker that uses more memory than this is replaced. 0: no limit."),
    Option(
        "max_worker_age",
        _P,
        Form.SECONDS,
        0.0,
        "A worker is replaced at this age, plus or minus a tenth. 0: never.",
    ),
    Option(
        "max_connections",
        _P,
        Form.COUNT,
        1000,
        "The most connections that one worker has at a time, on an event loop.",
        least=1,
    ),
    Option(
        "reader_limit",
        _P,
        Form.SIZE,
        65_536,
        "How long a line may be that a coroutine handler reads (readline, readuntil): limit of asyncio.start_server.",
        least=1,
    ),
    Option(
        "event_loop",
        _P,
        Form.CHOICE,
        "auto",
        "The event loop. auto: uvloop if it is installed.",
        words=("auto", "uvloop", "asyncio"),
    ),
    Option(
        "preload",
        _P,
        Form.SWITCH,
        default=False,
        help="Import the handler once, before the workers are forked. With bake_time the default is true.",
    ),
    Option(
        "hooks",
        _P,
        Form.HOOKS,
        (),
        "Functions to call in the life of a worker: on_load, post_fork, worker_ready, worker_drain, worker_exit. "
        "A table of them, as MODULE:FUNCTION, or a module that has them.",
    ),
    Option(
        "ready_min",
        _P,
        Form.SHARE,
        "1",
        "How many ready workers make a pool ready (/readyz). A percentage is of workers, or of MIN.",
    ),
    Option("surge", _P, Form.COUNT, 1, "How many extra workers a pool may have during a reload.", least=1),
)
