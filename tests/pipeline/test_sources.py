"""ReadImages: every file that a pattern names comes out once, as bytes or as an error."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem, MatchResult
from apache_beam.io.filesystems import FileSystems
from apache_beam.testing.util import assert_that, equal_to
from fakes import Folder

from beamcap import CaptionError, ImageInput
from beamcap.beam import ReadImages
from beamcap.beam.sources import match_paths, matches_something, read_image

LIMIT = 1 << 20


def test_every_file_is_there_once(folder: Folder, pipeline: beam.Pipeline) -> None:
    one = next(iter(folder.captions))
    read = pipeline | ReadImages([folder.pattern, one, f"{folder.path}/1*.jpg"])
    names = read | beam.Map(lambda element: (type(element), element.key, element.uri))
    unread = {uri for uri, (stage, _) in folder.errors.items() if stage == "read"}
    every = set(folder.captions) | set(folder.errors)
    expected = [(CaptionError if uri in unread else ImageInput, uri, uri) for uri in every]
    assert_that(names, equal_to(expected))
    pipeline.run()


def test_the_bytes_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "image"
    for size in (1, 1 << 20, (1 << 20) + 1):
        path.write_bytes(os.urandom(size))
        image = read_image(str(path), 2 * LIMIT)
        assert image == ImageInput(str(path), str(path), path.read_bytes())


def test_a_compressed_file_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "image.gz"
    path.write_bytes(b"\x1f\x8b not really")
    image = read_image(str(path), LIMIT)
    assert isinstance(image, ImageInput)
    assert image.data == b"\x1f\x8b not really"


def test_what_cannot_be_read_is_an_error_with_a_reason(folder: Folder) -> None:
    for uri, (stage, reason) in folder.errors.items():
        if stage == "read":
            error = read_image(uri, LIMIT)
            assert isinstance(error, CaptionError)
            assert error[:4] == (uri, uri, "read", reason)
            assert error.message


def test_a_file_larger_than_allowed_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(bytes(1001))
    assert isinstance(read_image(str(path), 1001), ImageInput)
    error = read_image(str(path), 1000)
    assert isinstance(error, CaptionError)
    assert (error.stage, error.reason) == ("read", "too_many_bytes")
    assert "1,001" in error.message and "1,000" in error.message


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (PermissionError(13, "Permission denied"), "permission_denied", "no permission to read"),
        (FileNotFoundError(2, "No such file"), "not_found", "no such file"),
        (OSError(5, "Input/output error"), "unreadable", "Input/output error"),
        (BeamIOError("Open failed", {"x": 1}), "unreadable", "Open failed"),
        (RuntimeError(), "unreadable", "RuntimeError"),
    ],
)
def test_whatever_reading_raises_is_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
    message: str,
) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(b"data")

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(FileSystems, "open", fail)
    result = read_image(str(path), LIMIT)
    assert isinstance(result, CaptionError)
    assert result[:4] == (str(path), str(path), "read", reason)
    assert message in result.message


def test_a_name_that_is_no_unicode_is_read(tmp_path: Path, pipeline: beam.Pipeline) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/photo\xff.jpg")
    Path(name).write_bytes(b"data")
    printable = str(tmp_path / "photo\\udcff.jpg")
    # The second as a shell expands a pattern.
    read = pipeline | ReadImages([str(tmp_path / "*.jpg"), name])
    assert_that(read, equal_to([ImageInput(printable, printable, b"data")]))
    pipeline.run()


def test_patterns_of_local_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    names = ["1.jpg", "[2].jpg", "a/3.jpg", "a/b/4.jpg", "a/b/5.png"]
    for name in names:
        (tmp_path / name).touch()

    def matched(pattern: str) -> list[str]:
        paths = match_paths(str(tmp_path) + pattern)
        return [str(Path(path).relative_to(tmp_path)) for path in paths]

    assert matched("/*.jpg") == ["1.jpg", "[2].jpg"]
    assert matched("/") == ["1.jpg", "[2].jpg", "a"]
    assert matched("") == ["."]
    assert matched("/[2].jpg") == ["[2].jpg"], "a file of that very name comes before a pattern"
    assert matched("/[1-3].jpg") == ["1.jpg"]
    assert Counter(matched("/**")) == Counter(names)
    assert matched("/**/*.jpg") == ["1.jpg", "[2].jpg", "a/3.jpg", "a/b/4.jpg"]
    assert matched("/a/?.jpg") == ["a/3.jpg"]
    assert matched("/none*") == []
    assert matched("/none.jpg") == ["none.jpg"], "reading it says that it is not there"


def test_a_link_that_leads_back_gives_no_file_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "1.jpg").touch()
    (tmp_path / "photos" / "a" / "back").symlink_to("..")
    (tmp_path / "album").symlink_to("photos")
    monkeypatch.chdir(tmp_path / "album")
    for root in (f"{tmp_path}/photos/", f"{tmp_path}/album/", f"{tmp_path}/p*/", "../album/", ""):
        for pattern in ("**", "**/*.jpg"):
            found = list(match_paths(root + pattern))
            assert [Path(path).name for path in found] == ["1.jpg"], root + pattern
            assert "/back/" not in found[0]


def test_links_in_circles_and_hidden_folders_are_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("p/1.jpg", "p/x/2.jpg", "p/x/y/3.jpg", "p/.hidden/4.jpg", "[q]/5.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for link in ("p/here", "p/again", "p/x/up"):
        (tmp_path / link).symlink_to("..")
    (tmp_path / "p" / "6.jpg").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    assert list(match_paths("p/**/*.jpg")) == ["p/1.jpg", "p/6.jpg", "p/x/2.jpg", "p/x/y/3.jpg"]
    assert list(match_paths("p/**/x/**/*.jpg")) == ["p/x/2.jpg", "p/x/y/3.jpg"]
    assert list(match_paths("*/**/5.jpg")) == ["[q]/5.jpg"]
    assert list(match_paths("nowhere/**")) == []


class _RemoteFileSystem(FileSystem):
    """Some files behind a scheme, one of which cannot be read."""

    FILES = ("remote://bucket/b.jpg", "remote://bucket/a.jpg")

    @classmethod
    def scheme(cls) -> str:
        return "remote"

    def match(self, patterns: list[str], limits: object = None) -> list[MatchResult]:
        prefixes = [pattern.partition("*")[0] for pattern in patterns]
        return [
            MatchResult(p, [FileMetadata(f, 1) for f in self.FILES if f.startswith(p)])
            for p in prefixes
        ]

    def open(self, path: str, *args: object, **kwargs: object) -> object:
        if path.endswith("b.jpg"):
            raise ConnectionResetError(104, "Connection reset by peer")
        return Path(__file__).open("rb")

    def _unused(self, *args: object, **kwargs: object) -> None:
        raise NotImplementedError

    join = split = mkdirs = has_dirs = _list = create = copy = rename = exists = size = _unused
    last_updated = checksum = metadata = delete = _unused


def test_other_file_systems_are_beams(pipeline: beam.Pipeline) -> None:
    assert list(match_paths("remote://bucket/*")) == sorted(_RemoteFileSystem.FILES)
    assert list(match_paths("remote://bucket/none.jpg")) == ["remote://bucket/none.jpg"]
    assert list(match_paths("remote://none/*")) == []
    assert matches_something("remote://bucket/a*") and not matches_something("remote://none/*")
    good = read_image("remote://bucket/a.jpg", LIMIT)
    assert isinstance(good, ImageInput) and good.data == Path(__file__).read_bytes()
    bad = read_image("remote://bucket/b.jpg", LIMIT)
    assert isinstance(bad, CaptionError)
    assert (bad.reason, bad.message) == ("unreadable", "Connection reset by peer")
    assert isinstance(read_image("remote://bucket/a.jpg", 10), CaptionError)
