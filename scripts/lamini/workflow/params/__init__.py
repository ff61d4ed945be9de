"""Builds the params of each rule (`lamini.settings.params`) from the configuration, by stage."""

from lamini.workflow.params.analysis import AnalysisParams
from lamini.workflow.params.dataset import DatasetParams
from lamini.workflow.params.evaluation import EvaluationParams
from lamini.workflow.params.human_evaluation import HumanEvaluationParams


class RuleParams(DatasetParams, AnalysisParams, EvaluationParams, HumanEvaluationParams):
    """Params of all rules, one method per rule."""
