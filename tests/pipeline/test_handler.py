"""CaptionModelHandler: what RunInference relies on."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.ml.inference.base import RunInference
from apache_beam.testing.util import assert_that, equal_to
from fakes import FakeCaptioner, FakeHandler, fake_result

from beamcap import Caption, CaptionError, GenerationOptions, ImageInput
from beamcap.beam import CaptionModelHandler
from beamcap.captioner import CaptionBatch, Captioner

UNREAD = CaptionError("lost", "lost.jpg", "read", "not_found", "no such file")


@pytest.fixture
def batch(pictures: list[bytes]) -> list[ImageInput | CaptionError]:
    images: list[ImageInput | CaptionError] = [
        ImageInput(str(index), f"{index}.jpg", data) for index, data in enumerate(pictures[:5])
    ]
    broken = ImageInput("broken", "broken.jpg", pictures[5][:300], {"row": "7"})
    return [UNREAD, *images[:2], broken, UNREAD, *images[2:]]


def expected(batch: Iterable[ImageInput | CaptionError]) -> list[Caption | CaptionError]:
    defaults = GenerationOptions()
    return [e if isinstance(e, CaptionError) else fake_result(e, defaults) for e in batch]


def test_it_is_plain_configuration() -> None:
    handler = CaptionModelHandler("some/model", threads=2, batch_size=5, model_copies=2)
    copy = pickle.loads(pickle.dumps(handler))
    # Four of the model's batches, so that images are decoded while others are captioned.
    assert copy.batch_elements_kwargs() == {"min_batch_size": 20, "max_batch_size": 20}
    assert copy.__dict__ == handler.__dict__


@pytest.mark.parametrize("name", ["threads", "batch_size", "max_image_pixels", "max_image_bytes"])
def test_a_wrong_number_is_refused_at_once(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        CaptionModelHandler(**{name: 0})


def test_results_keep_the_places_of_their_elements(batch: list[ImageInput | CaptionError]) -> None:
    results = FakeHandler().run_inference(batch, FakeCaptioner())
    assert results == expected(batch)
    assert [result.key for result in results] == [element.key for element in batch]


def test_a_captioner_that_loses_a_result_is_found_out(
    batch: list[ImageInput | CaptionError],
) -> None:
    class Losing(FakeCaptioner):
        def caption_batch(self, *args: Any) -> CaptionBatch:
            results, timings = super().caption_batch(*args)
            return CaptionBatch(results[1:], timings)

    with pytest.raises(RuntimeError, match="5 results for 6 images"):
        FakeHandler().run_inference(batch, Losing())


def test_what_is_no_image_says_what_to_give(pictures: list[bytes]) -> None:
    with pytest.raises(
        TypeError, match=r"type bytes cannot be captioned: give beamcap\.ImageInput"
    ):
        FakeHandler().run_inference([pictures[0]], FakeCaptioner())  # type: ignore[list-item]


def test_in_run_inference(batch: list[ImageInput | CaptionError], pipeline: beam.Pipeline) -> None:
    handler = FakeHandler(batch_size=1)
    results = pipeline | beam.Create(batch, reshuffle=False) | RunInference(handler)
    assert_that(results, equal_to(expected(batch)))
    found = pipeline.run().metrics().query(MetricsFilter().with_namespace("beamcap"))
    counters = {counter.key.metric.name: counter.result for counter in found["counters"]}
    assert counters == {
        "images_ok": 5,
        "images_failed": 3,
        "failed_not_found": 2,
        "failed_truncated": 1,
        "tokens": 15,
        "num_inferences": 8,
    }
    milliseconds = {
        distribution.key.metric.name: (distribution.result.sum, distribution.result.count)
        for distribution in found["distributions"]
    }
    # Eight elements, four at a time; Beam's distributions hold whole milliseconds.
    assert milliseconds["decode_ms"] == (2 * 1, 2)
    assert milliseconds["preprocess_ms"] == (2 * 3, 2)
    assert milliseconds["encode_ms"] == (2 * 30, 2)
    assert milliseconds["search_ms"] == (2 * 40, 2)
    encoded = sum(len(element.data) for element in batch if isinstance(element, ImageInput))
    assert milliseconds["inference_request_batch_byte_size"] == (encoded, 2)


def test_inference_args_are_generation_options(
    batch: list[ImageInput | CaptionError], pipeline: beam.Pipeline
) -> None:
    results = (
        pipeline
        | beam.Create(batch[1:2])
        | RunInference(FakeHandler(), inference_args={"num_return_sequences": 2, "num_beams": 2})
        | beam.Map(lambda caption: len(caption.candidates))
    )
    assert_that(results, equal_to([2]))
    pipeline.run()


@pytest.mark.parametrize(
    ("inference_args", "message"),
    [
        ({"num_beam": 3}, "num_beam are not generation options: allowed are num_beams"),
        ({"num_beams": 0}, "num_beams=0 is not allowed"),
    ],
)
def test_wrong_inference_args_fail_before_the_run(
    inference_args: dict[str, Any], message: str, pipeline: beam.Pipeline
) -> None:
    images = pipeline | beam.Create([ImageInput("k", "u", b"")])
    with pytest.raises(ValueError, match=message):
        images | RunInference(FakeHandler(), inference_args=inference_args)


def test_a_process_loads_a_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load(model: str, **configuration: Any) -> FakeCaptioner:
        loaded.append((model, configuration["batch_size"]))
        return FakeCaptioner()

    monkeypatch.setattr(Captioner, "load", load)
    handler = CaptionModelHandler("one")
    first = handler.load_model()
    assert pickle.loads(pickle.dumps(handler)).load_model() is first
    assert CaptionModelHandler("one", batch_size=2).load_model() is not first
    assert loaded == [("one", 8), ("one", 2)]
    handler.update_model_path("two")
    assert handler.load_model() is not first
    assert loaded[2:] == [("two", 8)]
    copies = CaptionModelHandler("one", model_copies=2)
    assert copies.load_model() is not copies.load_model(), "two copies are two models"
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None, "a model that nobody uses is not kept"


def test_a_model_shared_between_processes(
    batch: list[ImageInput | CaptionError], pipeline: beam.Pipeline
) -> None:
    handler = FakeHandler(large_model=True)
    assert handler.share_model_across_processes() and handler.model_copies() == 1
    results = pipeline | beam.Create(batch) | RunInference(handler)
    assert_that(results, equal_to(expected(batch)))
    pipeline.run()
