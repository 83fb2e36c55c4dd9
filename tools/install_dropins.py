"""Links the drop-ins of ros_dropins/ into the virtual environment that runs this file.

Only where the real module cannot be imported or does not work: the real cv_bridge imports without
its compiled part and then fails on the first image. Therefore each module is tried, not just found.
"""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

DROPINS = Path(__file__).resolve().parents[1] / "ros_dropins"
TRIALS = {
    "tf2_ros": "from tf2_ros import Buffer, TransformListener, TransformBroadcaster; Buffer()",
    "cv_bridge": "import numpy; from cv_bridge import CvBridge; b = CvBridge(); "
    "image = numpy.zeros((2, 3, 3), numpy.uint8); "
    "assert b.imgmsg_to_cv2(b.cv2_to_imgmsg(image, 'rgb8'), 'bgr8').shape == image.shape",
    "sensor_msgs_py": "from sensor_msgs_py.point_cloud2 import create_cloud_xyz32; "
    "from std_msgs.msg import Header; "
    "create_cloud_xyz32(Header(), [(0.0, 1.0, 2.0)])",
    "tf_transformations": "from tf_transformations import quaternion_from_euler; "
    "quaternion_from_euler(0.1, 0.2, 0.3)",
}
"""Python program by module that fails where the module does not work."""


def main() -> int:
    """Link the drop-ins that are needed; returns the exit code, 2 where one does not work."""
    folder = Path(sys.prefix, "dropins")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # Ahead of everything, PYTHONPATH of a sourced ROS 2 too, whose modules do not work where there
    # is a drop-in.
    Path(sysconfig.get_path("purelib"), "dropins.pth").write_text(
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    )
    for name, trial in TRIALS.items():
        if works(trial):
            continue
        (folder / name).symlink_to(DROPINS / name, target_is_directory=True)
        if not works(trial):
            print(f"setup: the drop-in {name} does not work in this environment", file=sys.stderr)
            return 2
    return 0


def works(trial: str) -> bool:
    """Whether the trial runs without error.

    It runs in an interpreter of its own, since a failed import would leave incomplete modules.
    """
    return subprocess.run([sys.executable, "-c", trial], stderr=subprocess.DEVNULL).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
