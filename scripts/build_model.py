"""Make the weights of a reference model: random ones, or those of a GGUF file."""

from pathlib import Path

from lamini.job import start_job
from lamini.provenance import record_provenance
from lamini.settings.students import BuiltModel
from lamini.students.pretrained import build_model

start_job(snakemake.log[0], f"build_model {snakemake.wildcards.model}")
settings = snakemake.params.settings
output, seed = snakemake.output.manifest, settings["seed"]
build = BuiltModel(**settings["build"])
build_model(build, settings["architecture"], settings["tokenizer"], seed, Path(output).parent)
record_provenance(
    output, rule="build_model", settings=settings, inputs=list(snakemake.input), seed=seed
)
