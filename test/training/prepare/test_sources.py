"""Preparation of Cityscapes sequences and video files, small ones in their exact formats."""

import json

import cv2
import numpy as np
import pytest

from training.data.sampler import cameras_of, open_data
from training.prepare import main
from training.prepare.rate import FrameCounter, has_steady_stamps

SIZE = (256, 128)
"""Width and height, an eighth of Cityscapes'."""
LEFT_CAMERA = {"fx": 282.8, "fy": 283.2, "u0": 137.1, "v0": 64.1}


def write_city(root, city, runs, cameras, split="train"):
    """Writes a city's images `city_SSSSSS_FFFFFF_leftImg8bit.png` and camera files.

    `runs` are (sequence, first frame, count), grey values are frame numbers, `cameras` maps
    (sequence, frame) to intrinsics.
    """
    images = root / "leftImg8bit_sequence" / split / city
    folder = root / "camera" / split / city
    images.mkdir(parents=True)
    folder.mkdir(parents=True)
    # Images.
    for sequence, first, count in runs:
        for frame in range(first, first + count):
            image = np.full((SIZE[1], SIZE[0], 3), frame, np.uint8)
            image[96:] = 255  # the car's hood
            cv2.imwrite(str(images / f"{city}_{sequence:06d}_{frame:06d}_leftImg8bit.png"), image)
    # Cameras.
    for (sequence, frame), intrinsic in cameras.items():
        extrinsic = {
            "baseline": 0.209,
            "pitch": 0.038,
            "roll": 0.0,
            "x": 1.7,
            "y": 0.1,
            "yaw": -0.02,
            "z": 1.22,
        }
        path = folder / f"{city}_{sequence:06d}_{frame:06d}_camera.json"
        path.write_text(json.dumps({"extrinsic": extrinsic, "intrinsic": intrinsic}))


def cityscapes(root, out, *more):
    return main(["cityscapes", "--root", str(root), "--out", str(out), "--size", "104x32", *more])


def test_cityscapes_loses_the_hood_and_every_second_frame(tmp_path):
    write_city(
        tmp_path, "aachen", [(0, 0, 30), (1, 0, 30)], {(0, 19): LEFT_CAMERA, (1, 19): LEFT_CAMERA}
    )
    assert cityscapes(tmp_path, tmp_path / "out") == 0
    (scene,) = open_data(tmp_path / "out")
    assert (scene.name, scene.drive) == ("train_aachen", "aachen")
    assert scene.frames.shape == (30, 32, 104, 3)
    assert scene.frames[:15, 5, 5, 0].tolist() == list(range(0, 30, 2))
    assert scene.frames.max() == 28, "the hood is in the picture"
    assert scene.frame_numbers[[0, 14, 15]].tolist() == [0, 14, 1_000_000]
    assert len(scene.snippet_starts(5)) == 2 * 11


def test_cityscapes_intrinsics_follow_crop_and_stretch_exactly(tmp_path):
    write_city(tmp_path, "aachen", [(0, 0, 6)], {(0, 3): LEFT_CAMERA})
    cityscapes(tmp_path, tmp_path / "out")
    sx = 104 / 256
    sy = 32 / 96  # the top 96 rows of 128 become 32
    k = [[282.8 * sx, 0, 137.6 * sx - 0.5], [0, 283.2 * sy, 64.6 * sy - 0.5], [0, 0, 1]]
    assert open_data(tmp_path / "out")[0].intrinsics == pytest.approx(np.array(k))


def test_a_city_with_two_cameras_is_two_scenes(tmp_path):
    other = {**LEFT_CAMERA, "fx": 290.0}
    runs = [(0, 0, 10), (0, 20, 10), (1, 0, 10)]
    cameras = {(0, 5): LEFT_CAMERA, (0, 25): other, (1, 5): LEFT_CAMERA}
    write_city(tmp_path, "ulm", runs, cameras)
    assert cityscapes(tmp_path, tmp_path / "out", "--every", "1") == 0
    scenes = open_data(tmp_path / "out")
    assert [(scene.name, len(scene.frames)) for scene in scenes] == [
        ("train_ulm_1", 20),
        ("train_ulm_2", 10),
    ]
    assert scenes[1].intrinsics[0, 0] == pytest.approx(290.0 * 104 / 256)
    assert len(cameras_of(scenes)) == 2


def test_cities_can_be_selected_and_missing_ones_are_named(tmp_path, capsys):
    write_city(tmp_path, "aachen", [(0, 0, 6)], {(0, 3): LEFT_CAMERA})
    write_city(tmp_path, "lindau", [(0, 0, 6)], {(0, 3): LEFT_CAMERA}, "val")
    assert cityscapes(tmp_path, tmp_path / "out", "--sequences", "val") == 0
    assert [scene.name for scene in open_data(tmp_path / "out")] == ["val_lindau"]
    assert cityscapes(tmp_path, tmp_path / "out", "--sequences", "train/ulm") == 2
    assert "train/ulm" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "message"),
    [("name", "odd_leftImg8bit"), ("camera", "000003_camera.json"), ("none", "camera.json")],
)
def test_damaged_cityscapes_data_is_an_error_that_names_the_file(tmp_path, capsys, damage, message):
    write_city(tmp_path, "aachen", [(0, 0, 6)], {(0, 3): LEFT_CAMERA})
    images = tmp_path / "leftImg8bit_sequence/train/aachen"
    camera = tmp_path / "camera/train/aachen/aachen_000000_000003_camera.json"
    if damage == "name":
        (images / "odd_leftImg8bit.png").write_bytes(b"")
    elif damage == "camera":
        camera.write_text("{}")
    else:
        camera.unlink()
    assert cityscapes(tmp_path, tmp_path / "out") == 2
    assert message in capsys.readouterr().err


def write_video(path, count=60, rate=30, size=(102, 160), codec="MJPG"):
    """Writes a video whose frames show their index as six bars, black for 0 and white for 1."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, size)
    for index in range(count):
        bars = [255 * (index >> bit & 1) for bit in range(6)]
        row = np.resize(np.repeat(np.array(bars, np.uint8), size[0] // 6), size[0])
        writer.write(np.dstack([np.tile(row, (size[1], 1))] * 3))
    writer.release()


def video(root, out, *more):
    return main(["video", "--root", str(root), "--out", str(out), "--size", "102x32", *more])


def video_indices(scene):
    """Indices in the video of a scene's frames."""
    bars = scene.frames[:, :, : 6 * 17, 0].mean(axis=1)[:, 8::17] > 127
    return (bars * 2 ** np.arange(bars.shape[1])).sum(axis=1).tolist()


@pytest.mark.parametrize(
    ("name", "codec"), [("ride.avi", "MJPG"), ("ride.mp4", "mp4v"), ("ride.mkv", "XVID")]
)
def test_a_video_is_thinned_out_to_ten_frames_a_second(tmp_path, name, codec):
    write_video(tmp_path / name, codec=codec)
    assert video(tmp_path / name, tmp_path / "out", "--fov", "60") == 0
    (scene,) = open_data(tmp_path / "out")
    assert (scene.name, scene.drive) == ("ride", "ride")
    assert video_indices(scene) == list(range(0, 60, 3))
    assert scene.frame_numbers.tolist() == list(range(20))
    assert not scene.camera.known


def bike_command(folder):
    """Command that prepares bike.avi with the field of view of vid2depth's bike videos."""
    options = ["--fov", "50.9", "--every", "1"]
    return ["video", "--root", str(folder / "bike.avi"), "--out", str(folder / "out"), *options]


def test_a_field_of_view_gives_the_focal_length_of_the_papers_bike_videos(tmp_path):
    write_video(tmp_path / "bike.avi", 4, size=(1280, 720))
    assert main(bike_command(tmp_path)) == 0
    (scene,) = open_data(tmp_path / "out")
    assert scene.intrinsics[0, 0] == pytest.approx(1344.8 * 416 / 1280, rel=1e-4)
    assert scene.intrinsics[0, 2] == pytest.approx((416 - 1) / 2)


def test_crops_of_a_tall_video_are_scenes_with_their_own_intrinsics(tmp_path):
    # A video of grey values that are row numbers.
    tall = np.repeat(np.arange(160, dtype=np.uint8)[:, None], 96, axis=1)
    writer = cv2.VideoWriter(
        str(tmp_path / "walk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30, (96, 160)
    )
    for _ in range(12):
        writer.write(np.dstack([tall] * 3))
    writer.release()
    # Prepare three crops.
    options = ("--fov", "60", "--crops", "3")
    size = ("--size", "96x32")
    assert video(tmp_path, tmp_path / "out", *options, "--every", "6", *size) == 3
    scenes = open_data(tmp_path / "out")
    assert [scene.name for scene in scenes] == ["walk_0", "walk_1", "walk_2"]
    assert {scene.drive for scene in scenes} == {"walk"}
    # The row under the optical axis is the same in all crops.
    for scene in scenes:
        assert scene.frames.shape == (2, 32, 96, 3)
        row_of_centre = scene.frames[0, 16].mean() - 16 + scene.intrinsics[1, 2]
        assert row_of_centre == pytest.approx(79.5, abs=1.5), "the optical axis moved with the crop"
    tops = [79.5 - scene.intrinsics[1, 2] for scene in scenes]
    assert tops == pytest.approx([128 / 3, 64, 256 / 3], abs=0.6)
    # Windows that do not fit are an error.
    assert video(tmp_path, tmp_path / "wide", *options, "--size", "96x160") == 2


def test_three_crops_of_a_bike_video_are_the_papers(tmp_path):
    write_video(tmp_path / "bike.avi", 4, size=(1280, 720))
    assert main([*bike_command(tmp_path), "--crops", "3"]) == 0
    scale = 128 / 394
    tops = [
        359.5 - (scene.intrinsics[1, 2] + 0.5) / scale + 0.5
        for scene in open_data(tmp_path / "out")
    ]
    assert tops == pytest.approx([109, 163, 217], abs=1.0)


def test_videos_of_one_camera_share_it(tmp_path):
    for name in ("a.avi", "b.avi"):
        write_video(tmp_path / name, 12)
    for more, count in ((["--one-camera"], 1), ([], 2)):
        assert video(tmp_path, tmp_path / "out", "--fov", "60", *more) == 0
        assert len(cameras_of(open_data(tmp_path / "out"))) == count


def test_a_calibration_makes_the_camera_known(tmp_path):
    write_video(tmp_path / "ride.avi", 12)
    (tmp_path / "cam.txt").write_text("100 0 50.5\n0 100 79.5\n0 0 1\n")
    assert video(tmp_path / "ride.avi", tmp_path / "out", "--calib", str(tmp_path / "cam.txt")) == 0
    (scene,) = open_data(tmp_path / "out")
    assert scene.camera.known
    assert scene.intrinsics == pytest.approx(np.array([[100, 0, 50.5], [0, 100, 15.5], [0, 0, 1]]))


def test_an_unusable_video_is_an_error_that_names_it(tmp_path, capsys):
    write_video(tmp_path / "ride.mkv", 60, codec="XVID")
    assert video(tmp_path / "ride.mkv", tmp_path / "out") == 2
    assert "--calib FILE or --fov" in capsys.readouterr().err
    data = (tmp_path / "ride.mkv").read_bytes()
    for part, message in ((data[: len(data) // 2], "truncated"), (b"no video", "cannot be opened")):
        (tmp_path / "cut.mkv").write_bytes(part)
        assert video(tmp_path / "cut.mkv", tmp_path / "out", "--fov", "60", "--strict") == 2
        error = capsys.readouterr().err
        assert "cut.mkv" in error
        assert message in error
    assert video(tmp_path / "none.mkv", tmp_path / "out", "--fov", "60") == 2
    assert video(tmp_path / "ride.mkv", tmp_path / "out", "--fov", "190") == 2
    assert video(tmp_path / "ride.mkv", tmp_path / "out", "--fov", "60", "--rate", "0") == 2


def frame_numbers(stamps_s, period_s=0.1, every=None, rate=10.0):
    """Numbers that a FrameCounter gives to frames, None for skipped ones."""
    counter = FrameCounter(period_s, every, rate)
    return [counter.next(stamp_s) for stamp_s in stamps_s]


def test_a_dropped_frame_leaves_a_gap():
    assert frame_numbers([0.0, 0.1, 0.2, 0.4, 0.5]) == [0, 1, 2, 4, 5]
    thinned = frame_numbers(np.delete(np.arange(12) / 30, 6), 1 / 30)
    assert [number for number in thinned if number is not None] == [0, 1, 2, 3]


def test_clock_drift_and_jitter_make_no_gaps():
    slow = np.arange(300) / 9.65
    jittered = slow + np.random.default_rng(0).uniform(-0.02, 0.02, 300)
    assert frame_numbers(slow) == frame_numbers(jittered) == list(range(300))


@pytest.mark.parametrize(
    ("rate", "every"), [(10, 1), (8.5, 1), (25, 2), (30, 3), (60, 6), (120, 12)]
)
def test_any_rate_becomes_about_ten(rate, every):
    assert FrameCounter(1 / rate, None, 10.0).every == every


def test_time_that_runs_backwards_is_a_gap():
    for every in (1, 3):
        stamps = [0.0, 0.1, 0.2, 0.3, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
        kept = [number for number in frame_numbers(stamps, every=every) if number is not None]
        assert max(np.diff(kept)) > 1


def kept_of(stamps_s):
    """Numbers of the frames that are taken of those with these stamps, as preparation does."""
    period_s = float(np.median(np.diff(stamps_s[:100])))
    counter = FrameCounter(period_s, None, 10.0, has_steady_stamps(stamps_s[:100], period_s))
    numbers = [counter.next(stamp_s) for stamp_s in stamps_s]
    return [number for number in numbers if number is not None], counter.repeated


@pytest.mark.parametrize(
    "periods_s",
    [
        [1 / 30] * 60 + [1 / 20] * 60,  # a phone in the dark
        [1 / 30] * 60 + [1 / 15] * 60,
        [1 / 60] * 60 + [1 / 24] * 60 + [1 / 60] * 60,
        np.random.default_rng(0).choice([1 / 30, 1 / 15], 150),
        np.random.default_rng(0).uniform(0.02, 0.05, 150),
    ],
)
def test_a_changing_frame_rate_loses_no_time(periods_s):
    stamps_s = np.concatenate([[0], np.cumsum(periods_s)])
    numbers, _ = kept_of(stamps_s)
    assert set(np.diff(numbers)) == {1}
    assert len(numbers) >= stamps_s[-1] * 10 * 0.9


def test_frames_of_one_moment_are_taken_once():
    numbers, repeated = kept_of(np.repeat(np.arange(30) / 10, [1] * 20 + [2] * 10))
    assert (numbers, repeated) == (list(range(30)), 10)


def test_a_video_of_changing_rate_is_used_as_a_whole(tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    stamps_s = np.concatenate([[0], np.cumsum([1 / 30] * 30 + [1 / 15] * 15)])
    for stamp_s in stamps_s:
        cv2.imwrite(str(folder / f"{1000 + stamp_s:.6f}.png"), np.zeros((64, 208), np.uint8))
    assert images(folder, tmp_path / "out", "--fov", "60") == 0
    (scene,) = open_data(tmp_path / "out")
    assert set(np.diff(scene.frame_numbers)) == {1}
    assert len(scene.frames) >= 18
    assert f"{len(scene.frames) - 4} snippets of 5 frames" in capsys.readouterr().out


def images(root, out, *more):
    return main(["images", "--root", str(root), "--out", str(out), "--size", "104x32", *more])


EUROC_CAMERA = (
    "camera_model: pinhole\nintrinsics: [120.0, 120.0, 103.5, 31.5]\n"
    "distortion_model: radial-tangential\ndistortion_coefficients: [-0.3, 0.1, 0.0, 0.0]\n"
    "resolution: [208, 64]\n"
)


@pytest.mark.parametrize("layout", ["numbered", "tum", "euroc", "seven_scenes"])
def test_folders_of_every_layout_become_a_scene(tmp_path, layout):
    folder = tmp_path / "drive"
    at, name, options = {
        "numbered": ("", "frame_{0:04d}.png", ["--fov", "60"]),
        "tum": ("rgb", "{1:.6f}.png", ["--fov", "60"]),
        "euroc": ("mav0/cam0/data", "{2}.png", []),
        "seven_scenes": ("", "frame-{0:06d}.color.png", ["--fov", "60"]),
    }[layout]
    (folder / at).mkdir(parents=True)
    names = []
    for index in range(8):
        stamp_ns = 1403636579763555584 + index * 10**8
        names.append(name.format(index, stamp_ns * 1e-9, stamp_ns))
        grey = np.full((64, 208), 10 * index, np.uint8)
        cv2.imwrite(str(folder / at / names[-1]), grey)
    (folder / at / names[5]).write_bytes(b"no image")
    if layout == "tum":
        rows = "".join(f"{each.removesuffix('.png')} rgb/{each}\n" for each in names)
        (folder / "rgb.txt").write_text(f"# timestamp filename\n{rows}")
    if layout == "euroc":
        rows = "".join(f"{each.removesuffix('.png')},{each}\n" for each in names)
        (folder / "mav0/cam0/data.csv").write_text(f"#timestamp [ns],filename\n{rows}")
        (folder / "mav0/cam0/sensor.yaml").write_text(EUROC_CAMERA)
    assert images(folder, tmp_path / "out", *options) == 0
    (scene,) = open_data(tmp_path / "out")
    assert (scene.name, scene.camera.known) == ("drive", layout == "euroc")
    assert scene.frame_numbers.tolist() == [0, 1, 2, 3, 4, 6, 7]
    assert scene.frames[:, 16, 52, 0].tolist() == [0, 10, 20, 30, 40, 60, 70]
    assert images(folder, tmp_path / "strict", "--strict", *options) == 2


def test_a_video_is_the_same_by_both_sources(tmp_path):
    write_video(tmp_path / "ride.avi")
    assert video(tmp_path / "ride.avi", tmp_path / "video", "--fov", "60") == 0
    command = ["images", "--root", str(tmp_path / "ride.avi"), "--out", str(tmp_path / "images")]
    assert main([*command, "--size", "102x32", "--fov", "60"]) == 0
    first, second = open_data(tmp_path / "video")[0], open_data(tmp_path / "images")[0]
    assert np.array_equal(first.frames, second.frames)
    assert np.array_equal(first.intrinsics, second.intrinsics)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cam.txt", "100 0 50.5\n0 100 79.5\n0 0 1\n"),
        ("calib.txt", "P0: 100 0 50.5 0 0 100 79.5 0 0 0 1 0\n"),
        (
            "ost.yaml",
            "image_width: 102\nimage_height: 160\ncamera_matrix: {rows: 3, cols: 3, "
            "data: [100, 0, 50.5, 0, 100, 79.5, 0, 0, 1]}\n",
        ),
        ("cameras.txt", "1 PINHOLE 102 160 100 100 51 80\n"),
        (
            "orb.yaml",
            "%YAML:1.0\nCamera.fx: 100.0\nCamera.fy: 100.0\nCamera.cx: 50.5\nCamera.cy: 79.5\n",
        ),
    ],
)
def test_calibrations_of_other_tools_are_taken(tmp_path, name, text):
    write_video(tmp_path / "ride.avi", 12)
    (tmp_path / name).write_text(text)
    assert video(tmp_path / "ride.avi", tmp_path / "out", "--calib", str(tmp_path / name)) == 0
    (scene,) = open_data(tmp_path / "out")
    assert scene.intrinsics == pytest.approx(np.array([[100, 0, 50.5], [0, 100, 15.5], [0, 0, 1]]))


def test_a_distorted_video_is_undistorted(tmp_path):
    write_video(tmp_path / "ride.avi", 12)
    (tmp_path / "cameras.txt").write_text("1 OPENCV 102 160 100 100 51 80 -0.3 0.1 0 0\n")
    option = ["--calib", str(tmp_path / "cameras.txt")]
    assert video(tmp_path / "ride.avi", tmp_path / "out", *option) == 0
    assert video(tmp_path / "ride.avi", tmp_path / "plain", *option, "--rectified") == 0
    rectified, plain = open_data(tmp_path / "out")[0], open_data(tmp_path / "plain")[0]
    assert np.array_equal(rectified.intrinsics, plain.intrinsics)
    assert (rectified.frames != plain.frames).any()


@pytest.mark.parametrize("text", ["400", "0x0", "31x128", "axb", "416x-128"])
def test_sizes_that_are_none_are_refused(tmp_path, capsys, text):
    write_video(tmp_path / "ride.avi", 12)
    assert video(tmp_path / "ride.avi", tmp_path / "out", "--fov", "60", "--size", text) == 2
    assert f"--size '{text}' not understood" in capsys.readouterr().err


def test_cityscapes_takes_another_calibration(tmp_path):
    write_city(tmp_path, "aachen", [(0, 0, 6)], {})
    camera = tmp_path / "cam.txt"
    camera.write_text("280 0 127.5\n0 280 63.5\n0 0 1\n")
    assert cityscapes(tmp_path, tmp_path / "out", "--calib", str(camera)) == 0
    (scene,) = open_data(tmp_path / "out")
    assert scene.camera.known
    assert scene.intrinsics[0, 0] == pytest.approx(280 * 104 / 256)
    assert cityscapes(tmp_path, tmp_path / "guess", "--fov", "60") == 0
    assert not open_data(tmp_path / "guess")[0].camera.known
