"""The model that a run starts from: fresh, or with the weights of another run."""

import dataclasses
from pathlib import Path

from sfm_odometry.checkpoint import load_model
from sfm_odometry.errors import InputError
from sfm_odometry.networks.model import Model, ModelConfig
from training.differences import differences


def initial_model(config: ModelConfig, init_from: str | None) -> Model:
    """A model for `config`, drawn from torch's random numbers or with the weights of the file `init_from`.

    Its networks must be those of the configuration; the size of the images may be another one, as the networks are convolutional.
    Raises InputError that names the first setting that differs.
    """
    model = Model(config)
    if init_from is None:
        return model
    start = load_model(Path(init_from))
    same_size = dataclasses.replace(start.config, width=config.width, height=config.height)
    for name, (there, here) in differences(same_size, config).items():
        raise InputError(f"{init_from}: its model.{name} is {there}, the configuration's is {here}, they must be alike")
    model.load_state_dict(start.state_dict())
    return model
