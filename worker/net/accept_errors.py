"""Errors of accept(2) and recvfrom(2), sorted once: who is to blame, and so what to do.

An errno that is in none of them is ours and raises.
"""

import errno
import resource

#: This machine or this process has run out of something: pause and go on, it comes back.
BUSY = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

#: The peer, the network or a firewall undid what had come: accept(2) says to treat these as "try again"; on datagram
#: sockets they are about a reply we sent before.
THEIRS = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EMSGSIZE,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EPERM,
        errno.EPIPE,
        errno.EPROTO,
        errno.ETIMEDOUT,
    }
)

#: The queue is empty (someone made the listener non-blocking) or another process was faster.
EMPTY = frozenset({errno.EAGAIN, errno.EWOULDBLOCK})

#: What a handler meets when its peer is no longer there.
PEER = frozenset(
    {errno.ECONNABORTED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOTCONN, errno.EPIPE}
    | {errno.ETIMEDOUT}
)


def remedy(number: int) -> str:
    """What an operator may change so that a BUSY error goes away."""
    if number == errno.EMFILE:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            f"this process may have {soft} open files (hard limit {hard}): "
            "raise `ulimit -n` or LimitNOFILE=, or lower threads or max_connections"
        )
    if number == errno.ENFILE:
        return "the system has no open files left: raise fs.file-max, or look for who leaks them"
    return "the kernel has no memory for sockets left: look at net.ipv4.tcp_mem and the memory limit of this cgroup"
