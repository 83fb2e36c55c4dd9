"""Scale from the camera's height, on a textured plane rendered exactly from any camera."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.scale.camera_height import MIN_MEASUREMENTS, CameraHeightScale
from sfm_odometry.scale.estimate import FramePair
from sfm_odometry.scale.ground import (
    DOWN,
    GroundConfig,
    GroundPlane,
    NoGround,
    NoParallax,
    fit_ground,
    ground_region,
)
from sfm_odometry.scale.ground_alignment import GroundImages, align_ground
from sfm_odometry.scale.ground_hold import MAX_SIGMA
from sfm_odometry.tracking.direct_config import AlignmentConfig
from sfm_odometry.tracking.frame import Frame
from sfm_odometry.tracking.lazy import LazyFuture

INTRINSICS = np.array([[241.0, 0.0, 204.0], [0.0, 241.0, 59.0], [0.0, 0.0, 1.0]])
WIDTH = 416
HEIGHT = 128


@dataclass(frozen=True)
class Road:
    """A plane n . X = height in the first camera's frame, with random waves of 0.3 to 3 units."""

    height: float
    normal: np.ndarray = field(default_factory=lambda: np.array([0.0, 1.0, 0.0]))
    contrast: float = 40.0

    def view(self, first_from_camera: np.ndarray | None = None, gain: float = 1.0) -> np.ndarray:
        """Image (H, W), uint8, of a camera; grey above the horizon."""
        pose = np.eye(4) if first_from_camera is None else first_from_camera
        rays = camera_rays() @ pose[:3, :3].T
        down = rays @ self.normal
        distance = (self.height - pose[:3, 3] @ self.normal) / np.where(down > 1e-3, down, np.inf)
        points = pose[:3, 3] + rays * distance[..., None]
        grey = 128.0 + np.where(down > 1e-3, self._paint(points), 0.0)
        return np.clip(np.rint(grey * gain), 0, 255).astype(np.uint8)

    def depth(self) -> np.ndarray:
        """Depth along z (H, W), float32, of the first camera; 80 at the horizon and above."""
        down = camera_rays() @ self.normal
        return np.where(
            down > self.height / 80.0, self.height / np.maximum(down, 1e-9), 80.0
        ).astype(np.float32)

    def _paint(self, points: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(7)
        waves = np.zeros(points.shape[:-1])
        for _ in range(12):
            direction = rng.normal(size=3)
            length = np.exp(rng.uniform(np.log(0.3), np.log(3.0)))
            waves += np.sin(
                points @ (direction / np.linalg.norm(direction)) * (2 * np.pi / length)
                + rng.uniform(0, 6.28)
            )
        return self.contrast * waves / 4.0


def camera_rays() -> np.ndarray:
    """Rays with z = 1 (H, W, 3)."""
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    return np.stack([(u - 204.0) / 241.0, (v - 59.0) / 241.0, np.ones((HEIGHT, WIDTH))], axis=-1)


def tilted(pitch_deg: float, roll_deg: float = 0.0) -> np.ndarray:
    """Downward direction (3,) of a camera that is pitched down and rolled to the right."""
    pitch, roll = np.radians([pitch_deg, roll_deg])
    return np.array([np.sin(roll), np.cos(roll) * np.cos(pitch), np.cos(roll) * np.sin(pitch)])


def forward(length: float, yaw_deg: float = 0.0) -> np.ndarray:
    """previous_from_current (4, 4) of a camera that drives ahead and turns."""
    yaw = np.radians(yaw_deg)
    motion = np.eye(4)
    motion[:3, :3] = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    motion[2, 3] = length
    return motion


CONFIG = GroundConfig()
REGION = ground_region(INTRINSICS, (WIDTH, HEIGHT), DOWN, CONFIG)


def with_car(depth: np.ndarray, rows: slice, columns: slice, distance: float) -> np.ndarray:
    """The depth with the flat back of a car in it."""
    result = depth.copy()
    result[rows, columns] = distance
    return result


def inliers_of(plane: GroundPlane, depth: np.ndarray) -> np.ndarray:
    known = depth[REGION.pixels[:, 1], REGION.pixels[:, 0]]
    return plane.inliers(REGION.rays, known, CONFIG.inlier_distance)


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1.0, 1.0))))


@pytest.mark.parametrize("down", [DOWN, tilted(4.0), tilted(-3.0), tilted(2.0, 5.0)])
def test_a_plane_is_found_exactly(down):
    depth = Road(1.9, down).depth().astype(np.float64)
    plane = fit_ground(depth, REGION, CONFIG)
    assert plane.height == pytest.approx(1.9, rel=1e-5)
    assert angle_deg(plane.normal, down) < 1e-3
    assert inliers_of(plane, depth).mean() > 0.99


def test_noise_of_the_depth_averages_out():
    noise = np.random.default_rng(0).normal(1.0, 0.02, (HEIGHT, WIDTH))
    plane = fit_ground(Road(1.65, tilted(1.0)).depth() * noise, REGION, CONFIG)
    assert plane.height == pytest.approx(1.65, rel=0.01)
    assert angle_deg(plane.normal, tilted(1.0)) < 0.5


@pytest.mark.parametrize(
    ("rows", "columns", "distance"),
    [
        (slice(60, 104), slice(150, 260), 9.0),
        (slice(60, 128), slice(100, 190), 5.5),
        (slice(60, 128), slice(230, 416), 4.0),
    ],
    ids=["ahead", "left lane", "right lane"],
)
def test_a_car_on_the_road_is_not_the_road(rows, columns, distance):
    depth = with_car(Road(1.65).depth(), rows, columns, distance)
    plane = fit_ground(depth, REGION, CONFIG)
    # Where the car stands on the road, both have the same depth.
    assert plane.height == pytest.approx(1.65, rel=0.03)
    assert inliers_of(plane, depth).mean() < 0.9


def test_pixels_off_the_plane_are_not_its_own():
    depth = with_car(Road(1.65).depth(), slice(60, 128), slice(230, 416), 4.0)
    inliers = inliers_of(fit_ground(depth, REGION, CONFIG), depth)
    assert not inliers[REGION.pixels[:, 0] >= 230].any()
    assert inliers[REGION.pixels[:, 0] < 230].all()


def test_a_car_that_hides_the_road_is_no_ground():
    with pytest.raises(NoGround, match=r"of the region lies on a plane|tilted"):
        fit_ground(with_car(Road(1.65).depth(), slice(60, 128), slice(0, 416), 4.0), REGION, CONFIG)


def test_a_slope_beyond_the_gate_is_no_ground():
    with pytest.raises(NoGround, match="tilted by 15 deg, expected at most 10"):
        fit_ground(Road(1.65, tilted(15.0)).depth(), REGION, CONFIG)


def test_down_is_that_of_the_mount():
    """A camera that looks down by 15 deg measures level ground with the direction of its mount."""
    down = tilted(15.0)
    region = ground_region(INTRINSICS, (WIDTH, HEIGHT), down, GroundConfig(nearest=2.0))
    assert fit_ground(Road(1.2, down).depth(), region, CONFIG).height == pytest.approx(
        1.2, rel=1e-5
    )


def test_the_region_is_in_heights_of_the_camera():
    ground = REGION.rays / (REGION.rays @ DOWN)[:, None]
    assert ground[:, 2].min() > 3.0 and ground[:, 2].max() < 9.0
    assert np.abs(ground[:, 0]).max() < 1.2
    np.testing.assert_allclose(
        REGION.rays @ INTRINSICS.T, np.column_stack([REGION.pixels, np.ones(len(REGION.pixels))])
    )


def test_unknown_depth_is_no_ground():
    with pytest.raises(NoGround, match="0 pixels of ground with depth, expected at least 100"):
        fit_ground(np.full((HEIGHT, WIDTH), np.nan, np.float32), REGION, CONFIG)


def test_a_camera_that_sees_no_ground_has_no_region():
    region = ground_region(INTRINSICS, (WIDTH, HEIGHT), tilted(-40.0), CONFIG)
    with pytest.raises(NoGround, match="0 pixels"):
        fit_ground(Road(1.65).depth(), region, CONFIG)


def images_of_ground(previous: np.ndarray, current: np.ndarray, plane: GroundPlane, depth):
    return GroundImages(previous, current, INTRINSICS, REGION, inliers_of(plane, depth))


def aligned(road: Road, motion: np.ndarray, depth: np.ndarray, gain: float = 1.0):
    plane = fit_ground(depth, REGION, CONFIG)
    images = images_of_ground(road.view(motion), road.view(gain=gain), plane, depth)
    return align_ground(images, np.linalg.inv(motion), plane, plane, CONFIG)


@pytest.mark.parametrize("error", [0.85, 1.0, 1.15])
@pytest.mark.parametrize("down", [DOWN, tilted(1.5, -1.0)])
def test_images_correct_the_depths_plane(error, down):
    road = Road(1.65, down)
    plane = aligned(road, forward(-0.8, 1.0), road.depth() * error)
    # The rest is the weak prior of the depth.
    assert plane.height == pytest.approx(1.65, rel=0.035)
    assert angle_deg(plane.normal, down) < 0.5
    assert plane.relative_sigma < CONFIG.prior_depth / 2


def test_the_height_is_in_the_motions_unit():
    """With twice the motion the same images give twice the height."""
    road = Road(1.65)
    depth = 2.0 * road.depth()
    plane = fit_ground(depth, REGION, CONFIG)
    images = images_of_ground(road.view(forward(-0.8)), road.view(), plane, depth)
    assert align_ground(images, forward(1.6), plane, plane, CONFIG).height == pytest.approx(
        3.3, rel=0.02
    )


def test_exposure_that_changes_does_not_matter():
    road = Road(1.65)
    assert aligned(road, forward(-0.8), 1.1 * road.depth(), gain=0.8).height == pytest.approx(
        1.65, rel=0.02
    )


def test_without_texture_the_plane_and_sigma_are_those_of_the_depth():
    road = Road(1.65, contrast=0.0)
    depth = 1.1 * road.depth()
    plane = aligned(road, forward(-0.8), depth)
    assert plane.height == pytest.approx(1.815, rel=1e-6)
    prior_sigma = fit_ground(depth, REGION, CONFIG).relative_sigma
    assert plane.relative_sigma == pytest.approx(prior_sigma, rel=0.01)
    assert prior_sigma > CONFIG.prior_depth > MAX_SIGMA  # such a height does not hold the scale


def test_images_of_a_standing_camera_have_no_parallax():
    road = Road(1.65)
    with pytest.raises(NoParallax, match=r"moved by 0\.\d pixels, expected at least 0.5"):
        aligned(road, forward(-0.01), road.depth())


def test_images_that_contradict_the_depth_make_the_height_unsure():
    road = Road(1.65)
    contradicted = aligned(road, forward(-0.8), 3.0 * road.depth())
    assert (
        contradicted.relative_sigma
        > 2.0 * aligned(road, forward(-0.8), road.depth()).relative_sigma
    )


@pytest.mark.parametrize("values", [{"nearest": 9.0}, {"side": 0.0}, {"max_tilt_deg": 90.0}])
def test_an_impossible_region_is_refused(values):
    with pytest.raises(InputError):
        GroundConfig(**values)


@pytest.mark.parametrize("roll_deg", [0.0, 4.0])
@pytest.mark.parametrize("pitch_deg", [-2.0, 1.0, 3.0])
def test_a_motion_along_the_ground_corrects_tilt_and_height(pitch_deg, roll_deg):
    """The fit errs by the tilt, which moves the height: the ground ahead stays where it is."""
    true = tilted(pitch_deg, roll_deg) / 1.65
    wrong = tilted(pitch_deg + 1.0, roll_deg) / 1.65
    at = np.array([0.0, 1.65, 9.0])  # a point of the ground whose distance the images know well
    wrong *= (true @ at) / (wrong @ at)
    covariance = np.diag([1e-4, 1e-4, 1e-4]) - 1e-4 * np.outer(at, at) / (at @ at) * 0.999
    plane = GroundPlane(wrong, covariance)
    forward_along_ground = np.cross([1.0, 0.0, 0.0], true)
    assert abs(plane.height / 1.65 - 1.0) > 0.04
    corrected = plane.with_climb(forward_along_ground, sigma=0.001)
    assert abs(corrected.height / 1.65 - 1.0) < 0.4 * abs(plane.height / 1.65 - 1.0)
    assert abs(corrected.climb(forward_along_ground)) < 0.2 * abs(plane.climb(forward_along_ground))
    assert corrected.relative_sigma < plane.relative_sigma
    unsure = plane.with_climb(forward_along_ground, sigma=10.0)
    assert unsure.height == pytest.approx(plane.height, rel=1e-3)


def frame_of(grey: np.ndarray, depth: np.ndarray) -> Frame:
    return Frame(
        LazyFuture(lambda: grey[..., None]), INTRINSICS, lambda _: depth, AlignmentConfig()
    )


def drive(
    scale: CameraHeightScale,
    count: int,
    unit: float = 1.0,
    start: int = 0,
    road: Road | None = None,
    step: float = 0.8,
) -> list:
    """The scale after each of `count` steps at 10 Hz, where the model's unit is `unit` metres."""
    road = road or Road(1.65)
    # The same two views over and over: the test is about the use of the measurements.
    ends = (
        frame_of(road.view(forward(-step)), road.depth() / unit),
        frame_of(road.view(), (road.depth() / unit).astype(np.float32)),
    )
    estimates = []
    for index in range(start, start + count):
        scale.observe(
            FramePair(
                *ends,
                forward(step / unit),
                index * 100_000_000,
                (index + 1) * 100_000_000,
            )
        )
        estimates.append(scale.estimate((index + 1) * 100_000_000))
    return estimates


def test_the_height_gives_the_scale_once_enough_frames_agree():
    estimates = drive(CameraHeightScale(1.65), 20, unit=0.8)
    assert [estimate.is_metric for estimate in estimates] == [False] * MIN_MEASUREMENTS + [True] * (
        20 - MIN_MEASUREMENTS
    )
    assert estimates[1].reason == f"1 measurements, expected at least {MIN_MEASUREMENTS}"
    assert estimates[0].relative_sigma == 0.25
    assert estimates[-1].value == pytest.approx(0.8, rel=0.02)
    assert 0.0 < estimates[-1].relative_sigma < 0.15
    assert (estimates[-1].source, estimates[-1].reason) == ("camera_height", "")


def test_a_unit_that_changes_is_followed_slowly():
    scale = CameraHeightScale(1.65)
    before = drive(scale, 30, unit=0.8)[-1].value
    after = [before] + [estimate.value for estimate in drive(scale, 40, unit=0.96, start=30)]
    assert np.abs(np.diff(np.log(after))).max() < 0.0201
    assert after[5] == pytest.approx(before)  # a few frames do not move the median
    assert after[-1] == pytest.approx(0.96, rel=0.02)


def test_a_few_wrong_frames_do_not_matter():
    scale = CameraHeightScale(1.65)
    right = drive(scale, 20)[-1]
    wrong = drive(scale, 3, start=20, road=Road(1.0))[-1]
    assert wrong.value == pytest.approx(right.value, rel=0.01) and wrong.is_metric


def test_frames_without_ground_make_the_scale_old():
    scale = CameraHeightScale(1.65)
    right = drive(scale, 20)[-1]
    hidden = drive(scale, 310, start=20, road=Road(1.65, tilted(15.0)))
    assert right.relative_sigma < hidden[50].relative_sigma < hidden[200].relative_sigma
    assert hidden[250].is_metric and not hidden[-1].is_metric
    assert (
        hidden[-1].reason
        == "nothing measured for 31 s: the plane is tilted by 15 deg, expected at most 10"
    )
    assert hidden[-1].value == right.value


def test_a_camera_that_stands_keeps_its_scale():
    scale = CameraHeightScale(1.65)
    moving = drive(scale, 20)[-1]
    standing = drive(scale, 310, start=20, step=0.0)[-1]
    assert standing == moving


def test_without_any_ground_the_reason_is_given():
    # The first step is measured with the second.
    _, estimate = drive(CameraHeightScale(1.65), 2, road=Road(1.65, tilted(15.0)))
    assert (estimate.value, estimate.is_metric) == (1.0, False)
    assert "tilted by 15 deg" in estimate.reason


def test_a_camera_without_texture_is_not_called_metric():
    estimate = drive(CameraHeightScale(1.65), 20, unit=0.8, road=Road(1.65, contrast=0.0))[-1]
    assert not estimate.is_metric and "uncertain" in estimate.reason
    assert estimate.value == pytest.approx(0.8, rel=0.01)  # the scale by depth alone


def test_the_gravity_direction_is_used():
    scale = CameraHeightScale(1.65, GroundConfig(nearest=2.0))
    scale.set_gravity_direction(2.0 * tilted(15.0))
    road = Road(1.65, tilted(15.0))
    assert drive(scale, MIN_MEASUREMENTS, road=road)[-1].value == pytest.approx(1.0, rel=0.03)


def test_reset_discards_the_scale():
    scale = CameraHeightScale(1.65)
    drive(scale, 20, unit=0.8)
    scale.reset()
    assert not scale.estimate(0).is_metric
    assert drive(scale, 2)[1].value == pytest.approx(1.0, rel=0.02)
