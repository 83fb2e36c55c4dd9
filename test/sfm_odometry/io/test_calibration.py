"""Calibration files of each format, in the exact text that the tools write."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import CalibrationError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.calibration import FORMATS, Calibration, pinhole, read_camera
from sfm_odometry.io.ros_camera_info import Rectifier

SIZE = (752, 480)
K = (458.654, 457.296, 367.215, 248.375)
"""fx, fy, cx, cy of EuRoC's cam0."""
RADTAN = (-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05)
FISHEYE = (-0.0027, 0.0247, -0.0188, 0.0047)

KITTI = "P0: 458.654 0 367.215 0 0 457.296 248.375 0 0 0 1 0\n"
MATRIX = "458.654 0.0 367.215\n0.0 457.296 248.375\n0.0 0.0 1.0\n"
OST = """image_width: 752
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [458.654, 0.000000, 367.215, 0.000000, 457.296, 248.375, 0.000000, 0.000000, 1.000000]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05, 0.000000]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1., 0., 0., 0., 1., 0., 0., 0., 1.]
projection_matrix:
  rows: 3
  cols: 4
  data: [400.1, 0., 370.0, 0., 0., 410.2, 250.0, 0., 0., 0., 1., 0.]
"""
ECHO = """header:
  stamp:
    sec: 1700000000
    nanosec: 0
  frame_id: camera
height: 480
width: 752
distortion_model: plumb_bob
d:
- -0.28340811
- 0.07395907
- 0.00019359
- 1.76187114e-05
- 0.0
k:
- 458.654
- 0.0
- 367.215
- 0.0
- 457.296
- 248.375
- 0.0
- 0.0
- 1.0
r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
p: [400.1, 0.0, 370.0, 0.0, 0.0, 410.2, 250.0, 0.0, 0.0, 0.0, 1.0, 0.0]
binning_x: 0
binning_y: 0
roi: {x_offset: 0, y_offset: 0, height: 0, width: 0, do_rectify: false}
---
"""
ROS1 = """height: 480
width: 752
distortion_model: "plumb_bob"
D: [-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05, 0.0]
K: [458.654, 0.0, 367.215, 0.0, 457.296, 248.375, 0.0, 0.0, 1.0]
R: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
P: [400.1, 0.0, 370.0, 0.0, 0.0, 410.2, 250.0, 0.0, 0.0, 0.0, 1.0, 0.0]
---
"""
KALIBR = """cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05]
  distortion_model: radtan
  intrinsics: [458.654, 457.296, 367.215, 248.375]
  resolution: [752, 480]
  rostopic: /cam0/image_raw
cam1:
  T_cn_cnm1:
  - [1.0, 0.0, 0.0, -0.11]
  - [0.0, 1.0, 0.0, 0.0]
  - [0.0, 0.0, 1.0, 0.0]
  - [0.0, 0.0, 0.0, 1.0]
  camera_model: pinhole
  distortion_coeffs: [-0.0027, 0.0247, -0.0188, 0.0047]
  distortion_model: equidistant
  intrinsics: [458.654, 457.296, 367.215, 248.375]
  resolution: [752, 480]
"""
EUROC = """# General sensor definitions.
sensor_type: camera
comment: VI-Sensor cam0 (MT9M034)

# Sensor extrinsics wrt. the body-frame.
T_BS:
  cols: 4
  rows: 4
  data: [0.0148655429818, -0.999880929698, 0.00414029679422, -0.0216401454975,
         0.999557249008, 0.0149672133247, 0.025715529948, -0.064676986768,
        -0.0257744366974, 0.00375618835797, 0.999660727178, 0.00981073058949,
         0.0, 0.0, 0.0, 1.0]

# Camera specific definitions.
rate_hz: 20
resolution: [752, 480]
camera_model: pinhole
intrinsics: [458.654, 457.296, 367.215, 248.375] #fu, fv, cu, cv
distortion_model: radial-tangential
distortion_coefficients: [-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05]
"""
ORB2 = """%YAML:1.0

#--------------------------------------------------------------------------------------------
# Camera Parameters. Adjust them!
#--------------------------------------------------------------------------------------------

# Camera calibration and distortion parameters (OpenCV)
Camera.fx: 458.654
Camera.fy: 457.296
Camera.cx: 367.215
Camera.cy: 248.375

Camera.k1: -0.28340811
Camera.k2: 0.07395907
Camera.p1: 0.00019359
Camera.p2: 1.76187114e-05

# Camera frames per second
Camera.fps: 20.0
Camera.RGB: 1
"""
ORB3 = """%YAML:1.0
File.version: "1.0"
Camera.type: "KannalaBrandt8"
Camera1.fx: 458.654
Camera1.fy: 457.296
Camera1.cx: 367.215
Camera1.cy: 248.375
Camera1.k1: -0.0027
Camera1.k2: 0.0247
Camera1.k3: -0.0188
Camera1.k4: 0.0047
Camera.width: 752
Camera.height: 480
Camera.fps: 20
"""
OPENCV = """%YAML:1.0
---
image_width: 752
image_height: 480
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 458.654, 0., 367.215, 0., 457.296, 248.375, 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 5
   cols: 1
   dt: d
   data: [ -0.28340811, 0.07395907, 0.00019359, 1.76187114e-05, 0. ]
"""
COLMAP = """# Camera list with one line of data per camera:
#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]
# Number of cameras: 2
1 OPENCV 752 480 458.654 457.296 367.715 248.875 -0.28340811 0.07395907 0.00019359 1.76187114e-05
7 SIMPLE_RADIAL 752 480 458.654 367.715 248.875 -0.1
"""


def read(folder: Path, text: str, camera: int = 0, size: tuple[int, int] = SIZE):
    path = folder / "calibration"
    path.write_bytes(text.encode())
    return read_camera(path, camera, *size)


PRINTED = "[[458.654, 0, 367.215], [0, 457.296, 248.375], [0, 0, 1]]\n"
MATLAB = "[458.654 0 367.215;\n 0 457.296 248.375;\n 0 0 1]\n"
FOUR_BY_FOUR = "458.654 0 367.215 0\n0 457.296 248.375 0\n0 0 1 0\n0 0 0 1\n"
FOUR = "458.654 457.296 367.215 248.375\n"
JSON = '{"fx": 458.654, "fy": 457.296, "cx": 367.215, "cy": 248.375, "width": 752, "height": 480}'


@pytest.mark.parametrize(
    "text",
    [KITTI, MATRIX, PRINTED, MATLAB, FOUR_BY_FOUR, FOUR, JSON],
    ids=["KITTI", "matrix", "Python", "MATLAB", "4x4", "4 numbers", "JSON"],
)
def test_rectified_formats(tmp_path: Path, text: str) -> None:
    calibration = read(tmp_path, text)
    rectifier = Rectifier(calibration, *SIZE, input_is_rectified=False)
    assert rectifier.intrinsics == Intrinsics(*K, *SIZE) and not rectifier.resamples


@pytest.mark.parametrize(
    "text",
    [OST, ECHO, ROS1, KALIBR, EUROC, ORB2, OPENCV, COLMAP],
    ids=["ost", "ros2 echo", "ros1 echo", "kalibr", "euroc", "orb2", "opencv", "colmap"],
)
def test_formats_with_polynomial_distortion(tmp_path: Path, text: str) -> None:
    assert_polynomial(read(tmp_path, text))


def assert_polynomial(calibration: Calibration) -> None:
    """Assert that a calibration is the one that all texts of this page write."""
    assert np.allclose(calibration.raw_camera_matrix()[[0, 1, 0, 1], [0, 1, 2, 2]], K)
    assert calibration.model == "plumb_bob"
    assert np.allclose(calibration.distortion_coefficients(), (*RADTAN, 0.0)[: len(calibration.d)])
    assert calibration.size in (SIZE, (0, 0))


INI = f"""# oST version 5.0 parameters

[image]

width
752

height
480

[narrow_stereo]

camera matrix
458.654 0.0 367.215
0.0 457.296 248.375
0.0 0.0 1.0

distortion
{" ".join(map(str, RADTAN))} 0.0

rectification
1.0 0.0 0.0
0.0 1.0 0.0
0.0 0.0 1.0

projection
400.1 0.0 370.0 0.0
0.0 410.2 250.0 0.0
0.0 0.0 1.0 0.0
"""
VINS = f"""%YAML:1.0
---
model_type: PINHOLE
camera_name: camera
image_width: 752
image_height: 480
distortion_parameters:
   k1: {RADTAN[0]}
   k2: {RADTAN[1]}
   p1: {RADTAN[2]}
   p2: {RADTAN[3]}
projection_parameters:
   fx: 458.654
   fy: 457.296
   cx: 367.215
   cy: 248.375
"""
XML = f"""<?xml version="1.0"?>
<opencv_storage>
<image_Width>752</image_Width>
<image_Height>480</image_Height>
<Camera_Matrix type_id="opencv-matrix">
  <rows>3</rows> <cols>3</cols> <dt>d</dt>
  <data>458.654 0. 367.215 0. 457.296 248.375 0. 0. 1.</data></Camera_Matrix>
<Distortion_Coefficients type_id="opencv-matrix">
  <rows>4</rows> <cols>1</cols> <dt>d</dt>
  <data>{" ".join(map(str, RADTAN))}</data></Distortion_Coefficients>
</opencv_storage>
"""
STEREO = f"""%YAML:1.0
---
M1: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 458.654, 0., 367.215, 0., 457.296, 248.375, 0., 0., 1. ]
D1: !!opencv-matrix
   rows: 1
   cols: 4
   dt: d
   data: {list(RADTAN)}
"""
NERF = (
    '{"fl_x": 458.654, "fl_y": 457.296, "cx": 367.715, "cy": 248.875, "w": 752, "h": 480, '
    f'"k1": {RADTAN[0]}, "k2": {RADTAN[1]}, "p1": {RADTAN[2]}, "p2": {RADTAN[3]}}}'
)


@pytest.mark.parametrize(
    "text", [INI, VINS, XML, STEREO, NERF], ids=["ost.ini", "VINS", "XML", "stereo", "transforms"]
)
def test_formats_of_other_tools(tmp_path: Path, text: str) -> None:
    assert_polynomial(read(tmp_path, text))


def test_open3d_writes_the_matrix_by_columns(tmp_path: Path) -> None:
    numbers = "[458.654, 0, 0, 0, 457.296, 0, 367.215, 248.375, 1]"
    calibration = read(tmp_path, f'{{"width": 752, "height": 480, "intrinsic_matrix": {numbers}}}')
    assert np.allclose(calibration.raw_camera_matrix()[[0, 1, 0, 1], [0, 1, 2, 2]], K)


@pytest.mark.parametrize("text", [OST, ECHO, ROS1], ids=["ost", "ros2 echo", "ros1 echo"])
def test_a_projection_matrix_is_that_of_the_rectified_image(tmp_path: Path, text: str) -> None:
    rectifier = Rectifier(read(tmp_path, text), *SIZE, input_is_rectified=False)
    assert rectifier.intrinsics == Intrinsics(400.1, 410.2, 370.0, 250.0, *SIZE)


@pytest.mark.parametrize(
    ("text", "camera"), [(KALIBR, 1), (ORB3, 0)], ids=["kalibr cam1", "ORB-SLAM3"]
)
def test_formats_with_fisheye_distortion(tmp_path: Path, text: str, camera: int) -> None:
    calibration = read(tmp_path, text, camera)
    assert calibration.model == "equidistant" and calibration.d == FISHEYE


def test_images_are_undistorted_as_opencv_does(tmp_path: Path) -> None:
    rectifier = Rectifier(read(tmp_path, EUROC), *SIZE, input_is_rectified=False)
    pixels = np.array([[[200.0, 120.0]], [[600.0, 380.0]], [[367.0, 248.0]]])
    matrix = np.array([[K[0], 0, K[2]], [0, K[1], K[3]], [0, 0, 1]])
    expected = cv2.undistortPoints(pixels, matrix, np.array(RADTAN), P=matrix)[:, 0]
    for (raw,), straight in zip(pixels, expected, strict=True):
        image = np.zeros((SIZE[1], SIZE[0]), np.uint8)
        cv2.circle(image, tuple(map(int, raw)), 4, 255, -1)
        v, u = np.argwhere(rectifier(image) > 128).mean(0)
        assert np.hypot(u - straight[0], v - straight[1]) < 0.5


def test_colmap_pixel_centres_and_models(tmp_path: Path) -> None:
    calibration = read(tmp_path, COLMAP, camera=1)
    assert np.allclose(calibration.raw_camera_matrix()[:2, 2], (367.215, 248.375))
    assert calibration.d == (-0.1, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("text", [KITTI, MATRIX, EUROC, COLMAP])
def test_byte_order_marks_and_windows_line_ends(tmp_path: Path, text: str) -> None:
    expected = read(tmp_path, text)
    assert read(tmp_path, "\ufeff" + text.replace("\n", "\r\n")) == expected


def test_pinhole_is_its_intrinsics() -> None:
    intrinsics = Intrinsics(*K, *SIZE)
    assert Rectifier(pinhole(intrinsics), *SIZE, input_is_rectified=False).intrinsics == intrinsics


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello: world\n", "no calibration, expected " + ", ".join(FORMATS)),
        ("hello world\n", "no calibration, expected "),
        ("", "no calibration, expected "),
        (EUROC.replace("[752, 480]", "[640, 480]"), "calibrated for images of 640x480 pixels"),
        (EUROC.replace("pinhole", "omni"), "camera_model 'omni', expected pinhole"),
        (EUROC.replace("radial-tangential", "fov"), "distortion model 'fov' is not known"),
        (EUROC.replace("458.654, 457.296, ", ""), "2 intrinsics, expected fu, fv, cu, cv"),
        (KALIBR.replace("cam0", "cam5"), "no cam0 in it"),
        (COLMAP.replace("OPENCV", "FOV"), "camera model FOV with 8 numbers, expected one of"),
        (ORB2.replace("Camera.cy", "Camera.cw"), "no Camera.cy in it"),
        (KALIBR.splitlines()[0] + " hello\n", "not understood"),
        (VINS.replace("PINHOLE", "MEI"), "model_type 'MEI', expected PINHOLE"),
        (ORB2.replace("fx: 458.654", "fx: many"), "not understood: could not convert"),
        (ORB3.replace("KannalaBrandt8", "Panorama"), "Camera.type 'Panorama', expected PinHole"),
    ],
)
def test_unusable_files_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CalibrationError, match="calibration: ") as error:
        read(tmp_path, text)
    assert message in str(error.value)


def test_binning_and_region_of_a_camera_info_are_applied(tmp_path: Path) -> None:
    """Half of the size by binning, and the same numbers as a topic's."""
    path = tmp_path / "camera_info.yaml"
    path.write_text(re.sub(r"binning_([xy]): 0", r"binning_\1: 2", ECHO))
    rectifier = Rectifier(read_camera(path, 0, 376, 240), 376, 240, input_is_rectified=True)
    assert rectifier.intrinsics.fx == pytest.approx(400.1 / 2)
    assert rectifier.intrinsics.cx == pytest.approx(370.5 / 2 - 0.5)
    with pytest.raises(CalibrationError, match="image is 300x200, but"):
        read_camera(path, 0, 300, 200)
