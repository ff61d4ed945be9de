"""The merged dataset (paper section 3.2), or the published dataset.

Inputs: the pairs of all shards, or the released dataset; for a decontaminated mixture also the
contamination hits of its undecontaminated mixture.
Outputs: the dataset as a Parquet file, its manifest and its card. Later rules depend on the
manifest, which Snakemake compares by content, and take the Parquet file as `ancient`.
`export_dataset` makes a folder for the hub and a JSONL file, on request only.
"""

if flow.config.dataset == "generated":

    rule merge_pairs:
        """Merge the pair shards of a mixture's sources into one dataset."""
        input:
            pairs=lambda w: flow.mixture_pairs(w.mixture),
            hits=lambda w: flow.mixture_hits(w.mixture),
        output:
            dataset=paths.DATASET,
            manifest=paths.DATASET_MANIFEST,
            card=paths.DATASET_CARD,
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
            dataset=paths.DATASET,
            manifest=paths.DATASET_MANIFEST,
            card=paths.DATASET_CARD,
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


rule describe_dataset:
    """Write the datasheet and the Croissant metadata of a dataset."""
    input:
        manifest=paths.DATASET_MANIFEST,
        quality=paths.QUALITY,
        near_duplicates=paths.NEAR_DUPLICATE_COUNTS,
        readability=paths.READABILITY,
        personal_data=paths.PERSONAL_DATA,
        contamination=paths.CONTAMINATION,
    output:
        datasheet=paths.DATASHEET,
        metadata=paths.CROISSANT,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(10),
        mem_mb=growing(1000),
    params:
        settings=lambda w: flow.description_params(w.mixture).as_params(),
    script:
        "../scripts/describe_dataset.py"


rule export_dataset:
    """Export a merged dataset as a folder for the hub and as JSONL; not part of `all`."""
    input:
        manifest=paths.DATASET_MANIFEST,
        dataset=ancient(paths.DATASET),
        card=ancient(paths.DATASET_CARD),
    output:
        readme=paths.EXPORT_CARD,
        parquet=paths.EXPORT_PARQUET,
        jsonl=paths.EXPORT_JSONL,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(2000),
    params:
        settings=lambda w: flow.export_params(w.mixture).as_params(),
    script:
        "../scripts/export_dataset.py"
