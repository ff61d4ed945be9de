"""Tables, figures and the report.

Inputs: every artifact with numbers. Outputs: tables, figures, the HTML page, the lineage, the
RO-Crate and the resolved configuration. Captions of `snakemake --report` are in captions/.
"""


localrules:
    write_run_config,


rule write_run_config:
    """Write the resolved configuration: every setting of the run, including defaults."""
    output:
        config=paths.RUN_CONFIG,
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
            f"{paths.TABLE}.csv",
            caption="captions/table.rst",
            category=lambda w: catalogue.tables[w.table].section.heading,
            labels=lambda w: catalogue.tables[w.table].labels,
        ),
        md=f"{paths.TABLE}.md",
        tex=f"{paths.TABLE}.tex",
        json=f"{paths.TABLE}.json",
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
        pdf=f"{paths.FIGURE}.pdf",
        png=report(
            f"{paths.FIGURE}.png",
            caption="captions/figure.rst",
            category=lambda w: catalogue.figures[w.figure].section.heading,
            labels=lambda w: catalogue.figures[w.figure].labels,
        ),
        csv=f"{paths.FIGURE}.csv",
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
        lineage=paths.LINEAGE,
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
    """Write the description of the run as a Workflow Run RO-Crate; its root is the results folder."""
    input:
        **catalogue.crate_inputs(),
    output:
        metadata=paths.CRATE,
        workflow=paths.CRATE_WORKFLOW,
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
    """Write the report: an HTML page with every table and figure, and one with all answers."""
    input:
        **catalogue.report_inputs(),
    output:
        page=report(
            paths.REPORT,
            caption="captions/report.rst",
            category="Report",
            labels={
                "Number": "All",
                "Shows": "The report, with every table and figure",
            },
        ),
        answers_page=paths.ANSWERS_PAGE,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(10),
        mem_mb=growing(2000),
    params:
        settings=catalogue.report_params().as_params(),
    script:
        "../scripts/write_report.py"
