"""Writes the Foxglove layout for the topics and frames of a robot.

ros2 run sfm_odometry foxglove_layout --image-topic /camera/image_rect --out layout.json

Without options it is config/foxglove.json.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import OutputError

SCENE_TOPICS = ("depth/points", "path", "ground_truth/path")
"""Topics of the scene, which follow the namespace of the node."""
ORANGE = "#ff8c00ff"
GREEN = "#50c878ff"


def foxglove_layout(
    image_topic: str, namespace: str, odom_frame: str, base_frame: str, hardware_id: str
) -> dict[str, Any]:
    """Returns the layout, as Foxglove exports and imports it.

    hardware_id: name of the camera in the diagnostics; empty: the topic of the images.
    """
    image = resolve(image_topic, namespace)
    names = {name: resolve(name, namespace) for name in SCENE_TOPICS}
    images = (
        ("camera", image),
        ("depth", resolve("depth/image_color", namespace)),
        ("mask", resolve("mask/image", namespace)),
    )
    status = {
        "topicToRender": "/diagnostics",
        "selectedHardwareId": hardware_id or image,
        "selectedName": f"{resolve('sfm_odometry', namespace)[1:]}: monocular odometry",
    }
    return {
        "configById": {
            "3D!scene": scene_panel(names, odom_frame, base_frame),
            **{f"Image!{name}": image_panel(topic) for name, topic in images},
            "DiagnosticStatusPanel!status": status,
        },
        "globalVariables": {},
        "userNodes": {},
        "playbackConfig": {"speed": 1},
        "layout": arrangement(),
    }


def resolve(name: str, namespace: str) -> str:
    """Returns the full name of a topic."""
    if name.startswith("/"):
        return name
    return "/".join(("", *filter(None, namespace.split("/")), name))


def scene_panel(topics: dict[str, str], odom_frame: str, base_frame: str) -> dict[str, Any]:
    """Returns the panel that shows path, points and the robot's frame."""
    camera = {
        "perspective": True,
        "distance": 40,
        "phi": 60,
        "thetaOffset": 90,
        "target": [0, 0, 0],
        "targetOffset": [0, 0, 0],
        "targetOrientation": [0, 0, 0, 1],
        "fovy": 45,
        "near": 0.1,
        "far": 5000,
    }
    grid = {
        "layerId": "foxglove.Grid",
        "instanceId": "grid",
        "label": "Grid",
        "visible": True,
        "size": 400,
        "divisions": 40,
        "frameLocked": True,
        "color": "#6e6e6e80",
    }
    points = {"visible": True, "colorField": "rgb", "colorMode": "rgb", "pointSize": 2}
    return {
        "fixedFrame": odom_frame,
        "followTf": base_frame,
        "followMode": "follow-position",
        "cameraState": camera,
        "scene": {"transforms": {"axisScale": 2}},
        "transforms": {},
        "topics": {
            topics["depth/points"]: points,
            topics["path"]: path_display(ORANGE),
            topics["ground_truth/path"]: path_display(GREEN),
        },
        "layers": {"grid": grid},
        "imageMode": {},
    }


def path_display(colour: str) -> dict[str, Any]:
    """Returns the settings of a path."""
    return {"visible": True, "type": "line", "lineWidth": 0.3, "gradient": [colour, colour]}


def image_panel(topic: str) -> dict[str, Any]:
    """Returns the panel of images."""
    return {"imageMode": {"imageTopic": topic, "synchronize": False}}


def arrangement() -> dict[str, Any]:
    """Returns the places of the panels."""
    return {
        "direction": "row",
        "splitPercentage": 60,
        "first": {
            "direction": "column",
            "splitPercentage": 70,
            "first": "3D!scene",
            "second": "DiagnosticStatusPanel!status",
        },
        "second": {
            "direction": "column",
            "splitPercentage": 33,
            "first": "Image!camera",
            "second": {
                "direction": "column",
                "splitPercentage": 50,
                "first": "Image!depth",
                "second": "Image!mask",
            },
        },
    }


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="foxglove_layout",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--image-topic", default="image", help="default: %(default)s")
    parser.add_argument("--namespace", default="", help="of the node; default: none")
    parser.add_argument("--odom-frame", default="odom", help="default: %(default)s")
    parser.add_argument("--base-frame", default="base_link", help="default: %(default)s")
    parser.add_argument(
        "--hardware-id", default="", help="diagnostics.hardware_id, where it is set"
    )
    parser.add_argument("--out", type=Path, help="file to write; default: the terminal")
    return parser


def write_layout(options: argparse.Namespace) -> None:
    """Write the layout of the options; raises OutputError naming the file."""
    layout = foxglove_layout(
        options.image_topic,
        options.namespace,
        options.odom_frame,
        options.base_frame,
        options.hardware_id,
    )
    text = json.dumps(layout, indent=2) + "\n"
    if options.out is None:
        sys.stdout.write(text)
        return
    try:
        options.out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{options.out}: cannot be written: {error.strerror}") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Write the layout; returns the exit code."""
    options = make_parser().parse_args(argv)
    return run_cli(lambda: write_layout(options))


if __name__ == "__main__":
    raise SystemExit(main())
