"""Camera model from radiance to pixels: exposure, vignetting, tone, blur and noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Optics:
    """Camera of one drive and the drift of its exposure."""

    seed: int
    gain: np.ndarray  # (frames,) factor on the exposure
    gamma: float
    vignette: float  # loss of light at the left and right border
    blur: float  # deviation in pixels
    noise: float  # deviation, of 255

    def develop(self, radiance: np.ndarray, frame: int, metered: float) -> np.ndarray:
        """Returns the image of linear radiance (H, W, 3) float32, RGB uint8 (H, W, 3).

        It is exposed for a scene of mean radiance `metered`.
        """
        # Exposure.
        height, width = radiance.shape[:2]
        exposed = radiance * np.float32(self.gain[frame] * 0.37 / max(metered, 0.03) ** 0.92)
        # Vignetting and blur.
        x = np.linspace(-1, 1, width, dtype=np.float32)[None]
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(height / width)
        exposed *= (1 - np.float32(self.vignette) * (x * x + y * y))[..., None]
        if self.blur > 0.2:
            exposed = np.asarray(cv2.GaussianBlur(exposed, (0, 0), self.blur), np.float32)
        # Tone curve and noise.
        image = np.power(np.clip(exposed, 0, 1), np.float32(1 / self.gamma)) * 255
        rng = np.random.default_rng([self.seed, 15, frame])
        image += rng.standard_normal(image.shape, dtype=np.float32) * (
            np.float32(self.noise) * (0.5 + image / 255)
        )
        return np.clip(np.round(image), 0, 255).astype(np.uint8)


def meter(radiance: np.ndarray) -> float:
    """Returns the mean radiance of an image's lower three quarters.

    Sky and lights count no more than a bright wall.
    """
    return float(np.minimum(radiance[len(radiance) // 4 :], 1.2).mean())


def draw_optics(seed: int, frames: int) -> Optics:
    """Draws the camera of a drive from its seed."""
    rng = np.random.default_rng([seed, 14])
    time = np.arange(frames)
    drift = sum(
        rng.uniform(0.0, 0.07) * np.sin(time / rng.uniform(8, 90) + rng.uniform(0, 6))
        for _ in range(3)
    )
    gain = np.exp(drift + rng.normal(0.08, 0.12))
    return Optics(
        seed=seed,
        gain=np.asarray(gain),
        gamma=rng.uniform(0.95, 1.3),
        vignette=rng.uniform(0.0, 0.3),
        blur=float(rng.choice([0.0, 0.35, 0.5])),
        noise=rng.uniform(0.8, 3.5),
    )
