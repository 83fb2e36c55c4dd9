"""Counters and measures of the diagnostics."""

from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import Header

from sfm_odometry.nodes.memory import release_freed_memory, resident_memory_mib
from sfm_odometry.nodes.statistics import MissingFrameCounter, Statistics, diagnostic_array


def test_missing_frames_are_counted_from_the_stamps() -> None:
    counter = MissingFrameCounter()
    for index in (0, 1, 2, 3, 4, 6, 7, 8, 12, 13):  # 5, 9, 10 and 11 are missing
        counter.add(index * 100_000_000 + index % 3 * 5_000_000)
    assert counter.missing == 4


def test_a_steady_or_jittering_camera_misses_nothing() -> None:
    counter = MissingFrameCounter()
    for index in range(100):
        counter.add(index * 33_000_000 + index % 4 * 4_000_000)
    assert counter.missing == 0


def test_stamps_that_jump_back_are_no_missing_frames() -> None:
    counter = MissingFrameCounter()
    for stamp in (0, 100, 200, 300, 400, 0, 100, 200, 300, 400):
        counter.add(stamp)
    assert counter.missing == 0


def test_measures_start_anew_with_each_report_and_counters_go_on() -> None:
    statistics = Statistics()
    statistics.received(1)
    statistics.count("refused_encoding", 2)
    statistics.measure(total_ms=4.0, latency_ms=1.0)
    statistics.measure(total_ms=8.0)
    first = statistics.report()
    second = statistics.report()
    assert (first["total_ms_mean"], first["total_ms_max"], first["latency_ms_mean"]) == (
        "6.00",
        "8.00",
        "1.00",
    )
    assert (second["total_ms_mean"], second["total_ms_max"]) == ("0.00", "0.00")
    assert first["frames_received"] == second["frames_received"] == "1"
    assert second["refused_encoding"] == "2"
    assert float(first["input_hz"]) > 0.0 == float(second["input_hz"])
    assert first["frames_dropped"] == "0"  # also reported where nothing was counted


def test_diagnostics_message() -> None:
    array = diagnostic_array(
        Header(frame_id=""),
        "node: odometry",
        "camera",
        DiagnosticStatus.WARN,
        "lost",
        {"state": "lost"},
    )
    (status,) = array.status
    assert (status.level, status.name, status.message, status.hardware_id) == (
        DiagnosticStatus.WARN,
        "node: odometry",
        "lost",
        "camera",
    )
    assert [(pair.key, pair.value) for pair in status.values] == [("state", "lost")]


def test_resident_memory_is_plausible() -> None:
    assert 10 < resident_memory_mib() < 100_000


def test_freed_memory_goes_back_to_the_system() -> None:
    pieces = [bytes(50_000) for _ in range(2000)]  # 100 MB, in pieces that malloc keeps
    for index in range(0, len(pieces), 2):
        pieces[index] = b""
    before_mib = resident_memory_mib()
    release_freed_memory()
    assert before_mib - resident_memory_mib() > 20.0
    assert pieces[1]
