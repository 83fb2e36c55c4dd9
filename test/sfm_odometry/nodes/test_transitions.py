"""Failed transitions leave nothing behind, model files are not executed, nodes can be destroyed."""

import gc
import pickle
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import rclpy
import torch
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.parameter import Parameter

from sfm_odometry.errors import InputError
from sfm_odometry.inference.safetensors_file import TensorFile, write_tensors
from sfm_odometry.nodes import pipeline
from sfm_odometry.nodes.memory import resident_memory_mib
from sfm_odometry.nodes.odometry_node import OdometryNode
from sfm_odometry.nodes.spinning import LoggedError

UNCONFIGURED_TOPICS = {
    "/rosout",
    "/parameter_events",
    "/diagnostics",
    "/sfm_odometry/status",
    "/sfm_odometry/transition_event",
}


def change(rig, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return rig.spinner.call(
        rig.listener.create_client(ChangeState, "/sfm_odometry/change_state"), request
    ).success


def lifecycle_state(rig) -> int:
    return rig.spinner.call(
        rig.listener.create_client(GetState, "/sfm_odometry/get_state"), GetState.Request()
    ).current_state.id


def test_configuring_that_fails_half_way_leaves_no_publisher(rig) -> None:
    # The publishers of depth and odom are made before the mask's.
    rig.start(autostart=False, **{"qos_overrides./mask/image.publisher.reliability": "perhaps"})
    assert not change(rig, Transition.TRANSITION_CONFIGURE)
    assert lifecycle_state(rig) == State.PRIMARY_STATE_UNCONFIGURED
    assert "perhaps" in rig.node.state.reason and rig.node.state.name == "unconfigured"
    assert {item.topic_name for item in rig.node.publishers} <= UNCONFIGURED_TOPICS


def test_an_unexpected_error_keeps_its_traceback(rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("of a library")

    monkeypatch.setattr(pipeline.Pipeline, "__init__", fail)
    rig.start(autostart=False)
    assert not change(rig, Transition.TRANSITION_CONFIGURE)
    assert rig.node.state.reason == "ZeroDivisionError: of a library"
    lines = [line for line in rig.whole_log() if "cannot be configured" in line]
    assert len(lines) == 1 and "Traceback" in lines[0] and "in fail" in lines[0]

    # A node that starts by itself ends with it.
    rig.node.parameters = replace(rig.node.parameters, autostart=True)
    with pytest.raises(LoggedError, match="ZeroDivisionError: of a library"):
        rig.node.autostart()


def test_activating_that_fails_half_way_leaves_no_subscription_and_no_thread(rig) -> None:
    # The image is subscribed to before camera_info.
    rig.start(
        autostart=False,
        image_qos="reliable",
        **{"qos_overrides./camera_info.subscription.depth": 0},
    )
    assert change(rig, Transition.TRANSITION_CONFIGURE)
    before = set(rig.node.subscriptions)
    threads = threading.active_count()
    assert not change(rig, Transition.TRANSITION_ACTIVATE)
    assert lifecycle_state(rig) == State.PRIMARY_STATE_INACTIVE
    assert (
        rig.node.state.name == "inactive"
        and "camera_info.subscription.depth" in rig.node.state.reason
    )
    assert set(rig.node.subscriptions) == before
    rig.spinner.until(lambda: rig.image.get_subscription_count() == 0, "the subscription's end")
    assert threading.active_count() == threads
    assert change(rig, Transition.TRANSITION_CLEANUP)
    assert lifecycle_state(rig) == State.PRIMARY_STATE_UNCONFIGURED


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Without the garbage collector: what is destroyed must go by itself."""
    gc.disable()
    yield
    gc.enable()


def test_a_destroyed_node_is_gone_from_the_graph_at_once(spinner, no_collector) -> None:
    observer = spinner.add(rclpy.create_node("observer"))
    for _ in range(2):  # the second one must not find publishers of the first
        node = OdometryNode("ending", parameter_overrides=[Parameter("autostart", value=False)])
        spinner.until(lambda: "ending" in observer.get_node_names())
        node.destroy_node()
        spinner.until(lambda: "ending" not in observer.get_node_names(), "the node's end")


def test_a_node_that_refuses_its_parameters_is_gone_from_the_graph(spinner, no_collector) -> None:
    observer = spinner.add(rclpy.create_node("observer"))
    with pytest.raises(InputError, match="image_qos"):
        OdometryNode("refused", parameter_overrides=[Parameter("image_qos", value="perhaps")])
    spinner.until(lambda: "observer" in observer.get_node_names())
    spinner.until(lambda: "refused" not in observer.get_node_names(), "the node's end")


class Touch:
    """Object whose unpickling creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def onnx_file() -> bytes:
    """The start of an ONNX model: ir_version 8, producer 'pytorch'."""
    return bytes([0x08, 8, 0x12, 7]) + b"pytorch" + bytes(200)


@pytest.mark.parametrize("kind", ["onnx", "pickle", "torch", "empty", "folder"])
def test_a_model_of_another_kind_fails_by_name_and_is_not_unpickled(
    rig, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"model.{kind}"
    trace = tmp_path / "was_unpickled"
    if kind == "torch":
        torch.save({"weights": torch.zeros(3), "evil": Touch(trace)}, path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(
            {"onnx": onnx_file(), "pickle": pickle.dumps(Touch(trace)), "empty": b""}[kind]
        )
    with pytest.raises(
        InputError, match=f"model.{kind}: (not a complete safetensors file|no such model file)"
    ):
        rig.start(**{"model.path": str(path)})
    assert not trace.exists()
    rig.start(autostart=False, **{"model.path": str(path)})
    assert not change(rig, Transition.TRANSITION_CONFIGURE)
    assert rig.status()["state"] == "unconfigured" and path.name in rig.status()["reason"]


def test_a_model_that_asks_for_too_much_takes_no_memory(rig, tmp_path: Path) -> None:
    file = TensorFile(rig.model_path)
    tensors = {name: file.read(name) for name in file.shapes}
    greedy = file.metadata["config"].replace(
        "[8, 16, 16, 32, 32, 32, 32]", "[8, 16, 16, 32, 32, 32, 900000]"
    )
    assert greedy != file.metadata["config"]
    path = tmp_path / "greedy.safetensors"
    write_tensors(path, tensors, file.metadata | {"config": greedy})
    rig.start(autostart=False, **{"model.path": str(path)})
    before_mib = resident_memory_mib()
    assert not change(rig, Transition.TRANSITION_CONFIGURE)
    assert "asks for more than 500000000 parameters" in rig.node.state.reason
    assert resident_memory_mib() - before_mib < 100


@pytest.mark.parametrize(
    "path",
    [
        "$(touch {trace})",
        "`touch {trace}`",
        "x; touch {trace}",
        "~/a.safetensors",
        "$HOME/a.safetensors",
    ],
)
def test_paths_are_taken_as_they_are_written(rig, tmp_path: Path, path: str) -> None:
    trace = tmp_path / "was_run"
    path = path.format(trace=trace)
    with pytest.raises(InputError) as refusal:
        rig.start(**{"model.path": path})
    assert str(refusal.value) == f"{path}: no such model file"
    assert not trace.exists()
