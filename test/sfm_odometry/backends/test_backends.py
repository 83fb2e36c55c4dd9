"""Every backend computes the same as the networks.

Those of optional packages are tested where the packages are installed.
"""

import importlib.util
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from sfm_odometry.backends import bfloat16, choice, packed
from sfm_odometry.backends.choice import BACKENDS, example_inputs, prepare
from sfm_odometry.backends.names import BACKEND_NAMES
from sfm_odometry.backends.timing import Seconds
from sfm_odometry.errors import InputError
from sfm_odometry.inference.checkpoint import save_model
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.networks.depth_net import DepthNet, DepthNetConfig, FinestDepth
from sfm_odometry.networks.matching_net import MatchingNetConfig
from sfm_odometry.networks.model import Model, ModelConfig, channels_last
from sfm_odometry.networks.pose_net import PoseNetConfig

CPU = torch.device("cpu")
DEPTH = DepthNetConfig(
    1, (8, 16, 16), (5, 3, 3), (16, 16), scales=2, inverse_depth_gain=2.0, inverse_depth_offset=0.05
)
POSES = {
    "matching": MatchingNetConfig(
        feature_widths=(4, 8, 8), motion_widths=(8, 8, 8), mask_widths=(8, 8, 4)
    ),
    "stacked": PoseNetConfig(
        1,
        5,
        (4, 8, 8, 8, 8),
        pose_widths=(8, 8),
        mask_widths=(8, 8, 8, 4, 4),
        mask_kernels=(3, 3, 3, 3, 3),
    ),
}
EXACT = {"eager": 0.0, "packed": 1e-5, "onnxruntime": 1e-5}
"""Largest difference of motions from eager's, and relative one of depth; the others compute depth
and masks in half precision."""
QUICK = ("eager", "packed", "bfloat16", "onnxruntime", "openvino")
HALF = {"depth": 0.01, "mask": 0.02}
"""Largest difference of backends in half precision: relative for depth."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads that wait for each other over tiny layers cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def model(kind: str) -> Model:
    torch.manual_seed(3)
    config = ModelConfig(96, 64, depth=DEPTH, pose=POSES[kind])
    return channels_last(Model(config), CPU).eval().requires_grad_(False)


def need(name: str) -> None:
    """Skips the test where this machine lacks a requirement of the backend."""
    packages = {"onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}
    for package in packages.get(name, ()):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed")
    if name == "bfloat16" and not bfloat16.cpu_flags() & bfloat16.BFLOAT16_FLAGS:
        pytest.skip("this processor does not multiply bfloat16")
    if name == "compiled" and not shutil.which("g++"):
        pytest.skip("there is no g++")


def frames() -> list[np.ndarray]:
    return [
        np.random.default_rng(index).integers(0, 256, (64, 96, 1), np.uint8) for index in range(6)
    ]


@pytest.mark.parametrize("kind", POSES)
@pytest.mark.parametrize("name", QUICK)
def test_depth_motion_and_mask_are_those_of_the_networks(name, kind):
    need(name)
    reference = Estimator(model(kind), "cpu")
    estimator = Estimator(model(kind), "cpu", backend=name)
    images = frames()
    assert estimator.backend == name
    exact = EXACT.get(name)
    for start in (0, 1):  # a backend must not hand out memory that the next call overwrites
        depth, expected = (each.depth(images[start]) for each in (estimator, reference))
        assert np.abs(depth / expected - 1).max() <= (HALF["depth"] if exact is None else exact)
        (motion, mask), (wanted, wanted_mask) = (
            each.motion(images[start : start + 5]) for each in (estimator, reference)
        )
        assert np.abs(motion - wanted).max() <= (1e-5 if exact is None else exact)
        assert np.abs(mask - wanted_mask).max() <= (HALF["mask"] if exact is None else exact)


@pytest.mark.parametrize("name", ["packed", "bfloat16", "onnxruntime"])
def test_batch_normalisation_is_computed_too(name):
    need(name)
    torch.manual_seed(3)
    config = ModelConfig(
        96,
        64,
        depth=replace(DEPTH, batch_norm=True),
        pose=replace(POSES["stacked"], batch_norm=True),
    )
    normalised = Model(config)
    for _ in range(20):  # statistics other than those of a fresh layer
        normalised.inverse_depth(torch.rand(4, 1, 64, 96))
        normalised.motion_and_masks(torch.rand(2, 5, 1, 64, 96))
    normalised = channels_last(normalised, CPU).eval().requires_grad_(False)
    reference = Estimator(normalised, "cpu")
    estimator = Estimator(normalised, "cpu", backend=name)
    images = frames()
    tolerance = EXACT.get(name, HALF["depth"])
    assert np.abs(estimator.depth(images[0]) / reference.depth(images[0]) - 1).max() <= tolerance
    assert np.abs(estimator.motion(images[:5])[0] - reference.motion(images[:5])[0]).max() <= 1e-5


def test_a_compiled_network_computes_the_same():
    """A tiny depth network alone: all networks take minutes to compile on a busy machine."""
    need("compiled")
    from torch._inductor import config

    torch.manual_seed(3)
    network = DepthNet(
        replace(DEPTH, encoder_widths=(4, 4), encoder_kernels=(3, 3), decoder_widths=(4, 4))
    )
    stage = FinestDepth(network.eval().requires_grad_(False))
    image = torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    # More threads would be processes of their own, each of which loads torch.
    with torch.inference_mode(), config.patch(compile_threads=1):
        compiled = BACKENDS["compiled"](CPU).prepare(stage, (image,))
        assert torch.allclose(compiled(image), stage(image), rtol=1e-5)


@pytest.mark.parametrize("name", QUICK)
def test_cached_results_are_not_overwritten_by_the_next_frame(name):
    need(name)
    estimator = Estimator(model("matching"), "cpu", backend=name)
    images = frames()
    caches = [{} for _ in images]
    estimator.motion(images[:5], caches=caches[:5])
    slid = estimator.motion(images[1:], caches=caches[1:])
    alone = estimator.motion(images[1:])
    assert slid[0] == pytest.approx(alone[0], abs=1e-6)
    assert slid[1] == pytest.approx(alone[1], abs=1e-3)


@pytest.mark.parametrize("name", ["packed", "bfloat16"])
@pytest.mark.parametrize("lacking", ["_with_packed_weights", "_trace"])
def test_a_torch_without_packed_weights_or_without_tracing_computes_the_same(
    name, lacking, monkeypatch
):
    need(name)

    def refuse(*_):
        raise RuntimeError("not in this version")

    network = model("matching")
    examples = example_inputs(network, CPU)
    with torch.inference_mode():
        whole = prepare(network, CPU, name)
        monkeypatch.setattr(packed, lacking, refuse)
        lesser = prepare(network, CPU, name)
        assert isinstance(lesser.stages["depth"], packed.Traced) == (lacking != "_trace")
        for stage, inputs in examples.items():
            for mine, other in zip(
                *(as_tuple(each.stages[stage](*inputs)) for each in (whole, lesser)), strict=True
            ):
                assert torch.allclose(
                    mine, other, rtol=HALF["depth"] if name == "bfloat16" else 1e-5, atol=1e-5
                )


@pytest.mark.parametrize("name", ["packed", "bfloat16"])
def test_stages_compute_at_the_same_time_in_threads(name):
    need(name)
    network = model("matching")
    examples = example_inputs(network, CPU)
    prepared = prepare(network, CPU, name)

    @torch.inference_mode()
    def results(stage):
        return [as_tuple(prepared.stages[stage](*examples[stage])) for _ in range(30)]

    alone = {stage: results(stage)[0] for stage in examples}
    with ThreadPoolExecutor(len(examples)) as pool:
        for stage, found in zip(examples, pool.map(results, examples), strict=True):
            assert all(
                torch.equal(mine, other)
                for several in found
                for mine, other in zip(several, alone[stage], strict=True)
            )


@pytest.mark.parametrize("name", ["packed", "bfloat16"])
def test_an_estimator_of_a_file_keeps_one_copy_of_the_weights(name, tmp_path):
    """The backend's own; what a model of the file computes with it is the same."""
    need(name)
    save_model(tmp_path / "model.safetensors", model("matching"), {})
    estimator = Estimator.from_file(tmp_path / "model.safetensors", "cpu", name)
    assert all(weight.is_meta for weight in estimator.model.parameters())
    kept = Estimator(model("matching"), "cpu", backend=name)
    assert not any(weight.is_meta for weight in kept.model.parameters())
    images = frames()
    assert np.array_equal(estimator.depth(images[0]), kept.depth(images[0]))
    motion, mask = estimator.motion(images[:5])
    expected, expected_mask = kept.motion(images[:5])
    assert np.array_equal(motion, expected)
    assert np.array_equal(mask, expected_mask)


def test_eager_needs_the_weights_of_the_model(tmp_path):
    save_model(tmp_path / "model.safetensors", model("matching"), {})
    estimator = Estimator.from_file(tmp_path / "model.safetensors", "cpu", "eager")
    assert not any(weight.is_meta for weight in estimator.model.parameters())


def as_tuple(result):
    return (result,) if torch.is_tensor(result) else tuple(result)


@pytest.mark.parametrize("name", ["tensorrt", "int8"])
def test_an_unknown_backend_is_refused_with_the_names_of_all(name):
    with pytest.raises(InputError, match=rf"auto, eager.*got '{name}'"):
        Estimator(model("matching"), "cpu", backend=name)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_absent_package_is_named_with_what_to_type(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=f"pip install {name}"):
        prepare(model("matching"), CPU, name)


def test_without_bfloat16_the_backend_is_refused_and_auto_takes_an_exact_one(monkeypatch):
    monkeypatch.setattr(bfloat16, "cpu_flags", lambda: {"sse2", "avx2"})
    with pytest.raises(InputError, match="avx512_bf16"):
        prepare(model("matching"), CPU, "bfloat16")
    assert prepare(model("matching"), CPU, "auto").backend in choice.EXACT


@pytest.mark.parametrize("name", ["packed", "bfloat16", "onnxruntime", "openvino"])
def test_backends_of_the_processor_refuse_a_gpu(name):
    with pytest.raises(InputError, match="cuda"):
        BACKENDS[name](torch.device("cuda", 0))


def test_recordings_need_a_gpu():
    with pytest.raises(InputError, match="cudagraph is for CUDA devices, got device 'cpu'"):
        prepare(model("matching"), CPU, "cudagraph")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@pytest.mark.parametrize("kind", POSES)
def test_recorded_networks_compute_the_same_and_keep_no_results(kind):
    reference = Estimator(model(kind), "cuda")
    estimator = Estimator(model(kind), "cuda", backend="cudagraph")
    images = frames()
    assert estimator.backend == "cudagraph"
    caches, reference_caches = ([{} for _ in images] for _ in range(2))
    # The second window takes from the caches what the graphs computed for the first.
    for start in (0, 1):
        depth, expected = (each.depth(images[start]) for each in (estimator, reference))
        # Convolutions in TF32 may be summed in another order.
        assert np.abs(depth / expected - 1).max() < 1e-3
        window = slice(start, start + 5)
        (motion, mask), (wanted, wanted_mask) = (
            each.motion(images[window], caches=frame_caches[window])
            for each, frame_caches in ((estimator, caches), (reference, reference_caches))
        )
        assert np.abs(motion - wanted).max() < 1e-3
        assert np.abs(mask - wanted_mask).max() < 1e-3


@pytest.mark.parametrize(
    ("seconds", "change", "chosen"),
    [(0.5, 0.001, "fast"), (0.9, 0.001, "eager"), (0.5, 0.01, "eager")],
)
def test_auto_takes_a_much_faster_backend_that_changes_little(monkeypatch, seconds, change, chosen):
    """The rule on given times and changes, independent of this machine."""

    class Fast:
        def __init__(self, device):
            pass

        def prepare(self, stage, examples):
            return lambda *inputs: (
                stage(*inputs) * (1 + change) if torch.is_tensor(stage(*inputs)) else stage(*inputs)
            )

    monkeypatch.setitem(choice.BACKENDS, "fast", Fast)
    monkeypatch.setattr(choice, "AUTO_CANDIDATES", ("fast",))
    monkeypatch.setattr(
        choice,
        "model_seconds",
        lambda candidates, _: Seconds((1.0, seconds)[: len(candidates)], True),
    )
    assert prepare(model("matching"), CPU, "auto").backend == chosen


def test_measuring_tells_a_slow_backend_from_a_fast_one():
    network = model("matching")
    examples = example_inputs(network, CPU)
    eager = choice.PreparedModel("eager", network.stages())
    slow = choice.PreparedModel(
        "slow",
        {
            name: lambda *inputs, stage=stage: [stage(*inputs) for _ in range(6)]
            for name, stage in eager.stages.items()
        },
    )
    fast_s, slow_s = choice.model_seconds([eager, slow], examples).values
    assert 2 * fast_s < slow_s


def test_auto_takes_eager_on_a_gpu_where_recordings_were_never_tried():
    """No device is needed: nothing is prepared or measured."""
    prepared = prepare(model("matching"), torch.device("cuda", 0), "auto")
    assert prepared.backend == "eager"
    assert "cudagraph" not in choice.AUTO_CANDIDATES


@pytest.mark.parametrize("kind", POSES)
def test_every_stage_has_example_inputs_made_without_global_random_numbers(kind):
    state = torch.get_rng_state()
    network = model(kind)
    torch.set_rng_state(state)
    assert set(example_inputs(network, CPU)) == set(network.stages())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_names_are_auto_and_all_backends():
    assert ("auto", *BACKENDS) == BACKEND_NAMES
