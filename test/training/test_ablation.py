"""Ablation of two variants of a small recipe."""

import json
from pathlib import Path

import pytest

from sfm_odometry.errors import InputError
from training.ablation import final_scores, main, markdown, read_variants
from training.config import load_config

ABLATIONS = sorted((Path(__file__).resolve().parents[2] / "config" / "ablation").glob("*.yaml"))

VARIANTS = """
common: [steps=4, checkpoint_every=2]
variants:
  plain: {recipe: recipe.yaml}
  without masks: {recipe: recipe.yaml, settings: [objective.explainability=0]}
"""


def run(runs, *more):
    (runs.folder / "variants.yaml").write_text(VARIANTS)
    return main(
        [
            "--config",
            str(runs.folder / "variants.yaml"),
            "--data",
            str(runs.data),
            "--out",
            str(runs.folder / "out"),
            *more,
        ]
    )


def test_every_variant_is_trained_on_the_same_data_and_is_in_the_table(runs, capsys):
    assert run(runs) == 0
    results = json.loads((runs.folder / "out" / "results.json").read_text())
    assert list(results) == ["plain", "without masks"]
    assert all(scores["step"] == 4 and scores["loss"] > 0 for scores in results.values())
    assert "explainability" in runs.log("out/plain")[0]["terms"]
    assert "explainability" not in runs.log("out/without masks")[0]["terms"]
    table = (runs.folder / "out" / "table.md").read_text()
    assert table == markdown(results)
    assert table in capsys.readouterr().out


def test_finished_variants_are_kept(runs):
    assert run(runs) == 0
    before = (runs.folder / "out" / "plain" / "log.jsonl").read_text()
    assert run(runs) == 0
    assert (runs.folder / "out" / "plain" / "log.jsonl").read_text() == before


def test_a_variant_that_cannot_be_trained_ends_with_its_exit_code(runs, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(runs, "batch_size=0")
    assert stopped.value.code == 2
    assert "batch_size" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "variants: 3",
        "variants: {a: {settings: [x=1]}}",
        "variants: {a: {recipe: r, more: 1}}",
        "other: 1",
        "{",
    ],
)
def test_an_invalid_ablation_file_is_reported_with_its_path(tmp_path, content):
    (tmp_path / "wrong.yaml").write_text(content)
    with pytest.raises(InputError, match=r"wrong\.yaml"):
        read_variants(tmp_path / "wrong.yaml")


def test_a_run_without_validation_has_no_scores(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 3, "loss": 0.5}\n')
    with pytest.raises(InputError, match="validation"):
        final_scores(tmp_path)


@pytest.mark.parametrize("path", ABLATIONS, ids=[path.stem for path in ABLATIONS])
def test_the_packaged_ablations_are_valid(path):
    variants = read_variants(path)
    configs = [load_config(variant.recipe, variant.settings) for variant in variants]
    assert len({config.steps * config.batch_size for config in configs}) == 1, (
        "all variants are trained on the same number of snippets"
    )
    assert len(configs) == len({repr(config) for config in configs}), "no two are alike"
