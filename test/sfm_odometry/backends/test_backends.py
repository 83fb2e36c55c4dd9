"""Every backend computes what the networks compute; those of optional packages where the
packages are installed."""

import importlib.util
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from sfm_odometry.backends import bfloat16, choice, int8, packed
from sfm_odometry.backends.choice import BACKENDS, examples_of, prepare
from sfm_odometry.backends.dead_leaves import dead_leaves
from sfm_odometry.backends.names import BACKEND_NAMES
from sfm_odometry.errors import InputError
from sfm_odometry.inference.checkpoint import DEFAULT_MODEL, load_model
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
"""How far motions may be from eager's, and depth relatively; the others compute depth and masks
in half precision."""
QUICK = ("eager", "packed", "bfloat16", "int8", "onnxruntime", "openvino")
HALF = {"depth": 0.01, "mask": 0.02}
INT8_DEPTH = 0.04


def model(kind: str) -> Model:
    torch.manual_seed(3)
    config = ModelConfig(96, 64, depth=DEPTH, pose=POSES[kind])
    return channels_last(Model(config), CPU).eval().requires_grad_(False)


def need(name: str) -> None:
    """Skip where this machine lacks what the backend needs."""
    for package in {"onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}.get(
        name, ()
    ):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed")
    if name in ("bfloat16", "int8") and not bfloat16.cpu_flags() & bfloat16.BFLOAT16_FLAGS:
        pytest.skip("this processor does not multiply bfloat16")
    if name == "int8" and not bfloat16.cpu_flags() & int8.CPU_FLAGS:
        pytest.skip("this processor does not multiply 8-bit integers")
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
    reference, estimator, images = (
        Estimator(model(kind), "cpu"),
        Estimator(model(kind), "cpu", backend=name),
        frames(),
    )
    assert estimator.backend == name
    exact = EXACT.get(name)
    for start in (0, 1):  # a backend must not hand out memory that the next call overwrites
        depth, expected = (each.depth(images[start]) for each in (estimator, reference))
        assert np.abs(depth / expected - 1).max() <= (
            INT8_DEPTH if name == "int8" else HALF["depth"] if exact is None else exact
        )
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
    for _ in range(20):  # statistics of their own, not those of a fresh layer
        normalised.inverse_depth(torch.rand(4, 1, 64, 96))
        normalised.motion_and_masks(torch.rand(2, 5, 1, 64, 96))
    normalised = channels_last(normalised, CPU).eval().requires_grad_(False)
    reference, estimator, images = (
        Estimator(normalised, "cpu"),
        Estimator(normalised, "cpu", backend=name),
        frames(),
    )
    tolerance = EXACT.get(name, HALF["depth"])
    assert np.abs(estimator.depth(images[0]) / reference.depth(images[0]) - 1).max() <= tolerance
    assert np.abs(estimator.motion(images[:5])[0] - reference.motion(images[:5])[0]).max() <= 1e-5


def test_a_compiled_network_computes_the_same():
    """A small depth network alone: all networks take minutes to compile on a busy machine."""
    need("compiled")
    part = model("matching").parts()["depth"]
    image = torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        compiled = BACKENDS["compiled"](CPU).prepare(part, (image,))
        assert torch.allclose(compiled(image), part(image), rtol=1e-5)


@pytest.mark.parametrize("name", QUICK)
def test_what_a_window_keeps_is_not_overwritten_by_the_next_frame(name):
    need(name)
    estimator, images = Estimator(model("matching"), "cpu", backend=name), frames()
    memories = [{} for _ in images]
    estimator.motion(images[:5], memories=memories[:5])
    slid = estimator.motion(images[1:], memories=memories[1:])
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
    examples = examples_of(network, CPU)
    with torch.inference_mode():
        whole = prepare(network, CPU, name)
        monkeypatch.setattr(packed, lacking, refuse)
        lesser = prepare(network, CPU, name)
        assert isinstance(lesser.run["depth"], torch.jit.ScriptModule) == (lacking != "_trace")
        for part, inputs in examples.items():
            for mine, other in zip(
                *(as_tuple(each.run[part](*inputs)) for each in (whole, lesser)), strict=True
            ):
                assert torch.allclose(
                    mine, other, rtol=HALF["depth"] if name == "bfloat16" else 1e-5, atol=1e-5
                )


def test_a_processor_without_8_bit_products_is_told_so(monkeypatch):
    monkeypatch.setattr(int8, "cpu_flags", lambda: {"sse2"})
    monkeypatch.setattr(bfloat16, "cpu_flags", lambda: bfloat16.BFLOAT16_FLAGS)
    with pytest.raises(InputError, match="avx512_vnni"):
        prepare(model("matching"), CPU, "int8")


def test_depth_of_the_packaged_model_moves_by_less_than_two_percent_on_average_in_8_bits():
    need("int8")
    packaged = load_model(DEFAULT_MODEL)
    part = channels_last(packaged, CPU).eval().requires_grad_(False).parts()["depth"]
    with torch.inference_mode():
        pictures = [packaged.normalise(dead_leaves(128, 416, seed)) for seed in range(100, 104)]
        eight_bits = BACKENDS["int8"](CPU).prepare(part, (pictures[0],))
        differences = [
            float((eight_bits(picture) / part(picture) - 1).abs().mean()) for picture in pictures
        ]
    assert np.mean(differences) < 0.02
    assert min(differences) > 1e-4  # it is 8 bits indeed


@pytest.mark.parametrize("shape", [(1, 64, 96), (3, 50, 70)])
def test_8_bits_in_a_network_of_full_size_and_odd_sizes(shape):
    """As the papers have it: the last stage has no skip connection, and sizes are cropped on the
    way up."""
    need("int8")
    torch.manual_seed(4)
    network = DepthNet(
        DepthNetConfig(
            shape[0], (8, 16, 16), (7, 5, 3), (16, 16, 8), scales=3, inverse_depth_gain=2.0
        )
    ).eval()
    part, image = FinestDepth(network, black=-1.0), torch.rand(1, *shape) * 2 - 1
    with torch.inference_mode():
        found, expected = BACKENDS["int8"](CPU).prepare(part, (image,))(image), part(image)
        assert found.shape == expected.shape
        assert float((found / expected - 1).abs().mean()) < 0.02


def test_dead_leaves_fill_the_range_and_are_the_same_every_time():
    picture = dead_leaves(64, 96, 3)
    assert picture.shape == (1, 1, 64, 96)
    assert 0.0 <= float(picture.min()) < 0.1
    assert 0.95 < float(picture.max()) <= 1.0
    assert torch.equal(picture, dead_leaves(64, 96, 3))
    assert not torch.equal(picture, dead_leaves(64, 96, 4))


@pytest.mark.parametrize("name", ["packed", "bfloat16", "int8"])
def test_parts_compute_beside_each_other_in_threads(name):
    need(name)
    network = model("matching")
    examples, prepared = examples_of(network, CPU), prepare(network, CPU, name)

    @torch.inference_mode()
    def results(part):
        return [as_tuple(prepared.run[part](*examples[part])) for _ in range(30)]

    alone = {part: results(part)[0] for part in examples}
    with ThreadPoolExecutor(len(examples)) as pool:
        for part, found in zip(examples, pool.map(results, examples), strict=True):
            assert all(
                torch.equal(mine, other)
                for several in found
                for mine, other in zip(several, alone[part], strict=True)
            )


def as_tuple(result):
    return (result,) if torch.is_tensor(result) else tuple(result)


def test_an_unknown_backend_is_refused_with_the_names_of_all():
    with pytest.raises(InputError, match=r"auto, eager.*got 'tensorrt'"):
        Estimator(model("matching"), "cpu", backend="tensorrt")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_absent_package_is_named_with_what_to_type(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=f"pip install {name}"):
        prepare(model("matching"), CPU, name)


def test_a_processor_without_bfloat16_is_told_so_and_auto_takes_what_is_exact(monkeypatch):
    monkeypatch.setattr(bfloat16, "cpu_flags", lambda: {"sse2", "avx2"})
    with pytest.raises(InputError, match="avx512_bf16"):
        prepare(model("matching"), CPU, "bfloat16")
    assert prepare(model("matching"), CPU, "auto").backend in choice.EXACT


@pytest.mark.parametrize("name", ["packed", "bfloat16", "int8", "onnxruntime", "openvino"])
def test_backends_of_the_processor_refuse_a_gpu(name):
    with pytest.raises(InputError, match="cuda"):
        BACKENDS[name](torch.device("cuda", 0))


def test_recordings_need_a_gpu():
    with pytest.raises(InputError, match="cudagraph is for CUDA devices, got device 'cpu'"):
        prepare(model("matching"), CPU, "cudagraph")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@pytest.mark.parametrize("kind", POSES)
@pytest.mark.parametrize("name", ["cudagraph", "auto"])
def test_recorded_networks_compute_the_same_and_keep_no_results(kind, name):
    reference, estimator, images = (
        Estimator(model(kind), "cuda"),
        Estimator(model(kind), "cuda", backend=name),
        frames(),
    )
    assert (
        estimator.backend in ("cudagraph", "eager") if name == "auto" else estimator.backend == name
    )
    own, others = ([{} for _ in images] for _ in range(2))
    for start in (
        0,
        1,
    ):  # the second window takes from memory what the graphs computed for the first
        depth, expected = (each.depth(images[start]) for each in (estimator, reference))
        assert (
            np.abs(depth / expected - 1).max() < 1e-3
        )  # convolutions in TF32 may be summed another way
        window = slice(start, start + 5)
        (motion, mask), (wanted, wanted_mask) = (
            each.motion(images[window], memories=memories[window])
            for each, memories in ((estimator, own), (reference, others))
        )
        assert np.abs(motion - wanted).max() < 1e-3
        assert np.abs(mask - wanted_mask).max() < 1e-3


@pytest.mark.parametrize(
    ("seconds", "change", "chosen"),
    [(0.5, 0.001, "fast"), (0.9, 0.001, "eager"), (0.5, 0.01, "eager")],
)
def test_auto_takes_what_is_much_faster_and_changes_little(monkeypatch, seconds, change, chosen):
    """The rule, with measured values put in its place: what a machine measures is its own
    affair."""

    class Fast:
        def __init__(self, device):
            pass

        def prepare(self, part, examples):
            return lambda *inputs: (
                part(*inputs) * (1 + change) if torch.is_tensor(part(*inputs)) else part(*inputs)
            )

    monkeypatch.setitem(choice.BACKENDS, "fast", Fast)
    monkeypatch.setattr(choice, "AUTOMATIC", ("fast",))
    monkeypatch.setattr(
        choice, "_frame_seconds", lambda candidates, *_: [1.0, seconds][: len(candidates)]
    )
    assert prepare(model("matching"), CPU, "auto").backend == chosen


def test_measuring_tells_a_slow_backend_from_a_fast_one():
    network = model("matching")
    examples = examples_of(network, CPU)
    eager = choice.Prepared("eager", network.parts())
    slow = choice.Prepared(
        "slow",
        {
            name: lambda *inputs, part=part: [part(*inputs) for _ in range(6)]
            for name, part in eager.run.items()
        },
    )
    fast_s, slow_s = choice._frame_seconds([eager, slow], examples, CPU)
    assert 2 * fast_s < slow_s


@pytest.mark.parametrize("kind", POSES)
def test_every_part_has_an_example_and_making_them_leaves_the_random_numbers_alone(kind):
    state = torch.get_rng_state()
    network = model(kind)
    torch.set_rng_state(state)
    assert set(examples_of(network, CPU)) == set(network.parts())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_names_are_auto_and_one_a_file():
    assert ("auto", *BACKENDS) == BACKEND_NAMES
