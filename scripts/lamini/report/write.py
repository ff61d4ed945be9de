"""Writing the report from the declared tables, figures and summaries.

Every number on the page comes from one of the input files. Images, styles and the little script
that sorts tables are part of the page, which therefore needs no network.
"""

import base64
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import yaml

from lamini.files import atomic_writer, read_json
from lamini.provenance import code_version, package_versions, record_provenance

SECTIONS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "dataset",
        "Dataset",
        (
            "01",
            "02",
            "tokenizers",
            "generation",
            "quality",
            "funnel",
            "near_duplicates",
            "contamination",
            "semantic_diversity",
            "topic_coverage",
        ),
        ("3", "lengths", "verbs"),
    ),
    ("models", "Models", ("03", "training"), ("learning_curves",)),
    (
        "evaluation",
        "Evaluation",
        ("04", "08", "09", "10", "11", "12", "13", "improvement", "acceptance"),
        ("5",),
    ),
    (
        "human",
        "Human evaluation",
        ("05", "06", "07", "rating_shares", "rating_comparisons", "rating_agreement"),
        ("4", "6"),
    ),
)
"""Identifier, heading, tables and figures of each part of the page."""

CAPTIONS = {
    "3": "t-SNE of the sentence embeddings of instructions, two sets a panel.",
    "4": "Ratings of sampled instructions and responses of each subset.",
    "5": "Average score on the downstream tasks against model size.",
    "6": "Ratings of the models' answers to the user-oriented instructions.",
    "learning_curves": "Learning curves of the students.",
    "lengths": "Lengths of instructions and responses in tokens, per source.",
    "verbs": "The 20 most frequent verbs of a sample of instructions, with 4 objects of each.",
}


def write_report(inputs: dict[str, Any], params: dict[str, Any], output: str | Path) -> None:
    """Write the page.

    Args:
        inputs: `tables` (JSON), `figures` (PNG), `config` (YAML), `manifest` (JSON of the
            dataset), `summaries` (JSON of the studies), `topics` (JSON of the funnel, or none).
        params: title, reproduction, names of what took part (see `Products.report_params`).
        output: the HTML file.
    """
    tables = {table["name"]: table for table in map(read_json, _listed(inputs["tables"]))}
    figures = {_name(path): _figure(Path(path)) for path in _listed(inputs["figures"])}
    sections = [
        {
            "id": identifier,
            "heading": heading,
            "tables": [tables[name] for name in names if name in tables],
            "figures": [figures[name] for name in drawn if name in figures],
        }
        for identifier, heading, names, drawn in SECTIONS
    ]
    shown = {name for *_, names, drawn in SECTIONS for name in (*names, *drawn)}
    missing = ({*tables} | {*figures}) - shown
    if missing:
        raise ValueError(f"no section shows {sorted(missing)}")
    page = _template().render(
        params=params,
        sections=sections,
        manifest=read_json(inputs["manifest"]),
        topics=[read_json(path) for path in _listed(inputs["topics"])],
        summaries={
            study: read_json(path)
            for study, path in zip(params["studies"], _listed(inputs["summaries"]), strict=True)
        },
        spent=_spent(tables.get("generation")),
        config=Path(inputs["config"]).read_text(encoding="utf-8"),
        seed=yaml.safe_load(Path(inputs["config"]).read_text(encoding="utf-8"))["seed"],
        code=code_version(),
        packages=package_versions(),
        summary_line=_summary_line,
        style=_text("style.css"),
        script=_text("sort.js"),
    )
    with atomic_writer(output) as handle:
        handle.write(page)
    files = [f for value in inputs.values() for f in _listed(value)]
    record_provenance(output, rule="write_report", settings=params, inputs=files)


def _listed(paths: Any) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths)


def _name(path: str) -> str:
    return Path(path).stem.removeprefix("figure_")


def _figure(path: Path) -> dict[str, str]:
    """A figure with its caption, its image inlined."""
    name = _name(str(path))
    number = f"Figure {name}. " if name.isdigit() else ""
    return {
        "name": name,
        "caption": number + CAPTIONS[name],
        "image": base64.b64encode(path.read_bytes()).decode("ascii"),
    }


def _spent(generation: dict[str, Any] | None) -> dict[str, float] | None:
    """Requests, tokens and dollars of all stages, from the generation table."""
    if generation is None:
        return None
    columns = ("Requests", "Prompt tokens", "Completion tokens", "US$")
    places = [generation["columns"].index(column) for column in columns]
    sums = [sum(row[place]["value"] or 0 for row in generation["rows"]) for place in places]
    return dict(
        zip(("requests", "prompt_tokens", "completion_tokens", "dollars"), sums, strict=True)
    )


def _summary_line(summary: dict[str, Any]) -> str:
    """How many ratings a study has, of how many, and whose."""
    names = {"human": "people", "machine": "a machine"}
    said = [
        f"{count} of {summary['assigned'][rater]} by {names[rater]}"
        for rater, count in summary["rated"].items()
        if count
    ]
    return ", ".join(said) or "no ratings yet"


def _text(name: str) -> str:
    return resources.files("lamini.report").joinpath(name).read_text(encoding="utf-8")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(_text("report.html.jinja"))
