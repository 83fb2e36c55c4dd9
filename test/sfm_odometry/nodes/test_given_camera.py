"""A camera that parameters give: images without a camera_info."""

from pathlib import Path

import pytest

from sfm_odometry.errors import CalibrationError, InputError
from sfm_odometry.io.camera_options import MAX_FOV_DEG, MIN_FOV_DEG, intrinsics_of_fov
from sfm_odometry.nodes import parameters
from sfm_odometry.nodes.given_camera import GivenCamera
from sfm_odometry.nodes.parameters import NodeParameters

CALIBRATION = (
    "image_width: 424\nimage_height: 136\ndistortion_model: plumb_bob\n"
    "camera_matrix: {rows: 3, cols: 3, data: [300, 0, 211.5, 0, 300, 67.5, 0, 0, 1]}\n"
    "distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}\n"
)


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    path = tmp_path / "cam.yaml"
    path.write_text(CALIBRATION)
    return path


def test_a_field_of_view_is_a_camera_of_any_size() -> None:
    camera = GivenCamera("", 65.0)
    for size in ((640, 480), (424, 136)):
        matrix = camera.calibration(*size).rectified_camera_matrix()
        assert matrix == pytest.approx(intrinsics_of_fov(65.0, *size).matrix())
    assert camera.calibration(424, 136) is camera.calibration(424, 136)
    assert str(camera) == "a guess by camera.fov 65"


def test_a_file_is_of_one_size(calibration: Path) -> None:
    camera = GivenCamera(str(calibration), 0.0)
    assert camera.calibration(424, 136).rectified_camera_matrix()[0, 0] == 300.0
    with pytest.raises(CalibrationError, match="calibrated for images of 424x136 pixels, but"):
        camera.calibration(640, 480)


def test_the_limits_are_those_of_the_command_line() -> None:
    assert (parameters.MIN_FOV_DEG, parameters.MAX_FOV_DEG) == (MIN_FOV_DEG, MAX_FOV_DEG)


@pytest.mark.parametrize(("values", "words"), [
    ({"camera_calibration": "a.yaml", "camera_fov": 65.0}, "give camera.calibration or camera.fov"),
    ({"camera_fov": 1.0}, "camera.fov must be 1.2 to 157 degrees, or 0"),
    ({"camera_fov": 170.0}, "camera.fov must be from 0 to 157, got 170"),
])  # fmt: skip
def test_parameters_that_make_no_camera_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        NodeParameters(**values)


def test_a_missing_file_fails_the_configuration(rig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no.yaml: no such file"):
        rig.start(**{"camera.calibration": str(tmp_path / "no.yaml")})


@pytest.mark.parametrize("kind", ["calibration", "fov"])
def test_images_are_tracked_without_camera_info(rig, calibration: Path, kind: str) -> None:
    value = str(calibration) if kind == "calibration" else 70.0
    rig.start(**{f"camera.{kind}": value, "diagnostics.period": 0.1})
    assert rig.camera.count_subscribers("camera_info") == 0
    for index in range(6):
        rig.send(index, info=False)
    rig.spinner.until(lambda: len(rig.received.odom) >= 6, "poses of six frames")
    source = str(calibration) if kind == "calibration" else "a guess by camera.fov 70"
    assert rig.status()["calibration"] == source
    assert rig.received.status[-1].status[0].hardware_id == "/image"


def test_the_name_of_the_camera_in_the_diagnostics_can_be_set(rig) -> None:
    rig.start(**{"diagnostics.hardware_id": "front", "diagnostics.period": 0.1})
    rig.spinner.until(lambda: rig.received.status)
    assert {array.status[0].hardware_id for array in rig.received.status} == {"front"}
