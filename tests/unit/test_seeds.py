"""Seeds of images: the same for ever, and different for different images."""

from __future__ import annotations

from beamcap.seeds import image_seed

SEED_OF_PHOTO = 11683786219378656692
SEED_OF_BEAR = 2800166260139679731


def test_a_seed_stays_what_it_is_across_versions() -> None:
    assert image_seed(0, "photo.jpg") == SEED_OF_PHOTO
    assert image_seed(2**63 - 1, "ü/🐻.jpg") == SEED_OF_BEAR


def test_every_seed_and_every_key_gives_another() -> None:
    seeds = {image_seed(seed, str(key)) for seed in range(20) for key in range(200)}
    assert len(seeds) == 20 * 200
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert max(seeds) > 2**63, "all 64 bits are used"
    # The end of the seed is not taken for the beginning of the key.
    assert image_seed(1, "2") != image_seed(12, "")


def test_a_name_that_is_no_unicode_has_a_seed() -> None:
    assert image_seed(0, "photo\udcff.jpg") != image_seed(0, "photo.jpg")
