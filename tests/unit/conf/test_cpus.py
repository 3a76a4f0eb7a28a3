"""How many CPUs `auto` finds, on machines that are made of files."""

from pathlib import Path

import pytest

from forkful.conf.cpus import Cpus, available


def machine(root: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in files.items():
        (root / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "sys" / name).write_text(text)
    (root / "own").write_text(own)
    return root / "sys", root / "own"


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, Cpus(8, "auto: 8 = affinity 8, no cgroup quota")),
        ("0::/\n", {}, Cpus(8, "auto: 8 = affinity 8, no cgroup quota")),
        ("0::/\n", {"cpu.max": "150000 100000"}, Cpus(2, "auto: 2 = min(affinity 8, cgroup quota 1.5 -> 2)")),
        ("0::/\n", {"cpu.max": "5000 100000"}, Cpus(1, "auto: 1 = min(affinity 8, cgroup quota 0.05 -> 1)")),
        ("0::/\n", {"cpu.max": "1600000 100000"}, Cpus(8, "auto: 8 = min(affinity 8, cgroup quota 16 -> 16)")),
        (
            "0::/a/b\n",
            {"a/cpu.max": "300000 100000", "a/b/cpu.max": "400000 100000", "cpu.max": "max 100000"},
            Cpus(3, "auto: 3 = min(affinity 8, cgroup quota 3 -> 3)"),
        ),
        (
            "0::/../other\n",
            {"cpu.max": "200000 100000"},
            Cpus(2, "auto: 2 = min(affinity 8, cgroup quota 2 -> 2)"),
        ),
        (
            "5:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            Cpus(3, "auto: 3 = min(affinity 8, cgroup quota 2.5 -> 3)"),
        ),
        (
            "5:cpu:/x\n0::/\n",
            {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            Cpus(8, "auto: 8 = affinity 8, no cgroup quota"),
        ),
        ("5:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "odd"}, Cpus(8, "auto: 8 = affinity 8, no cgroup quota")),
    ],
)
def test_auto_is_the_least_of_affinity_and_every_quota_above(
    tmp_path: Path, own: str, files: dict[str, str], expected: Cpus
) -> None:
    assert available(8, *machine(tmp_path, own, files)) == expected


def test_a_machine_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert available(2, tmp_path, tmp_path / "missing").count == 2
