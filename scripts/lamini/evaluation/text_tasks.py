"""lm-eval's tasks with generated answers (`generate_until`), run in our batches.

Prompts are tokenized as in training, and truncated inside their prompt format. Stop texts, token
limits and defaults have the same meaning as in lm-eval.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from lm_eval.models.utils import (
    handle_stop_sequences,
    normalize_gen_kwargs,
    postprocess_generated_text,
)

from lamini.errors import LaminiError
from lamini.evaluation.decoding import Decoding
from lamini.evaluation.generation import Generator
from lamini.evaluation.wrapper import Prompt, fit_prompts
from lamini.files import derive_seed
from lamini.log import Progress

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from lamini.evaluation.harness import LaminiLM
    from lamini.evaluation.requests import RequestEncoder


def generate_until(language_model: "LaminiLM", requests: "Sequence[Instance]") -> list[str]:
    """Generate a text after the context of each request, in the prompt format.

    Args:
        language_model: a loaded model.
        requests: requests with a context and the task's `generation_kwargs`.

    Returns:
        Texts up to the first stop text, in the order of the requests.

    Raises:
        LaminiError: names the task whose settings the model does not support.
    """
    encoder, tokenizer = language_model.encoder, language_model.tokenizer
    generator = Generator(
        language_model.name, language_model.model, tokenizer, language_model.tokens_per_batch
    )
    groups: dict[bytes, list[int]] = {}
    for number, request in enumerate(requests):
        settings = orjson.dumps(request.args[1], option=orjson.OPT_SORT_KEYS)
        groups.setdefault(settings, []).append(number)
    texts = [""] * len(requests)
    with Progress(len(requests), "texts") as progress:
        for group in groups.values():
            task = requests[group[0]].task_name
            contexts = [encoder.texts(requests[number].args[0], "")[0] for number in group]
            decoding = _decoding(requests[group[0]].args[1], language_model.max_gen_toks, task)
            prompts = _prompts(generator, encoder, contexts, decoding, task)
            encoder.truncated += sum(prompt.dropped > 0 for prompt in prompts)
            seeds = [derive_seed("generate_until", task, number) for number in group]
            stop = handle_stop_sequences([*decoding.stop], eos=tokenizer.eos_token)
            for batch in generator.generate(prompts, seeds, decoding):
                for index, generated in batch.items():
                    text = tokenizer.decode(generated.tokens, skip_special_tokens=True)
                    texts[group[index]] = postprocess_generated_text(text, stop, None)
                progress.advance(len(batch))
            language_model.scorer.choice = generator.choice
    return texts


def _decoding(settings: Mapping[str, object], default_tokens: int, task: str | None) -> Decoding:
    """Decoding settings from a task's `generation_kwargs`, interpreted as in lm-eval."""
    others: dict[str, Any] = {**normalize_gen_kwargs({**settings}, default_tokens)}
    sampled, temperature = others.pop("do_sample"), others.pop("temperature", 0.0)
    decoding = Decoding(
        max_new_tokens=others.pop("max_gen_toks"),
        temperature=temperature if sampled else 0.0,
        top_k=others.pop("top_k", 0),
        top_p=others.pop("top_p", 1.0),
        stop=tuple(text for text in others.pop("until") if text),
        others=others,
    )
    if decoding.temperature > 0 and others.get("num_beams", 1) > 1:
        raise LaminiError(
            f"tasks.{task}: it samples with {others['num_beams']} beams, which is not"
            " supported; leave the task out"
        )
    return decoding


def _prompts(
    generator: Generator,
    encoder: "RequestEncoder",
    contexts: list[str],
    decoding: Decoding,
    task: str | None,
) -> list[Prompt]:
    """Prompts, truncated to the limits of both the model and the protocol."""
    new = decoding.max_new_tokens if encoder.architecture == "decoder-only" else 0
    try:
        positions = generator.room(decoding.max_new_tokens)
        room = min(encoder.max_tokens - new, positions or encoder.max_tokens)
        return fit_prompts(encoder.tokenizer, contexts, encoder.prompt_format, room)
    except LaminiError as error:
        raise LaminiError(f"tasks.{task}: {error}") from None
