"""Throughput of data preparation and snippet sampling: `python -m benchmarks.data`.

Compares the prepared frames per second with one worker of the usual kind, which reads, resizes with
skimage and saves a JPEG. Counts snippets per second of 5 frames of 416x128 in colour, from a warm
page cache. Repeats every measurement and prints the median.
"""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError
from sfm_odometry.io.images import list_images
from training.data.prefetch import Prefetcher
from training.data.sampler import SnippetSampler, open_data
from training.prepare import main as prepare

WIDTH = 416
HEIGHT = 128
SNIPPET_LENGTH = 5
SNIPPETS = 512
BATCH_SIZES = (4, 32)
BATCHES_AHEAD = {0: "drawn as they are asked for", 3: "drawn ahead on another thread"}
"""Batches that the prefetcher draws ahead, and the words for it; 0 is without a prefetcher."""
KITTI_SIZE = (1242, 375)
"""Width and height of the synthetic images."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Measure the throughput of preparation and of sampling, and print one line for each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = (
            list_images(arguments.images)[: arguments.frames]
            if arguments.images
            else _write_synthetic_images(folder, arguments.frames)
        )
        _link_scene(folder / "scene", images)
        _print_preparation(images, folder, arguments.repeats)
        _print_sampling(folder / "data", arguments.repeats)


def _print_preparation(images: Sequence[Path], folder: Path, repeats: int) -> None:
    """Print frames per second of training.prepare and of a worker with skimage."""
    cores = len(os.sched_getaffinity(0))
    prepared_per_s = _items_per_s(len(images), repeats, lambda: _prepare(folder))
    print(
        f"prepare     {prepared_per_s:8.0f} frames/s   "
        f"from {images[0].suffix[1:]}, on {cores} cores"
    )
    skimage_per_s = _items_per_s(
        len(images), repeats, _skimage_worker(images, folder / "small.jpg")
    )
    print(
        f"skimage     {skimage_per_s:8.0f} frames/s   "
        f"one worker; prepare is {prepared_per_s / skimage_per_s:.1f} times as fast"
    )


def _print_sampling(data: Path, repeats: int) -> None:
    """Print snippets per second by batch size, with and without drawing ahead."""
    for batch_size in BATCH_SIZES:
        for ahead, words in BATCHES_AHEAD.items():
            rate = _snippets_per_s(data, batch_size, ahead, repeats)
            print(f"snippets    {rate:8.0f} /s         batch {batch_size}, {words}")


def _items_per_s(count: int, repeats: int, work: Callable[[], None]) -> float:
    """Returns `count` over the median time of `repeats` calls of `work`."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return count / float(np.median(seconds))


def _write_synthetic_images(folder: Path, count: int) -> list[Path]:
    """Write PNGs of KITTI's size that compress about as KITTI's do; returns their paths.

    They show smooth shapes with the noise of a sensor.
    """
    random = np.random.default_rng(0)
    shapes = cv2.resize(
        random.integers(0, 256, (24, 80, 3), np.uint8), KITTI_SIZE, interpolation=cv2.INTER_CUBIC
    )
    paths = [folder / "images" / f"{index:010d}.png" for index in range(count)]
    paths[0].parent.mkdir()
    for path in paths:
        noise = np.rint(random.normal(0, 1.5, shapes.shape))
        cv2.imwrite(str(path), np.clip(shapes + noise, 0, 255).astype(np.uint8))
    return paths


def _link_scene(scene: Path, images: Sequence[Path]) -> None:
    """Make a scene folder of links to the images, with KITTI's intrinsics."""
    scene.mkdir()
    for image in images:
        (scene / image.name).symlink_to(image.absolute())
    (scene / "cam.txt").write_text("721.5377 0 609.5593\n0 721.5377 172.854\n0 0 1\n")


def _prepare(folder: Path) -> None:
    """Prepare the scene anew, silently; raises InputError where that fails."""
    data = folder / "data"
    (data / "scene" / "scene.json").unlink(missing_ok=True)
    command = ["kitti-odometry", "--root", str(folder / "scene"), "--out", str(data)]
    with (
        open(os.devnull, "w") as devnull,
        contextlib.redirect_stdout(devnull),
        contextlib.redirect_stderr(devnull),
    ):
        code = prepare([*command, "--size", f"{WIDTH}x{HEIGHT}"])
    if code:
        raise InputError(f"{folder / 'scene'}: could not be prepared, expected images of one size")


def _skimage_worker(images: Sequence[Path], out: Path) -> Callable[[], None]:
    """Returns the work of one worker in ports of SfMLearner: read, resize and save each image."""
    try:
        from skimage.io import imread, imsave
        from skimage.transform import resize
    except ImportError as error:
        raise InputError(
            "scikit-image is not installed, expected the packages that make setup brings"
        ) from error

    def work() -> None:
        for path in images:
            small = resize(imread(path), (HEIGHT, WIDTH))
            imsave(out, (small * 255).astype(np.uint8), check_contrast=False)

    return work


def _snippets_per_s(data: Path, batch_size: int, ahead: int, repeats: int) -> float:
    """Returns snippets per second of prepared data, with `ahead` batches drawn in advance."""
    sampler = SnippetSampler([open_data(data)], SNIPPET_LENGTH, 3, batch_size, seed=0)
    steps = SNIPPETS // batch_size

    def work() -> None:
        batches = (
            Prefetcher(sampler, 0, steps, ahead=ahead)
            if ahead
            else ((step, sampler.batch(step)) for step in range(steps))
        )
        for _ in batches:
            pass

    work()  # until the files are in memory
    return _items_per_s(steps * batch_size, repeats, work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--images", type=Path, help="a folder of real images, as KITTI's; drawn ones by default"
    )
    parser.add_argument(
        "--frames", type=int, default=96, help="how many images (default %(default)s)"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="how often everything is measured (default %(default)s)",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
