"""Recipes: bases, merging and their errors."""

from pathlib import Path

import pytest

from sfm_odometry.errors import InputError
from training.config import load_config

BASE = """
model:
  depth: {inverse_depth_gain: 3.0}
objective: {explainability: 0.3, smoothness: 0.1}
data_weights: [0.6, 0.4]
steps: 100
"""


def write(folder: Path, **recipes: str) -> Path:
    """Write recipes by name; returns the path of the last one."""
    for name, text in recipes.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / f"{name}.yaml"


def test_a_recipe_overrides_its_base_key_by_key(tmp_path: Path) -> None:
    own = "base: base.yaml\nobjective: {smoothness: 0.5}\ndata_weights: [1.0]\nbatch_size: 2\n"
    config = load_config(write(tmp_path, base=BASE, own=own))
    assert config.objective.smoothness == 0.5 and config.objective.explainability == 0.3
    assert config.model.depth.inverse_depth_gain == 3.0
    assert config.data_weights == (1.0,)  # a list is replaced as a whole
    assert (config.steps, config.batch_size) == (100, 2)


def test_a_base_may_have_a_base_and_the_command_line_comes_last(tmp_path: Path) -> None:
    middle = "base: base.yaml\nsteps: 200\nbatch_size: 3\n"
    path = write(tmp_path, base=BASE, middle=middle, own="base: middle.yaml\nbatch_size: 5\n")
    config = load_config(path, ["batch_size=6"])
    assert (config.steps, config.batch_size, config.objective.smoothness) == (200, 6, 0.1)


def test_a_recipe_without_settings_of_its_own_is_its_base(tmp_path: Path) -> None:
    path = write(tmp_path, base=BASE, own="base: base.yaml\n")
    assert load_config(path) == load_config(tmp_path / "base.yaml")


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        ({"own": "base: own.yaml\n"}, "own.yaml: 'base: own.yaml' is based on this recipe itself"),
        (
            {"base": "base: own.yaml\n", "own": "base: base.yaml\n"},
            "base.yaml: 'base: own.yaml' is based on this recipe itself",
        ),
        ({"own": "base: absent.yaml\n"}, "absent.yaml: configuration cannot be read"),
        ({"own": "base: [a, b]\n"}, "'base' must be the name of a recipe beside it"),
    ],
    ids=["itself", "circle", "absent", "not a name"],
)
def test_an_unusable_base_is_named(tmp_path: Path, recipes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as error:
        load_config(write(tmp_path, **recipes))
    assert message in str(error.value)
