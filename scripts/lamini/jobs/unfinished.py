"""Key of a job's unfinished work: checkpoints, finished tasks and answers in `work/`.

A later job resumes only from work with its own key. The key covers all that the result depends on:
the params, the inputs, and the code that the rule's results count as made with. After an edit of
code, the user either recomputes the results, and the work of the old code is not resumed, or
accepts the edit (`make accept-code`), and it is.
"""

from typing import Any

from lamini.files import read_json, stable_hash
from lamini.paths import CODE_FILE


def work_key(rule: str, *parts: Any) -> str:
    """Key of the unfinished work of a job.

    Args:
        rule: name of the rule's family, such as `evaluate_model` for `evaluate_{batch}`.
        parts: params and digests of inputs.
    """
    return stable_hash(*parts, counted_code(rule))


def counted_code(rule: str) -> str | None:
    """Digest of the code that a rule's results count as made with.

    The Snakefile writes it before the first job (`lamini.workflow.rule_code`). None: there is no
    such digest, because the job was started by hand, or by version 0.1.0 of the pipeline.
    """
    if not CODE_FILE.is_file():
        return None
    code: str | None = read_json(CODE_FILE).get(rule, {}).get("code")
    return code
