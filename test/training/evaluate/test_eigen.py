"""Depth scores on the Eigen test split, from a small copy of KITTI raw."""

import json

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import Preprocessor
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.io.images import read_image
from training.evaluate.__main__ import main
from training.evaluate.depth import METRICS
from training.evaluate.eigen import AnnotatedTruth, RawImage, VelodyneTruth, read_test_list
from training.evaluate.predictions import DepthPrediction

WIDTH, HEIGHT = 124, 40
FOCAL, CX, CY = 72.0, 61.3, 17.6
DRIVE = "2011_09_26_drive_0002_sync"
FRAMES = (5, 8, 12)


def numbers(matrix):
    return " ".join(f"{value:.6e}" for value in np.ravel(matrix))


def write_calibration(day):
    """Write the calibration files of a day, with rectified cameras 2 and 3."""
    lines = [
        "calib_time: 09-Jan-2012 13:57:47",
        "R_rect_00: " + numbers(cv2.Rodrigues(np.array([0.004, -0.01, 0.002]))[0]),
    ]
    for camera, shift in ((2, 4.4), (3, -33.0)):
        projection = [[FOCAL, 0, CX, shift], [0, FOCAL, CY, 0.2], [0, 0, 1, 0.003]]
        lines += [f"S_rect_{camera:02d}: {numbers([WIDTH, HEIGHT])}"]
        lines += [f"P_rect_{camera:02d}: {numbers(projection)}"]
    (day / "calib_cam_to_cam.txt").write_text("\n".join(lines) + "\n")
    rotation = (
        np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
        @ cv2.Rodrigues(np.array([0.01, 0.015, -0.007]))[0]
    )
    lines = [
        "calib_time: 15-Mar-2012 11:37:16",
        f"R: {numbers(rotation)}",
        f"T: {numbers([-0.004, -0.076, -0.27])}",
    ]
    (day / "calib_velo_to_cam.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def raw(tmp_path):
    """KITTI raw of one drive and a list of its three frames, with scans of 3,000 points.

    The left camera has images; the right one has a calibration only.
    """
    # Folders and calibration.
    rng = np.random.default_rng(4)
    day = tmp_path / "raw" / "2011_09_26"
    drive = day / DRIVE
    for folder in ("velodyne_points/data", "image_02/data", "image_03/data"):
        (drive / folder).mkdir(parents=True)
    write_calibration(day)
    # Scans, images and the list.
    for frame in FRAMES:
        scan = rng.uniform([-20, -40, -6, 0], [90, 40, 4, 1], (3000, 4)).astype("<f4")
        scan.tofile(drive / f"velodyne_points/data/{frame:010d}.bin")
        cv2.imwrite(
            str(drive / f"image_02/data/{frame:010d}.png"),
            rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        )
    lines = [f"2011_09_26/{DRIVE}/image_02/data/{frame:010d}.jpg" for frame in FRAMES]
    (tmp_path / "eigen.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def entries(path):
    lines = [line.split(":", 1) for line in path.read_text().splitlines()]
    return {
        name: [float(word) for word in text.split()] for name, text in lines if name != "calib_time"
    }


def depth_point_by_point(day, frame, camera=2):
    """True depth by the published protocol in plain Python; shares no line with the product."""
    between = entries(day / "calib_cam_to_cam.txt")
    laser = entries(day / "calib_velo_to_cam.txt")
    depth = [[0.0] * WIDTH for _ in range(HEIGHT)]
    scan = np.fromfile(day / DRIVE / f"velodyne_points/data/{frame:010d}.bin", "<f4")
    for x, y, z, _ in scan.reshape(-1, 4).tolist():
        if x < 0:
            continue
        # Laser to camera, to the rectified camera, to pixels.
        point = [
            sum(a * b for a, b in zip(laser["R"][3 * k : 3 * k + 3], (x, y, z), strict=True))
            + laser["T"][k]
            for k in range(3)
        ]
        point = [
            sum(a * b for a, b in zip(between["R_rect_00"][3 * k : 3 * k + 3], point, strict=True))
            for k in range(3)
        ]
        projection = between[f"P_rect_{camera:02d}"]
        u, v, w = (
            sum(a * b for a, b in zip(projection[4 * k : 4 * k + 4], [*point, 1], strict=True))
            for k in range(3)
        )
        if w <= 0:
            continue
        # The nearest point of each pixel.
        column = round(u / w) - 1
        row = round(v / w) - 1
        if 0 <= column < WIDTH and 0 <= row < HEIGHT:
            known = depth[row][column]
            depth[row][column] = x if known == 0 or x < known else known
    return np.array(depth)


def test_true_depth_agrees_with_a_point_by_point_projection(raw):
    truth = VelodyneTruth(raw / "raw")
    for camera in (2, 3):
        expected = depth_point_by_point(raw / "raw/2011_09_26", FRAMES[0], camera)
        np.testing.assert_allclose(
            np.nan_to_num(truth.depth(RawImage("2011_09_26", DRIVE, camera, FRAMES[0]))),
            expected,
            rtol=1e-7,
        )
        assert np.count_nonzero(expected) > 200


def scores_of(capsys, *arguments):
    assert main([str(argument) for argument in (*arguments, "--json")]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


def eigen(raw, *arguments):
    return ("eigen", "--kitti-raw", raw / "raw", "--list", raw / "eigen.txt", *arguments)


def guesses(seed=3):
    coarse = np.random.default_rng(seed).uniform(1, 6, (len(FRAMES), 5, 8)).astype(np.float32)
    return np.stack([cv2.resize(guess, (WIDTH, HEIGHT)) for guess in coarse])


@pytest.mark.parametrize(("cap", "crop"), [(80, "garg"), (50, "garg"), (80, "eigen"), (50, "none")])
def test_scores_agree_with_a_second_computation_from_the_scans(
    raw, capsys, second_computation, cap, crop
):
    np.save(raw / "pred.npy", guesses())
    scores, _ = scores_of(
        capsys, *eigen(raw, "--pred", raw / "pred.npy", "--cap", cap, "--crop", crop)
    )
    truths = [depth_point_by_point(raw / "raw/2011_09_26", frame) for frame in FRAMES]
    expected = np.mean(
        [
            second_computation(gt, pred, cap, crop)
            for gt, pred in zip(truths, guesses(), strict=True)
        ],
        axis=0,
    )
    np.testing.assert_allclose([scores[name] for name in METRICS], expected, rtol=1e-6)
    assert list(scores) == [*METRICS, "images", "cap_m", "crop", "resize", "ground_truth"]
    assert scores["images"] == 3 and scores["ground_truth"] == "velodyne"
    assert (scores["cap_m"], scores["crop"]) == (cap, crop)


def test_folder_stack_and_inverse_depth_score_the_same(raw, capsys):
    np.save(raw / "depth.npy", guesses())
    np.save(raw / "inverse.npy", 1 / guesses().astype(np.float64))
    (raw / "folder").mkdir()
    for index, guess in enumerate(guesses()):
        np.save(raw / "folder" / f"{index + 8}.npy", guess)  # 8, 9, 10: by number, not by spelling
    expected, _ = scores_of(capsys, *eigen(raw, "--pred", raw / "depth.npy"))
    assert scores_of(capsys, *eigen(raw, "--pred", raw / "folder"))[0] == expected
    inverse, _ = scores_of(
        capsys, *eigen(raw, "--pred", raw / "inverse.npy", "--pred-is", "inverse_depth")
    )
    assert [inverse[name] for name in METRICS] == pytest.approx(
        [expected[name] for name in METRICS], rel=1e-5
    )


def test_resized_quantity_matters_and_is_reported(raw, capsys, second_computation):
    small = guesses()[:, ::8, ::8]
    np.save(raw / "pred.npy", small)
    by_depth, _ = scores_of(capsys, *eigen(raw, "--pred", raw / "pred.npy"))
    by_inverse, _ = scores_of(
        capsys, *eigen(raw, "--pred", raw / "pred.npy", "--resize", "inverse_depth")
    )
    assert (by_depth["resize"], by_inverse["resize"]) == ("depth", "inverse_depth")
    truths = [depth_point_by_point(raw / "raw/2011_09_26", frame) for frame in FRAMES]
    resized = [1 / cv2.resize(1 / pred, (WIDTH, HEIGHT)) for pred in small]
    expected = np.mean(
        [
            second_computation(gt, pred, 80, "garg")
            for gt, pred in zip(truths, resized, strict=True)
        ],
        axis=0,
    )
    np.testing.assert_allclose([by_inverse[name] for name in METRICS], expected, rtol=1e-5)
    assert abs(by_depth["abs_rel"] - by_inverse["abs_rel"]) > 1e-4


def test_depth_of_the_camera_differs_from_the_lasers(raw, capsys):
    np.save(raw / "pred.npy", guesses())
    by_laser, _ = scores_of(capsys, *eigen(raw, "--pred", raw / "pred.npy"))
    by_camera, _ = scores_of(
        capsys, *eigen(raw, "--pred", raw / "pred.npy", "--depth-of", "camera")
    )
    assert 0 < abs(by_laser["abs_rel"] - by_camera["abs_rel"]) < 0.2


def test_a_model_is_run_over_the_images_of_the_list(raw, capsys, tiny_model, second_computation):
    estimator = Estimator.from_file(tiny_model, "cpu")
    predictions = []
    for frame in FRAMES:
        image = read_image(raw / "raw/2011_09_26" / DRIVE / f"image_02/data/{frame:010d}.png")
        resized = cv2.resize(image, (64, 32), interpolation=cv2.INTER_AREA)
        predictions.append(cv2.resize(estimator.depth(resized), (WIDTH, HEIGHT)))
    truths = [depth_point_by_point(raw / "raw/2011_09_26", frame) for frame in FRAMES]
    expected = np.mean(
        [
            second_computation(gt, pred, 80, "garg")
            for gt, pred in zip(truths, predictions, strict=True)
        ],
        axis=0,
    )
    options = ("--model", tiny_model, "--device", "cpu", "--resize-mode", "stretch")
    scores, notes = scores_of(capsys, *eigen(raw, *options))
    np.testing.assert_allclose([scores[name] for name in METRICS], expected, rtol=1e-4)
    assert notes == ""


def test_cropping_model_leaves_out_pixels_and_notes_them(raw, capsys, tiny_model):
    scores, notes = scores_of(capsys, *eigen(raw, "--model", tiny_model, "--device", "cpu"))
    assert scores["images"] == 3 and notes.count("true pixels, left out") == 3


@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
def test_prediction_is_placed_at_the_preprocessors_window(mode):
    """Each pixel of an image of column numbers is at its column after undoing the preprocessing."""
    preprocess = Preprocessor(Intrinsics(FOCAL, FOCAL, CX, CY, WIDTH, HEIGHT), 64, 32, 1, mode)
    columns = np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))
    prediction = DepthPrediction(
        "columns", preprocess(columns)[..., 0].astype(np.float32), preprocess.window
    )
    whole = prediction.at_size((HEIGHT, WIDTH))
    left, _, width, _ = preprocess.window
    assert np.isnan(whole[:, : max(left, 0)]).all() and np.isnan(whole[:, left + width :]).all()
    inner = slice(max(left, 0) + 4, left + width - 4)
    np.testing.assert_allclose(whole[4:-4, inner], columns[4:-4, inner], atol=0.8)


def test_annotated_depth_replaces_the_scans(raw, capsys, second_computation):
    np.save(raw / "pred.npy", guesses())
    # Annotated depth of two of the three frames.
    truths = []
    for frame, part in zip(FRAMES[:2], ("val", "train"), strict=True):
        folder = raw / "annotated" / part / DRIVE / "proj_depth/groundtruth/image_02"
        folder.mkdir(parents=True)
        values = np.round(depth_point_by_point(raw / "raw/2011_09_26", frame) * 256).astype(
            np.uint16
        )
        cv2.imwrite(str(folder / f"{frame:010d}.png"), values)
        truths.append(values / 256)
    scores, notes = scores_of(
        capsys, *eigen(raw, "--pred", raw / "pred.npy", "--annotated", raw / "annotated")
    )
    # Scores of these two.
    expected = np.mean(
        [
            second_computation(gt, pred, 80, "garg")
            for gt, pred in zip(truths, guesses()[:2], strict=True)
        ],
        axis=0,
    )
    np.testing.assert_allclose([scores[name] for name in METRICS], expected, rtol=1e-6)
    assert scores["images"] == 2 and scores["ground_truth"] == "annotated"
    assert "no annotated depth of 1 of 3 images" in notes
    with pytest.raises(InputError, match="no annotated depth of"):
        AnnotatedTruth(raw / "annotated").depth(RawImage("2011_09_26", DRIVE, 2, FRAMES[2]))


def test_both_formats_of_list_give_the_same_images(tmp_path):
    (tmp_path / "list.txt").write_text(
        f"2011_09_26/{DRIVE}/image_02/data/0000000069.jpg\n"
        f"2011_09_26/{DRIVE}/image_02/data/0000000069.png "
        f"2011_09_26/{DRIVE}/image_03/data/0000000069.png\n"
        f"2011_09_26/{DRIVE} 0000000069 l\n"
        "\n"
        f"2011_09_26/{DRIVE} 69 r\n"
    )
    left = RawImage("2011_09_26", DRIVE, 2, 69)
    right = RawImage("2011_09_26", DRIVE, 3, 69)
    assert read_test_list(tmp_path / "list.txt") == [left, left, left, right]
    assert str(right.path) == f"2011_09_26/{DRIVE}/image_03/data/0000000069"
    assert str(right.scan_path) == f"2011_09_26/{DRIVE}/velodyne_points/data/0000000069.bin"


def refused(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert (
        captured.out == "" and captured.err.count("\n") == 1 and captured.err.startswith("error: ")
    )
    return captured.err


def test_bad_input_is_one_line_and_exit_code_2(raw, capsys, tiny_model):
    # Predictions.
    np.save(raw / "pred.npy", guesses())
    np.save(raw / "two.npy", guesses()[:2])
    np.save(raw / "flat.npy", guesses()[0])
    (raw / "junk.npy").write_bytes(b"junk")
    for name, message in (
        ("absent.npy", "absent.npy: no such file or folder"),
        ("two.npy", "two.npy: 2 predictions, expected 3, one for each image"),
        ("flat.npy", "expected a float array (N, h, w)"),
        ("junk.npy", "junk.npy: cannot be read as .npy"),
    ):
        assert message in refused(capsys, *eigen(raw, "--pred", raw / name))
    assert "no depth maps in it" in refused(capsys, *eigen(raw, "--pred", raw / "raw"))
    assert "depth of none of the 3 images in it" in refused(
        capsys, *eigen(raw, "--pred", raw / "pred.npy", "--annotated", raw)
    )
    # Lists.
    (raw / "eigen.txt").write_text("2011_09_26/somewhere 5\n")
    assert "eigen.txt, line 1: '2011_09_26/somewhere 5', expected date/drive" in refused(
        capsys, *eigen(raw, "--pred", raw / "pred.npy")
    )
    (raw / "eigen.txt").write_text("\n")
    assert "eigen.txt: no images in it" in refused(capsys, *eigen(raw, "--pred", raw / "pred.npy"))
    (raw / "eigen.txt").write_text(
        "".join(f"2011_09_26/{DRIVE} {frame} l\n" for frame in (5, 6, 7))
    )
    assert "0000000006.bin: no such file; 2 of 3 scans are missing" in refused(
        capsys, *eigen(raw, "--pred", raw / "pred.npy")
    )
    (raw / "eigen.txt").write_text(f"2011_09_26/{DRIVE} 5 r\n")
    assert "image_03/data/0000000005.png: no such file, nor with" in refused(
        capsys, *eigen(raw, "--model", tiny_model)
    )
