"""Prepared data packed into one file to carry to another machine: frames as JPEG, and what else a
run needs of each scene.

True depth and motion masks are left out: they are of rendered drives, which are rendered again in
less time than they are carried.
"""

import argparse
import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sfm_odometry.errors import InputError
from training.data.scenes import FORMAT, VERSION, Scene, open_data
from training.prepare.writer import SceneWriter, disk_errors, write_json

PACKED_FORMAT = "sfm_odometry packed data"
PACK_HELP = "prepared scenes into one file of JPEG images, to carry to another machine"
UNPACK_HELP = "prepared data out of a file that pack wrote"


def add_pack_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `pack`."""
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="folders of prepared data"
    )
    parser.add_argument("--out", type=Path, required=True, help="the file to write, as real.zip")
    parser.add_argument(
        "--quality", type=int, default=90, help="of the JPEG images, 1 to 100 (default %(default)s)"
    )


def add_unpack_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `unpack`."""
    parser.add_argument("--file", type=Path, required=True, help="a file that pack wrote")
    parser.add_argument("--out", type=Path, required=True, help="where the prepared data goes")


def pack(arguments: argparse.Namespace) -> None:
    """Write all scenes of some data sets into one file."""
    if not 1 <= arguments.quality <= 100:
        raise InputError(f"--quality {arguments.quality}: expected 1 to 100")
    folders = {scene: folder for folder in arguments.data for scene in open_data(folder)}
    scenes, out = list(folders), arguments.out
    _check_names([scene.name for scene in scenes])
    temporary = out.with_name(f".{out.name}.tmp")
    with disk_errors(out):
        # JPEG does not become smaller by deflating it.
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:
            for scene, folder in folders.items():
                _pack_scene(file, scene, folder / scene.name, arguments.quality)
            names = [scene.name for scene in scenes]
            file.writestr(
                "pack.json",
                json.dumps({"format": PACKED_FORMAT, "version": VERSION, "scenes": names}),
            )
        temporary.replace(out)
        size_mb = out.stat().st_size / 1e6
    print(
        f"{out}: {len(scenes)} scenes, {sum(len(scene.frames) for scene in scenes)} frames, {size_mb:.1f} MB"
    )


def _check_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"scene '{twice[0]}' is in several of the data sets, expected different names"
        )


def _pack_scene(file: zipfile.ZipFile, scene: Scene, folder: Path, quality: int) -> None:
    """One scene: its description, its frames and its poses."""
    description = json.loads((folder / "scene.json").read_text())
    description.update(has_depth=False, has_motion_mask=False)
    file.writestr(f"{scene.name}/scene.json", json.dumps(description))
    for index, frame in enumerate(scene.frames):
        file.writestr(f"{scene.name}/{index:06d}.jpg", _encoded(frame, quality))
    if scene.poses is not None:
        file.writestr(
            f"{scene.name}/poses", scene.poses.astype("<f8").tobytes(), zipfile.ZIP_DEFLATED
        )


def _encoded(frame: np.ndarray, quality: int) -> bytes:
    """A frame (H, W, 1) grey or (H, W, 3) RGB as JPEG."""
    image = frame[..., ::-1] if frame.shape[-1] == 3 else frame
    return cv2.imencode(".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, quality])[
        1
    ].tobytes()


def unpack(arguments: argparse.Namespace) -> None:
    """Make prepared data of a file that `pack` wrote; scenes that are there already are kept."""
    out: Path = arguments.out
    with _opened(arguments.file) as file:
        index = _json(file, "pack.json")
        if index.get("format") != PACKED_FORMAT or index.get("version") != VERSION:
            raise InputError(
                f"{arguments.file}: not packed data of version {VERSION} written by training.prepare pack"
            )
        with disk_errors(out):
            out.mkdir(parents=True, exist_ok=True)
        frames = sum(_unpack_scene(file, _plain(name), out) for name in index["scenes"])
    write_json(
        out / "index.json", {"format": FORMAT, "version": VERSION, "scenes": index["scenes"]}
    )
    print(f"{out}: {len(index['scenes'])} scenes, {frames} frames")


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The file to read from; InputError names it where it is missing, foreign or truncated."""
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file, expected one written by training.prepare pack"
        ) from error
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: {' '.join(str(error.args[0]).split())}, expected a file written by training.prepare pack"
        ) from error


def _plain(name: str) -> str:
    """The name of a scene, which may not lead out of the folder."""
    if Path(name).name != name:
        raise ValueError(f"scene '{name}' is no plain name")
    return name


def _json(file: zipfile.ZipFile, name: str) -> dict[str, Any]:
    content = json.loads(file.read(name))
    if not isinstance(content, dict):
        raise ValueError(f"{name} is not an object of JSON")
    return content


def _unpack_scene(file: zipfile.ZipFile, name: str, out: Path) -> int:
    """Write one scene; the number of its frames."""
    description = _json(file, f"{name}/scene.json")
    count = len(description["frame_numbers"])
    size = (description["height"], description["width"], description["channels"])
    checksums = [file.getinfo(f"{name}/{index:06d}.jpg").CRC for index in range(count)]
    made_from = hashlib.sha256(repr((description, checksums)).encode()).hexdigest()
    poses = {"poses": (np.float64, (4, 4))} if description["has_poses"] else {}
    writer = SceneWriter(out / name, made_from, {"frames": (np.uint8, size), **poses})
    if writer.complete_description() is not None:
        return count
    with writer.opened():
        for index in range(count):
            writer.write("frames", index, _decoded(file.read(f"{name}/{index:06d}.jpg"), size))
        if poses:
            for index, pose in enumerate(
                np.frombuffer(file.read(f"{name}/poses"), "<f8").reshape(count, 4, 4)
            ):
                writer.write("poses", index, pose)
        writer.finish(count, description)
    return count


def _decoded(content: bytes, size: tuple[int, int, int]) -> np.ndarray:
    """The frame (H, W, 1) or (H, W, 3) RGB of a JPEG file; ValueError where it is none, or of
    another size."""
    image = cv2.imdecode(
        np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE if size[2] == 1 else cv2.IMREAD_COLOR
    )
    if image is None:
        raise ValueError("one of its images cannot be decoded")
    return image.reshape(size)[..., ::-1]
