"""Prepared data packed into one file, to copy it to another machine.

The file holds frames as JPEG, and the description, poses and lesson of each scene. True depth and
motion masks are left out: they belong to rendered drives, and rendering those again takes less time
than copying them.
"""

import argparse
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.io.atomic import atomic_write
from training.data import lesson
from training.data.index import FORMAT, VERSION
from training.data.scenes import Scene, open_data
from training.prepare.writer import SceneWriter, disk_errors, write_json

PACKED_FORMAT = "sfm_odometry packed data"
"""Value of `format` in pack.json."""
PACK_HELP = "prepared scenes into one file of JPEG images, to carry to another machine"
UNPACK_HELP = "prepared data out of a file that pack wrote"


def add_pack_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `pack`."""
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="folders of prepared data"
    )
    parser.add_argument("--out", type=Path, required=True, help="the file to write, as real.zip")
    parser.add_argument(
        "--quality", type=int, default=90, help="of the JPEG images, 1 to 100 (default %(default)s)"
    )


def add_unpack_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `unpack`."""
    parser.add_argument("--file", type=Path, required=True, help="a file that pack wrote")
    parser.add_argument("--out", type=Path, required=True, help="where the prepared data goes")


def pack(arguments: argparse.Namespace) -> None:
    """Writes all scenes of one or more data sets into one file.

    Raises InputError for a quality out of range or two scenes of one name, OutputError where the
    file cannot be written.
    """
    # Check the quality and the names of the scenes.
    if not 1 <= arguments.quality <= 100:
        raise InputError(f"--quality {arguments.quality}: expected 1 to 100")
    folders = {scene: folder for folder in arguments.data for scene in open_data(folder)}
    scenes = list(folders)
    _check_names([scene.name for scene in scenes])
    # Write the file.
    out: Path = arguments.out
    with disk_errors(out):
        with atomic_write(out) as temporary:
            _write_pack(temporary, folders, arguments.quality)
        size_mb = out.stat().st_size / 1e6
    frames = sum(len(scene.frames) for scene in scenes)
    print(f"{out}: {len(scenes)} scenes, {frames} frames, {size_mb:.1f} MB")


def _write_pack(path: Path, folders: Mapping[Scene, Path], quality: int) -> None:
    """Writes scenes, each from the folder of its data set, and their index into a packed file."""
    # Stored, not deflated: JPEG does not become smaller by it.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for scene, folder in folders.items():
            _pack_scene(file, scene, folder / scene.name, quality)
        names = [scene.name for scene in folders]
        file.writestr(
            "pack.json", json.dumps({"format": PACKED_FORMAT, "version": VERSION, "scenes": names})
        )


def _check_names(names: Sequence[str]) -> None:
    """Raises InputError if two scenes have the same name."""
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise InputError(
            f"scene '{duplicates[0]}' is in several of the data sets, expected different names"
        )


def _pack_scene(file: zipfile.ZipFile, scene: Scene, folder: Path, quality: int) -> None:
    """Writes description, frames, poses and lesson of one scene into a packed file."""
    description = json.loads((folder / "scene.json").read_text())
    description.update(has_depth=False, has_motion_mask=False)
    file.writestr(f"{scene.name}/scene.json", json.dumps(description))
    for index, frame in enumerate(scene.frames):
        file.writestr(f"{scene.name}/{index:06d}.jpg", _encode(frame, quality))
    if scene.poses is not None:
        file.writestr(
            f"{scene.name}/poses", scene.poses.astype("<f8").tobytes(), zipfile.ZIP_DEFLATED
        )
    if (folder / lesson.FILE).is_file():
        file.write(folder / lesson.FILE, f"{scene.name}/{lesson.FILE}")


def _encode(frame: np.ndarray, quality: int) -> bytes:
    """Returns a frame (H, W, 1) grey or (H, W, 3) RGB as JPEG."""
    image = frame[..., ::-1] if frame.shape[-1] == 3 else frame
    _, content = cv2.imencode(
        ".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return content.tobytes()


def unpack(arguments: argparse.Namespace) -> None:
    """Writes the scenes of a packed file as prepared data; complete scenes are kept.

    Raises InputError naming a file that `pack` did not write or that is damaged.
    """
    out: Path = arguments.out
    with _open_packed(arguments.file) as file:
        index = _read_json(file, "pack.json")
        if index.get("format") != PACKED_FORMAT or index.get("version") != VERSION:
            raise InputError(
                f"{arguments.file}: not packed data of version {VERSION} "
                "written by training.prepare pack"
            )
        with disk_errors(out):
            out.mkdir(parents=True, exist_ok=True)
        frames = sum(_unpack_scene(file, _checked_name(name), out) for name in index["scenes"])
    write_json(
        out / "index.json", {"format": FORMAT, "version": VERSION, "scenes": index["scenes"]}
    )
    print(f"{out}: {len(index['scenes'])} scenes, {frames} frames")


@contextmanager
def _open_packed(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a packed file; raises InputError naming it if it is missing, foreign or truncated."""
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file, expected one written by training.prepare pack"
        ) from error
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        reason = " ".join(str(error.args[0]).split())
        raise InputError(
            f"{path}: {reason}, expected a file written by training.prepare pack"
        ) from error


def _checked_name(name: str) -> str:
    """Returns the name of a scene; raises ValueError if it would lead out of the folder."""
    if Path(name).name != name:
        raise ValueError(f"scene '{name}' is no plain name")
    return name


def _read_json(file: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """Returns an object of JSON; raises ValueError if the content is none."""
    content = json.loads(file.read(name))
    if not isinstance(content, dict):
        raise ValueError(f"{name} is not an object of JSON")
    return content


def _unpack_scene(file: zipfile.ZipFile, name: str, out: Path) -> int:
    """Writes one scene and returns its number of frames."""
    # Read the description. The checksums of the images and the lesson identify the content.
    description = _read_json(file, f"{name}/scene.json")
    count = len(description["frame_numbers"])
    size = (description["height"], description["width"], description["channels"])
    lessons = [lesson.FILE] if f"{name}/{lesson.FILE}" in file.namelist() else []
    images = [f"{index:06d}.jpg" for index in range(count)]
    checksums = [file.getinfo(f"{name}/{item}").CRC for item in (*images, *lessons)]
    fingerprint = hashlib.sha256(repr((description, checksums)).encode()).hexdigest()
    # Keep the scene if it is complete.
    pose_items = {"poses": (np.float64, (4, 4))} if description["has_poses"] else {}
    writer = SceneWriter(out / name, fingerprint, {"frames": (np.uint8, size), **pose_items})
    if writer.complete_description() is not None:
        return count
    # Write frames, poses and lesson.
    with writer.opened():
        for index, item in enumerate(images):
            writer.write("frames", index, _decode(file.read(f"{name}/{item}"), size))
        if description["has_poses"]:
            poses = np.frombuffer(file.read(f"{name}/poses"), "<f8").reshape(count, 4, 4)
            for index, pose in enumerate(poses):
                writer.write("poses", index, pose)
        for item in lessons:
            writer.add_file(item, file.read(f"{name}/{item}"))
        writer.finish(count, description)
    return count


def _decode(content: bytes, size: tuple[int, int, int]) -> np.ndarray:
    """Returns the frame of a JPEG file, (H, W, 1) grey or (H, W, 3) RGB.

    Raises ValueError if it cannot be decoded or its size is not `size`.
    """
    image = cv2.imdecode(
        np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE if size[2] == 1 else cv2.IMREAD_COLOR
    )
    if image is None:
        raise ValueError("one of its images cannot be decoded")
    return image.reshape(size)[..., ::-1]
