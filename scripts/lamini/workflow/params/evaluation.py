"""Params of the rules that evaluate models and generate their answers."""

from lamini.settings.params.evaluation import (
    EvaluatedModel,
    EvaluateModel,
    GenerateAnswers,
    MirrorTaskData,
)
from lamini.user_files import user_files_digest
from lamini.workflow.params.students import StudentParams


class EvaluationParams(StudentParams):
    """One method per rule."""

    def evaluated_model_params(self, model: str) -> EvaluatedModel:
        """Location, architecture and prompt format of a model, for evaluation and answers."""
        definition = self.config.models[model]
        tokenizer = self.config.tokenizers[definition.tokenizer]
        wrapped = self.config.is_wrapped(model)
        return EvaluatedModel(
            model=model,
            architecture=definition.architecture,
            prompt_format=tokenizer.prompt_format if wrapped else None,
            chat=self.chat_template(definition.tokenizer) if wrapped else None,
            **dict(self.model_location(model)),
        )

    def mirror_params(self, path: str) -> MirrorTaskData:
        """Params of rule `mirror_task_data`."""
        return MirrorTaskData(**dict(self.task_data[path]))

    def evaluation_params(self, model: str, batch: str) -> EvaluateModel:
        """Params of rule `evaluate_{batch}`."""
        own = {
            "protocol": self.config.protocol(model),
            "precision": self.config.evaluation_precision(model),
        }
        return EvaluateModel(
            model=self.evaluated_model_params(model),
            tasks={task: self.config.tasks[task] for task in self.batches[batch]},
            evaluation=self.config.evaluation.model_copy(update=own),
            files=user_files_digest([*self.task_files(batch), *self.definition_files(batch)]),
        )

    def answer_params(self, model: str) -> GenerateAnswers:
        """Params of rule `generate_answers`."""
        return GenerateAnswers(
            model=self.evaluated_model_params(model),
            answers=self.config.answers,
            files=user_files_digest([self.config.answers.instructions]),
            seed=self.config.seed,
        )

    def study_answer_params(self, study: str, model: str) -> GenerateAnswers:
        """Params of rule `answer_questions`."""
        questions = self.study(study).questions
        assert questions is not None
        return GenerateAnswers(
            model=self.evaluated_model_params(model),
            answers=self.config.answers.model_copy(update={"instructions": questions}),
            files=user_files_digest([questions]),
            seed=self.config.seed,
        )
