"""What is said about images in which little can be seen, and nothing about all others."""

import numpy as np
import pytest

from sfm_odometry.io.image_quality import image_problem

NOISE = np.random.default_rng(2).integers(0, 256, (90, 120), dtype=np.uint8)
SATURATED = np.where(np.arange(120) < 90, 255, NOISE).astype(np.uint8)


@pytest.mark.parametrize(("image", "words"), [
    (NOISE, ""),
    (np.dstack([NOISE] * 3), ""),
    (NOISE // 4, ""),  # a dusk
    (NOISE // 100, "nearly black: 100% of the pixels are below 10"),
    (NOISE // 100 + np.uint8(11), "3 grey levels in the image"),
    (np.full((8, 8), 77, np.uint8), "1 grey level in the image"),
    (SATURATED, "saturated: 75% of the pixels are white"),
    (np.zeros((5, 5, 3), np.uint8), "nearly black"),
])  # fmt: skip
def test_the_problem_is_named(image: np.ndarray, words: str) -> None:
    problem = image_problem(image)
    assert words in problem and bool(problem) == bool(words)
