"""The parts of the report: which tables and figures stand in each, in which order, and why.

`snakemake --report` takes its categories and labels from here, too.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A part of the report."""

    identifier: str
    heading: str
    lead: str
    """One or two sentences on what the part shows."""
    tables: tuple[str, ...]
    figures: tuple[str, ...]


SECTIONS = (
    Section(
        "dataset",
        "Dataset",
        "What the teacher wrote, how it compares with the published data (paper section 3.3), and"
        " what the paper could not show: doubtful pairs, repetitions, and words shared with the"
        " evaluated examples.",
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
    Section(
        "models",
        "Models",
        "The students, what they start from, and how their training went (paper section 4.1).",
        ("03", "training"),
        ("learning_curves",),
    ),
    Section(
        "evaluation",
        "Evaluation",
        "Zero-shot scores on the downstream tasks (paper section 4.2), ours beside the published.",
        (
            "reproduction",
            "reproduced_improvement",
            "scores",
            "04",
            "08",
            "09",
            "10",
            "11",
            "12",
            "13",
            "improvement",
            "acceptance",
        ),
        ("5",),
    ),
    Section(
        "human",
        "Human evaluation",
        "Ratings A to D by the protocol of Appendix C. People's ratings and a machine's are never"
        " mixed.",
        ("07", "05", "06", "rating_shares", "rating_comparisons", "rating_agreement"),
        ("4", "6"),
    ),
    Section(
        "costs",
        "Costs",
        "Hours, memory and dollars of each rule.",
        ("cost",),
        (),
    ),
)

CAPTIONS = {
    "3": "t-SNE of the sentence embeddings of instructions, two sets a panel.",
    "4": "Ratings of sampled instructions and responses of each subset.",
    "5": "Average score on the downstream tasks against model size.",
    "6": "Ratings of the models' answers to the user-oriented instructions.",
    "learning_curves": "Learning curves of the students.",
    "lengths": "Lengths of instructions and responses in tokens, per source.",
    "verbs": "The 20 most frequent verbs of a sample of instructions, with 4 objects of each.",
}
"""Captions of the figures; a table has its own title."""

TITLES = {
    "01": "Statistics of the dataset",
    "02": "Lexical diversity",
    "03": "The collection of students",
    "04": "Scores of the selected models",
    "05": "Where students are rated far above the reference models",
    "06": "Where reference models are rated far above the students",
    "07": "Levels of the human evaluation",
    "08": "The downstream tasks",
    "09": "Scores of the T5 models",
    "10": "Scores of the Flan-T5 models",
    "11": "Scores of the GPT-Neo models",
    "12": "Scores of the Cerebras-GPT models",
    "13": "Scores of the GPT-2 models",
    "tokenizers": "Table 1 with other tokenizers",
    "generation": "What was asked of the teacher",
    "quality": "Flags of the generated text",
    "funnel": "What is left without doubtful pairs",
    "near_duplicates": "Near-duplicate instructions",
    "contamination": "Words shared with evaluated examples",
    "semantic_diversity": "Semantic diversity",
    "topic_coverage": "Topics shown and reached",
    "training": "Losses before and after training",
    "reproduction": "Does the run reproduce the paper?",
    "reproduced_improvement": "Do the improvements match the paper's?",
    "scores": "Scores of all models",
    "improvement": "Students against what they started from",
    "acceptance": "Public models against the authors' scores",
    "rating_shares": "Ratings by level",
    "rating_comparisons": "Models compared by twos",
    "rating_agreement": "Agreement of the ratings",
    "cost": "What the run cost",
}
"""Short titles of the tables, for lists of them; a table's caption says more."""


def number_of(kind: str, name: str) -> str:
    """What a table or figure is called: "Table 4", "Figure 5", or the words of its name.

    Args:
        kind: "table" or "figure".
        name: as in the file name.
    """
    if name.isdigit():
        return f"{kind.capitalize()} {int(name)}"
    return name.replace("_", " ").capitalize()


def section_of(kind: str, name: str) -> str:
    """The heading of the part that shows a table or figure.

    Raises:
        ValueError: when no part does.
    """
    for section in SECTIONS:
        if name in (section.tables if kind == "table" else section.figures):
            return section.heading
    raise ValueError(f"no section of the report shows {kind} {name}")
