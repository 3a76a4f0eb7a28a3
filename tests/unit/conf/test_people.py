"""Users and groups by name and number, and what a process becomes."""

import grp
import os
import pwd
from collections.abc import Callable

import pytest

from forkful.conf.people import Identity, NobodyError, group_number, user_number

OTHER = next(entry for entry in pwd.getpwall() if entry.pw_uid != os.geteuid())
GROUP = next(entry for entry in grp.getgrall() if entry.gr_gid not in {os.getegid(), OTHER.pw_gid})
NAMELESS = 2**31 + 12_345  # large numbers are usual where a directory service gives them out


def test_a_user_comes_with_its_own_group_and_supplementary_groups() -> None:
    own = tuple(os.getgrouplist(OTHER.pw_name, OTHER.pw_gid))

    assert Identity.of(OTHER.pw_name, "") == Identity(OTHER.pw_uid, OTHER.pw_gid, own)
    assert Identity.of(str(OTHER.pw_uid), "") == Identity(OTHER.pw_uid, OTHER.pw_gid, own), "by number as by name"


@pytest.mark.parametrize("group", [GROUP.gr_name, str(GROUP.gr_gid)])
def test_a_group_that_is_named_takes_the_place_of_the_users_own(group: str) -> None:
    became = Identity.of(OTHER.pw_name, group)

    assert (became.uid, became.gid) == (OTHER.pw_uid, GROUP.gr_gid)
    assert became.groups is not None
    assert GROUP.gr_gid in became.groups


def test_a_user_number_that_has_no_name_keeps_nothing_of_ours() -> None:
    assert Identity.of(str(NAMELESS), "") == Identity(NAMELESS, NAMELESS, (NAMELESS,))
    assert Identity.of(str(NAMELESS), "7") == Identity(NAMELESS, 7, (7,))


def test_a_group_alone_takes_the_place_of_all_our_groups() -> None:
    assert Identity.of("", str(NAMELESS)) == Identity(None, NAMELESS, (NAMELESS,))


@pytest.mark.parametrize(("user", "group"), [("", ""), (str(os.geteuid()), ""), (str(os.geteuid()), str(os.getegid()))])
def test_who_we_are_already_needs_no_right_to_become_it(user: str, group: str) -> None:
    became = Identity.of(user, group)

    assert became == Identity(None, None, None)
    became.assume()


@pytest.mark.parametrize("number_of", [user_number, group_number])
@pytest.mark.parametrize("text", ["no such one", "-1", "+5", "0x10", "\N{ARABIC-INDIC DIGIT FIVE}", "a\0b", "1.5"])
def test_who_is_not_there_is_named(number_of: Callable[[str], int], text: str) -> None:
    with pytest.raises(NobodyError, match=r"there is no (user|group)"):
        number_of(text)


@pytest.mark.parametrize("number_of", [user_number, group_number])
@pytest.mark.parametrize("number", [2**32 - 1, 2**32, 10**30])
def test_numbers_end_before_the_one_that_means_leave_it(number_of: Callable[[str], int], number: int) -> None:
    with pytest.raises(NobodyError, match="they end at 4294967294"):
        number_of(str(number))
