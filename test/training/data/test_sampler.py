"""Sampling of snippets from prepared scenes, collation, prefetching and the split."""

import dataclasses
import resource
import threading

import cv2
import numpy as np
import pytest
import torch

from sfm_odometry.errors import InputError
from training.data.index import FORMAT, VERSION
from training.data.prefetch import Prefetcher
from training.data.sampler import Camera, Scene, SnippetSampler, cameras_of, open_data, split_scenes
from training.prepare.writer import SceneWriter, write_json

K = np.array([[40.0, 0, 31.5], [0, 40.0, 15.5], [0, 0, 1]])


def make_scene(
    name="drive_02",
    drive="drive",
    count=12,
    channels=3,
    numbers=None,
    truth=False,
    camera="left",
    k=K,
    static=(),
    size=(32, 64),
):
    """Returns a scene of random pixels, with the frame's index in the first pixel."""
    random = np.random.default_rng(len(name) + count)
    numbers = np.arange(count) if numbers is None else np.array(numbers)
    frames = random.integers(0, 256, (len(numbers), *size, channels), np.uint8)
    frames[:, 0, 0, 0] = np.arange(len(numbers))
    poses = np.tile(np.eye(4), (len(numbers), 1, 1))
    poses[:, 2, 3] = 1000.0 + np.arange(len(numbers))
    return Scene(
        name=name,
        drive=drive,
        camera=Camera(camera, k, known=True),
        frames=frames,
        frame_numbers=numbers,
        static=np.isin(numbers, static),
        depth=random.uniform(1, 50, (len(numbers), *size)).astype(np.float16) if truth else None,
        motion_mask=random.integers(0, 2, (len(numbers), *size), np.uint8) * 255 if truth else None,
        poses=poses if truth else None,
        poses_supervise=truth,
        resize_mode="crop",
    )


def same(first, second):
    return all(
        torch.equal(getattr(first, field.name), getattr(second, field.name))
        for field in dataclasses.fields(first)
    )


def rows(batch, part):
    return dataclasses.replace(
        batch,
        **{field.name: getattr(batch, field.name)[part] for field in dataclasses.fields(batch)},
    )


@pytest.fixture
def mixed():
    """Two data sets: a rendered drive with truth, and two cameras of a real one."""
    real = [make_scene("b_02", "b", 20), make_scene("b_03", "b", 20, camera="right", k=K + 0.5)]
    return [[make_scene("a", "a", truth=True, camera="rendered")], real]


def test_a_batch_has_the_exact_bytes_of_its_frames(mixed):
    batch = SnippetSampler(mixed, 5, 3, 16, seed=1).batch(0)
    assert (batch.frames.dtype, batch.depth.dtype, batch.moving.dtype) == (
        torch.uint8,
        torch.float16,
        torch.uint8,
    )
    scenes = {0: mixed[0][0], 1: mixed[1][0], 2: mixed[1][1]}
    for index in range(16):
        scene = scenes[int(batch.camera[index])]
        start = int(batch.frames[index, 0, 0, 0, 0])
        expected = torch.from_numpy(scene.frames[start : start + 5]).permute(0, 3, 1, 2)
        assert torch.equal(batch.frames[index], expected)
        assert torch.equal(batch.intrinsics[index], torch.from_numpy(scene.intrinsics).float())
        assert (
            bool(batch.has_depth[index])
            == bool(batch.has_motion[index])
            == (scene.depth is not None)
        )
        if scene.depth is not None:
            assert torch.equal(batch.depth[index, 0], torch.from_numpy(scene.depth[start + 2]))
            assert torch.equal(
                batch.moving[index, 0], torch.from_numpy(scene.motion_mask[start + 2])
            )
    assert set(batch.camera.tolist()) == {0, 1, 2}


def test_frames_are_channels_last_on_host_and_device(mixed):
    batch = SnippetSampler(mixed, 5, 3, 4, seed=1).batch(0)
    for frames in (batch.frames, batch.to("cpu").frames):
        assert frames.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_stored_values_become_floats_on_the_device(mixed):
    host = SnippetSampler(mixed, 5, 3, 8, seed=1).batch(0)
    batch = host.to("cpu")
    assert torch.equal(batch.frames, host.frames.float() / 255)
    assert torch.equal(batch.depth, host.depth.float())
    assert set(batch.moving.unique().tolist()) <= {0.0, 1.0}


def test_grey_is_the_preprocessors_and_is_repeated_for_colour():
    coloured = make_scene("c")
    grey = make_scene("g", channels=1)
    made_grey = SnippetSampler([[coloured]], 3, 1, 2, seed=0).batch(0).frames
    start = SnippetSampler([[coloured]], 3, 3, 2, seed=0).batch(0).frames[0, 0, 0, 0, 0]
    assert np.array_equal(
        made_grey[0, 0, 0].numpy(), cv2.cvtColor(coloured.frames[int(start)], cv2.COLOR_RGB2GRAY)
    )
    made_colour = SnippetSampler([[grey]], 3, 3, 2, seed=0).batch(0).frames
    assert all(torch.equal(made_colour[:, :, 0], made_colour[:, :, channel]) for channel in (1, 2))


def test_truth_is_not_copied_if_the_run_does_not_need_it(mixed):
    batch = SnippetSampler(mixed, 5, 3, 16, seed=1, with_truth=False).batch(0)
    assert not batch.has_depth.any()
    assert not batch.depth.any()
    assert not batch.moving.any()
    assert batch.has_motion.any()


def test_motions_keep_their_precision_far_from_the_origin():
    batch = SnippetSampler([[make_scene(truth=True)]], 5, 3, 3, seed=0).batch(0)
    assert batch.camera_from_frame[:, :, 2, 3].tolist() == [[-2.0, -1.0, 0.0, 1.0, 2.0]] * 3


@pytest.mark.parametrize("ranks", [2, 4])
def test_slices_of_the_ranks_make_up_the_batch_of_one_process(mixed, ranks):
    sampler = SnippetSampler(mixed, 5, 3, 8, seed=3)
    whole = sampler.batch(7)
    each = 8 // ranks
    for rank in range(ranks):
        assert same(
            sampler.batch(7, rank, ranks), rows(whole, slice(rank * each, (rank + 1) * each))
        )
    with pytest.raises(InputError, match="batch_size 8"):
        sampler.batch(0, 0, 3)


def test_batches_depend_on_seed_and_step_alone(mixed):
    first, again, other = (SnippetSampler(mixed, 5, 3, 4, seed=seed) for seed in (7, 7, 8))
    first.batch(0)
    assert same(first.batch(5), again.batch(5))
    assert not same(first.batch(5), first.batch(6))
    assert not same(first.batch(5), other.batch(5))


def test_weights_decide_how_often_a_data_set_is_drawn(mixed):
    only_second = SnippetSampler(mixed, 5, 3, 64, seed=0, weights=(0.0, 1.0)).batch(0)
    assert not (only_second.camera == 0).any()
    for weights in ((1.0,), (1.0, -1.0), (0.0, 0.0)):
        with pytest.raises(InputError, match="data_weights"):
            SnippetSampler(mixed, 5, 3, 4, seed=0, weights=weights)


def test_cameras_of_one_name_and_calibration_are_one(mixed):
    drives = [
        make_scene("x", "x"),
        make_scene("y", "y"),
        make_scene("z", "z", camera="other"),
        make_scene("w", "w", k=K * 2),
    ]
    assert [camera.name for camera in cameras_of(drives)] == ["left", "other", "left"]
    cameras = cameras_of([scene for scenes in mixed for scene in scenes])
    validation = SnippetSampler([[mixed[1][1]]], 5, 3, 2, seed=0, cameras=cameras)
    assert validation.batch(0).camera.tolist() == [2, 2]
    with pytest.raises(InputError, match="none of the run's"):
        SnippetSampler([[mixed[0][0]]], 5, 3, 2, seed=0, cameras=cameras[1:])
    assert SnippetSampler(mixed, 5, 3, 4, seed=0).cameras[0].name == "rendered"


def test_snippets_contain_neither_gaps_nor_standstill():
    scene = make_scene(numbers=[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11], static=[1])
    assert scene.snippet_starts(3).tolist() == [2, 3, 6, 7, 8]
    assert scene.snippet_starts(5).tolist() == [6]
    with pytest.raises(InputError, match="no snippet of 9"):
        SnippetSampler([[scene]], 9, 3, 2, seed=0)


def test_scenes_of_different_sizes_are_refused_by_name():
    with pytest.raises(InputError, match=r"big 96x32.*small 64x32|small 64x32.*big 96x32"):
        SnippetSampler([[make_scene("small"), make_scene("big", size=(32, 96))]], 5, 3, 2, seed=0)


def test_sequential_batches_cover_all_snippets_once_and_can_be_repeated():
    batches = SnippetSampler([[make_scene(count=12)]], 5, 3, 4, seed=0).sequential_batches(3)
    starts = [batch.frames[:, 0, 0, 0, 0].tolist() for batch in batches]
    assert starts == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert len(batches) == 3
    assert [batch.frames[:, 0, 0, 0, 0].tolist() for batch in batches] == starts
    few = SnippetSampler([[make_scene(count=12)]], 5, 3, 4, seed=0).sequential_batches(
        2, max_snippets=3
    )
    assert [batch.frames[:, 0, 0, 0, 0].tolist() for batch in few] == [[0, 4], [7]]


def names(scenes):
    return [scene.name for scene in scenes]


def test_both_cameras_of_a_drive_are_on_the_same_side_of_the_split():
    scenes = [
        make_scene(f"{drive}_{camera}", drive) for drive in ("d1", "d2") for camera in ("02", "03")
    ]
    for patterns in (("d1_02",), ("d1",), ("*1_03",)):
        training, validation = split_scenes(scenes, patterns)
        assert (names(training), names(validation)) == (["d2_02", "d2_03"], ["d1_02", "d1_03"])


def test_other_moments_of_a_held_out_drive_may_be_trained_on():
    parts = [
        make_scene("03_0-9", "03", numbers=range(10)),
        make_scene("03_10-19", "03", numbers=range(10, 20)),
    ]
    overlap = make_scene("03_5-14_right", "03", numbers=range(5, 15))
    assert names(split_scenes(parts, ("03_10*",))[0]) == ["03_0-9"]
    training, validation = split_scenes([*parts, overlap], ("03_10*",))
    assert (training, names(validation)) == ([], ["03_0-9", "03_10-19", "03_5-14_right"])


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 0), (0.01, 1), (0.3, 3), (1.0, 9)])
def test_the_held_out_drives_do_not_depend_on_the_order(fraction, expected):
    scenes = [
        make_scene(f"d{drive}_{camera}", f"d{drive}") for drive in range(10) for camera in (2, 3)
    ]
    training, validation = split_scenes(scenes, (), fraction)
    assert len({scene.drive for scene in validation}) == expected
    assert not {scene.drive for scene in validation} & {scene.drive for scene in training}
    assert set(names(split_scenes(scenes[::-1], (), fraction)[1])) == set(names(validation))


def test_one_more_drive_changes_the_choice_of_the_others_little():
    scenes = [make_scene(f"d{drive}", f"d{drive}", count=2) for drive in range(100)]
    before, after = (set(names(split_scenes(scenes[:count], (), 0.1)[1])) for count in (99, 100))
    assert len(before - after) <= 1


def test_prefetched_batches_are_the_same_in_the_same_order(mixed):
    sampler = SnippetSampler(mixed, 5, 3, 4, seed=3)
    given = list(Prefetcher(sampler, 10, 30, rank=1, ranks=2, threads=3, ahead=5))
    assert [step for step, _ in given] == list(range(10, 30))
    assert all(same(batch, sampler.batch(step, 1, 2)) for step, batch in given)


def test_leaving_the_loop_ends_the_threads(mixed):
    before = threading.active_count()
    for step, _ in Prefetcher(SnippetSampler(mixed, 5, 3, 4, seed=3), threads=2):
        if step == 3:
            break
    for thread in [
        thread for thread in threading.enumerate() if thread.name.startswith("prefetch")
    ]:
        thread.join(timeout=10)
    assert threading.active_count() == before


def test_an_error_on_a_thread_is_raised_in_the_loop(mixed):
    class Fails(SnippetSampler):
        def batch(self, step, rank=0, ranks=1):
            if step == 2:
                raise InputError("frames.npy: gone")
            return super().batch(step, rank, ranks)

    seen = []
    with pytest.raises(InputError, match="gone"):
        seen += [step for step, _ in Prefetcher(Fails(mixed, 5, 3, 4, seed=3), threads=2)]
    prefetcher = iter(Prefetcher(Fails(mixed, 5, 3, 4, seed=3), threads=2))
    reached = []
    with pytest.raises(InputError):
        while True:
            reached.append(next(prefetcher)[0])
    assert reached == [0, 1]


def write_scene(folder, name, **changes):
    """Writes a scene like training.prepare."""
    description = {
        "frame_numbers": [0, 1, 2],
        "width": 64,
        "height": 32,
        "channels": 1,
        "intrinsics": K.tolist(),
        "has_depth": False,
        "has_motion_mask": False,
        "has_poses": False,
        "poses_supervise": False,
        "resize_mode": "crop",
    }
    writer = SceneWriter(folder / name, "test", {"frames": (np.uint8, (32, 64, 1))})
    with writer.opened():
        for index in range(3):
            writer.write("frames", index, np.full((32, 64, 1), index, np.uint8))
        writer.finish(3, {**description, **changes})


def write_index(folder, names):
    write_json(folder / "index.json", {"format": FORMAT, "version": VERSION, "scenes": names})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_numbers": [0, 2, 2]}, "scene.json: frame_numbers do not increase"),
        ({"intrinsics": [1, 2]}, "scene.json"),
        ({"width": "wide"}, "frames.npy"),
        ({"frame_numbers": [0, 1]}, "frames.npy"),
        ({"has_depth": True}, "depth.npy"),
    ],
)
def test_a_description_that_does_not_fit_is_reported_with_its_path(tmp_path, changes, message):
    write_scene(tmp_path, "a", **changes)
    write_index(tmp_path, ["a"])
    with pytest.raises(InputError, match=message):
        open_data(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"format": "x"}', '{"format": "sfm_odometry prepared data", "version": 1}'],
)
def test_an_index_of_another_format_is_reported_with_its_path(tmp_path, content):
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(InputError, match=r"index\.json"):
        open_data(tmp_path)


def test_missing_keys_and_arrays_of_another_type_are_reported_with_their_path(tmp_path):
    write_scene(tmp_path, "a")
    write_index(tmp_path, ["a"])
    np.save(tmp_path / "a" / "frames.npy", np.zeros((3, 32, 64, 1), np.int8))
    with pytest.raises(InputError, match=r"frames\.npy: int8"):
        open_data(tmp_path)
    (tmp_path / "a" / "scene.json").write_text("{}")
    with pytest.raises(InputError, match=r"scene\.json: no 'frame_numbers'"):
        open_data(tmp_path)


def test_more_scenes_than_the_limit_of_open_files_can_be_opened(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for index in range(3):
        write_scene(tmp_path, f"s{index}")
    write_index(tmp_path, [f"s{index % 3}" for index in range(120)])
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        assert len(open_data(tmp_path)) == 120
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
