"""What stacks that py-spy saw come to, by parts."""

import pytest

from tests.bench.flames import part_of, rows

LOOP = ["main (master/main.py:56)", "run_forever (loop.c:33192)", "uv_run (core.c:452)"]
OURS = "HttpConnection.data_received (worker/http/http1.py:83)"


@pytest.mark.parametrize(
    ("above", "part"),
    [
        ([OURS], "worker/http/http1.py"),
        ([OURS, "unicode_split (libpython3.11.so.1.0)", "malloc (libc.so.6)"], "worker/http/http1.py"),
        ([OURS, "__Pyx_GetAttr3 (parser.c:13094)"], "httptools"),
        (["write (loop.c:110189)", "UVStream__try_write (loop.c:106818)", "write (libc.so.6)"], "system call write"),
        (["uv__io_poll (linux.c:1517)"], "uvloop"),
        (["Pool._wake (worker/x.py:1)", "eventfd_write (libc.so.6)", "write (libc.so.6)"], ""),
        ([OURS, "wsgi (tests/bench/apps/hello.py:9)"], "the application"),
        (["uv__io_poll (linux.c:1452)", "epoll_pwait (libc.so.6)"], ""),
        (["Pool._sleep (worker/x.py:1)", "eventfd_read (libc.so.6)", "read (libc.so.6)"], ""),
    ],
)
def test_a_stack_is_the_time_of_whoever_is_nearest_to_its_leaf(above: list[str], part: str) -> None:
    assert part_of([*LOOP, *above]) == part


def test_waiting_is_no_part_and_the_others_share_what_a_request_costs() -> None:
    waits, writes = "uv__io_poll (linux.c:1);epoll_pwait (libc.so.6)", "write (libc.so.6)"
    found = rows([f"{OURS} 30", f"{writes} 10", f"{waits} 500"], 80.0)
    assert [(row.part, row.microseconds) for row in found] == [
        ("worker/http/http1.py", 60.0),
        ("system call write", 20.0),
    ]
