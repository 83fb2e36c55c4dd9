"""The model that a run starts from: fresh, or with the weights of another run."""

import dataclasses
from pathlib import Path

from sfm_odometry.errors import InputError
from sfm_odometry.inference.checkpoint import load_model
from sfm_odometry.networks.model import Model
from training.config import TrainConfig
from training.engine.differences import differences


def initial_model(config: TrainConfig) -> Model:
    """The model of a run, drawn from torch's random numbers or with the weights of the file
    `init_from`.

    Its networks must be those of the configuration; the size of the images may be another one, as
    the networks are convolutional. Raises InputError that names the first setting that differs.
    """
    model = Model(config.model)
    if config.init_from is not None:
        _load_weights(model, config.init_from)
    elif config.inverse_depth_start:
        model.depth_net.set_inverse_depth_start(config.inverse_depth_start)
    return model


def _load_weights(model: Model, path: str) -> None:
    start = load_model(Path(path))
    same_size = dataclasses.replace(
        start.config, width=model.config.width, height=model.config.height
    )
    for name, (there, here) in differences(same_size, model.config).items():
        raise InputError(
            f"{path}: its model.{name} is {there}, the configuration's is {here}, they must be alike"
        )
    model.load_state_dict(start.state_dict())
