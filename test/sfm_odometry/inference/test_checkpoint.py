"""Model files."""

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sfm_odometry.errors import CheckpointError, OutputError
from sfm_odometry.inference.checkpoint import DEFAULT_MODEL, load_model, read_provenance, save_model
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.model import Model, ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig

ROOT = Path(__file__).parents[3]
CONFIG = ModelConfig(
    width=64,
    height=32,
    depth=DepthNetConfig(1, (4, 8), (3, 3), (8, 4), scales=2),
    pose=PoseNetConfig(
        1,
        5,
        (4, 8, 8, 8, 8),
        pose_widths=(8,),
        mask_widths=(8, 8, 8, 4, 4),
        mask_kernels=(3, 3, 3, 3, 3),
    ),
)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = Model(CONFIG)
    save_model(tmp_path / "model.safetensors", model, {"trained_on": "noise"})
    return tmp_path / "model.safetensors", model


def rewritten_header(path, **changes):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, metadata | changes)


def test_a_model_comes_back_as_it_was(saved):
    path, model = saved
    loaded = load_model(path)
    assert loaded.config == CONFIG
    assert all(
        torch.equal(loaded.state_dict()[name], tensor)
        for name, tensor in model.state_dict().items()
    )
    assert read_provenance(path) == {"trained_on": "noise"}


def test_half_size_files_load_as_float32(saved, tmp_path):
    path, model = saved
    save_model(tmp_path / "half.safetensors", model, {}, half=True)
    loaded = load_model(tmp_path / "half.safetensors")
    assert (tmp_path / "half.safetensors").stat().st_size < 0.7 * path.stat().st_size
    assert all(tensor.dtype == torch.float32 for tensor in loaded.state_dict().values())


@pytest.mark.parametrize("half", [False, True])
def test_statistics_of_batch_normalisation_come_back(tmp_path, half):
    model = Model(
        replace(
            CONFIG,
            depth=replace(CONFIG.depth, batch_norm=True),
            pose=replace(CONFIG.pose, batch_norm=True),
        )
    )
    model.inverse_depth(torch.rand(2, 1, 32, 64))
    # More than the largest float16.
    counter = model.depth_net.encoder[0][0][1].num_batches_tracked.fill_(200_000)
    save_model(tmp_path / "model.safetensors", model, {}, half=half)
    loaded = load_model(tmp_path / "model.safetensors")
    assert torch.equal(loaded.depth_net.encoder[0][0][1].num_batches_tracked, counter)
    image = torch.rand(1, 1, 32, 64)
    assert torch.allclose(
        loaded.inverse_depth(image)[0],
        model.eval().inverse_depth(image)[0],
        rtol=0.02 if half else 1e-5,
    )


def test_the_video_only_model_learned_from_images_alone():
    path = DEFAULT_MODEL.with_name("video_only.safetensors")
    assert path.stat().st_size <= 6 * 2**20
    provenance = read_provenance(path)
    for stage in ("first_stage", "last_stage"):
        objective = provenance[stage]["config"]["objective"]
        assert {objective[f"{term}_supervision"] for term in ("depth", "motion", "mask")} == {0}
    assert provenance["first_stage"]["config"]["init_from"] is None
    assert "non-commercial" in provenance["licence"]


def test_the_packaged_model_loads_and_fits_its_limit():
    assert DEFAULT_MODEL.stat().st_size <= 16 * 2**20
    assert load_model().config.pose.frames == 5


@pytest.mark.parametrize("keep", [0, 4, 100, 5000])
def test_a_truncated_file_is_refused_by_name(saved, keep):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors: not a complete safetensors file"
    ):
        load_model(path)


def test_a_pickle_is_never_opened(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps({"weights": [1.0]}))
    with pytest.raises(CheckpointError, match="never read"):
        load_model(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors: no such model file"):
        load_model(tmp_path / "nowhere.safetensors")


def test_a_foreign_safetensors_file_is_refused(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="not a model of this package"):
        load_model(tmp_path / "foreign.safetensors")


def test_weights_of_another_network_are_refused_by_tensor(saved):
    path, _ = saved
    tensors = load_file(path)
    tensors["depth_net.heads.0.weight"] = torch.zeros(1, 3, 3, 3)
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(tensors, path, metadata)
    with pytest.raises(CheckpointError, match=r"depth_net\.heads\.0\.weight"):
        load_model(path)


def test_a_huge_configuration_is_refused_before_memory_is_allocated(saved):
    path, _ = saved
    config = json.loads(
        json.dumps(
            {
                "depth": {"image_channels": 1, "encoder_widths": [10**6] * 7},
                "pose": {"image_channels": 1},
            }
        )
    )
    rewritten_header(path, config=json.dumps(config))
    with pytest.raises(CheckpointError, match="parameters"):
        load_model(path)


def test_a_configuration_with_an_unknown_key_is_refused(saved):
    path, _ = saved
    rewritten_header(path, config=json.dumps({"widht": 416}))
    with pytest.raises(CheckpointError, match="did you mean 'width'"):
        load_model(path)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = Model(CONFIG)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    save_model(tmp_path / "nan.safetensors", model, {})
    with pytest.raises(CheckpointError, match="not finite"):
        load_model(tmp_path / "nan.safetensors")


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file/model"):
        save_model(tmp_path / "file" / "model.safetensors", Model(CONFIG), {})


def test_loading_a_model_imports_no_compiler():
    """It would take 90 MiB of a robot's memory, and a second of its start."""
    program = (
        "import sys; from sfm_odometry.inference.estimator import Estimator; "
        "Estimator.from_file(None, 'cpu', 'eager'); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
