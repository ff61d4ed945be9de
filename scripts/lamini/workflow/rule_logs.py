"""Log and benchmark file of each rule, named after the rule and its wildcards.

The rules do not declare them, so a job's name, its log and its benchmark file always agree.
"""

import re
from typing import Any

from lamini.paths import BENCHMARKS, LOGS
from lamini.workflow.rule_code import family_of


def name_logs(workflow: Any) -> None:
    """Set log and benchmark file of all rules of the pipeline that do not declare a log.

    Args:
        workflow: Snakemake's workflow with all rules.
    """
    for rule in workflow.rules:
        family = family_of(rule)
        if family is None or rule.log:
            continue
        name = re.sub(f"^{family}_", f"{family}/", rule.name)
        wildcards = dict.fromkeys(re.findall(r"\{([a-z]\w*)", str(rule.output[0])))
        job = "/".join([name, *(f"{{{wildcard}}}" for wildcard in wildcards)])
        rule.log_modifier = rule.benchmark_modifier = rule.output_modifier
        rule.set_log(f"{LOGS}/{job}.log")
        rule.benchmark = f"{BENCHMARKS}/{job}.jsonl"
