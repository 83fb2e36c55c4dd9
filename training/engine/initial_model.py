"""Initial model of a run: untrained, or with the weights of another run."""

import dataclasses
from pathlib import Path

from sfm_odometry.errors import InputError
from sfm_odometry.inference.checkpoint import load_model
from sfm_odometry.networks.model import Model
from training.config import TrainConfig
from training.engine.differences import differences


def initial_model(config: TrainConfig) -> Model:
    """Returns the initial model of a run.

    Its weights are random numbers from torch's generator, or those of the file `init_from`, whose
    networks must be those of the configuration. The size of its images and its `uncropped_mode` may
    differ: the networks are convolutional, and learn what they are shown. Raises InputError with
    the first other setting that differs.
    """
    model = Model(config.model)
    if config.init_from is not None:
        _load_weights(model, config.init_from)
    elif config.inverse_depth_start:
        model.depth_net.set_inverse_depth_start(config.inverse_depth_start)
    return model


def _load_weights(model: Model, path: str) -> None:
    """Loads the weights of a model file; raises InputError where its networks differ."""
    trained = load_model(Path(path))
    same_input = dataclasses.replace(
        trained.config,
        width=model.config.width,
        height=model.config.height,
        uncropped_mode=model.config.uncropped_mode,
    )
    for name, (file_value, config_value) in differences(same_input, model.config).items():
        raise InputError(
            f"{path}: its model.{name} is {file_value}, the configuration's is {config_value}, "
            "they must be alike"
        )
    model.load_state_dict(trained.state_dict())
