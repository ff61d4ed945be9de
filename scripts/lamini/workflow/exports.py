"""Files and params of the rules that export students and check the exported files."""

from functools import cached_property
from typing import get_args

from lamini import paths
from lamini.settings.exports import CTranslate2Type, ExportType, GgufType
from lamini.settings.params.evaluation import CheckExport, ExportCtranslate2, ExportGguf
from lamini.workflow.params import RuleParams


class ExportParams(RuleParams):
    """Exported files of the students (`exports`), and the params of their rules."""

    @cached_property
    def exported_types(self) -> dict[str, list[ExportType]]:
        """Types of the exported files of each exported student."""
        exports = self.config.exports
        types: dict[str, list[ExportType]] = {
            "decoder-only": [*exports.gguf],
            "encoder-decoder": [*exports.ctranslate2],
        }
        return {model: types[self.config.models[model].architecture] for model in exports.models}

    @cached_property
    def export_checks(self) -> dict[tuple[str, ExportType], str]:
        """Checks of all exported files, by student and type."""
        return {
            (model, kind): paths.EXPORT_CHECK.format(model=model, type=kind)
            for model, kinds in self.exported_types.items()
            for kind in kinds
        }

    def exported_file(self, model: str, kind: str) -> str:
        """The GGUF file of a student, or the manifest of its folder for CTranslate2."""
        pattern = paths.GGUF if kind in get_args(GgufType) else paths.CONVERTED_MANIFEST
        return pattern.format(model=model, type=kind)

    @property
    def exported_batch(self) -> str:
        """Batch of the task on which exported files are scored."""
        task = self.config.exported_task
        return next(name for name, tasks in self.batches.items() if task in tasks)

    def gguf_params(self, model: str, kind: GgufType) -> ExportGguf:
        """Params of rule `export_gguf`."""
        return ExportGguf(
            model=self.evaluated_model_params(model),
            name=self.config.models[model].name,
            type=kind,
            version=self.config.exports.version,
        )

    def ctranslate2_params(self, model: str, kind: CTranslate2Type) -> ExportCtranslate2:
        """Params of rule `export_ctranslate2`."""
        return ExportCtranslate2(
            model=self.evaluated_model_params(model),
            type=kind,
            version=self.config.exports.version,
        )

    def export_check_params(self, model: str, kind: ExportType) -> CheckExport:
        """Params of rule `check_export`."""
        evaluated = self.evaluation_params(model, self.exported_batch)
        task = self.config.exported_task
        return CheckExport(
            **{**dict(evaluated), "tasks": {task: evaluated.tasks[task]}},
            type=kind,
            max_new_tokens=self.config.exports.max_new_tokens,
            version=self.config.exports.version,
        )
