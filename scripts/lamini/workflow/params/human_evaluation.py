"""Params of the rules of the human evaluation."""

from lamini.human_evaluation.assignment import annotator_names
from lamini.settings.params.human_evaluation import (
    CollectRatings,
    JudgeItems,
    MakeRatingSheets,
    SelectItems,
)
from lamini.user_files import user_files_digest
from lamini.workflow.inputs import Inputs


class HumanEvaluationParams(Inputs):
    """One method per rule."""

    def study_params(self, study: str) -> SelectItems:
        """Params of rule `select_items`."""
        definition = self.study(study)
        set_here = {"study", "mixture", "files", "seed"}
        shared = SelectItems.model_fields.keys() - set_here
        return SelectItems(
            study=study,
            mixture=self.study_mixture(study),
            files=user_files_digest([definition.exclude]) if definition.exclude else None,
            seed=self.config.seed,
            **definition.model_dump(include=set(shared)),
        )

    def sheet_params(self, study: str) -> MakeRatingSheets:
        """Params of rule `make_rating_sheets_{study}`."""
        definition = self.study(study)
        return MakeRatingSheets(
            study=study,
            kind=definition.kind,
            protocol=self.config.rating_protocol,
            version=definition.version,
        )

    def judge_params(self, study: str) -> JudgeItems:
        """Params of rule `judge_items`."""
        judge = self.study(study).judge
        assert judge is not None
        return JudgeItems(
            study=study,
            model=self.teacher_of("human_eval", study).model,
            judge=judge,
            protocol=self.config.rating_protocol,
            seed_requests=self.config.teacher.seed_requests,
            seed=self.config.seed,
        )

    def rating_params(self, study: str) -> CollectRatings:
        """Params of rule `collect_ratings`."""
        definition = self.study(study)
        return CollectRatings(
            study=study,
            kind=definition.kind,
            annotators=annotator_names(definition.annotators),
            replicates=definition.replicates,
            files=user_files_digest(self.rating_files(study)),
            seed=self.config.seed,
            version=definition.version,
        )
