"""Stamps of images from their names and from lists of times, in every unit that recorders use."""

from pathlib import Path

import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.io.stamps import read_stamps, seconds_text, stamp_by_list, stamp_by_names

EUROC_NS = 1403636579763555584


def by_names(*stems, suffix=".png"):
    return stamp_by_names([Path(stem + suffix) for stem in stems])


@pytest.mark.parametrize(
    ("stems", "stamps_ns"),
    [
        (["000000", "000001", "000002"], [0, 10**8, 2 * 10**8]),
        (["frame_0000", "frame_0010", "frame_0020"], [0, 10**8, 2 * 10**8]),
        (["7", "57", "107", "207"], [14 * 10**6, 114 * 10**6, 214 * 10**6, 414 * 10**6]),
        (["frame-000001.color", "frame-000002.color"], [10**8, 2 * 10**8]),
        (["2024-05-01_cam_9", "2024-05-01_cam_10"], [9 * 10**8, 10 * 10**8]),
        ([str(EUROC_NS), str(EUROC_NS + 50_000_000)], [EUROC_NS, EUROC_NS + 50_000_000]),
        (
            [f"cam0_{EUROC_NS}", f"cam0_{EUROC_NS + 50_000_000}"],
            [EUROC_NS, EUROC_NS + 50_000_000],
        ),
        (
            ["1305031102.175304", "1305031102.211214"],
            [1305031102175304000, 1305031102211214000],
        ),
        (["1305031102175304", "1305031102211214"], [1305031102175304000, 1305031102211214000]),
        (["1305031102175", "1305031102211"], [1305031102175000000, 1305031102211000000]),
        (["1305031102175.25", "1305031102211.5"], [1305031102175250000, 1305031102211500000]),
        (["1403636579_63555584", "1403636579_763555584"], [EUROC_NS - 7 * 10**8, EUROC_NS]),
        (["0000000000", "0050000000", "0100000000"], [0, 50_000_000, 100_000_000]),
        (["000000", "033333", "066667"], [0, 33_333_000, 66_667_000]),
        (["12.25", "12.5"], [12_250_000_000, 12_500_000_000]),
        (
            ["IMG_20240131_120000_250", "IMG_20240131_120001_500"],
            [1706702400250000000, 1706702401500000000],
        ),
        (
            ["2024-01-31_12-00-00.png", "2024-01-31_12-00-01.png"],
            [1706702400 * 10**9, 1706702401 * 10**9],
        ),
        (["2024_01_31-12_00_00-000001", "2024_01_31-12_00_00-000002"], [10**8, 2 * 10**8]),
        ([f"000001_{EUROC_NS}", f"000002_{EUROC_NS + 1}"], [EUROC_NS, EUROC_NS + 1]),
        (["drive1.0001", "drive1.0002"], [10**8, 2 * 10**8]),
        (["2024050112_000123", "2024050112_000124"], [123 * 10**8, 124 * 10**8]),
        (["10_59_59_900", "11_00_00_000", "11_00_00_100"], [0, 10**8, 2 * 10**8]),
    ],
)  # fmt: skip
def test_names_are_read_in_their_unit(stems, stamps_ns):
    files = by_names(*stems[::-1])
    assert [path.stem for path in files.paths] == stems
    assert files.stamps_ns == stamps_ns


def test_a_step_that_is_not_one_and_a_unit_are_told():
    assert by_names("0", "10", "20").notes == [
        "frame numbers in steps of 10, taken as 10 frames a second"
    ]
    assert by_names("0", "1", "2").notes == []
    (note,) = by_names(str(EUROC_NS), str(EUROC_NS + 10**8)).notes
    assert note == "names read as times in nanoseconds"


def test_the_rate_of_numbered_frames_can_be_given():
    paths = [Path(f"{number}.png") for number in range(0, 60, 20)]
    assert stamp_by_names(paths, rate_hz=20).stamps_ns == [0, 50_000_000, 100_000_000]


def test_odd_names_among_many_are_left_out_and_told():
    files = by_names("0001", "0002", "cover", "0003", "1305031102.175304")
    assert [path.stem for path in files.paths] == ["0001", "0002", "0003"]
    assert files.notes == [
        "cover.png: no frame number in the name, left out",
        "1305031102.175304.png: a time among names with a frame number, left out",
    ]


def test_names_without_numbers_and_with_equal_ones_are_refused():
    with pytest.raises(InputError, match=r"road\.png: no frame number in the name"):
        by_names("road", "street")
    with pytest.raises(InputError, match=r"left_1\.png: has the same frame number as"):
        by_names("left_1", "_1")


NAMES = [f"{number}.png" for number in range(3)]
TUM = """# timestamp filename
1305031102.175304 rgb/0.png
1305031102.211214 rgb/1.png
1305031102.275326 rgb/2.png
"""
ASSOCIATIONS = """0.0 rgb/0.png 0.01 depth/0.png
0.1 rgb/1.png 0.11 depth/1.png
0.2 rgb/2.png 0.21 depth/2.png
"""
DATES = """2011-09-26 13:02:25.964389445
2011-09-26 13:02:26.064389445
2011-09-26 13:02:26.164389445
"""
EUROC = f"#timestamp [ns],filename\n{EUROC_NS},0.png\n{EUROC_NS + 50_000_000},1.png\n"


def by_list(tmp_path, text, count=3):
    path = tmp_path / "times.txt"
    path.write_text(text)
    return stamp_by_list([Path(name) for name in NAMES[:count]], path)


@pytest.mark.parametrize(
    ("text", "stamps_ns"),
    [
        ("0.0\n0.1\n0.2\n", [0, 10**8, 2 * 10**8]),
        ("0.0e+00\n1.000000e-01\n2.000000e-01\n", [0, 10**8, 2 * 10**8]),
        ("0\n1\n2\n", [0, 10**9, 2 * 10**9]),
        ("0\n50\n100\n", [0, 50_000_000, 100_000_000]),
        ("0\n33.25\n66.5\n", [0, 33_250_000, 66_500_000]),
        ("0\n50000\n100000\n", [0, 50_000_000, 100_000_000]),
        ("0\n50000000\n100000000\n", [0, 50_000_000, 100_000_000]),
        ("123456789012\n123506789012\n123556789012", [123456789012, 123506789012, 123556789012]),
        (TUM, [1305031102175304000, 1305031102211214000, 1305031102275326000]),
        (EUROC + f"{EUROC_NS + 10**8},2.png", [EUROC_NS, EUROC_NS + 50_000_000, EUROC_NS + 10**8]),
        ("timestamp,filename\n0.0,0.png\n0.1,1.png\n0.2,2.png\n", [0, 10**8, 2 * 10**8]),
        ("0.png 0.0\n1.png 0.1\n2.png 0.2\n", [0, 10**8, 2 * 10**8]),
        ("00 0.0 0.02\n01 0.1 0.02\n02 0.2 0.01\n", [0, 10**8, 2 * 10**8]),
        (ASSOCIATIONS, [0, 10**8, 2 * 10**8]),
        (DATES, [0, 10**8, 2 * 10**8]),
        ("timestamp\n0.0\n0.1\n0.2\n", [0, 10**8, 2 * 10**8]),
        ("0,000\n0,100\n0,200\n", [0, 10**8, 2 * 10**8]),
        ("0,000\n0,500\n1,000\n", [0, 5 * 10**8, 10**9]),
        ("7 0\n7 100000000\n8 0\n", [7 * 10**9, 71 * 10**8, 8 * 10**9]),
        (
            f"0,{EUROC_NS}\n1,{EUROC_NS + 10**8}\n2,{EUROC_NS + 2 * 10**8}\n",
            [EUROC_NS, EUROC_NS + 10**8, EUROC_NS + 2 * 10**8],
        ),
        ("\ufeff0.0\r\n0.1\r\n\r\n0.2\r\n", [0, 10**8, 2 * 10**8]),
    ],
)  # fmt: skip
def test_lists_are_read_in_their_unit_and_form(tmp_path, text, stamps_ns):
    assert by_list(tmp_path, text).stamps_ns == stamps_ns


def test_rows_are_matched_by_name_in_any_order(tmp_path):
    files = by_list(tmp_path, "0.0 2.png\n0.1 1.png\n0.2 0.png\n0.3 other.png\n")
    assert [path.name for path in files.paths] == ["2.png", "1.png", "0.png"]
    assert files.stamps_ns == [0, 10**8, 2 * 10**8]


def test_an_image_without_a_row_is_left_out_and_told(tmp_path):
    files = by_list(tmp_path, TUM.rpartition("1305")[0])
    assert [path.name for path in files.paths] == ["0.png", "1.png"]
    assert "no time of 2.png; 1 images without one left out" in files.notes[-1]


def test_repeated_times_are_told(tmp_path):
    files = by_list(tmp_path, "0.0\n0.1\n0.1\n")
    assert files.stamps_ns == [0, 10**8, 10**8]
    assert "1 repeated times, the first in line 3" in files.notes[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no times in it"),
        ("0.0\n0.1\n", "2 times for 3 images"),
        ("0.0\n0.2\n0.1\n", r"line 3: time 0\.1 s after 0\.2 s, expected increasing"),
        ("0.0\nsoon\n0.1\n", "line 2: 'soon' is not a time"),
        ("0.0 1.5 2.5\n0.1 1 2\n0.2 1 2\n", "line 1: 3 columns, expected a time and a file name"),
        ("2011-13-26 13:02:25.9\n", "no date and time"),
        ("0.0\nnan\n0.1\n", "line 2: 'nan' is not a time"),
    ],
)
def test_lists_that_cannot_be_used_are_refused_by_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        by_list(tmp_path, text)


def test_a_list_alone_gives_its_stamps(tmp_path):
    path = tmp_path / "times.txt"
    path.write_text("0\n100\n200\n")
    stamps_ns, (note,) = read_stamps(path)
    assert stamps_ns == [0, 10**8, 2 * 10**8]
    assert note.endswith("read as times in milliseconds")


def test_all_digits_of_a_stamp_are_printed():
    assert seconds_text(EUROC_NS) == "1403636579.763555584"
    assert seconds_text(-1_500_000_000) == "-1.5"
    assert seconds_text(2 * 10**9) == "2.0"
