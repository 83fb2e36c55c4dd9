"""Exit codes of all command lines, and readers of their output that go away."""

import subprocess
import sys
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


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "sfm_odometry.run", "--help"],
        ["-m", "training.classical", "--help"],
        ["-m", "sfm_odometry.nodes.parameter_table"],
    ],
    ids=lambda words: words[1],
)
@pytest.mark.slow
def test_programs_end_quietly_where_nobody_reads_their_help(words):
    code, error = piped(words, 0)
    assert code in (0, 141)
    assert error == ""


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
