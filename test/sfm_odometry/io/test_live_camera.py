"""Live cameras: a video file, and a stream over HTTP, read as a camera is."""

import threading
from itertools import count

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.io.live_camera import LiveCamera, SystemClock
from sfm_odometry.io.sources import open_images

FRAMES = 12
STEP = 20
"""Difference of the grey values of two frames."""


def shade(image):
    """Number of a frame by its grey value."""
    return round(float(image.read().mean()) / STEP)


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "ride.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for index in range(FRAMES):
        writer.write(np.full((48, 64, 3), STEP * index, np.uint8))
    writer.release()
    return path


def test_the_newest_frame_is_given_and_those_before_it_are_dropped(video):
    """The clock holds the second frame back until the first was taken; then the camera runs to its
    end before the next one is asked for. Opening takes frame 0."""
    first_taken, ticks = threading.Event(), count()

    def now_ns():
        tick = next(ticks)
        if tick == 1:
            first_taken.wait()
        return 1000 + tick

    camera = LiveCamera(str(video), now_ns)
    images = camera.images()
    first = next(images)
    first_taken.set()
    camera.wait_for_end()
    second = next(images)
    assert (first.stamp_ns, second.stamp_ns) == (1000, 1000 + FRAMES - 2)
    assert (shade(first), shade(second)) == (1, FRAMES - 1)
    assert (first.stem, second.stem) == ("000000", "000001")
    assert next(images, None) is None
    camera.close()
    assert camera.notes == [
        f"camera {video}: gave 11 images and then no more; 9 of them were dropped, as newer ones "
        "came before they could be tracked"
    ]


def test_a_stream_comes_in_order_up_to_its_end(stream_server):
    images = [np.full((48, 64, 3), STEP * index, np.uint8) for index in range(FRAMES)]
    source = open_images(stream_server(images).address)
    assert (source.is_live, source.form) == (True, "live camera")
    seen = [(shade(image), image.stamp_ns) for image in source]
    numbers, stamps_ns = zip(*seen, strict=True)
    assert numbers[-1] == FRAMES - 1 and list(numbers) == sorted(set(numbers))
    assert list(stamps_ns) == sorted(set(stamps_ns))
    assert source.close is not None
    source.close()
    assert "and then no more" in source.notes[0]


def test_a_camera_can_be_let_go_while_it_still_gives_images(stream_server):
    camera = LiveCamera(stream_server([np.zeros((48, 64, 3), np.uint8)], repeats=True).address)
    images = camera.images()
    next(images)
    camera.close()
    camera.close()
    assert len(camera.notes) == 1
    assert "and then no more" not in camera.notes[0]
    assert len(list(images)) <= 1


def test_a_second_reader_is_refused(video):
    camera = LiveCamera(str(video))
    next(camera.images())
    with pytest.raises(InputError, match="is being read already"):
        next(camera.images())
    camera.close()


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        ("97", "this machine has "),
        ("/dev/video97", "this machine has "),
        ("rtsp://127.0.0.1:1/stream", "expected a stream that OpenCV can read"),
    ],
)
def test_a_camera_that_is_not_there_names_what_is(camera, said):
    with pytest.raises(InputError) as error:
        LiveCamera(camera)
    assert str(error.value).startswith(f"camera {camera}: cannot be opened, ")
    assert said in str(error.value) and "\n" not in str(error.value)


def test_stamps_never_go_back():
    clock = SystemClock()
    stamps_ns = [clock.now_ns() for _ in range(1000)]
    assert stamps_ns == sorted(stamps_ns)
