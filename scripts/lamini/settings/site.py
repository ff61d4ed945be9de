"""Settings of the machines of a site. They change time limits and estimates, but no result."""

from typing import Annotated, Literal

from pydantic import Field

from lamini.settings.base import Settings


class Site(Settings):
    """GPUs of the machines that train."""

    gpu_model: Literal["RTX 4090", "V100", "L40S", "A100", "H100", "H200", "B200"] = "V100"
    """GPU model that the time limits of training are estimated for. The default is the slowest of
    the list, so its limits are long enough for the others."""
    node_gpus: Annotated[int, Field(gt=0)] | None = None
    """Most GPUs that a training requests on one machine by default; null: the largest `max_gpu` in
    config/profiles/slurm/partitions.yaml."""
