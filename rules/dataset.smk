"""The merged dataset (paper section 3.2), or the published dataset.

Inputs: results/pairs/{source}/{shard}.jsonl, or the released dataset; for a decontaminated mixture
also results/analysis/{mixture}/contamination.parquet of its undecontaminated mixture.
Outputs: results/dataset/{mixture}.parquet, its manifest and its card. Later rules depend on the
manifest, which Snakemake compares by content, and take the Parquet file as `ancient`.
`snakemake results/export/d_all/README.md` makes a folder for the hub and a JSONL file.
"""

if flow.config.dataset == "generated":

    rule merge_pairs:
        """Merge the pair shards of a mixture's sources into one dataset."""
        input:
            pairs=lambda w: flow.mixture_pairs(w.mixture),
            hits=lambda w: flow.mixture_hits(w.mixture),
        output:
            dataset="results/dataset/{mixture}.parquet",
            manifest="results/dataset/{mixture}.manifest.json",
            card="results/dataset/{mixture}.card.md",
        log:
            "results/logs/merge_pairs/{mixture}.log",
        benchmark:
            "results/benchmarks/merge_pairs/{mixture}.jsonl"
        conda:
            "../envs/data.yaml"
        threads: 2
        resources:
            runtime=growing(60),
            mem_mb=growing(8000),
        params:
            settings=lambda w: flow.mixture_params(w.mixture).as_params(),
        script:
            "../scripts/merge_pairs.py"

else:

    rule import_published:
        """Import the released dataset instead of a generated one."""
        input:
            published=rule_inputs(flow.published_files),
            hits=lambda w: flow.mixture_hits(w.mixture),
        output:
            dataset="results/dataset/{mixture}.parquet",
            manifest="results/dataset/{mixture}.manifest.json",
            card="results/dataset/{mixture}.card.md",
        log:
            "results/logs/import_published/{mixture}.log",
        benchmark:
            "results/benchmarks/import_published/{mixture}.jsonl"
        conda:
            "../envs/data.yaml"
        threads: 2
        resources:
            runtime=growing(120),
            mem_mb=growing(8000),
        params:
            settings=lambda w: flow.mixture_params(w.mixture).as_params(),
        script:
            "../scripts/import_published.py"


rule export_dataset:
    """Export a merged dataset as a folder for the hub and as JSONL; not part of `all`."""
    input:
        manifest="results/dataset/{mixture}.manifest.json",
        dataset=ancient("results/dataset/{mixture}.parquet"),
        card=ancient("results/dataset/{mixture}.card.md"),
    output:
        readme="results/export/{mixture}/README.md",
        parquet="results/export/{mixture}/{mixture}.parquet",
        jsonl="results/export/{mixture}.jsonl",
    log:
        "results/logs/export_dataset/{mixture}.log",
    benchmark:
        "results/benchmarks/export_dataset/{mixture}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(2000),
    params:
        settings=lambda w: flow.export_params(w.mixture).as_params(),
    script:
        "../scripts/export_dataset.py"
