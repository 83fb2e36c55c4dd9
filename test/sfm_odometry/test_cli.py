"""Exit codes of all command lines, and readers of their output that go away."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
LINES = "import sys\nfrom sfm_odometry.cli import run_cli\n"
PROGRAMS = {
    "many lines at once": "[print('x' * 100) for _ in range(20000)]",
    "a line at a time": "[print('x' * 100, flush=True) for _ in range(20000)]",
    "few lines, written at the end": "print('x')",
    "lines on stderr": "[print('x' * 100, file=sys.stderr) for _ in range(20000)]",
}


def piped(words, reads, stderr_too=False):
    """Exit code and what is left on stderr of a program whose reader takes `reads` lines."""
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if stderr_too else subprocess.PIPE,
    ) as process:
        for _ in range(reads):
            process.stdout.readline()
        process.stdout.close()
        error = b"" if stderr_too else process.stderr.read()
    return process.returncode, error.decode()


@pytest.mark.parametrize("reads", [0, 1])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_reader_that_goes_away_ends_the_program_quietly(name, reads):
    program = f"{LINES}def main():\n    {PROGRAMS[name]}\nsys.exit(run_cli(main))"
    code, error = piped(["-c", program], reads, stderr_too=name == "lines on stderr")
    assert code in (0, 141)
    assert error == ""


def test_an_error_line_that_nobody_reads_is_no_traceback():
    program = (
        f"{LINES}from sfm_odometry.errors import InputError\nimport time\n"
        "def main():\n    time.sleep(0.2)\n    raise InputError('x' * 200000)\n"
        "sys.exit(run_cli(main))"
    )
    assert piped(["-c", program], 0, stderr_too=True)[0] == 141


COMMANDS = [
    *(f"sfm_odometry.{name}" for name in ("run", "export")),
    *(f"training.{name}" for name in ("train", "prepare", "evaluate", "classical", "accuracy")),
    *(f"training.{name}" for name in ("ablation", "plot", "synthetic")),
    *(f"benchmarks.{name}" for name in ("node", "node.backends", "training", "data", "soak")),
    "demo",
]
ROS_COMMANDS = [
    f"sfm_odometry.nodes.{name}"
    for name in ("odometry_node", "bag_player", "kitti_player", "kitti_to_bag", "parameter_table")
]
FORK_EACH = """
import atexit, importlib, json, os, runpy, sys, traceback
for module in json.loads(sys.argv[2]):  # once, not once for each command
    importlib.import_module(module)
nobody, writing = os.pipe()
os.close(nobody)
for words in json.loads(sys.argv[1]):
    reading, errors = os.pipe()
    if (child := os.fork()) == 0:
        os.dup2(writing, 1), os.dup2(errors, 2)
        sys.argv = words
        try:
            code = 0
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code)
    os.close(errors)
    error = open(reading).read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([words[0], code, error]), file=sys.stderr)
"""


def codes_without_reader(commands, imported=()):
    """Runs commands, lists of a module and its words, whose output nobody reads.

    imported: modules of other packages that are imported before, once for all commands. Returns
    module, exit code and what is on stderr of each; children of one process run them.
    """
    result = subprocess.run(
        [sys.executable, "-c", FORK_EACH, json.dumps(commands), json.dumps(imported)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return [json.loads(line) for line in result.stderr.splitlines()]


@pytest.mark.slow
def test_every_command_ends_quietly_where_nobody_reads_its_help():
    commands = [*COMMANDS, *(ROS_COMMANDS if find_spec("rclpy") else [])]
    if find_spec("onnx") is None:
        commands.remove("sfm_odometry.export")
    imported = ("cv2", "matplotlib.pyplot", "torch", "torch._dynamo")
    ended = codes_without_reader([[name, "--help"] for name in commands], imported)
    assert [name for name, _, _ in ended] == commands
    assert [
        (name, code, error) for name, code, error in ended if code not in (0, 141) or error
    ] == []


def test_commands_end_quietly_where_nobody_reads_their_output(tmp_path):
    rows = "".join(f"1 0 0 0 0 1 0 0 0 0 1 {index}\n" for index in range(5))
    (tmp_path / "poses.txt").write_text(rows)
    poses = str(tmp_path / "poses.txt")
    commands = [["training.evaluate", "odometry", "--gt", poses, "--pred", poses]]
    if find_spec("rclpy"):
        commands.append(["sfm_odometry.nodes.parameter_table"])
    for _, code, error in codes_without_reader(commands):
        assert code in (0, 141)
        assert "Traceback" not in error and "BrokenPipe" not in error


def test_another_broken_pipe_is_not_hidden():
    def main():
        raise BrokenPipeError("of a worker")

    with pytest.raises(BrokenPipeError, match="of a worker"):
        run_cli(main)


def test_the_exit_code_is_that_of_the_program(capsys):
    def bad():
        raise InputError("a.txt: no such file")

    def interrupted():
        raise KeyboardInterrupt

    assert [run_cli(lambda: None), run_cli(lambda: 3)] == [0, 3]
    assert [run_cli(bad), run_cli(interrupted)] == [2, 130]
    assert capsys.readouterr().err == "error: a.txt: no such file\ninterrupted\n"
