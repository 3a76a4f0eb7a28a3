"""Steering: which slot a peer's datagrams go to, by its address and port and the number of slots, and by nothing else.

So it is the same in every generation, after an upgrade and after a restart. For each slot, from the last to the second,
a peer throws a die that no other slot has, and the first one where it falls low enough is its own. A slot more takes an
equal share from each of the others, and one less gives its share to them: no other peer moves.
`weights` are those dice: the kernel throws them (`forkful.master.system.peer_group`), and `slot_of` does the same here.
Dice that everybody knows mean that a client may choose ports which lead to one slot; it could as well send all it has
from one port.
"""

from ipaddress import IPv4Address, IPv6Address
from typing import Final

FOLD: Final = 0x9E3779B1  # by which an address's words are brought together
MIX: Final = (0x85EBCA6B, 0xC2B2AE35)  # of MurmurHash3's last step
_WORD: Final = 0xFFFFFFFF


def _die(slot: int) -> int:
    """An odd number that looks like no other's."""
    mixed = slot * FOLD & _WORD
    for factor in MIX:
        mixed = (mixed ^ mixed >> 15) * factor & _WORD
    return mixed | 1


def weights(slots: int) -> list[tuple[int, int, int]]:
    """From the last slot to the second: its number, its die, and below what a throw has to be. Slot 0 has the rest."""
    return [(slot, _die(slot), (1 << 32) // (slot + 1)) for slot in range(slots - 1, 0, -1)]


def mixed(number: int) -> int:
    """The number of a peer, so that each bit of it hangs on all others."""
    first, second = MIX
    number = (number ^ number >> 16) * first & _WORD
    number = (number ^ number >> 13) * second & _WORD
    return number ^ number >> 16


def slot_of(address: IPv4Address | IPv6Address, port: int, slots: int) -> int:
    """The slot of a peer, as the kernel finds it."""
    packed, number = address.packed, 0
    for start in range(0, len(packed), 4):
        number = (number ^ int.from_bytes(packed[start : start + 4])) * FOLD & _WORD
    number = mixed(number ^ port)
    for slot, die, below in weights(slots):
        if number * die & _WORD < below:
            return slot
    return 0


def moved(before: int, after: int) -> float:
    """The share of all peers that have another slot after a change of the number of slots."""
    low, high = sorted((before, after))
    return 1 - low / high if low else 1.0


def spread(now: int, target: int, ready: set[int], *, settled: bool) -> int:
    """Over how many slots peers should be spread. At once over fewer; over more when all of them can serve.

    And, for more, not while a reload may still be undone (`settled`). Without a target they stay where they are.
    """
    if 0 < target < now:
        return target
    return target if target > now and settled and ready.issuperset(range(now, target)) else now
