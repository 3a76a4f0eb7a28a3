"""Options of the whole service: of the master and of the admin pages."""

from forkful.conf.option import Form, Option, Scope

_M, _A = Scope.MASTER, Scope.ADMIN

SERVICE: tuple[Option, ...] = (
    Option(
        "bind",
        _A,
        Form.ADDRESSES,
        (),
        "The addresses for metrics, health checks and commands. Empty: none.",
        reload=False,
    ),
    Option(
        "group",
        _A,
        Form.PERSON,
        "",
        "The group that may give commands at the admin's Unix sockets. Unset: only the master's user and root.",
        reload=False,
        upgrade=False,
    ),
    Option(
        "allowed_hosts",
        _A,
        Form.HOSTS,
        (),
        "Names by which the admin pages are served over TCP, beside IP addresses, localhost and this machine's name.",
    ),
    Option(
        "token_file",
        _A,
        Form.PATH,
        "",
        "A file with the token that the admin pages want over TCP (Authorization: Bearer TOKEN). Empty: none.",
    ),
    Option(
        "name",
        _M,
        Form.TEXT,
        "forkful",
        "The name of the service. It begins the titles of its processes in ps.",
        "-n",
        reload=False,
    ),
    Option("pid", _M, Form.PATH, "", "The file for the process id of the master.", reload=False),
    Option("chdir", _M, Form.PATH, "", "The working directory. Handlers are imported from there.", reload=False),
    Option(
        "user",
        _M,
        Form.PERSON,
        "",
        "The user of the workers and of the admin process, by name or number.",
        "-u",
        reload=False,
        upgrade=False,
    ),
    Option(
        "group",
        _M,
        Form.PERSON,
        "",
        "Their group, by name or number. Unset: the group of the user.",
        "-g",
        reload=False,
        upgrade=False,
    ),
    Option(
        "umask",
        _M,
        Form.MODE,
        -1,
        "The umask of the workers.",
        "-m",
        least=-1,
        most=0o777,
        reload=False,
    ),
    Option(
        "graceful_timeout", _M, Form.SECONDS, 30.0, "How long a worker that must leave may take to finish its requests."
    ),
    Option(
        "drain_delay",
        _M,
        Form.SECONDS,
        0.0,
        "At a stop: how long to accept new connections still, until load balancers have noticed.",
    ),
    Option(
        "bake_time",
        _M,
        Form.SECONDS,
        0.0,
        "How long a new generation has to prove itself: beside the old one, if there is a canary, and again once all "
        "workers are new. For that long the old one can be had back at once. 0: not at all.",
    ),
    Option(
        "canary",
        _M,
        Form.SHARE,
        "",
        "How many workers of each pool a reload replaces first, a number or a percentage. After bake_time all others "
        "follow, unless these were worse: then the old ones come back. Empty: all at once.",
    ),
    Option(
        "canary_requests",
        _M,
        Form.COUNT,
        50,
        "How many requests old and new workers of a pool must each have ended for errors and latency to be compared.",
        least=1,
    ),
    Option(
        "canary_errors",
        _M,
        Form.PERCENT,
        "1%",
        "How much more of all requests may fail in new workers than in old ones: with 1%, 3% where it were 2%.",
    ),
    Option("canary_latency", _M, Form.PERCENT, "50%", "How much longer a request may take in new workers, on average."),
    Option("canary_memory", _M, Form.PERCENT, "50%", "How much more memory a new worker may have than an old one."),
    Option(
        "debug",
        _M,
        Form.SWITCH,
        default=False,
        help="For development: breakpoint() and input() have the terminal, and no timeout ends a worker that waits.",
    ),
    Option(
        "reload",
        _M,
        Form.SWITCH,
        default=False,
        help="For development: a file of the application that changes is a reload; errors are shown in browsers, too.",
    ),
    Option(
        "reload_include",
        _M,
        Form.PATTERNS,
        (),
        "Other files whose change is a reload, like *.html or templates/**. With reload only.",
    ),
    Option("reload_exclude", _M, Form.PATTERNS, (), "Files and directories whose change is none. With reload only."),
    Option(
        "reload_extra_file", _M, Form.PATHS, (), "One more file whose change is a reload, wherever. With reload only."
    ),
    Option(
        "log_level",
        _M,
        Form.CHOICE,
        "info",
        "The lowest level that is logged.",
        words=("debug", "info", "warning", "error", "critical"),
    ),
    Option(
        "log_format",
        _M,
        Form.CHOICE,
        "text",
        "The form of the log: lines of text, or JSON objects.",
        words=("text", "json"),
    ),
    Option(
        "log_file", _M, Form.PATH, "-", "The file of the log. -: standard error. After a rotation USR1 opens it again."
    ),
    Option("access_log", _M, Form.PATH, "", "The file of the access log. -: standard output. Empty: no access log."),
    Option("log_config", _M, Form.PATH, "", "A file with your own logging configuration, in TOML, JSON or ini format."),
)
