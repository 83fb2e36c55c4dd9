"""Calibration files of cameras: KITTI, ROS, kalibr, EuRoC, ORB-SLAM, COLMAP, OpenCV, 3x3 matrix.

:func:`read_camera` recognises the format by the file's contents. Every format becomes one
:class:`~sfm_odometry.io.ros_camera_info.Calibration`, whose `Rectifier` undistorts images.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import yaml

from sfm_odometry.errors import CalibrationError, ImageError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.kitti_calibration import read_calibration
from sfm_odometry.io.ros_camera_info import Calibration
from sfm_odometry.io.text import parse_numbers, read_text

FORMATS = (
    "KITTI calib.txt or calib_cam_to_cam.txt",
    "ROS camera_info or ost.yaml",
    "kalibr camchain.yaml",
    "EuRoC sensor.yaml",
    "ORB-SLAM settings",
    "OpenCV FileStorage",
    "COLMAP cameras.txt",
    "3x3 matrix",
)
"""Known formats, as error messages and help texts name them."""
DISTORTION_MODELS = {
    "": "",
    "none": "",
    "radtan": "plumb_bob",
    "radial-tangential": "plumb_bob",
    "plumb_bob": "plumb_bob",
    "rational_polynomial": "rational_polynomial",
    "equidistant": "equidistant",
    "equi": "equidistant",
    "fisheye": "equidistant",
}
"""ROS's name of a distortion model for the names that other tools use."""
COLMAP_MODELS = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "OPENCV_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
    "FULL_OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "SIMPLE_RADIAL_FISHEYE": ("f", "cx", "cy", "k1"),
    "RADIAL_FISHEYE": ("f", "cx", "cy", "k1", "k2"),
}
"""Parameters of COLMAP's camera models, in the order of cameras.txt (colmap, models.h)."""
COLMAP_PIXEL_CENTRE = 0.5
"""COLMAP puts the centre of the first pixel at (0.5, 0.5); here pixel centres are integers."""
CAMERA_MATRIX_NAMES = ("camera_matrix", "Camera_Matrix", "cameraMatrix", "mtx", "M#", "K#")
DISTORTION_NAMES = (
    "distortion_coefficients",
    "Distortion_Coefficients",
    "distCoeffs",
    "dist_coeffs",
    "dist_coeff",
    "dist",
    "D#",
)
"""Names of the matrices in the files of OpenCV's samples and their descendants; # is the camera."""
POLYNOMIAL_NAMES = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
"""OpenCV's order of the coefficients of a polynomial distortion."""


def read_camera(path: Path, camera: int, width: int, height: int) -> Calibration:
    """Read the calibration of images of `width` x `height` pixels.

    camera: index of the camera in files of several (KITTI P0..P3, kalibr cam0.., COLMAP's rows).
    Raises InputError for a file that cannot be read, and CalibrationError for an unknown format, a
    camera that is not in the file, a size that is not the images', or numbers that no camera has.
    """
    text = read_text(path)
    is_matrix_or_kitti = _is_number_rows(text) or _has_kitti_rows(text)
    if is_matrix_or_kitti:
        return pinhole(read_calibration(path, camera, width, height))
    calibration = (
        _read_colmap(path, text, camera)
        or _read_ini(path, text)
        or _read_yaml(path, _xml_as_yaml(text), camera)
    )
    if calibration is None:
        raise CalibrationError(f"{path}: no calibration, expected {', '.join(FORMATS)}")
    is_windowed = calibration.binning != (1, 1) or any(calibration.region)
    if not is_windowed and 0 not in calibration.size and calibration.size != (width, height):
        found = f"{calibration.size[0]}x{calibration.size[1]}"
        raise CalibrationError(
            f"{path}: calibrated for images of {found} pixels, but these have {width}x{height}"
        )
    try:
        calibration.image_intrinsics(calibration.rectified_camera_matrix(), width, height)
        calibration.distortion_coefficients()
    except (CalibrationError, ImageError) as error:
        message = str(error).removeprefix("camera_info: ")
        raise CalibrationError(f"{path}: {message}") from None
    return calibration


def is_kitti_file(path: Path) -> bool:
    """Whether a calibration file holds KITTI's cameras; raises InputError if it is no text."""
    return _has_kitti_rows(read_text(path))


def _has_kitti_rows(text: str) -> bool:
    return re.search(r"^P(_rect_)?\d+ *:", text, re.M) is not None


def pinhole(intrinsics: Intrinsics) -> Calibration:
    """Calibration of a rectified camera."""
    numbers = (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy)
    return _calibration(numbers, size=(intrinsics.width, intrinsics.height))


def _calibration(
    intrinsics: tuple[float, ...],
    size: tuple[int, int] = (0, 0),
    model: str = "",
    distortion: tuple[float, ...] = (),
    rotation: tuple[float, ...] = (),
    projection: tuple[float, ...] = (),
) -> Calibration:
    """Build a calibration of fx, fy, cx, cy; without a projection (12 numbers) P is [K | 0]."""
    fx, fy, cx, cy = intrinsics
    return Calibration(
        size=size,
        model=model if any(distortion) else "",
        d=distortion,
        k=(fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0),
        r=rotation or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        p=projection or (fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0),
        binning=(1, 1),
        region=(0, 0, 0, 0),
    )


def _is_number_rows(text: str) -> bool:
    """Whether the text is rows of numbers, as a plain matrix is."""
    rows = [line.split("#")[0].strip() for line in text.splitlines()]
    rows = [row for row in rows if row]
    return bool(rows) and all(re.fullmatch(r"[-+.,;eE\d\s\[\]]+", row) for row in rows)


# --- COLMAP


def _read_colmap(path: Path, text: str, camera: int) -> Calibration | None:
    """Read cameras.txt: CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]; None for another format."""
    rows = [line.split() for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]
    if not rows or not all(
        len(row) > 4 and row[0].isdigit() and re.fullmatch(r"[A-Z_]+", row[1]) for row in rows
    ):
        return None
    if camera >= len(rows):
        raise CalibrationError(f"{path}: {len(rows)} cameras, expected one more than {camera}")
    _, model, width, height, *words = rows[camera]
    names = COLMAP_MODELS.get(model)
    values = parse_numbers(" ".join(words), f"{path}, camera {rows[camera][0]}")
    if names is None or len(values) != len(names):
        known = ", ".join(f"{name} ({len(of)} numbers)" for name, of in COLMAP_MODELS.items())
        raise CalibrationError(
            f"{path}: camera model {model} with {len(values)} numbers, expected one of {known}"
        )
    named = dict(zip(names, values, strict=True))
    focal = named.get("f", 0.0)
    return _calibration(
        (
            named.get("fx", focal),
            named.get("fy", focal),
            named["cx"] - COLMAP_PIXEL_CENTRE,
            named["cy"] - COLMAP_PIXEL_CENTRE,
        ),
        (int(width), int(height)),
        *_named_distortion(named, fisheye="FISHEYE" in model),
    )


def _named_distortion(named: dict[str, float], fisheye: bool) -> tuple[str, tuple[float, ...]]:
    """Distortion model and coefficients of named ones; missing ones are 0."""
    if fisheye:
        return "equidistant", tuple(named.get(name, 0.0) for name in ("k1", "k2", "k3", "k4"))
    values = [named.get(name, 0.0) for name in POLYNOMIAL_NAMES]
    if any(values[5:]):
        return "rational_polynomial", tuple(values)
    return "plumb_bob", tuple(values[:5])


# --- INI, as camera_calibration writes it beside ost.yaml


def _read_ini(path: Path, text: str) -> Calibration | None:
    """Read ROS's ost.ini or ost.txt: names on lines of their own, numbers below them."""
    if not re.search(r"^camera matrix\s*$", text, re.M):
        return None
    blocks: dict[str, tuple[float, ...]] = {}
    name = ""
    for line in text.splitlines():
        content = line.split("#", 1)[0].strip()
        if re.fullmatch(r"[A-Za-z][A-Za-z ]*", content):
            name = content
        elif content and not content.startswith("["):
            blocks[name] = (*blocks.get(name, ()), *parse_numbers(content, f"{path}, {name}"))
    try:
        k = _matrix(list(blocks["camera matrix"]), 9)
        size = (int(blocks.get("width", (0,))[0]), int(blocks.get("height", (0,))[0]))
    except ValueError as error:
        raise CalibrationError(f"{path}: {_reason(error)}") from None
    d, p = blocks.get("distortion", ()), blocks.get("projection", ())
    return _calibration(
        (k[0], k[4], k[2], k[5]),
        size,
        _polynomial_model(d),
        d,
        blocks.get("rectification", ()),
        p if len(p) == 12 and p[0] != 0.0 else (),
    )


# --- YAML


def _xml_as_yaml(text: str) -> str:
    """OpenCV's XML as YAML, which holds the same; other texts are returned as they are."""
    if "<opencv_storage>" not in text:
        return text
    content: dict[str, Any] = {}
    try:
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        root = storage.root()
        names = list(root.keys())
        for name in names:
            node = root.getNode(name)
            if node.isMap():
                content[name] = node.mat().ravel().tolist()
            elif node.isReal() or node.isInt():
                content[name] = node.real()
    except (cv2.error, SystemError, AttributeError):
        return text
    return yaml.safe_dump(content)


def _read_yaml(path: Path, text: str, camera: int) -> Calibration | None:
    """Read one of the YAML formats; None where it is none of them."""
    content = _parse_yaml(text)
    if content is None:
        return None
    for read in YAML_READERS:
        try:
            calibration = read(content, camera)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise CalibrationError(f"{path}: {_reason(error)}") from None
        if calibration is not None:
            return calibration
    return None


def _parse_yaml(text: str) -> dict[str, Any] | None:
    """Parse YAML as PyYAML and OpenCV write it; None where it is not a mapping."""
    # OpenCV's header "%YAML:1.0" is not YAML, and its matrices have a tag of their own.
    text = re.sub(r"^%YAML[: ][\d.]+\s*$", "", text, count=1, flags=re.M)
    text = text.replace("!!opencv-matrix", "").replace("\t", " ")
    # `ros2 topic echo` separates messages by "---": the first one is read.
    documents = [part for part in re.split(r"^---.*$", text, flags=re.M) if part.strip()]
    try:
        content = yaml.safe_load(documents[0]) if documents else None
    except yaml.YAMLError:
        return None
    return content if isinstance(content, dict) else None


def _reason(error: Exception) -> str:
    """Sentence for an error met in a file of a known format."""
    if isinstance(error, KeyError):
        return f"no {error.args[0]} in it, which this format has"
    return f"not understood: {error}"


def _ros(content: dict[str, Any], camera: int) -> Calibration | None:
    """ROS: ost.yaml of camera_calibration, or a camera_info as `ros2 topic echo` prints it."""
    matrix_name = _present(content, CAMERA_MATRIX_NAMES, camera)
    if matrix_name:  # ost.yaml, and OpenCV's samples
        k = _matrix(content[matrix_name], 9)
        d = _matrix(content.get(_present(content, DISTORTION_NAMES, camera), []))
        r = _matrix(content.get("rectification_matrix", []))
        p = _matrix(content.get("projection_matrix", []))
    elif {"k", "d"} <= content.keys() or {"K", "D"} <= content.keys():  # ROS 2, ROS 1
        k, d, r, p = (
            _matrix(content[name] if name in content else content.get(name.upper(), []))
            for name in "kdrp"
        )
    else:
        return None
    width, height = (
        content.get(_present(content, (f"image_{name}", f"image_{name.title()}", name), 0), 0)
        for name in ("width", "height")
    )
    model = str(content.get("distortion_model", ""))
    model = _distortion_model(model) or _polynomial_model(d)
    intrinsics = (k[0], k[4], k[2], k[5])
    calibration = _calibration(
        intrinsics, (int(width), int(height)), model, d, r, p if p and p[0] != 0.0 else ()
    )
    # Binning and region of interest, which only camera_info has.
    binning = [max(int(content.get(f"binning_{axis}") or 1), 1) for axis in "xy"]
    roi = content.get("roi") or {}
    left, top, width, height = (
        int(roi.get(name, 0)) for name in ("x_offset", "y_offset", "width", "height")
    )
    region = (left, top, width, height)
    return replace(calibration, binning=(binning[0], binning[1]), region=region)


def _present(content: dict[str, Any], names: tuple[str, ...], camera: int) -> str:
    """First of the names that is in the file, or nothing; # in them is the camera from 1."""
    numbered = (name.replace("#", str(camera + 1)) for name in names)
    return next((name for name in numbered if name in content), "")


def _named(content: dict[str, Any], camera: int) -> Calibration | None:
    """Numbers by their names, as in many programs' own YAML or JSON: fx, fy, cx, cy, k1, ..."""
    if not {"fx", "fy", "cx", "cy"} <= content.keys():
        return None
    names = ("fx", "fy", "cx", "cy", *POLYNOMIAL_NAMES)
    named = {name: float(content.get(name) or 0.0) for name in names}
    size = (int(content.get("width", 0)), int(content.get("height", 0)))
    intrinsics = (named["fx"], named["fy"], named["cx"], named["cy"])
    return _calibration(intrinsics, size, *_named_distortion(named, fisheye=False))


def _kalibr(content: dict[str, Any], camera: int) -> Calibration | None:
    """kalibr's camchain.yaml: cam0, cam1, ..."""
    cameras = {name: entry for name, entry in content.items() if re.fullmatch(r"cam\d+", name)}
    if not cameras:
        return None
    name = f"cam{camera}"
    if name not in cameras:
        raise KeyError(name)
    return _kalibr_camera(cameras[name], "distortion_coeffs")


def _euroc(content: dict[str, Any], camera: int) -> Calibration | None:
    """EuRoC's sensor.yaml, of one camera."""
    if "intrinsics" not in content:
        return None
    return _kalibr_camera(content, "distortion_coefficients")


def _kalibr_camera(entry: dict[str, Any], coefficients: str) -> Calibration:
    if str(entry.get("camera_model", "pinhole")) != "pinhole":
        raise ValueError(f"camera_model '{entry['camera_model']}', expected pinhole")
    values = tuple(map(float, entry["intrinsics"]))
    if len(values) != 4:
        raise ValueError(f"{len(values)} intrinsics, expected fu, fv, cu, cv")
    width, height = map(int, entry.get("resolution", (0, 0)))
    d = tuple(map(float, entry.get(coefficients) or ()))
    model = _distortion_model(str(entry.get("distortion_model", "")))
    return _calibration(values, (width, height), model or _polynomial_model(d), d)


def _orb_slam(content: dict[str, Any], camera: int) -> Calibration | None:
    """ORB-SLAM2 and 3: Camera.fx, or Camera1.fx and Camera2.fx."""
    prefix = next(
        (name for name in (f"Camera{camera + 1}.", "Camera.") if f"{name}fx" in content), None
    )
    if prefix is None:
        return None
    kind = str(content.get("Camera.type", "PinHole"))
    if kind not in ("PinHole", "Rectified", "KannalaBrandt8"):
        raise ValueError(f"Camera.type '{kind}', expected PinHole, Rectified or KannalaBrandt8")
    named = {name: float(content[prefix + name]) for name in ("fx", "fy", "cx", "cy")}
    named |= {name: float(content.get(prefix + name, 0.0)) for name in POLYNOMIAL_NAMES}
    size = (int(content.get("Camera.width", 0)), int(content.get("Camera.height", 0)))
    distortion = _named_distortion(named, fisheye=kind == "KannalaBrandt8")
    intrinsics = (named["fx"], named["fy"], named["cx"], named["cy"])
    return _calibration(intrinsics, size, *distortion)


def _vins(content: dict[str, Any], camera: int) -> Calibration | None:
    """VINS and camodocal: projection_parameters and distortion_parameters."""
    if "projection_parameters" not in content:
        return None
    kind = str(content.get("model_type", "PINHOLE")).upper()
    if kind not in ("PINHOLE", "KANNALA_BRANDT"):
        raise ValueError(f"model_type '{kind}', expected PINHOLE or KANNALA_BRANDT")
    names = {"fx": "mu", "fy": "mv", "cx": "u0", "cy": "v0"}
    fisheye = kind == "KANNALA_BRANDT"
    projection = content["projection_parameters"]
    values = tuple(float(projection[names[name] if fisheye else name]) for name in names)
    size = (int(content.get("image_width", 0)), int(content.get("image_height", 0)))
    if fisheye:
        d = tuple(float(projection.get(name, 0.0)) for name in ("k2", "k3", "k4", "k5"))
        return _calibration(values, size, "equidistant", d)
    distortion = content.get("distortion_parameters") or {}
    named = {name: float(distortion.get(name, 0.0)) for name in POLYNOMIAL_NAMES}
    return _calibration(values, size, *_named_distortion(named, fisheye=False))


def _json(content: dict[str, Any], camera: int) -> Calibration | None:
    """Open3D's intrinsic_matrix, column by column, and nerfstudio's transforms.json."""
    if "intrinsic_matrix" in content:
        m = _matrix(content["intrinsic_matrix"], 9)
        if m[2] != 0.0:  # row by row after all
            m = tuple(m[3 * column + row] for row in range(3) for column in range(3))
        return _calibration(
            (m[0], m[4], m[6], m[7]), (int(content.get("width", 0)), int(content.get("height", 0)))
        )
    if "fl_x" not in content:
        return None
    named = {name: float(content.get(name) or 0.0) for name in POLYNOMIAL_NAMES}
    cx, cy = (float(content[name]) - COLMAP_PIXEL_CENTRE for name in ("cx", "cy"))
    values = (float(content["fl_x"]), float(content.get("fl_y", content["fl_x"])), cx, cy)
    size = (int(content.get("w", 0)), int(content.get("h", 0)))
    fisheye = "FISHEYE" in str(content.get("camera_model", ""))
    named |= {name: float(content.get(name) or 0.0) for name in ("k1", "k2", "k3", "k4")}
    return _calibration(values, size, *_named_distortion(named, fisheye=fisheye))


YAML_READERS: tuple[Callable[[dict[str, Any], int], Calibration | None], ...] = (
    _ros,
    _kalibr,
    _orb_slam,
    _euroc,
    _vins,
    _json,
    _named,
)


def _matrix(value: Any, count: int | None = None) -> tuple[float, ...]:
    """Numbers of {rows, cols, data}, of nested lists or of a flat list."""
    data = value["data"] if isinstance(value, dict) else value
    rows = [row if isinstance(row, list) else [row] for row in data or []]
    numbers = tuple(float(number) for row in rows for number in row)
    if count is not None and len(numbers) != count:
        raise ValueError(f"{len(numbers)} numbers in the camera matrix, expected {count}")
    return numbers


def _distortion_model(name: str) -> str:
    """ROS's name of a distortion model; unknown names stay, for the error that refuses them."""
    return DISTORTION_MODELS.get(name.lower(), name)


def _polynomial_model(coefficients: tuple[float, ...]) -> str:
    """Model of polynomial coefficients that come without a name."""
    return "rational_polynomial" if len(coefficients) > 5 else "plumb_bob"
