"""What the camera does to radiance: exposure, vignetting, tone, blur and noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Optics:
    """One drive's camera and the drift of its exposure."""

    seed: int
    gain: np.ndarray  # (frames,)
    gamma: float
    vignette: float
    blur: float  # pixels
    noise: float  # of 255

    def develop(self, radiance: np.ndarray, frame: int, metered: float) -> np.ndarray:
        """uint8 RGB (H, W, 3) from linear radiance (H, W, 3) float32, exposed for a scene of
        mean radiance `metered`."""
        height, width = radiance.shape[:2]
        exposed = radiance * np.float32(self.gain[frame] * 0.37 / max(metered, 0.03) ** 0.92)
        x = np.linspace(-1, 1, width, dtype=np.float32)[None]
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(height / width)
        exposed *= (1 - np.float32(self.vignette) * (x * x + y * y))[..., None]
        if self.blur > 0.2:
            exposed = np.asarray(cv2.GaussianBlur(exposed, (0, 0), self.blur), np.float32)
        image = np.power(np.clip(exposed, 0, 1), np.float32(1 / self.gamma)) * 255
        rng = np.random.default_rng([self.seed, 15, frame])
        image += rng.standard_normal(image.shape, dtype=np.float32) * (
            np.float32(self.noise) * (0.5 + image / 255)
        )
        return np.clip(np.round(image), 0, 255).astype(np.uint8)


def meter(radiance: np.ndarray) -> float:
    """Mean radiance of a picture's lower three quarters; the sky and lights count only up to a
    bright wall."""
    return float(np.minimum(radiance[len(radiance) // 4 :], 1.2).mean())


def draw_optics(seed: int, frames: int) -> Optics:
    rng = np.random.default_rng([seed, 14])
    time = np.arange(frames)
    drift = sum(
        rng.uniform(0.0, 0.07) * np.sin(time / rng.uniform(8, 90) + rng.uniform(0, 6))
        for _ in range(3)
    )
    gain = np.exp(drift + rng.normal(0.08, 0.12))
    gamma, vignette, blur = (
        rng.uniform(0.95, 1.3),
        rng.uniform(0.0, 0.3),
        float(rng.choice([0.0, 0.35, 0.5])),
    )
    return Optics(seed, np.asarray(gain), gamma, vignette, blur, rng.uniform(0.8, 3.5))
