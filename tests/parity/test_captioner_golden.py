"""The whole library, from images to words, against the golden set."""

from __future__ import annotations

import json
import shutil
from itertools import chain
from pathlib import Path

import pytest
from cases import BUNDLES, CASES, Case, Hypothesis, read_cases
from configurations import images, word
from product import SCORE_TOLERANCE, assert_same

from beamcap import Caption, Captioner, GenerationOptions

CASES_PER_BUNDLE = 8


@pytest.mark.filterwarnings("ignore:.*start token is also an EOS")
@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_the_captioner_captions_as_generate_does(folder: Path, tmp_path: Path) -> None:
    cases = [case for case in read_cases(folder / CASES) if len(case.configuration.prompt) == 1]
    for index, case in enumerate(cases[:CASES_PER_BUNDLE]):
        captioner = load_with_eos(folder, tmp_path / str(index), case)
        options = dict(case.configuration.options)
        del options["eos_token_id"]
        if options["num_beams"] == 1:
            # No effect: generate() takes it, a captioner refuses it.
            options.pop("early_stopping", None)
        pictures = list(images(case.configuration))
        results = captioner.caption(pictures, GenerationOptions(**options))
        candidates = [
            result.candidates if isinstance(result, Caption) else [] for result in results
        ]
        found = [[Hypothesis(c.token_ids, c.score) for c in image] for image in candidates]
        assert_same(found, case.captions, SCORE_TOLERANCE, case.configuration)
        for candidate in chain(*candidates):
            assert candidate.caption == " ".join(map(word, candidate.token_ids))


def load_with_eos(folder: Path, copy: Path, case: Case) -> Captioner:
    """The bundle with the case's EOS ids in its generation_config.json, where they belong."""
    shutil.copytree(folder, copy)
    path = copy / "generation_config.json"
    config = json.loads(path.read_text())
    config["eos_token_id"] = case.configuration.options["eos_token_id"]
    path.write_text(json.dumps(config))
    return Captioner.load(copy, threads=2, batch_size=4)
