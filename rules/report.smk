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


rule make_table:
    """Make one table as CSV, Markdown, LaTeX, and JSON for the report."""
    input:
        unpack(lambda w: products.table_inputs(w.table)),
    output:
        csv="results/tables/table_{table}.csv",
        md="results/tables/table_{table}.md",
        tex="results/tables/table_{table}.tex",
        json="results/tables/table_{table}.json",
    log:
        "results/logs/make_table/{table}.log",
    benchmark:
        "results/benchmarks/make_table/{table}.jsonl"
    wildcard_constraints:
        table=one_of(products.tables),
    conda:
        "../envs/data.yaml"
    resources:
        runtime=10,
        mem_mb=1000,
    params:
        settings=lambda w: products.tables[w.table],
    script:
        "../scripts/make_table.py"


rule draw_figure:
    """Draw one figure as PDF and PNG, with the data it was drawn from as CSV."""
    input:
        unpack(lambda w: products.figure_inputs(w.figure)),
    output:
        pdf="results/figures/figure_{figure}.pdf",
        png="results/figures/figure_{figure}.png",
        csv="results/figures/figure_{figure}.csv",
    log:
        "results/logs/draw_figure/{figure}.log",
    benchmark:
        "results/benchmarks/draw_figure/{figure}.jsonl"
    wildcard_constraints:
        figure=one_of(products.figures),
    conda:
        "../envs/data.yaml"
    resources:
        runtime=10,
        mem_mb=2000,
    params:
        settings=lambda w: products.figures[w.figure],
    script:
        "../scripts/draw_figure.py"


rule write_report:
    """Write the report: one self-contained page with every table and figure."""
    input:
        **products.report_inputs(),
    output:
        "results/report/index.html",
    log:
        "results/logs/write_report.log",
    benchmark:
        "results/benchmarks/write_report.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        runtime=10,
        mem_mb=2000,
    params:
        settings=products.report_params(),
    script:
        "../scripts/write_report.py"
