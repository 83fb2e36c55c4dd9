"""How long a step is, from the steps before it: a Kalman filter of speed and acceleration."""

import numpy as np

DISTURBED_DEVIATIONS = 3.0
"""A length that is off by more is believed only as much as if it were off by so many standard
deviations of a doubtful measurement."""
REFERENCE_DECAY_S = 20.0
"""Time in which the fastest speed is forgotten, which scales the changes that are expected of a
slow camera."""
SLOWEST_SHARE = 0.3


class SpeedFilter:
    """Singer's model (IEEE Trans. AES, 1970): acceleration dies away with a time constant and is
    driven by noise.

    Lengths are in any unit, so the noise is a share of the speed: a car that does 10 m/s changes
    its acceleration by about 1 m/s^2 within a second. Predicted-depth lengths jitter by some per
    cent from frame to frame, vehicles do not.
    """

    def __init__(self, change: float = 0.1, time_constant_s: float = 2.0) -> None:
        """change: standard deviation of the acceleration's change within a second, as a share of
        the speed, a second."""
        self.change, self.time_constant_s = change, time_constant_s
        self.reset()

    def reset(self) -> None:
        """Forget the speed."""
        self._state: np.ndarray | None = None
        self._covariance: np.ndarray = np.zeros((2, 2))
        self._fastest = self._last = 0.0

    @property
    def knows(self) -> bool:
        """Whether any step was seen."""
        return self._state is not None

    @property
    def length(self) -> float:
        """Length of the step that was predicted last, or after it was seen; 0 before the first."""
        return self._last

    def predict(self, dt_s: float) -> tuple[float, float]:
        """Go on by dt_s; length of the step and its standard deviation, before anything is seen
        of it."""
        assert self._state is not None
        decay = np.exp(-dt_s / self.time_constant_s)
        transition = np.array([[1.0, dt_s], [0.0, decay]])
        noise = (self.change * max(abs(self._state[0]), SLOWEST_SHARE * self._fastest)) ** 2
        self._state = transition @ self._state
        driven = np.array([[dt_s**3 / 3, dt_s**2 / 2], [dt_s**2 / 2, dt_s]])
        self._covariance = transition @ self._covariance @ transition.T + noise * driven
        self._fastest *= np.exp(-dt_s / REFERENCE_DECAY_S)
        return self._length(dt_s)

    def update(self, length: float, sigma: float, dt_s: float) -> tuple[float, float]:
        """Take a length that was seen of the step just predicted; the step's length and standard
        deviation after it."""
        speed, variance = length / dt_s, (sigma / dt_s) ** 2
        if self._state is None:
            self._state, self._covariance = (
                np.array([speed, 0.0]),
                np.diag([variance, (2 * self.change * speed) ** 2]),
            )
        else:
            self._correct(speed - self._state[0], variance)
        self._fastest = max(self._fastest, float(self._state[0]))
        return self._length(dt_s)

    def _correct(self, innovation: float, variance: float) -> None:
        expected = self._covariance[0, 0] + variance
        surprise = innovation**2 / expected / DISTURBED_DEVIATIONS**2
        gain = self._covariance[:, 0] / (self._covariance[0, 0] + variance * max(surprise, 1.0))
        self._state = self._state + gain * innovation
        self._covariance = self._covariance - np.outer(gain, self._covariance[0])

    def _length(self, dt_s: float) -> tuple[float, float]:
        assert self._state is not None
        self._last = max(float(self._state[0]), 0.0) * dt_s
        return self._last, float(np.sqrt(self._covariance[0, 0])) * dt_s
