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
NODES = ("odometry_node", "kitti_player", "kitti_to_bag", "bag_player")


def files(folder: str) -> list[str]:
    """The files directly in a folder, as relative paths."""
    return [path for path in sorted(glob(f"{folder}/*")) if Path(path).is_file()]


setup(
    name=NAME,
    version="0.1.0",
    description="Monocular visual odometry, depth and masks learned from video, for ROS 2",
    license="Apache-2.0",
    maintainer="The sfm_odometry developers",
    maintainer_email="maintainers@sfm-odometry.invalid",
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
    extras_require={"test": ["pytest", "hypothesis>=6.36"], "tensorboard": ["tensorboard"], **ONNX},
    zip_safe=False,
    entry_points={"console_scripts": [f"{node} = {NAME}.nodes.{node}:main" for node in NODES]},
)
