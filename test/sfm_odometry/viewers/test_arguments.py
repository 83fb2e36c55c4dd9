"""--live and --rerun."""

import argparse
import socket
import sys

import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.viewers.arguments import (
    add_live_option,
    add_rerun_option,
    live_address,
    open_viewers,
)


def parsed(*words):
    parser = argparse.ArgumentParser()
    add_live_option(parser)
    add_rerun_option(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--live"], ("127.0.0.1", 8765)),
        (["--live", "9000"], ("127.0.0.1", 9000)),
        (["--live", "0.0.0.0:9000"], ("0.0.0.0", 9000)),
    ],
)
def test_addresses_of_the_live_view(words, expected):
    assert live_address(parsed(*words).live) == expected


@pytest.mark.parametrize("text", ["", "here", "70000", ":8765", "-1", "host:"])
def test_addresses_that_are_none_are_one_line(text):
    with pytest.raises(InputError, match=f"--live {text}: expected a port, or HOST:PORT"):
        live_address(text)


@pytest.mark.parametrize(
    ("words", "module", "package"),
    [
        (["--live"], "foxglove", "foxglove-sdk"),
        (["--rerun", "drive.rrd"], "rerun", "rerun-sdk"),
    ],
)
def test_a_missing_package_is_one_line_with_the_command(monkeypatch, words, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=f"pip install '{package}>="):
        open_viewers(parsed(*words))


def test_without_options_there_is_no_viewer():
    viewers = open_viewers(parsed())
    assert not viewers.wants_depth and not viewers.wants_mask


def test_a_second_viewer_that_cannot_be_opened_closes_the_first(capsys):
    pytest.importorskip("foxglove.messages", reason="foxglove-sdk is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(InputError, match="expected FILE"):
        open_viewers(parsed("--live", str(port), "--rerun", "drive.txt"))
    assert capsys.readouterr().err == f"live view: ws://127.0.0.1:{port}\n"
    open_viewers(parsed("--live", str(port))).close()
