"""image_player: a video as a camera, over real DDS."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from sfm_odometry.errors import CalibrationError
from sfm_odometry.io.camera_options import intrinsics_of_fov
from sfm_odometry.nodes import image_player
from sfm_odometry.nodes.tf_conversions import BASE_FROM_OPTICAL, matrix_from_transform

FRAMES = 4


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Video of 160x120 whose frames are darker and darker greys, at 10 frames a second."""
    path = tmp_path_factory.mktemp("videos") / "walk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (160, 120))
    for index in range(FRAMES):
        writer.write(np.full((120, 160, 3), 200 - 40 * index, np.uint8))
    writer.release()
    return path


def options(*words: object) -> object:
    return image_player.make_parser().parse_args([str(word) for word in words])


@pytest.fixture
def play(spinner, monkeypatch: pytest.MonkeyPatch):
    """Function that plays with options; returns what was published, and the sent transforms."""
    from sfm_odometry.nodes.spinning import make_executor

    sent: list = []
    monkeypatch.setattr(
        image_player.StaticTransformBroadcaster,
        "sendTransform",
        lambda self, transform: sent.append(transform),
    )
    players: list[image_player.ImagePlayer] = []

    def run(*words: object) -> SimpleNamespace:
        received = SimpleNamespace(images=[], infos=[], sent=sent)
        listener = spinner.add(image_player.Node("listener"))
        qos = QoSProfile(depth=100)
        listener.create_subscription(Image, "image", received.images.append, qos)
        listener.create_subscription(CameraInfo, "camera_info", received.infos.append, qos)
        player = image_player.ImagePlayer(options(*words))
        players.append(player)
        executor = make_executor()
        executor.add_node(player)
        player.play()
        spinner.until(lambda: len(received.images) == len(received.infos) == FRAMES)
        return received

    yield run
    for player in players:
        player.destroy_node()


def test_a_video_becomes_images_with_a_guessed_camera(play, video: Path) -> None:
    received = play(video, "--fov", "65", "--rate", "4", "--camera-frame", "cam")
    stamps = [image.header.stamp for image in received.images]
    assert [info.header.stamp for info in received.infos] == stamps
    steps_ns = np.diff([stamp.sec * 10**9 + stamp.nanosec for stamp in stamps])
    assert steps_ns == pytest.approx(25e6, abs=1e5)
    greys = [np.frombuffer(image.data, np.uint8).mean() for image in received.images]
    assert greys == pytest.approx([200, 160, 120, 80], abs=2)
    image, info = received.images[0], received.infos[0]
    assert (image.width, image.height, image.header.frame_id) == (160, 120, "cam")
    expected = intrinsics_of_fov(65.0, 160, 120)
    assert (info.p[0], info.p[2], info.p[6]) == pytest.approx(
        (expected.fx, expected.cx, expected.cy)
    )
    (transform,) = received.sent
    assert (transform.header.frame_id, transform.child_frame_id) == ("base_link", "cam")
    assert matrix_from_transform(transform.transform) == pytest.approx(BASE_FROM_OPTICAL)


def test_wide_images_are_reduced_with_their_camera(play, video: Path) -> None:
    received = play(video, "--fov", "65", "--rate", "9", "--width", "80", "--no-static-tf")
    image, info = received.images[0], received.infos[0]
    assert (image.width, image.height) == (info.width, info.height) == (80, 60)
    assert info.p[0] == pytest.approx(intrinsics_of_fov(65.0, 80, 60).fx)
    assert info.p[2] == pytest.approx((80 - 1) / 2)
    assert received.sent == []


def test_distorted_images_are_published_rectified(play, video: Path, tmp_path: Path) -> None:
    calibration = tmp_path / "cam.yaml"
    calibration.write_text(
        "image_width: 160\nimage_height: 120\ndistortion_model: plumb_bob\n"
        "camera_matrix: {rows: 3, cols: 3, data: [100, 0, 80, 0, 100, 60, 0, 0, 1]}\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [0.4, 0, 0, 0, 0]}\n"
    )
    received = play(video, "--calib", calibration, "--rate", "9")
    info = received.infos[0]
    assert list(info.d) == [0.0] * 5 and info.p[0] == pytest.approx(100.0)
    pixels = np.frombuffer(received.images[0].data, np.uint8).reshape(120, 160, 3)
    # Pincushion distortion: the corners of the rectified image lie outside of the camera's.
    assert pixels[0, 0, 0] == 0 and pixels[60, 80, 0] > 190


def test_a_video_without_a_camera_is_refused(ros: None, video: Path) -> None:
    with pytest.raises(CalibrationError, match="a video without a calibration, expected --calib"):
        image_player.ImagePlayer(options(video))


@pytest.mark.parametrize("mount", ["0 0 1", "0 0 1 0 90 0", "a b c d e f"])
def test_a_mount_that_is_none_is_refused(mount: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options("walk.mp4", "--mount", mount)
    assert f"got '{mount}'" in capsys.readouterr().err
