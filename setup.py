"""What is installed on the robot: the package sfm_odometry with its model, its executables, launch
files and configuration.

training, demo and the tests run from the source tree.
"""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = "sfm_odometry"
# Other runtimes for the networks; torch writes the graphs that they read with the package onnx.
ONNX = {
    "export": ["onnx"],
    "onnxruntime": ["onnx", "onnxruntime"],
    "openvino": ["onnx", "openvino"],
}
# Views of the running odometry: in Foxglove or Lichtblick, and in Rerun. Apart, as rerun-sdk needs
# NumPy 2, which the cv_bridge of Humble and Jazzy does not take.
VIEWERS = {"live": ["foxglove-sdk>=0.30"], "rerun": ["rerun-sdk>=0.39"]}
NODES = (
    *("odometry_node", "kitti_player", "kitti_to_bag", "bag_player"),
    *("image_player", "wait_for_node", "foxglove_layout"),
)


def files(folder: str) -> list[str]:
    """The files directly in a folder, as relative paths."""
    return [path for path in sorted(glob(f"{folder}/*")) if Path(path).is_file()]


setup(
    name=NAME,
    version="0.1.0",
    description="Monocular visual odometry, depth and masks learned from video, for ROS 2",
    license="Apache-2.0 AND CC-BY-NC-SA-3.0",  # the code; the default model, by its training data
    maintainer="The sfm_odometry developers",
    maintainer_email="placeholder@sfm-odometry.invalid",  # no mail arrives: use the issue tracker
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["models/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", files("launch")),
        (f"share/{NAME}/config", files("config")),
    ],
    install_requires=["setuptools"],
    extras_require={
        "test": ["pytest", "hypothesis>=6.36"],
        "tensorboard": ["tensorboard"],
        **ONNX,
        **VIEWERS,
    },
    zip_safe=False,
    entry_points={"console_scripts": [f"{node} = {NAME}.nodes.{node}:main" for node in NODES]},
)
