"""The slots of csrc/runtime/ort_abi.h against ONNX Runtime's own header, where one is at hand.

The header is onnxruntime_c_api.h of any release from 1.17 on (members keep their slots for ever).
Debian 13's libonnxruntime-dev installs it; BEAMCAP_ORT_HEADER names another place.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

ABI = Path(__file__).parents[2] / "csrc/runtime/ort_abi.h"
KNOWN_PLACES = (
    "/usr/include/onnxruntime/onnxruntime_c_api.h",
    "/usr/local/include/onnxruntime/onnxruntime_c_api.h",
    "/usr/local/include/onnxruntime_c_api.h",
)


@pytest.fixture(scope="module")
def header() -> str:
    given = os.environ.get("BEAMCAP_ORT_HEADER")
    for place in [given] if given else KNOWN_PLACES:
        if Path(place).is_file():
            return without_comments(Path(place).read_text(encoding="utf-8"))
        assert not given, f"BEAMCAP_ORT_HEADER={given} is no file"
    pytest.skip("no onnxruntime_c_api.h at hand; BEAMCAP_ORT_HEADER can name one")


def without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*", "", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL))


def members(header: str, struct: str) -> list[str]:
    """The members' names, in the order of their slots; every member is a pointer to a function."""
    body = re.search(rf"\bstruct {struct} \{{(.*?)\n\}};", header, re.DOTALL)
    assert body, f"the header has no struct {struct}"
    found = []
    for declaration in re.sub(r"^#.*$", "", body.group(1), flags=re.MULTILINE).split(";"):
        if not declaration.strip():
            continue
        name = (
            re.search(r"ORT_API2_STATUS\(\s*(\w+)", declaration)
            or re.search(r"ORT_CLASS_(RELEASE)\(\s*(\w+)", declaration)
            or re.search(r"\(\s*ORT_API_CALL\s*\*\s*(\w+)\s*\)", declaration)
        )
        assert name, f"a member of {struct} that this test cannot read: {declaration.strip()}"
        release = name.lastindex == 2
        found.append(f"Release{name.group(2)}" if release else name.group(1))
    return found


def our_slots() -> dict[str, int]:
    found = re.findall(r"^BEAMCAP_ORT_SLOT\((\w+), (\d+)\);", ABI.read_text(), re.MULTILINE)
    return {name: int(slot) for name, slot in found}


def test_every_member_that_we_declare_has_its_slot_written_down() -> None:
    body = re.search(r"struct OrtApi \{(.*?)\n\};", without_comments(ABI.read_text()), re.DOTALL)
    assert body
    declared = re.findall(r"\(\*(\w+)\)\(", body.group(1))
    assert declared == list(our_slots())


def test_slots_are_those_of_the_header(header: str) -> None:
    official = members(header, "OrtApi")
    assert our_slots() == {name: official.index(name) for name in our_slots()}


def test_the_entry_is_that_of_the_header(header: str) -> None:
    assert members(header, "OrtApiBase") == ["GetApi", "GetVersionString"]


@pytest.mark.parametrize(
    ("ours", "official"),
    [
        ("kLoggingLevelError", "ORT_LOGGING_LEVEL_ERROR"),
        ("kGraphOptimizationAll", "ORT_ENABLE_ALL"),
        ("kDeviceAllocator", "OrtDeviceAllocator"),
        ("kMemTypeDefault", "OrtMemTypeDefault"),
    ],
)
def test_constants_are_those_of_the_header(header: str, ours: str, official: str) -> None:
    value = re.search(rf"{ours} = (\d+);", ABI.read_text())
    assert value
    assert int(value.group(1)) == enumerators(header)[official]


@pytest.mark.parametrize(
    ("ours", "official"),
    [
        ("kFloat32", "FLOAT"),
        ("kInt32", "INT32"),
        ("kInt64", "INT64"),
        ("kBool", "BOOL"),
        ("kFloat16", "FLOAT16"),
    ],
)
def test_element_types_are_those_of_the_header(header: str, ours: str, official: str) -> None:
    value = re.search(rf"\b{ours} = (\d+)", (ABI.parent / "tensor.h").read_text())
    assert value
    assert int(value.group(1)) == enumerators(header)[f"ONNX_TENSOR_ELEMENT_DATA_TYPE_{official}"]


def enumerators(header: str) -> dict[str, int]:
    """Every name of every enum of the header, with its value."""
    values: dict[str, int] = {}
    for body in re.findall(r"\benum\s+\w+\s*\{(.*?)\}", header, re.DOTALL):
        following = 0
        for entry in body.split(","):
            name, _, value = (part.strip() for part in entry.partition("="))
            if not name:
                continue
            following = values[value] if value in values else int(value, 0) if value else following
            values[name] = following
            following += 1
    return values
