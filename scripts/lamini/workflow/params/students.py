"""Params of the rules that build and train models, and fit sweeps."""

import json
from dataclasses import asdict

from lamini.settings.params.students import (
    BuildModel,
    ChatTemplate,
    FitSweep,
    SweepPoint,
    TokenizePairs,
    TrainModel,
    TrainTokenizer,
)
from lamini.settings.students import Chat
from lamini.workflow.inputs import Inputs, weights_of
from lamini.workflow.template_text import template_text
from lamini.workflow.weights import user_weights_digest


class StudentParams(Inputs):
    """One method per rule."""

    def tokenizer_params(self, tokenizer: str) -> TrainTokenizer:
        """Params of rule `train_tokenizer`."""
        definition = self.config.tokenizers[tokenizer]
        assert definition.train is not None
        return TrainTokenizer(train=definition.train, pad_token=definition.pad_token)

    def build_params(self, model: str) -> BuildModel:
        """Params of rule `build_model`."""
        definition = self.config.models[model]
        build = weights_of(definition.weights).build
        assert build is not None
        random = build.kind == "random"
        return BuildModel(
            architecture=definition.architecture,
            build=build,
            tokenizer=self.tokenizer_location(definition.tokenizer) if random else None,
            digest=user_weights_digest(build.path) if build.path else None,
            seed=self.config.seed,
        )

    def chat_template(self, tokenizer: str) -> ChatTemplate | None:
        """Chat template of a tokenizer; None for other prompt formats.

        Raises:
            SettingsError: if its file is missing.
        """
        definition = self.config.tokenizers[tokenizer]
        if definition.prompt_format != "chat":
            return None
        chat = definition.chat or Chat()
        template = None
        if chat.template is not None:
            template = template_text(chat.template, f"tokenizers.{tokenizer}.chat.template")
        return ChatTemplate(template=template, system=chat.system, options=chat.options)

    def tokenized_params(self, tokenizer: str, mixture: str) -> TokenizePairs:
        """Params of rule `tokenize_pairs`."""
        definition = self.config.tokenizers[tokenizer]
        thinking = self.config.mixtures[mixture].thinking
        return TokenizePairs(
            tokenizer=self.tokenizer_location(tokenizer),
            prompt_format=definition.prompt_format,
            chat=self.chat_template(tokenizer),
            pad_token=definition.pad_token,
            thinking=None if thinking == "strip" else thinking,
        )

    def training_params(self, model: str) -> TrainModel:
        """Params of rule `train_model`."""
        definition = self.config.models[model]
        assert definition.initialization is not None
        tokenizer = self.config.tokenizers[definition.tokenizer]
        return TrainModel(
            model=model,
            architecture=definition.architecture,
            initialization=self.model_location(definition.initialization),
            tokenizer=self.tokenizer_location(definition.tokenizer),
            prompt_format=tokenizer.prompt_format,
            chat=self.chat_template(definition.tokenizer),
            pad_token=tokenizer.pad_token,
            recipe=self.config.recipe(model),
        )

    def training_json(self, model: str) -> str:
        """`training_params` as one command-line argument."""
        return json.dumps(self.training_params(model).as_params(), ensure_ascii=False)

    def training_speed_json(self, model: str) -> str:
        """The recipe's `speed_params` as one command-line argument."""
        return json.dumps(self.config.recipe(model).speed_params())

    def sweep_params(self, sweep: str) -> FitSweep:
        """Params of rule `fit_sweep`."""
        points = [asdict(point) for point in self.config.points(sweep)]
        return FitSweep(
            points=[SweepPoint(**{"model": p.pop("key"), **p}) for p in points],
            tasks=self.sweep_tasks(sweep),
            version=self.config.sweeps[sweep].version,
        )
