"""Size and time of each student's training, for time limits and `make plan`."""

import functools
from pathlib import Path

from lamini.errors import LaminiError
from lamini.paths import RESULTS, STUDENT, TOKENIZED, within
from lamini.plan.tokens import estimated_tokens, published_lengths
from lamini.prompt_formats import render_prompt
from lamini.settings.students import Chat, Recipe
from lamini.status.training import saved_step
from lamini.training.estimate import StepTime, TrainingWork, settings_key
from lamini.training.gpus import GPUS
from lamini.workflow.exports import ExportParams

_CHAT_TOKENS = 20
"""Estimated tokens that a chat template adds to a prompt."""


class TrainingTime(ExportParams):
    """Size and time of trainings. Files of the run, if there are any, replace estimates."""

    def training_work(self, model: str, results: Path = RESULTS) -> TrainingWork:
        """Size of a student's training.

        Args:
            model: the student.
            results: folder of results; its token caches replace estimates.
        """
        import numpy as np

        from lamini.training.pairs import StepPlan  # imports numpy; the Snakefile must start fast

        definition, recipe = self.config.models[model], self.config.recipe(model)
        counted = _counted(within(results, self.tokenized(model, TOKENIZED)), recipe)
        pairs, prompt, response = counted or self._estimated(model, recipe)
        if recipe.samples is not None:  # of each source the same share, so about that of the tokens
            pairs = max(round(recipe.samples * pairs), 1)
            prompt, response = recipe.samples * prompt, recipe.samples * response
        return TrainingWork(
            architecture=definition.architecture,
            parameters=definition.parameters,
            recipe=recipe,
            pairs=pairs,
            steps=StepPlan(np.arange(pairs), recipe).steps,
            tokens=recipe.epochs * (prompt + response),
            basis="token cache" if counted else "estimated",
        )

    def step_time(self, model: str, results: Path = RESULTS) -> StepTime | None:
        """Time of a step that an attempt of the training measured; None before the first one."""
        work = within(results, STUDENT, model=model) / "work"
        return StepTime.read(work, settings_key(self.training_params(model)))

    def training_hours(self, model: str, gpus: int, results: Path = RESULTS) -> float:
        """Hours until a training is finished, on the GPUs of `site.gpu_model`.

        With a measured step time, they are the hours of the steps after the newest checkpoint.
        """
        work, measured = self.training_work(model, results), self.step_time(model, results)
        if measured is None:
            return work.gpu_hours(GPUS[self.config.site.gpu_model], gpus) / gpus
        done = saved_step(results, model)
        return measured.gpu_hours(max(work.steps - done, 0)) / gpus

    def _estimated(self, model: str, recipe: Recipe) -> tuple[int, float, float]:
        """Same values as `_counted`, from the sizes of the sources and the lengths in Table 1."""
        definition, lengths = self.config.models[model], published_lengths()
        tokenizer = self.config.tokenizers[definition.tokenizer]
        sources = self.config.mixtures[definition.mixture].sources
        sample_counts = {source: self.source(source).samples for source in sources}
        turns = dict.fromkeys(sources, 1) | self.config.turns(definition.mixture)
        conversations = sum(sample_counts.values())
        # A pair for each answer.
        count = sum(n * turns[source] for source, n in sample_counts.items())
        ends = definition.architecture == "encoder-decoder"  # its prompts have an end token too
        if tokenizer.prompt_format == "chat":  # role markers, and the system message
            fixed = _CHAT_TOKENS + estimated_tokens((tokenizer.chat or Chat()).system or "")
        else:
            fixed = estimated_tokens(render_prompt(tokenizer.prompt_format, "")) + ends
        prompt = response = 0.0
        for source, n in sample_counts.items():
            mean, answers = lengths.get(source, lengths[""]), turns[source]
            before = answers * (answers - 1) // 2  # earlier turns are in the later prompts
            response += n * answers * mean.response
            prompt += n * ((answers + before) * mean.instruction + before * mean.response)
        trained = max(conversations - recipe.held_out_pairs, 1)
        share = trained / conversations
        return (
            round(share * count),
            share * (prompt + count * fixed),
            share * (response + count),
        )


def _counted(folder: Path, recipe: Recipe) -> tuple[int, float, float] | None:
    """Numbers of training pairs, prompt and response tokens of a recipe, from a token cache.

    Of all pairs, also if the recipe takes a share of them: all shares use one count. None if there
    is no token cache, or none that the recipe can train on.
    """
    from lamini.students.token_cache import MANIFEST

    manifest = folder / MANIFEST
    common = {"samples": None, "seed": recipe.seed, "held_out_seed": None}
    if recipe.held_out_seed is not None:
        common["seed"] = recipe.held_out_seed
    try:
        return _count(folder, recipe.model_copy(update=common), manifest.stat().st_mtime_ns)
    except (OSError, LaminiError):  # the training itself reports a wrong cache
        return None


@functools.lru_cache(maxsize=32)
def _count(folder: Path, recipe: Recipe, written: int) -> tuple[int, float, float]:
    from lamini.students.token_cache import TokenCache
    from lamini.training.pairs import select_pairs

    cache = TokenCache(folder)
    training = select_pairs(cache, recipe).training
    prompt, response = cache.prompt_lengths[training], cache.response_lengths[training]
    return len(training), float(prompt.sum()), float(response.sum())
