"""The rating protocol of Appendix C in our wording, as shown to people and sent to the judge.

The paper uses self-instruct's protocol of four levels, with one example per level (Table 7). The
wording and the examples here are this project's own.
"""

from dataclasses import dataclass

LEVELS = ("A", "B", "C", "D")


@dataclass(frozen=True, slots=True)
class Level:
    """One of the four levels, with an example answer of this level."""

    name: str
    criterion: str
    example: str
    """Answer to `EXAMPLE_INSTRUCTION`."""
    why: str


EXAMPLE_INSTRUCTION = "Name three ways to save water at home."

PROTOCOL = (
    Level(
        "A",
        "Valid and satisfying: correct, as good as a person's; the format may differ.",
        "Take shorter showers, repair dripping taps, and run the washing machine only when it is"
        " full.",
        "Three ways, all true and useful.",
    ),
    Level(
        "B",
        "Acceptable, with minor errors: something off topic, a small mistake, a part missing.",
        "Take shorter showers and repair dripping taps. Water is also important for health.",
        "Both ways are good, but the third is missing, and the last sentence is beside the point.",
    ),
    Level(
        "C",
        "Relevant to the instruction, but with significant errors in content.",
        "You can save water by filling the bath twice, by drinking less, and by leaving the tap"
        " open so that it does not wear out.",
        "It tries to answer, but nothing in it saves water sensibly.",
    ),
    Level(
        "D",
        "Invalid or unacceptable.",
        "Name three ways to save water at home.",
        "It only repeats the instruction.",
    ),
)

RULES = (
    "Rate each text by itself, for what it says. Its length and its format matter only where the"
    " instruction asks for them.",
    "Look facts up where you are not sure. An invented fact is an error.",
    "An empty text is a D. A text that stops in the middle is rated for what is there.",
    "An instruction is rated for whether a person could ask it and know what is wanted.",
)

QUESTIONS = {
    "instruction": "How good is this instruction?",
    "response": "How good is this response to the instruction?",
}
"""Question to the rater for each part of an item."""


def levels_text() -> str:
    """The four levels with their examples, as plain text."""
    lines = [f"{level.name}: {level.criterion}" for level in PROTOCOL]
    lines += ["", f"Examples, for the instruction: {EXAMPLE_INSTRUCTION}"]
    lines += [f"Response: {level.example}\nRating: {level.name}" for level in PROTOCOL]
    return "\n".join(lines)
