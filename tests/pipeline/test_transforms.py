"""CaptionImages: every image in one output, with its time and window, whatever its batch."""

from __future__ import annotations

import typing

import apache_beam as beam
import pytest
from apache_beam import coders
from apache_beam.testing import util
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import (
    FixedWindows,
    GlobalWindow,
    IntervalWindow,
    Sessions,
    SlidingWindows,
    TimestampedValue,
    WindowFn,
)
from apache_beam.typehints import TypeCheckError, schemas
from apache_beam.utils.timestamp import Timestamp
from fakes import FakeHandler, fake_result

from beamcap import Candidate, Caption, CaptionError, GenerationOptions, ImageInput
from beamcap.beam import CaptionedImages, CaptionImages

UNREAD = CaptionError("lost", "lost.jpg", "read", "not_found", "no such file")
TIMES = {"0": 1.5, "1": 61, "2": 59, "3": -10, "bad": 30, "lost": 62}


@pytest.fixture
def images(pictures: list[bytes]) -> list[ImageInput | CaptionError]:
    good = [ImageInput(str(index), "", data) for index, data in enumerate(pictures[:4])]
    return [*good[:2], ImageInput("bad", "", pictures[0][:300]), *good[2:], UNREAD]


def timed(
    pipeline: beam.Pipeline, images: list[ImageInput | CaptionError]
) -> beam.PCollection[ImageInput | CaptionError]:
    stamped = [TimestampedValue(image, TIMES[image.key]) for image in images]
    return (
        pipeline
        | beam.Create(stamped, reshuffle=False).with_output_types(TimestampedValue)
        | beam.Map(lambda value: value)
    )


def keys(captioned: CaptionedImages) -> tuple[beam.PCollection[str], beam.PCollection[str]]:
    return (
        captioned.captions | "CaptionKeys" >> beam.Map(lambda caption: caption.key),
        captioned.errors | "ErrorKeys" >> beam.Map(lambda error: error.key),
    )


def test_every_image_is_in_one_output(
    pipeline: beam.Pipeline, images: list[ImageInput | CaptionError]
) -> None:
    options = GenerationOptions(num_beams=3, num_return_sequences=2)
    captioned = pipeline | beam.Create(images) | CaptionImages(FakeHandler(batch_size=2), options)
    assert isinstance(captioned, CaptionedImages)
    results = [fake_result(image, options) for image in images if isinstance(image, ImageInput)]
    captions = [result for result in results if isinstance(result, Caption)]
    errors = [result for result in results if isinstance(result, CaptionError)]
    assert len(captions) == 4 and len(errors) == 1
    assert_that(captioned.captions, equal_to(captions), "Captions")
    assert_that(captioned.errors, equal_to([*errors, UNREAD]), "Errors")
    pipeline.run()


def test_timestamps_survive_in_the_global_window(
    pipeline: beam.Pipeline, images: list[ImageInput | CaptionError]
) -> None:
    captioned = timed(pipeline, images) | CaptionImages(FakeHandler(batch_size=4))

    def at(*names: str) -> list[util.TestWindowedValue]:
        return [util.TestWindowedValue(n, Timestamp(TIMES[n]), [GlobalWindow()]) for n in names]

    captions, errors = keys(captioned)
    assert_that(captions, equal_to(at("0", "1", "2", "3")), "Captions", reify_windows=True)
    assert_that(errors, equal_to(at("bad", "lost")), "Errors", reify_windows=True)
    pipeline.run()


def test_timestamps_survive_where_batches_wait_to_fill(
    pipeline: beam.Pipeline, images: list[ImageInput | CaptionError]
) -> None:
    handler = FakeHandler(batch_size=3, max_batch_duration_secs=1)
    captions, _ = keys(timed(pipeline, images) | CaptionImages(handler))
    times = captions | beam.Map(lambda key, time=beam.DoFn.TimestampParam: (key, time))
    assert_that(times, equal_to([(key, Timestamp(TIMES[key])) for key in ("0", "1", "2", "3")]))
    pipeline.run()


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        (FixedWindows(60), {"0": [0], "1": [60], "2": [0], "3": [-60], "bad": [0], "lost": [60]}),
        (
            SlidingWindows(60, 30),
            {
                "0": [-30, 0],
                "1": [30, 60],
                "2": [0, 30],
                "3": [-60, -30],
                "bad": [0, 30],
                "lost": [30, 60],
            },
        ),
    ],
)
def test_timestamps_and_windows_survive(
    pipeline: beam.Pipeline,
    images: list[ImageInput | CaptionError],
    windows: WindowFn,
    expected: dict[str, list[int]],
) -> None:
    captioned = (
        timed(pipeline, images)
        | beam.WindowInto(windows)
        | CaptionImages(FakeHandler(batch_size=4))
    )

    def at(*names: str) -> list[util.TestWindowedValue]:
        return [
            util.TestWindowedValue(
                name, Timestamp(TIMES[name]), [IntervalWindow(start, start + 60)]
            )
            for name in names
            for start in expected[name]
        ]

    captions, errors = keys(captioned)
    assert_that(captions, equal_to(at("0", "1", "2", "3")), "Captions", reify_windows=True)
    assert_that(errors, equal_to(at("bad", "lost")), "Errors", reify_windows=True)
    pipeline.run()


def test_merged_windows_stay_merged(
    pipeline: beam.Pipeline, images: list[ImageInput | CaptionError]
) -> None:
    sessions = (
        timed(pipeline, images)
        | beam.WindowInto(Sessions(40))
        | beam.Map(lambda image: ("all", image))
        | beam.GroupByKey()
        | beam.FlatMap(lambda group: group[1])
    )
    captioned = sessions | CaptionImages(FakeHandler(batch_size=2))
    session = IntervalWindow(-10, 102)
    captions, _ = keys(captioned)
    result = captions | beam.Map(lambda key, window=beam.DoFn.WindowParam: (key, window))
    assert_that(result, equal_to([(key, session) for key in ("0", "1", "2", "3")]))
    pipeline.run()


@pytest.mark.parametrize("batch_size", [1, 3, 8, 64])
def test_no_caption_depends_on_its_batch(
    pipeline: beam.Pipeline, pictures: list[bytes], batch_size: int
) -> None:
    images = [ImageInput(str(index), "", data) for index, data in enumerate(pictures[:16])]
    broken = [ImageInput(f"broken {index}", "", data[:99]) for index, data in enumerate(pictures)]
    mixed = [image for pair in zip(images, broken, strict=False) for image in pair]
    captioned = (
        pipeline
        | beam.Create(mixed, reshuffle=False)
        | CaptionImages(FakeHandler(batch_size=batch_size))
    )
    expected = [fake_result(image, GenerationOptions()) for image in images]
    assert_that(captioned.captions, equal_to(expected))
    pipeline.run()


def test_wrong_options_fail_before_the_run(pipeline: beam.Pipeline) -> None:
    images = pipeline | beam.Create([UNREAD])
    with pytest.raises(ValueError, match="num_beams=0"):
        images | CaptionImages(FakeHandler(), GenerationOptions(num_beams=0))


def test_what_is_no_image_is_refused_before_the_run(pipeline: beam.Pipeline) -> None:
    names = pipeline | beam.Create(["photo.jpg"])
    with pytest.raises(TypeCheckError, match="ImageInput"):
        names | CaptionImages(FakeHandler())


def test_outputs_have_types_and_schemas(pipeline: beam.Pipeline) -> None:
    captioned = pipeline | beam.Create([UNREAD]) | CaptionImages(FakeHandler())
    assert captioned.captions.element_type is Caption
    assert captioned.errors.element_type is CaptionError
    fields = dict(schemas.named_fields_from_element_type(Caption))
    assert set(fields) == set(Caption._fields)
    assert typing.Any not in fields.values()
    assert fields["metadata"] == typing.Mapping[str, str]
    assert fields["caption"] is str


def test_rows_cross_a_shuffle_as_they_are() -> None:
    candidates = [
        Candidate("ein Bär", -1.1, [5, 2], "eos", 0.5, False, [-0.5, -0.1]),
        Candidate("", -2.3, [], "length", 0.25, True, []),
    ]
    rows = [
        ImageInput("k", "gs://b/ü.jpg", b"\xff\xd8\0", {"row": "7"}),
        Caption("k", "u", *candidates[0], candidates, "m@1", 640, 427, {"row": "7"}),
        CaptionError("k", "u", "decode", "truncated", "ends early", 2, {}),
    ]
    for row in rows:
        coder = coders.registry.get_coder(type(row))
        assert isinstance(coder, coders.RowCoder)
        decoded = coder.decode(coder.encode(row))
        assert type(decoded) is type(row)
        assert decoded == row
