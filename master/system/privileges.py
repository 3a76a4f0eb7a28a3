"""Privileges: what a process of root's gives up for good when it becomes somebody else, capabilities(7).

With `no_new_privs` no program that it executes, set-user-ID or with capabilities of its own, gives it any; prctl(2).
That it cannot be traced by others of the same user, or have its memory read, comes with the change of the user itself.
Can go wrong: a container took the right to empty the bounding set from us: nothing in that set can be had anyway.
"""

import ctypes
import errno
import os

_PR_SET_DUMPABLE = 4  # linux/prctl.h, as the others
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 23, 24, 38  # linux/prctl.h
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
_SETS = 6  # effective, permitted, inheritable; two words of each


def empty_bounding_set() -> None:
    """While we may still."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = 0
    while libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) >= 0:  # up to the last that this kernel knows
        if libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0 and ctypes.get_errno() != errno.EPERM:
            _refused("prctl(PR_CAPBSET_DROP)")
        number += 1


def give_up() -> None:
    """Once we are that user: have nothing, and never get anything."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header, nothing = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * _SETS)()
    if libc.capset(header, nothing) != 0:
        _refused("capset")
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        _refused("prctl(PR_SET_NO_NEW_PRIVS)")


def hide_memory() -> None:
    """Where keys are in it: no core dump, and nobody but root may trace us, as after a change of the user."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        _refused("prctl(PR_SET_DUMPABLE)")


def _refused(what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{what}: {os.strerror(number)}")
