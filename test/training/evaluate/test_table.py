"""Tables of published scores and one's own."""

import json

import cv2
import numpy as np
import pytest
import yaml

from sfm_odometry.errors import InputError
from training.evaluate.__main__ import main
from training.evaluate.table import (
    DEPTH,
    PUBLISHED,
    TITLES,
    build_tables,
    markdown,
    read_result,
    sequences_of,
)
from training.figures import COLOURS

EIGEN = {name: 0.1 + 0.1 * index for index, name in enumerate(DEPTH)}
EIGEN |= {
    "images": 697,
    "cap_m": 80.0,
    "crop": "garg",
    "resize": "depth",
    "ground_truth": "velodyne",
}
SNIPPETS = {
    "ate_sfmlearner_mean": 0.01234,
    "ate_sfmlearner_std": 0.008,
    "rmse_mean": 0.03,
    "snippets": 1587,
}
ODOMETRY = {
    "t_err_percent": 7.654,
    "r_err_deg_per_100m": None,
    "ate_m": 12.0,
    "rpe_m": 0.1,
    "rpe_deg": 0.1,
    "scale": 1.0,
    "frames": 1591,
}
MAKE3D = {
    "abs_rel": 0.322,
    "sq_rel": 3.5,
    "rmse": 7.4,
    "log10": 0.12,
    "rmse_log10": 0.163,
    "images": 134,
    "cap_m": 70.0,
}


def write(folder, name, scores):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(scores))
    return path


@pytest.mark.parametrize(
    ("name", "scores", "expected"),
    [
        ("mine_eigen", EIGEN, ("mine", "depth", None)),
        ("mine_09", ODOMETRY, ("mine", "odometry", "09")),
        ("run-3_10_snippets", SNIPPETS, ("run 3", "snippets", "10")),
        ("make3d", MAKE3D, ("make3d", "make3d", None)),
        ("x", {**SNIPPETS, "name": "My method", "sequence": "10"}, ("My method", "snippets", "10")),
        ("09", {**SNIPPETS, "name": "My method"}, ("My method", "snippets", "09")),
    ],
)
def test_kind_name_and_sequence_of_a_result(tmp_path, name, scores, expected):
    result = read_result(write(tmp_path, name, scores))
    assert (result.name, result.kind, result.sequence) == expected


def test_both_sequences_of_a_method_share_a_row(tmp_path):
    means = {"09": 0.02, "10": 0.01}
    files = [
        write(tmp_path, f"mine_{sequence}", {**SNIPPETS, "ate_sfmlearner_mean": mean})
        for sequence, mean in means.items()
    ]
    rows = build_tables([read_result(path) for path in files])["snippets"]
    assert rows[-1] == {
        "method": "mine",
        "source": "yours",
        "note": "",
        "09": {"mean": 0.02, "std": 0.008},
        "10": {"mean": 0.01, "std": 0.008},
        "yours": True,
    }
    assert not any(row["yours"] for row in rows[:-1])
    with pytest.raises(InputError, match="two results of 'mine' on sequence 09"):
        build_tables([read_result(files[0])] * 2)


def test_published_rows_are_complete_and_plausible():
    tables = build_tables([])
    assert list(tables) == ["depth", "snippets", "odometry"]
    for row in tables["depth"]:
        assert 0.1 < row["abs_rel"] < 0.25 and all(0 < row.get(key, 0.5) < 10 for key in DEPTH)
    for kind, keys in (("snippets", {"mean", "std"}), ("odometry", {"t_err", "r_err"})):
        for row in tables[kind]:
            assert {"method", "source", "09", "10"} <= set(row) and set(row["09"]) | set(
                row["10"]
            ) <= keys
    by_name = {(row["method"], row["note"]): row for row in tables["snippets"]}
    assert by_name["mean odometry", "baseline"]["09"] == {"mean": 0.032}
    # No key is misspelt: the table shows all that the file has.
    known = {"method", "source", "note", *DEPTH, "09", "10"}
    assert all(
        set(row) <= known for rows in yaml.safe_load(PUBLISHED.read_text()).values() for row in rows
    )


def test_markdown_has_one_cell_for_every_column(tmp_path):
    # Tables of the published scores and three results.
    files = {"a|b_eigen": EIGEN, "a_09": ODOMETRY, "a_03": SNIPPETS}
    results = [read_result(write(tmp_path, name, scores)) for name, scores in files.items()]
    text = markdown(build_tables(results))
    blocks = [block for block in text.split("## ") if block]
    assert [block.splitlines()[0] for block in blocks] == [
        TITLES[kind] for kind in ("depth", "snippets", "odometry")
    ]
    for block in blocks:
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
    own_row = (
        "| **a\\|b** | **yours** | **697 images, velodyne truth, garg crop, cap 80 m** "
        "| **0.100** | **0.200** |"
    )
    assert own_row in text
    # null in JSON, and no result on 10.
    assert "| **a** | **yours** |  | **7.65 / -** | **-** |" in text
    assert (
        "| method | source | note | 03 | 09 | 10 |" in text
        and "| **0.0123 ± 0.0080** | **-** | **-** |" in text
    )
    assert "| DeepMatchVO | Shen et al., ICRA 2019 |  | - | 0.0089 | 0.0084 |" in text
    assert "| SfMLearner | Zhou et al., CVPR 2017 |  | - | 0.021 ± 0.017 | 0.020 ± 0.015 |" in text


def test_depth_of_other_images_is_noted(tmp_path):
    own = read_result(write(tmp_path, "mine_depth", {**dict.fromkeys(DEPTH, 0.1), "images": 7}))
    assert build_tables([own])["depth"][-1]["note"] == "7 images of your own, not Eigen's"


def test_sequences_beyond_09_and_10_get_a_column():
    assert sequences_of([{"method": "a", "03": {}}]) == ["03", "09", "10"]


def test_command_writes_every_format(tmp_path, capsys):
    files = [
        str(write(tmp_path, name, scores))
        for name, scores in (("a_eigen", EIGEN), ("a_09", ODOMETRY), ("b", MAKE3D))
    ]
    # On stdout.
    assert main(["table", *files]) == 0
    printed = capsys.readouterr().out
    # In files.
    texts = ("--markdown", f"{tmp_path}/t.md", "--json", f"{tmp_path}/t.json")
    assert main(["table", *files, *texts, "--plot", f"{tmp_path}/t.png"]) == 0
    assert capsys.readouterr().out == "" and (tmp_path / "t.md").read_text() == printed
    tables = json.loads((tmp_path / "t.json").read_text())
    assert list(tables) == ["depth", "make3d", "snippets", "odometry"]
    assert tables["depth"][-1]["abs_rel"] == EIGEN["abs_rel"] and tables["odometry"][-1]["09"] == {
        "t_err": 7.654,
        "r_err": None,
    }
    image = cv2.cvtColor(cv2.imread(str(tmp_path / "t.png")), cv2.COLOR_BGR2RGB)
    for colour in COLOURS[:2]:  # the published and one's own
        wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
        assert np.count_nonzero((image == wanted).all(axis=2)) > 100


def test_without_results_the_published_scores_are_shown(capsys):
    assert main(["table"]) == 0
    assert "yours" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a", "{", "a.json, line 1: no JSON"),
        ("a", "[1]", "a.json: no scores in it"),
        ("a", '{"auc": 0.9}', "a.json: no scores in it"),
        (
            "mine",
            json.dumps(SNIPPETS),
            "mine.json: of which sequence? expected its number in the name, like mine_09.json",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys, name, text, message):
    (tmp_path / f"{name}.json").write_text(text)
    assert main(["table", str(tmp_path / f"{name}.json")]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and message in captured.err
