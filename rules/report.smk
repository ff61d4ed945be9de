"""Tables, figures and the report.

Inputs: every artifact that holds a number. Outputs: results/tables/, results/figures/,
results/report/index.html, results/run_config.yaml.
"""


localrules:
    write_run_config,


rule write_run_config:
    """Write the resolved configuration: every setting of this run, defaults included."""
    output:
        "results/run_config.yaml",
    log:
        "results/logs/write_run_config.log",
    benchmark:
        "results/benchmarks/write_run_config.jsonl"
    conda:
        "../envs/data.yaml"
    params:
        settings=flow.config.as_params(),
    script:
        "../scripts/write_run_config.py"
