"""Prepare data for training: `python -m training.prepare kitti-odometry|kitti-raw --root R --out D [--size 416x128] [--sequences 03 ...]`.

kitti-odometry also takes rendered drives (training.synthetic) and scenes in the layout of SfMLearner's port (*.jpg and cam.txt), a folder
of them or a single one. The result is one folder a scene with memory-mapped uint8 frames, exact intrinsics and, where the source has them,
poses, depth and motion masks; see training/data.py.
"""

import argparse
import json
import os
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError, OutputError
from sfm_odometry.kitti import ImageSequence, check_image_size, open_sequence, read_depth, read_image
from sfm_odometry.preprocess import RESIZE_MODES, Preprocessor
from training.data import FORMAT, VERSION


@dataclass(frozen=True)
class Source:
    """One scene to be made: a camera of a drive, all of its frames or those in a range of frame numbers."""

    name: str
    folder: Path
    camera: int | None
    first: int = 0
    last: int | None = None

    def open(self) -> ImageSequence:
        """The sequence on disk, cut to the range."""
        sequence = open_sequence(self.folder, self.camera)
        if self.first == 0 and self.last is None:
            return sequence
        last = sequence.frame_numbers[-1] if self.last is None else self.last
        kept = [index for index, number in enumerate(sequence.frame_numbers) if self.first <= number <= last]
        if not kept:
            found = f"{sequence.frame_numbers[0]} to {sequence.frame_numbers[-1]}"
            raise InputError(f"{self.folder}: no frames {self.first} to {last} in it, its numbers go from {found}")
        return _cut(sequence, slice(kept[0], kept[-1] + 1))


def _cut(sequence: ImageSequence, part: slice) -> ImageSequence:
    return replace(
        sequence,
        image_paths=sequence.image_paths[part],
        frame_numbers=sequence.frame_numbers[part],
        stamps_s=sequence.stamps_s[part],
        poses=None if sequence.poses is None else sequence.poses[part],
        depth_paths=None if sequence.depth_paths is None else sequence.depth_paths[part],
        mask_paths=None if sequence.mask_paths is None else sequence.mask_paths[part],
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> None:
    """Find the scenes, prepare each in parallel, then write the index; a scene that is already complete is kept."""
    width, height = _parse_size(arguments.size)
    find = {"kitti-odometry": find_kitti_odometry, "kitti-raw": find_kitti_raw}[arguments.source]
    sources = find(arguments.root, arguments.sequences, arguments.camera)
    _make_folder(arguments.out)
    prepare = partial(prepare_scene, out=arguments.out, width=width, height=height, resize_mode=arguments.resize_mode)
    with ProcessPoolExecutor(arguments.workers) as pool:
        counts = list(tqdm(pool.map(prepare, sources), total=len(sources), unit="scene"))
    _write_json(arguments.out / "index.json", {"format": FORMAT, "version": VERSION, "scenes": [source.name for source in sources]})
    print(f"{arguments.out}: {len(sources)} scenes, {sum(counts)} frames of {width}x{height}")


def find_kitti_odometry(root: Path, names: Sequence[str], camera: int | None) -> list[Source]:
    """Sequences under root/sequences, or drives under root, or root itself; `names` as 03 or 03:0-439 picks some, by frame number."""
    base = root / "sequences" if (root / "sequences").is_dir() else root
    if _is_sequence(base):
        return [Source(base.name, base, camera)]
    if not base.is_dir():
        raise InputError(f"{root}: no such folder, expected KITTI odometry sequences or rendered drives")
    if not names:
        names = sorted(path.name for path in base.iterdir() if _is_sequence(path))
    if not names:
        raise InputError(f"{root}: no folder with a calib.txt or cam.txt in it, expected KITTI odometry sequences or rendered drives")
    return [_parse_sequence(name, base, camera) for name in names]


def _is_sequence(folder: Path) -> bool:
    return (folder / "calib.txt").is_file() or (folder / "cam.txt").is_file()


def find_kitti_raw(root: Path, names: Sequence[str], camera: int | None) -> list[Source]:
    """Drives under root/<date>, cameras 02 and 03 as far as they are there; `names` picks some by drive folder."""
    drives = sorted(path for path in root.glob("*/*_sync") if path.is_dir())
    if not drives:
        raise InputError(f"{root}: no <date>/<drive>_sync folders in it, expected KITTI raw data")
    missing = set(names) - {drive.name for drive in drives}
    if missing:
        raise InputError(
            f"{root}: no drive called {', '.join(sorted(missing))}, expected some of {', '.join(drive.name for drive in drives)}"
        )
    cameras = (2, 3) if camera is None else (camera,)
    return [
        Source(f"{drive.name}_{number:02d}", drive, number)
        for drive in drives
        if not names or drive.name in names
        for number in cameras
        if (drive / f"image_{number:02d}").is_dir()
    ]


def _parse_sequence(text: str, base: Path, camera: int | None) -> Source:
    match = re.fullmatch(r"([^:]+)(?::(\d+)-(\d+))?", text)
    if match is None:
        raise InputError(f"sequence '{text}' not understood, expected a folder's name, or a range of it as 03:0-439")
    name, first, last = match.groups()
    if first is None:
        return Source(name, base / name, camera)
    return Source(f"{name}_{int(first):06d}-{int(last):06d}", base / name, camera, int(first), int(last))


def prepare_scene(source: Source, out: Path, width: int, height: int, resize_mode: str) -> int:
    """Write one scene and return its number of frames; complete scenes of the same source are left as they are."""
    folder = out / source.name
    sequence = source.open()
    channels = 1 if read_image(sequence.image_paths[0]).ndim == 2 else 3
    preprocessor = Preprocessor(sequence.intrinsics, width, height, channels, resize_mode)
    description = _describe(source, sequence, preprocessor, resize_mode)
    if _is_complete(folder, description):
        return len(sequence)
    partial_folder = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial_folder, ignore_errors=True)
    _make_folder(partial_folder)
    _write_arrays(partial_folder, sequence, preprocessor)
    _write_json(partial_folder / "scene.json", description)
    shutil.rmtree(folder, ignore_errors=True)
    partial_folder.rename(folder)
    return len(sequence)


def _describe(source: Source, sequence: ImageSequence, preprocessor: Preprocessor, resize_mode: str) -> dict:
    rendered = sequence.depth_paths is not None
    return {
        "source": source.folder.name,
        "camera": source.camera,
        "frame_numbers": list(sequence.frame_numbers),
        "width": preprocessor.intrinsics.width,
        "height": preprocessor.intrinsics.height,
        "channels": preprocessor.channels,
        "resize_mode": resize_mode,
        "intrinsics": preprocessor.intrinsics.matrix().tolist(),
        "has_depth": rendered,
        "has_motion_mask": sequence.mask_paths is not None,
        "has_poses": sequence.poses is not None,
        # Real data is learned from without labels; only a rendered drive's truth may supervise a warm start.
        "poses_supervise": rendered and sequence.poses is not None,
    }


def _is_complete(folder: Path, description: dict) -> bool:
    try:
        return json.loads((folder / "scene.json").read_text()) == description
    except (OSError, ValueError):
        return False


def _write_arrays(folder: Path, sequence: ImageSequence, preprocessor: Preprocessor) -> None:
    count, size = len(sequence), (preprocessor.intrinsics.height, preprocessor.intrinsics.width)
    try:
        frames = np.lib.format.open_memmap(folder / "frames.npy", "w+", np.uint8, (count, *size, preprocessor.channels))
        for index, path in enumerate(sequence.image_paths):
            image = read_image(path)
            check_image_size(path, image, sequence.intrinsics)
            frames[index] = preprocessor(image)
        if sequence.depth_paths is not None:
            np.save(folder / "depth.npy", np.stack([preprocessor.warp_nearest(_read_depth(path)) for path in sequence.depth_paths]))
        if sequence.mask_paths is not None:
            np.save(folder / "motion_mask.npy", np.stack([preprocessor.warp_nearest(read_image(path)) for path in sequence.mask_paths]))
        if sequence.poses is not None:
            np.save(folder / "poses.npy", sequence.poses)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error


def _read_depth(path: Path) -> np.ndarray:
    """A rendered depth map as float16 metres; where it is unknown there is sky, which is infinitely far."""
    return np.nan_to_num(read_depth(path), nan=np.inf).astype(np.float16)


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or min(int(match[1]), int(match[2])) < 32:
        raise InputError(f"--size '{text}' not understood, expected WIDTHxHEIGHT of at least 32 pixels, as 416x128")
    return int(match[1]), int(match[2])


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: folder cannot be made: {error.strerror}") from error


def _write_json(path: Path, content: dict) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(json.dumps(content, indent=1))
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.prepare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", choices=("kitti-odometry", "kitti-raw"), help="the layout of the data")
    parser.add_argument("--root", type=Path, required=True, help="where the data lies")
    parser.add_argument("--out", type=Path, required=True, help="where the prepared data goes")
    parser.add_argument("--size", default="416x128", help="width x height of the networks' input (default %(default)s)")
    parser.add_argument(
        "--sequences", nargs="*", default=[], help="sequences or drives to take, all by default; 03:0-439 takes a range of frame numbers"
    )
    parser.add_argument(
        "--camera", type=int, choices=(0, 1, 2, 3), help="default: colour left where it is there; raw drives: both colour cameras"
    )
    parser.add_argument(
        "--resize-mode", choices=RESIZE_MODES, default="crop", help="crop to the aspect, or stretch as the papers do (default %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="parallel processes (default: one a core)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
