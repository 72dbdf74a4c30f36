"""available_cores: the cgroup's quota caps the affinity."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from beamcap import cpu


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name in ("_CGROUP_V2", "_CGROUP_V1_QUOTA", "_CGROUP_V1_PERIOD"):
        monkeypatch.setattr(cpu, name, tmp_path / name)


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1)],
)
def test_version_2(tmp_path: Path, cpu_max: str, cores: int) -> None:
    (tmp_path / "_CGROUP_V2").write_text(cpu_max + "\n")
    assert cpu.available_cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("300000", 3)])
def test_version_1(tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "_CGROUP_V1_QUOTA").write_text(quota)
    (tmp_path / "_CGROUP_V1_PERIOD").write_text("100000")
    assert cpu.available_cores() == cores


def test_no_cgroup() -> None:
    assert cpu.available_cores() == 8
