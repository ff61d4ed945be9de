"""Topics (paper section 3.1).

Inputs: the `category` table of a MediaWiki dump, and optionally the tables of hidden categories.
Outputs: the topics, and the funnel of the filters.
"""


rule download_file:
    """Download one of the public files in the setting `downloads`."""
    output:
        file=paths.DOWNLOAD,
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
        topics=paths.TOPICS,
        funnel=paths.TOPIC_FUNNEL,
    conda:
        "../envs/data.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        settings=flow.topic_params().as_params(),
    script:
        "../scripts/select_topics.py"
