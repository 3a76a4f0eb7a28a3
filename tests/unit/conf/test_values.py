"""Values as they may be written, and as they may not."""

import pytest

from forkful.conf.address import Address
from forkful.conf.option import Scope
from forkful.conf.values import Elastic, Said, Section, judge


def section(**values: object) -> Section:
    return {key: Said(value, f"here: {key}") for key, value in values.items()}


@pytest.mark.parametrize(
    ("key", "written", "meant"),
    [
        ("timeout", 30, 30.0),
        ("timeout", "0.5", 0.5),
        ("timeout", "500ms", 0.5),
        ("timeout", "30s", 30.0),
        ("timeout", "2m", 120.0),
        ("timeout", "1 h", 3600.0),
        ("max_rss", 1000, 1000),
        ("max_rss", "512M", 512 << 20),
        ("max_rss", "1.5GiB", 3 << 29),
        ("max_rss", "64kb", 64 << 10),
        ("workers", "auto", "auto"),
        ("workers", "4", 4),
        ("workers", "2-8", Elastic(2, 8)),
        ("workers", {"min": 2, "max": 8}, Elastic(2, 8)),
        ("max_worker_age", "1h", 3600.0),
        ("timeout_action", "report", "report"),
        ("max_requests", "100_000", 100_000),
        ("preload", "yes", True),
        ("preload", False, False),
        ("event_loop", "asyncio", "asyncio"),
        ("bind", ":80", (Address("", host="*", port=80),)),
        ("bind", ["fd://3", "udp://x:1"], (Address("fd", fd=3), Address("udp", host="x", port=1))),
        ("bind", [""], ()),
        ("forwarded_allow_ips", "127.0.0.1, 10.0.0.0/8,::1", "127.0.0.1, 10.0.0.0/8,::1"),
        ("forwarded_allow_ips", "*", "*"),
        ("forwarded_allow_ips", "", ""),
        ("access_log_format", "%(h)s 100%% %({x-id}i)s %({a.b}e)s", "%(h)s 100%% %({x-id}i)s %({a.b}e)s"),
        ("access_log_format", "json", "json"),
        ("allow", "10.0.0.0/8, unix,::1", ("10.0.0.0/8", "unix", "::1")),
        ("allow", ["10.0.0.0/8", "192.0.2.1,2001:db8::/32"], ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32")),
        ("deny", [""], ()),
        ("root_path", "/a/b", "/a/b"),
        ("root_path", "", ""),
        ("handler", "a.b:make('x').app", "a.b:make('x').app"),
    ],
)
def test_a_pools_value_is_understood(key: str, written: object, meant: object) -> None:
    typed, mistakes = judge(Scope.POOL, section(**{key: written}))

    assert mistakes == []
    assert typed[key] == Said(meant, f"here: {key}")


@pytest.mark.parametrize("written", ["022", "0o22", 0o22])
def test_a_mode_is_octal(written: object) -> None:
    typed, mistakes = judge(Scope.MASTER, section(umask=written))

    assert (typed["umask"].value, mistakes) == (0o22, [])


@pytest.mark.parametrize(
    ("key", "written", "words"),
    [
        ("forwarded_allow_ips", "127.0.0.1,localhost", 'like "127.0.0.1,10.0.0.0/8"'),
        ("forwarded_allow_ips", "10.0.0.0/99", 'like "127.0.0.1,10.0.0.0/8"'),
        ("access_log_format", "%(h)s %(Z)s", "Gunicorn's atoms"),
        ("access_log_format", "%(h)d", "Gunicorn's atoms"),
        ("access_log_format", "%({x}q)s", "Gunicorn's atoms"),
        ("root_path", "app", 'a path like "/app"'),
        ("root_path", "/app/", 'a path like "/app"'),
        ("root_path", "/", 'a path like "/app"'),
        ("access_log_format", "100%", "Gunicorn's atoms"),
        ("workers", 0, "at least 1"),
        ("workers", "many", '"auto"'),
        ("workers", True, "whole number"),
        ("workers", "8-2", "2-8"),
        ("workers", {"min": 0, "max": 8}, "min = 2"),
        ("workers", {"min": 1, "max": 8, "mean": 3}, "min = 2"),
        ("threads", 2.5, "whole number"),
        ("timeout", -1, "at least 0"),
        ("timeout", float("inf"), "number of seconds"),
        ("timeout", "soon", "500ms"),
        ("max_rss", "1 elephant", "512M"),
        ("backlog", "65536", "at most 65535"),
        ("surge", 0, "at least 1"),
        ("event_loop", "asynico", "did you mean asyncio?"),
        ("loop", "sync", "the handler decides"),
        ("handler", "app", "module:Handler"),
        ("handler", 3, "module:Handler"),
        ("bind", 80, "an address"),
        ("bind", [80], "tcp://"),
        ("certificates", [{"keyfile": "a"}], "pairs of files"),
        ("cert_reqs", "3", "one of none, optional, required"),
        ("alpn", [7], "names of protocols"),
        ("wrokers", 3, "did you mean workers?"),
        ("max-requests", 3, "did you mean max_requests?"),
        ("graceful_timeout", 3, "belongs in [master]"),
        ("allow", "10.0.0.0/33", "'10.0.0.0/33' is not a network; write a network, an address or \"unix\""),
        ("deny", ["10.0.0.0/8", "localhost"], "'localhost' is not a network"),
        ("deny", [10], "not a network"),
        ("allow", "fe80::1%eth0/64", "not a network"),
        ("zzz", 3, "there are handler, bind"),
    ],
)
def test_a_mistake_says_where_it_is_and_what_would_be_right(key: str, written: object, words: str) -> None:
    _, mistakes = judge(Scope.POOL, section(**{key: written}))

    assert [mistake.place for mistake in mistakes] == [f"here: {key}"]
    assert words in str(mistakes[0])


def test_each_wrong_address_of_a_list_is_its_own_mistake() -> None:
    _, mistakes = judge(Scope.POOL, section(bind=["foo://x:1", "tcp://x:1", "unix://x"]))

    assert [word in str(mistake) for word, mistake in zip(("foo://", "unix://"), mistakes, strict=True)] == [True, True]
