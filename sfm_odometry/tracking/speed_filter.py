"""Kalman filter of step length: speed and acceleration."""

import numpy as np

OUTLIER_DEVIATIONS = 3.0
"""Innovations beyond this many standard deviations raise the variance of their measurement, in
proportion to their square."""
MAX_SPEED_DECAY_S = 20.0
"""Time constant in which the greatest speed is forgotten; it scales the noise of a slow camera."""
MIN_SPEED_SHARE = 0.3
"""Least speed that the noise is a share of, as a share of the greatest speed."""


class SpeedFilter:
    """Kalman filter of speed and acceleration by Singer's model (IEEE Trans. AES, 1970).

    The acceleration decays with a time constant and is driven by noise. Lengths are in any unit, so
    the noise is a share of the speed: a car that does 10 m/s changes its acceleration by about
    1 m/s^2 within a second. Lengths from predicted depth jitter by some per cent from frame to
    frame, vehicles do not.
    """

    def __init__(self, relative_noise: float = 0.1, time_constant_s: float = 2.0) -> None:
        """relative_noise: standard deviation of the acceleration's change within a second, as a
        share of the speed, per second. time_constant_s: of the acceleration's decay."""
        self.relative_noise = relative_noise
        self.time_constant_s = time_constant_s
        self.reset()

    def reset(self) -> None:
        """Forget the speed."""
        self._state: np.ndarray | None = None
        self._covariance: np.ndarray = np.zeros((2, 2))
        self._max_speed = 0.0
        self._length = 0.0

    @property
    def initialised(self) -> bool:
        """Whether a first length has been measured."""
        return self._state is not None

    @property
    def length(self) -> float:
        """Length of the step last predicted or updated; 0 before the first."""
        return self._length

    def predict(self, dt_s: float) -> tuple[float, float]:
        """Predict by dt_s; returns length and standard deviation of the step before a measurement.

        Only after the first :meth:`update`.
        """
        assert self._state is not None
        decay = np.exp(-dt_s / self.time_constant_s)
        transition = np.array([[1.0, dt_s], [0.0, decay]])
        noise_speed = max(abs(self._state[0]), MIN_SPEED_SHARE * self._max_speed)
        noise = (self.relative_noise * noise_speed) ** 2
        self._state = transition @ self._state
        driven = np.array([[dt_s**3 / 3, dt_s**2 / 2], [dt_s**2 / 2, dt_s]])
        self._covariance = transition @ self._covariance @ transition.T + noise * driven
        self._max_speed *= np.exp(-dt_s / MAX_SPEED_DECAY_S)
        return self._step(dt_s)

    def update(self, length: float, sigma: float, dt_s: float) -> tuple[float, float]:
        """Update with the measured length of the step last predicted, and its standard deviation.

        Returns the step's filtered length and standard deviation.
        """
        speed = length / dt_s
        variance = (sigma / dt_s) ** 2
        if self._state is None:
            self._state = np.array([speed, 0.0])
            self._covariance = np.diag([variance, (2 * self.relative_noise * speed) ** 2])
        else:
            self._correct(speed - self._state[0], variance)
        self._max_speed = max(self._max_speed, float(self._state[0]))
        return self._step(dt_s)

    def _correct(self, innovation: float, variance: float) -> None:
        """Kalman update, with the variance of an outlier raised."""
        expected = self._covariance[0, 0] + variance
        excess = innovation**2 / expected / OUTLIER_DEVIATIONS**2
        gain = self._covariance[:, 0] / (self._covariance[0, 0] + variance * max(excess, 1.0))
        self._state = self._state + gain * innovation
        self._covariance = self._covariance - np.outer(gain, self._covariance[0])

    def _step(self, dt_s: float) -> tuple[float, float]:
        """Length and standard deviation of a step of dt_s at the estimated speed, not below 0."""
        assert self._state is not None
        self._length = max(float(self._state[0]), 0.0) * dt_s
        return self._length, float(np.sqrt(self._covariance[0, 0])) * dt_s
