"""Benchmark of data preparation and sampling."""

import re

import pytest

from benchmarks import data
from benchmarks.data import main


def test_prepare_skimage_and_sampling_have_a_rate(capsys, monkeypatch):
    pytest.importorskip("skimage", reason="scikit-image is not installed: make setup brings it")
    monkeypatch.setattr(data, "SNIPPETS", 64)  # to be quick
    assert main(["--frames", "8", "--repeats", "1"]) == 0
    rates = {
        line.split()[0]: float(line.split()[1]) for line in capsys.readouterr().out.splitlines()
    }
    assert set(rates) == {"prepare", "skimage", "snippets"}
    assert min(rates.values()) > 0


def test_missing_images_end_with_one_line_of_error(tmp_path, capsys):
    assert main(["--images", str(tmp_path / "nowhere")]) == 2
    assert re.fullmatch(r"error: .*nowhere: no such folder\n", capsys.readouterr().err)
