"""The ONNX file computes what the networks compute, by ONNX Runtime itself."""

import importlib.util
import re
import sys

import pytest
import torch

from sfm_odometry import export
from sfm_odometry.inference.checkpoint import save_model
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.matching_net import MatchingNetConfig
from sfm_odometry.networks.model import Model, ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig

POSES = {
    "matching": MatchingNetConfig(
        feature_widths=(4, 8, 8), motion_widths=(8, 8, 8), mask_widths=(8, 8, 4)
    ),
    "stacked": PoseNetConfig(
        1,
        3,
        (4, 8, 8),
        (3, 3, 3),
        pose_widths=(8,),
        mask_widths=(8, 8, 4),
        mask_kernels=(3, 3, 3),
        mask_scales=2,
    ),
    "without masks": MatchingNetConfig(
        feature_widths=(4, 8, 8), motion_widths=(8, 8, 8), masks=False
    ),
}


def test_without_the_package_onnx_the_message_says_what_to_type(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert export.main(["--out", str(tmp_path / "model.onnx")]) == 2
    assert "pip install onnx" in capsys.readouterr().err


@pytest.fixture(params=POSES)
def model_file(request, tmp_path):
    torch.manual_seed(2)
    depth = DepthNetConfig(1, (4, 8, 8), (3, 3, 3), (8, 8), scales=2)
    path = tmp_path / "model.safetensors"
    save_model(path, Model(ModelConfig(96, 64, depth=depth, pose=POSES[request.param])), {})
    return path


def test_a_checked_export_says_how_far_it_is_from_the_networks(model_file, tmp_path, capsys):
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    out = tmp_path / "model.onnx"
    assert export.main(["--model", str(model_file), "--out", str(out), "--check"]) == 0
    printed = capsys.readouterr().out
    assert re.search(
        r"noise: depth differs by at most \d.*moving texture: depth differs by at most \d",
        printed,
        re.DOTALL,
    )
    assert [path.name for path in tmp_path.iterdir() if "onnx" in path.name] == ["model.onnx"]


def test_a_graph_of_other_weights_is_found_out(model_file, tmp_path):
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    window = export.Window(export.load_model(model_file)).eval()
    frames = export._noise(window.model)
    graph = export.to_onnx(window, (frames,), ["frames"], window.output_names())
    with torch.no_grad():
        window.model.depth_net.heads[-1].bias.add_(0.5)
    found = export.differences(window, graph, frames)
    assert found["depth"] > 0.1
    with pytest.raises(export.OutputError, match="depth differs"):
        export._report(found, tmp_path / "model.onnx")


def test_without_a_check_no_runtime_is_needed_and_the_outputs_are_named(
    model_file, tmp_path, capsys, monkeypatch
):
    pytest.importorskip(
        "onnx", reason="the package onnx, which torch writes the format with, is not installed"
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    out = tmp_path / "model.onnx"
    assert export.main(["--model", str(model_file), "--out", str(out)]) == 0
    assert "frames -> depth, previous_from_current" in capsys.readouterr().out
    assert export.main(["--model", str(model_file), "--out", str(out), "--check"]) == 2
    assert "pip install onnxruntime" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(model_file, tmp_path, capsys):
    pytest.importorskip(
        "onnx", reason="the package onnx, which torch writes the format with, is not installed"
    )
    assert (
        export.main(["--model", str(model_file), "--out", str(tmp_path / "no" / "model.onnx")]) == 2
    )
    assert str(tmp_path / "no" / "model.onnx") in capsys.readouterr().err
