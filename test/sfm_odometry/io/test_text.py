"""Text files of numbers."""

import os

import pytest

from sfm_odometry.errors import InputError, OutputError
from sfm_odometry.io.text import parse_numbers, read_number_rows, write_text


def test_rows_keep_their_line_numbers_past_comments_and_blank_lines(tmp_path):
    path = tmp_path / "rows.txt"
    path.write_text("# head\n\n1 2 # tail\n3,4\n")
    assert read_number_rows(path) == [(3, [1.0, 2.0]), (4, [3.0, 4.0])]


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "1.2.3", "car"])
def test_a_word_that_is_no_number_is_named(word):
    with pytest.raises(InputError, match=f"calib.txt, P2: '{word}' is not a"):
        parse_numbers(f"1 {word} 3", "calib.txt, P2")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "rows.txt"
    path.write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(InputError, match=r"rows\.txt: not a text file"):
        read_number_rows(path)
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_number_rows(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_text_of_other_systems_is_read(tmp_path, encoding):
    path = tmp_path / "rows.txt"
    path.write_bytes("# Prüfstand\r\n1 2\r\n".encode(encoding))
    assert read_number_rows(path) == [(2, [1.0, 2.0])]


def test_writing_replaces_the_whole_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("a longer text than the new one\n")
    write_text(path, "new\n")
    assert path.read_text() == "new\n"
    assert os.listdir(tmp_path) == ["out.txt"]


def test_writing_follows_a_link(tmp_path):
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_text(tmp_path / "link.txt", "new\n")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new\n"


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out.txt"
    path.write_text("old\n")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OutputError, match=r"out\.txt: cannot be written: No space left on device"):
        write_text(path, "new\n")
    assert path.read_text() == "old\n"
    assert os.listdir(tmp_path) == ["out.txt"]


def test_unwritable_places_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "absent" / "out.txt", tmp_path / "file" / "out.txt"):
        with pytest.raises(OutputError, match=f"^{path}: cannot be written"):
            write_text(path, "text")
