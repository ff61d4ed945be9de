"""The dataset's analysis (paper section 3.3, Tables 1 and 2, Figure 3).

Inputs: the dataset and its manifest. Outputs: CSV and Parquet files of each mixture.
"""


rule measure_dataset:
    """Count samples and tokens, and measure lexical diversity, per source and in total."""
    input:
        manifest=paths.DATASET_MANIFEST,
        dataset=ancient(paths.DATASET),
        tokenizer=flow.tokenizer_input(flow.config.analysis.tokenizer),
    output:
        statistics=paths.STATISTICS,
        diversity=paths.DIVERSITY,
        quality=paths.QUALITY,
        lengths=paths.LENGTHS,
        readability=paths.READABILITY,
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        runtime=growing(120),
        mem_mb=growing(8000),
    params:
        settings=lambda w: flow.analysis_params(w.mixture).as_params(),
    script:
        "../scripts/measure_dataset.py"


rule count_tokens:
    """Count tokens with one of the tokenizers that are compared for Table 1."""
    input:
        manifest=paths.DATASET_MANIFEST,
        dataset=ancient(paths.DATASET),
        tokenizer=lambda w: flow.tokenizer_input(w.tokenizer),
    output:
        counts=paths.TOKEN_COUNTS,
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        runtime=growing(60),
        mem_mb=growing(8000),
    params:
        settings=lambda w: flow.token_count_params(w.mixture, w.tokenizer).as_params(),
    script:
        "../scripts/count_tokens.py"


rule measure_mattr_readings:
    """Measure lexical diversity with each kind of tokens and each way to combine the texts."""
    input:
        manifest=paths.DATASET_MANIFEST,
        dataset=ancient(paths.DATASET),
        tokenizer=flow.tokenizer_input(flow.config.analysis.tokenizer),
    output:
        readings=paths.MATTR_READINGS,
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        runtime=growing(240),
        mem_mb=growing(8000),
    params:
        settings=flow.mattr_reading_params().as_params(),
    script:
        "../scripts/measure_mattr_readings.py"


rule embed_instructions:
    """Compute sentence embeddings of a sample of instructions per set."""
    input:
        manifest=paths.DATASET_MANIFEST,
        dataset=ancient(paths.DATASET),
    output:
        embeddings=paths.EMBEDDINGS,
    conda:
        "../envs/eval.yaml"
    threads: 2
    resources:
        gpu=1,
        runtime=growing(60),
        mem_mb=growing(16000),
    params:
        settings=flow.embedding_params().as_params(),
    script:
        "../scripts/embed_instructions.py"


rule project_embeddings:
    """Project the embeddings with t-SNE, and measure what that keeps, and semantic diversity."""
    input:
        embeddings=paths.EMBEDDINGS,
    output:
        projection=paths.PROJECTION,
        neighbourhoods=paths.NEIGHBOURHOODS,
        diversity=paths.SEMANTIC_DIVERSITY,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(240),
        mem_mb=growing(16000),
    params:
        settings=flow.projection_params().as_params(),
    script:
        "../scripts/project_embeddings.py"


rule find_contamination:
    """Find word n-grams that pairs share with the evaluated examples of the downstream tasks."""
    input:
        manifest=paths.DATASET_MANIFEST,
        dataset=ancient(paths.DATASET),
        data=rule_inputs(flow.evaluated_files),
    output:
        contamination=paths.CONTAMINATION,
        hits=paths.CONTAMINATION_HITS,
        examples=paths.CONTAMINATED_EXAMPLES,
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        runtime=growing(60),
        mem_mb=growing(8000),
    params:
        settings=flow.contamination_params().as_params(),
    script:
        "../scripts/find_contamination.py"


rule find_paraphrases:
    """Find instructions whose embeddings are near those of the downstream tasks' examples."""
    input:
        embeddings=paths.EMBEDDINGS,
        examples=paths.CONTAMINATED_EXAMPLES,
        data=rule_inputs(flow.evaluated_files),
    output:
        paraphrases=paths.PARAPHRASES,
        pairs=paths.PARAPHRASE_PAIRS,
    conda:
        "../envs/eval.yaml"
    threads: 2
    resources:
        runtime=growing(120),
        mem_mb=growing(8000),
    params:
        settings=flow.paraphrase_params().as_params(),
    script:
        "../scripts/find_paraphrases.py"


rule find_near_duplicates:
    """Find near-duplicate instructions with MinHash."""
    input:
        manifest=paths.DATASET_MANIFEST,
        dataset=ancient(paths.DATASET),
    output:
        near_duplicates=paths.NEAR_DUPLICATES,
        counts=paths.NEAR_DUPLICATE_COUNTS,
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        runtime=growing(60),
        mem_mb=growing(12000),
    params:
        settings=flow.duplicate_params().as_params(),
    script:
        "../scripts/find_near_duplicates.py"


rule count_funnel:
    """Count the remaining pairs of each source after each filter of doubtful pairs."""
    input:
        manifest=paths.DATASET_MANIFEST,
        dataset=ancient(paths.DATASET),
        near_duplicates=paths.NEAR_DUPLICATES,
        hits=paths.CONTAMINATION_HITS,
    output:
        funnel=paths.FUNNEL,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(4000),
    params:
        settings=flow.funnel_params().as_params(),
    script:
        "../scripts/count_funnel.py"


rule scan_personal_data:
    """Count personal data by their form, per source and kind."""
    input:
        manifest=paths.DATASET_MANIFEST,
        dataset=ancient(paths.DATASET),
    output:
        personal_data=paths.PERSONAL_DATA,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(2000),
    params:
        settings=flow.personal_data_params().as_params(),
    script:
        "../scripts/scan_personal_data.py"


rule measure_detectors:
    """Measure precision and recall of the detectors on labelled samples."""
    input:
        refusals=ancient(f"{flow.config.analysis.detector_samples}/refusals.jsonl"),
        non_answers=ancient(
            f"{flow.config.analysis.detector_samples}/non_answers.jsonl"
        ),
        unfinished=ancient(f"{flow.config.analysis.detector_samples}/unfinished.jsonl"),
        languages=ancient(f"{flow.config.analysis.detector_samples}/languages.jsonl"),
        verbs=ancient(f"{flow.config.analysis.detector_samples}/verbs.jsonl"),
    output:
        errors=paths.DETECTOR_ERRORS,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(10),
        mem_mb=growing(2000),
    params:
        settings=flow.detector_params().as_params(),
    script:
        "../scripts/measure_detectors.py"


rule count_verbs:
    """Count verbs and their objects in a sample of instructions."""
    input:
        manifest=paths.DATASET_MANIFEST,
        dataset=ancient(paths.DATASET),
    output:
        verbs=paths.VERBS,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(4000),
    params:
        settings=flow.verb_params().as_params(),
    script:
        "../scripts/count_verbs.py"


rule measure_topic_coverage:
    """Count the topics shown in topic-guided prompts, and those named in their instructions."""
    input:
        topics=paths.TOPICS,
        instructions=flow.guided_instructions,
    output:
        coverage=paths.TOPIC_COVERAGE,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        settings=flow.coverage_params().as_params(),
    script:
        "../scripts/measure_topic_coverage.py"
