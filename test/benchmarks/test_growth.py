"""Benchmark of the odometry's cost against the size of the images."""

import pytest

from benchmarks import growth


def test_each_size_has_a_row_with_its_time(capsys):
    assert growth.main(["--sizes", "160x120", "320x240", "--frames", "2", "--rounds", "1"]) == 0
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("| ") and line[2].isdigit()
    ]
    assert [row[:2] for row in rows] == [["160x120", "x1.0"], ["320x240", "x4.0"]]
    assert all(float(row[2]) > 0 and float(row[4]) > 0 for row in rows)


@pytest.mark.parametrize("size", ["640", "640x20", "axb"])
def test_sizes_that_are_none_are_refused(size, capsys):
    assert growth.main(["--sizes", size]) == 2
    assert f"--sizes {size}: expected WIDTHxHEIGHT" in capsys.readouterr().err
