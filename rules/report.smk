"""Tables, figures and the report.

Inputs: every artifact with numbers. Outputs: results/tables/, results/figures/,
results/report/index.html, results/report/lineage.json, results/ro-crate-metadata.json,
results/run_config.yaml. Captions of `snakemake --report` are in captions/.
"""


localrules:
    write_run_config,


rule write_run_config:
    """Write the resolved configuration: every setting of the run, including defaults."""
    output:
        config="results/run_config.yaml",
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
        unpack(lambda w: catalogue.tables[w.table].inputs),
    output:
        csv=report(
            "results/tables/table_{table}.csv",
            caption="captions/table.rst",
            category=lambda w: catalogue.tables[w.table].section.heading,
            labels=lambda w: catalogue.tables[w.table].labels,
        ),
        md="results/tables/table_{table}.md",
        tex="results/tables/table_{table}.tex",
        json="results/tables/table_{table}.json",
    log:
        "results/logs/make_table/{table}.log",
    benchmark:
        "results/benchmarks/make_table/{table}.jsonl"
    wildcard_constraints:
        table=one_of(catalogue.tables),
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(10),
        mem_mb=growing(1000),
    params:
        settings=lambda w: catalogue.tables[w.table].params,
    script:
        "../scripts/make_table.py"


rule draw_figure:
    """Draw one figure as PDF and PNG, and write its data as CSV."""
    input:
        unpack(lambda w: catalogue.figures[w.figure].inputs),
    output:
        pdf="results/figures/figure_{figure}.pdf",
        png=report(
            "results/figures/figure_{figure}.png",
            caption="captions/figure.rst",
            category=lambda w: catalogue.figures[w.figure].section.heading,
            labels=lambda w: catalogue.figures[w.figure].labels,
        ),
        csv="results/figures/figure_{figure}.csv",
    log:
        "results/logs/draw_figure/{figure}.log",
    benchmark:
        "results/benchmarks/draw_figure/{figure}.jsonl"
    wildcard_constraints:
        figure=one_of(catalogue.figures),
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(10),
        mem_mb=growing(2000),
    params:
        settings=lambda w: catalogue.figures[w.figure].params,
    script:
        "../scripts/draw_figure.py"


rule collect_lineage:
    """Trace every table and figure back to the user-provided files."""
    input:
        **catalogue.lineage_inputs(),
    output:
        lineage="results/report/lineage.json",
    log:
        "results/logs/collect_lineage.log",
    benchmark:
        "results/benchmarks/collect_lineage.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        settings=catalogue.lineage_params().as_params(),
    script:
        "../scripts/collect_lineage.py"


rule write_crate:
    """Write the description of the run as a Workflow Run RO-Crate with the root `results/`."""
    input:
        **catalogue.crate_inputs(),
    output:
        metadata="results/ro-crate-metadata.json",
        workflow="results/workflow/Snakefile",
    log:
        "results/logs/write_crate.log",
    benchmark:
        "results/benchmarks/write_crate.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(10),
        mem_mb=growing(2000),
    params:
        settings=catalogue.crate_params().as_params(),
    script:
        "../scripts/write_crate.py"


rule write_report:
    """Write the report: one self-contained HTML page with every table and figure."""
    input:
        **catalogue.report_inputs(),
    output:
        page=report(
            "results/report/index.html",
            caption="captions/report.rst",
            category="Report",
            labels={
                "Number": "All",
                "Shows": "The report, with every table and figure",
            },
        ),
    log:
        "results/logs/write_report.log",
    benchmark:
        "results/benchmarks/write_report.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(10),
        mem_mb=growing(2000),
    params:
        settings=catalogue.report_params().as_params(),
    script:
        "../scripts/write_report.py"
