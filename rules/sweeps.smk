"""Sweeps: how a score depends on the size of the data, the seed and the examples.

Inputs: the checkpoints and the scores of a sweep's students. Outputs: the fitted law of each student,
and comparisons of the students.
"""


rule fit_sweep:
    """Fit the law of size, and compare the students of a sweep."""
    input:
        manifests=lambda w: flow.sweep_manifests(w.sweep),
        evals=lambda w: flow.sweep_evals(w.sweep),
    output:
        fitted=paths.SWEEP,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(4000),
    params:
        settings=lambda w: flow.sweep_params(w.sweep).as_params(),
    script:
        "../scripts/fit_sweep.py"
