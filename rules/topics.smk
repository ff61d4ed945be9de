"""Topics (paper section 3.1).

Inputs: the `category` table of a MediaWiki dump, and optionally the tables of hidden categories.
Outputs: results/topics/topics.jsonl, and the funnel of its filters.
"""


rule download_file:
    """Download one of the public files in the setting `downloads`."""
    output:
        file="results/downloads/{download}",
    log:
        "results/logs/download_file/{download}.log",
    benchmark:
        "results/benchmarks/download_file/{download}.jsonl"
    retries: 3
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(1000),
    params:
        settings=lambda w: flow.download_params(w.download).as_params(),
    script:
        "../scripts/download_file.py"


rule select_topics:
    """Select the common topics: categories with short titles, many subcategories and many pages."""
    input:
        dump=rule_inputs([flow.config.topics.dump])[0],
        hidden=rule_inputs(flow.hidden_categories),
    output:
        topics="results/topics/topics.jsonl",
        funnel="results/topics/funnel.json",
    log:
        "results/logs/select_topics.log",
    benchmark:
        "results/benchmarks/select_topics.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        settings=flow.topic_params().as_params(),
    script:
        "../scripts/select_topics.py"
