"""How fast data is prepared and drawn: `python -m benchmarks.data [--images FOLDER] [--frames N]
[--repeats N]`.

Prepared frames a second are set against one worker of the well-known kind, which reads, resizes
with skimage and saves a JPEG; snippets a second are of 5 frames of 416x128 in colour, from a warm
page cache. Everything is measured several times and the median is printed.
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

WIDTH, HEIGHT = 416, 128
LENGTH = 5
SNIPPETS = 512


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = (
            list_images(arguments.images)[: arguments.frames]
            if arguments.images
            else _draw_images(folder, arguments.frames)
        )
        _link_scene(folder / "scene", images)
        ours = _rate(len(images), arguments.repeats, lambda: _prepare(folder))
        print(
            f"prepare     {ours:8.0f} frames/s   from {images[0].suffix[1:]}, on {len(os.sched_getaffinity(0))} cores"
        )
        known = _rate(len(images), arguments.repeats, _skimage_worker(images, folder / "small.jpg"))
        print(
            f"skimage     {known:8.0f} frames/s   one worker; prepare is {ours / known:.1f} times as fast"
        )
        for batch_size in (4, 32):
            for ahead, how in (
                (0, "drawn as they are asked for"),
                (3, "drawn ahead on another thread"),
            ):
                rate = _snippet_rate(folder / "data", batch_size, ahead, arguments.repeats)
                print(f"snippets    {rate:8.0f} /s         batch {batch_size}, {how}")


def _rate(count: int, repeats: int, work: Callable[[], None]) -> float:
    """Items a second where each call of `work` does `count` of them."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return count / float(np.median(seconds))


def _draw_images(folder: Path, count: int) -> list[Path]:
    """PNGs of KITTI's size that compress about as KITTI's do: smooth shapes with the noise of a
    sensor."""
    random = np.random.default_rng(0)
    shapes = cv2.resize(
        random.integers(0, 256, (24, 80, 3), np.uint8), (1242, 375), interpolation=cv2.INTER_CUBIC
    )
    paths = [folder / "images" / f"{index:010d}.png" for index in range(count)]
    paths[0].parent.mkdir()
    for path in paths:
        noise = np.rint(random.normal(0, 1.5, shapes.shape))
        cv2.imwrite(str(path), np.clip(shapes + noise, 0, 255).astype(np.uint8))
    return paths


def _link_scene(scene: Path, images: Sequence[Path]) -> None:
    scene.mkdir()
    for image in images:
        (scene / image.name).symlink_to(image.absolute())
    (scene / "cam.txt").write_text("721.5377 0 609.5593\n0 721.5377 172.854\n0 0 1\n")


def _prepare(folder: Path) -> None:
    data = folder / "data"
    (data / "scene" / "scene.json").unlink(missing_ok=True)
    command = ["kitti-odometry", "--root", str(folder / "scene"), "--out", str(data)]
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        code = prepare([*command, "--size", f"{WIDTH}x{HEIGHT}"])
    if code:
        raise InputError(f"{folder / 'scene'}: could not be prepared, expected images of one size")


def _skimage_worker(images: Sequence[Path], out: Path) -> Callable[[], None]:
    """What a single worker of SfMLearner's ports does: read, resize, save."""
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


def _snippet_rate(data: Path, batch_size: int, ahead: int, repeats: int) -> float:
    sampler = SnippetSampler([open_data(data)], LENGTH, 3, batch_size, seed=0)
    steps = SNIPPETS // batch_size

    def work() -> None:
        batches = (
            Prefetcher(sampler, 0, steps, ahead=ahead)
            if ahead
            else ((step, sampler.batch(step)) for step in range(steps))
        )
        for _ in batches:
            pass

    work()
    return _rate(steps * batch_size, repeats, work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
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
