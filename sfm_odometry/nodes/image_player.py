"""Plays images as a camera: a video, a folder, a bag, or a live camera without another driver.

ros2 run sfm_odometry image_player walk.mp4 --fov 65
ros2 run sfm_odometry image_player 0 --calib cam.yaml --mount "0 0 1.2 0 0 0"

Publishes rectified images and their camera_info, and base_link -> camera on /tf_static. Stamps are
of the wall clock; with --clock, of a simulated clock that starts at the first frame's stamp.
"""

import sfm_odometry.nodes.early_signals  # noqa: F401  # first, as other imports take a second

# isort: split
import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from tf2_ros import StaticTransformBroadcaster

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.io.camera_options import SourceCamera, add_camera_options, source_camera
from sfm_odometry.io.image_source import SourceImage, first_readable
from sfm_odometry.io.images import check_image_size
from sfm_odometry.io.sources import FORMS, open_images
from sfm_odometry.io.stamps import NOMINAL_RATE_HZ
from sfm_odometry.nodes.conversions import encode_image, make_camera_info, make_header
from sfm_odometry.nodes.launch_arguments import base_from_optical, is_mount
from sfm_odometry.nodes.players.arguments import (
    add_pace_arguments,
    add_wait_argument,
    parse,
    positive_number,
    whole_number,
)
from sfm_odometry.nodes.players.drive import Mounting
from sfm_odometry.nodes.players.node_wait import wait_for_listeners
from sfm_odometry.nodes.players.pacing import Pacer, read_ahead, serve_until
from sfm_odometry.nodes.qos import image_profile
from sfm_odometry.nodes.spinning import interruptible, run_node, serve_once
from sfm_odometry.nodes.tf_conversions import rigid_transform, transform_message

LOOP_PAUSE_S = 1.0
"""Pause between two rounds, which makes a round look like a restarted camera, not a clock jump."""
DEFAULT_WIDTH = 1280
"""Pixels, to which wider images are reduced: the odometry tracks in no more."""


class ImagePlayer(Node):
    """Node that publishes the images of a source.

    Raises InputError for a source that cannot be opened, and CalibrationError without a camera.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__("image_player")
        self._options = options

        # Open the images, and find their camera with the first one; a stream may take long.
        with interruptible():
            self._source = open_images(
                options.source,
                options.topic,
                options.camera,
                options.times,
                options.hz,
                options.bit_depth,
            )
            first, self._images = first_readable(self._source)
            self._camera = source_camera(self._source, first, options)
        for note in (*self._source.notes, *self._camera.notes):
            self.get_logger().info(note)
        self._size = _reduced_size(self._camera, options.width)

        # Publishers.
        profile = image_profile("reliable", depth=10)
        self._image = self.create_publisher(Image, "image", profile)
        self._camera_info = self.create_publisher(CameraInfo, "camera_info", profile)
        self._pacer = Pacer(self, options.rate, options.clock)
        self._static_broadcaster = StaticTransformBroadcaster(self)
        if not options.no_static_tf:
            self._send_mount()

    def play(self) -> None:
        """Wait for a listener, then play the images once; with --loop until a signal."""
        wait_for_listeners(self, [self._image, self._camera_info], self._options)

        # Play, with rising stamps from round to round.
        self.get_logger().info(
            f"playing {self._source.name}: images of {self._size[0]}x{self._size[1]}"
        )
        if self._source.is_live:
            self._play_live()
            return
        start_ns = time.time_ns()
        while True:
            newest_ns = self._play_once(start_ns)
            if not self._options.loop:
                break
            serve_until(self, time.monotonic() + LOOP_PAUSE_S)
            start_ns = max(time.time_ns(), newest_ns + round(LOOP_PAUSE_S * 1e9))
            self._images = iter(self._source)

        # Let reliable subscribers receive the last images.
        self._image.wait_for_all_acked(Duration(seconds=2))

    def _play_live(self) -> None:
        """Publish a live camera's images with the stamps that they have."""
        for stamp_ns, pixels in read_ahead(self._pictures(self._images), count=1):
            self._publish(stamp_ns, pixels)
            serve_once(self, 0.0)
        raise InputError(f"{self._source.name}: gives no more images, expected a live camera")

    def _play_once(self, start_ns: int) -> int:
        """Play all images, the first stamped `start_ns`; returns the last stamp."""
        # Stamps follow the wall clock at any rate, unless /clock gives another time.
        speed = 1.0 if self._options.clock else self._options.rate
        self._pacer.start(start_ns)
        stamp_ns, first_ns = start_ns, None
        for recorded_ns, pixels in read_ahead(self._pictures(self._images)):
            first_ns = recorded_ns if first_ns is None else first_ns
            self._pacer.wait_until(start_ns + recorded_ns - first_ns)
            stamp_ns = start_ns + round((recorded_ns - first_ns) / speed)
            self._publish(stamp_ns, pixels)
        return stamp_ns

    def _pictures(self, images: Iterable[SourceImage]) -> Iterator[tuple[int, np.ndarray]]:
        """Yields stamps and rectified images; a damaged image is left out with a warning."""
        camera = self._camera
        for image in images:
            try:
                pixels = image.read()
                check_image_size(image.name, pixels, camera.intrinsics)
            except ImageError as error:
                self.get_logger().warning(f"{error}; left out")
                continue
            yield image.stamp_ns, _resize(camera.rectify(pixels), self._size)

    def _publish(self, stamp_ns: int, pixels: np.ndarray) -> None:
        header = make_header(stamp_ns, self._options.camera_frame)
        intrinsics = self._camera.intrinsics.resized(*self._size)
        self._camera_info.publish(make_camera_info(intrinsics, header))
        encoding = "mono8" if pixels.ndim == 2 else "rgb8"
        self._image.publish(encode_image(pixels, encoding, header))

    def _send_mount(self) -> None:
        """Send base_frame -> camera_frame."""
        x, y, z, *quaternion = base_from_optical(self._options.mount)
        base, camera = self._options.base_frame, self._options.camera_frame
        self._static_broadcaster.sendTransform(
            transform_message(
                rigid_transform([x, y, z], quaternion),
                base,
                camera,
                make_header(time.time_ns(), base),
            )
        )


def _reduced_size(camera: SourceCamera, width: int) -> tuple[int, int]:
    """Returns width and height of the images that are published; width: 0 for their own."""
    own = camera.intrinsics
    if not width or own.width <= width:
        return own.width, own.height
    return width, max(round(own.height * width / own.width), 1)


def _resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the image, reduced to a width and height."""
    same = (pixels.shape[1], pixels.shape[0]) == size
    return pixels if same else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="image_player",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Images and their camera.
    parser.add_argument("source", help=f"{', '.join(FORMS)}")
    parser.add_argument("--topic", help="of the images in a bag")
    parser.add_argument("--camera", type=whole_number, help="index in a folder of several cameras")
    parser.add_argument("--times", type=Path, help="times of a folder or video")
    parser.add_argument(
        "--hz",
        type=positive_number,
        default=NOMINAL_RATE_HZ,
        help="frames per second of images that are only numbered; default: %(default)g",
    )
    add_camera_options(parser)
    parser.add_argument(
        "--width",
        type=whole_number,
        default=DEFAULT_WIDTH,
        metavar="PIXELS",
        help="reduce wider images to this width; 0: do not; default: %(default)s",
    )

    # Frames, pace and listeners.
    add_frame_arguments(parser)
    add_pace_arguments(parser, loop_help="start over, after a pause of a second")
    add_wait_argument(parser)
    return parser


def add_frame_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for the frames and the mount of the camera."""
    mounting = Mounting()
    parser.add_argument("--base-frame", default=mounting.base_frame)
    parser.add_argument("--camera-frame", default=mounting.camera_frame)
    parser.add_argument(
        "--mount",
        type=_mount,
        default="0 0 0 0 0 0",
        metavar="'X Y Z ROLL PITCH YAW'",
        help="camera, which looks along x, in base-frame; metres and radians",
    )
    parser.add_argument(
        "--no-static-tf", action="store_true", help="do not send base-frame -> camera-frame"
    )


def _mount(text: str) -> str:
    """Check the option --mount."""
    if expected := is_mount(text):
        raise argparse.ArgumentTypeError(f"expected {expected}, got '{text}'")
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Run the player; returns the exit code."""
    options = parse(make_parser(), argv)
    return run_node(lambda: ImagePlayer(options), ImagePlayer.play, argv)


if __name__ == "__main__":
    raise SystemExit(main())
