"""Text of the model card: base model, prompt format, training, intended use and limits."""

from typing import Any

from lamini.prompt_formats import render_prompt
from lamini.training.job import TrainingJob

_CHAT = """`tokenizer.apply_chat_template(messages, add_generation_prompt=True)` gives its tokens as
in training, for the last message, which must be the user's. Earlier turns and system messages are
left out: the model has seen none."""
_NO_CHAT = """The tokenizer has no chat template: tokenise the prompt as a text, with the tokens
that the tokenizer adds."""


def model_card(job: TrainingJob, facts: dict[str, Any], *, chat_template: bool) -> str:
    """Text of the model folder's `README.md`.

    Args:
        job: settings of the run.
        facts: facts of the run (`export.run_facts`).
        chat_template: whether the tokenizer has a chat template.
    """
    recipe = job.recipe.result_params().items()
    settings = "\n".join(f"| {key} | {value} |" for key, value in recipe if key != "version")
    left_out = sum(facts["pairs_left_out"].values())
    return f"""---
base_model: {job.initialization.path}
library_name: transformers
pipeline_tag: {"text-generation" if _causal(job) else "text2text-generation"}
language: en
license: other
license_name: that-of-the-base-model-and-the-data
---

# {job.name}

{job.initialization.path} fine-tuned on instruction-response pairs as LaMini-LM is
([arXiv 2304.14402](https://arxiv.org/abs/2304.14402), section 4.1).

## Prompt

```
{render_prompt(job.prompt_format, "{instruction}")}
```

{_CHAT if chat_template else _NO_CHAT}

## Training

| | |
|---|---|
| pairs trained on | {facts["pairs_used"]:,} |
| pairs held out | {facts["pairs_held_out"]:,} |
| pairs left out | {left_out:,} (`left_out.jsonl`) |
| optimiser steps | {facts["steps"]:,} |
| of them skipped, as fp16 overflowed | {facts["steps_skipped"]:,} |
| loss of the first and the last step | {facts["loss_first"]} → {facts["loss_last"]} |
| held-out loss before and after | {facts["held_out_before"]} → {facts["held_out_after"]} |
| computed by | `{facts["way"]}`{_refused(facts)} |
| SHA-256 of the dataset | `{facts["dataset_sha256"]}` |

Losses are nats per supervised token: the response and its end token. The curve is in
`metrics.jsonl`.

| setting | value |
|---|---|
{settings}

## Intended use

Research on distilled instruction following: comparing models, data and recipes. It answers single
English instructions in the prompt above; it was not made for conversations of several turns, nor
tuned by human preferences.

## Limits

It states falsehoods with confidence, repeats biases of its teacher's answers and of its base
model's pretraining, and has no filter for harmful requests. Small models follow long or many-step
instructions badly. Not for decisions about people, nor for advice on health, law or money.

## Licence

The licences of the base model and of the data apply; terms of the teacher's vendor may restrict
what models trained on its answers are used for.
"""


def _refused(facts: dict[str, Any]) -> str:
    """Reasons why faster ways of computation were refused."""
    reasons = facts.get("refused_ways", {}).items()
    return "".join(f"; not by `{way}`, which {reason}" for way, reason in reasons)


def _causal(job: TrainingJob) -> bool:
    return job.architecture == "decoder-only"
