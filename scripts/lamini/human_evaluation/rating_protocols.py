"""The rating protocols, as shown to people and sent to the judge: levels, criteria and examples.

The paper uses self-instruct's rating protocol of four levels, with one example per level
(Appendix C, Table 7). `PAPER` quotes it; `OWN` has the same levels in this project's words, with
house rules.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamini.settings.human_evaluation import RatingProtocol

LEVELS = ("A", "B", "C", "D")


@dataclass(frozen=True, slots=True)
class Level:
    """One of the four levels, with an example answer of this level."""

    name: str
    gist: str
    """Two words for narrow screens; the same in both rating protocols."""
    criterion: str
    example: str
    """Answer to the rating protocol's `example_instruction`."""
    why: str


@dataclass(frozen=True, slots=True)
class RatingProtocolText:
    """The four levels in one wording."""

    version: str
    """Recorded in rating files, for example "paper/1"; changes with any text."""
    levels: tuple[Level, ...]
    example_instruction: str
    rules: tuple[str, ...]
    source: str
    """Origin of the text."""

    def text(self) -> str:
        """The four levels with their examples, as plain text."""
        lines = [f"{level.name}: {level.criterion}" for level in self.levels]
        lines += ["", f"Examples, for the instruction: {self.example_instruction}"]
        lines += [f"Response: {level.example}\nRating: {level.name}" for level in self.levels]
        return "\n".join(lines)


OWN = RatingProtocolText(
    version="own/1",
    levels=(
        Level(
            "A",
            "satisfying",
            "Valid and satisfying: correct, as good as a person's; the format may differ.",
            "Take shorter showers, repair dripping taps, and run the washing machine only when it"
            " is full.",
            "Three ways, all true and useful.",
        ),
        Level(
            "B",
            "minor errors",
            "Acceptable, with minor errors: something off topic, a small mistake, a part missing.",
            "Take shorter showers and repair dripping taps. Water is also important for health.",
            "Both ways are good, but the third is missing, and the last sentence is beside the"
            " point.",
        ),
        Level(
            "C",
            "significant errors",
            "Relevant to the instruction, but with significant errors in content.",
            "You can save water by filling the bath twice, by drinking less, and by leaving the tap"
            " open so that it does not wear out.",
            "It tries to answer, but nothing in it saves water sensibly.",
        ),
        Level(
            "D",
            "invalid",
            "Invalid or unacceptable.",
            "Name three ways to save water at home.",
            "It only repeats the instruction.",
        ),
    ),
    example_instruction="Name three ways to save water at home.",
    rules=(
        "Rate each text by itself, for what it says. Its length and its format matter only where"
        " the instruction asks for them.",
        "Look facts up where you are not sure. An invented fact is an error.",
        "An empty text is a D. A text that stops in the middle is rated for what is there.",
        "An instruction is rated for whether a person could ask it and know what is wanted.",
    ),
    source="",
)

# Quoted from Table 7, with "Minor" where "Mirror errors" is printed.
PAPER = RatingProtocolText(
    version="paper/1",
    levels=(
        Level(
            "A",
            "satisfying",
            "Valid, acceptable and satisfying (subject to the annotator) response; accurate in"
            " terms of facts, yet comparable to human standards; the response meets the required"
            " criteria, but it may not be in the expected format.",
            "Pros of implementing a remote working policy include improved productivity, reduced"
            " commuting time to work remotely, access to healthcare services for patients with"
            " chronic illnesses or injuries from their employment activities, potential cost"
            " savings by avoiding long commutes between workers instead of relying solely on"
            " trains, and better employee job security since individuals are constantly recharging"
            " into each other's networks. However, it may still face challenges in terms of"
            " accessibility due to restrictions imposed upon those living within certain walking"
            " distance limits and areas without reliable transportation infrastructure such as high"
            " density housing units or public transit systems.",
            "",
        ),
        Level(
            "B",
            "minor errors",
            "The response is acceptable but has minor errors that can be improved. Minor errors"
            " include out-of-context content, minimal factual errors, partially responding to the"
            " instruction, etc.",
            "Pros - 1) Increased flexibility in work schedule, allowing for better job satisfaction"
            " with fewer commuting obligations 2) Improved workplace culture by offering"
            " opportunities to connect from another location or country leading off site; this can"
            " lead to more diverse employees 3) Reduced turnover rate as companies save costs"
            " associated with office space expenses and maintain separate offices which may attract"
            " new talent looking for quality Workforces due to remote working",
            "",
        ),
        Level(
            "C",
            "significant errors",
            "The response is relevant and responds to the instruction, but it has significant"
            " errors in the content.",
            "Effective Remote Working Policy A Remote Working Policy could significantly reduce the"
            " level of work done as a result of a saht process, including remotely working, or a"
            " project being carried out on the client computer without the physical workplace"
            " equipment being available.",
            "",
        ),
        Level(
            "D",
            "invalid",
            "Invalid and unacceptable response.",
            "Implementing a Remote Working Policy",
            "",
        ),
    ),
    example_instruction="Make a list of the pros and cons of the given decision: “Implementing a"
    " Remote Working Policy”.",
    rules=(),
    source="Text of Appendix C, Table 7, of LaMini-LM (arXiv 2304.14402).",
)

RATING_PROTOCOLS: "dict[RatingProtocol, RatingProtocolText]" = {"paper": PAPER, "own": OWN}

SKIP_REASONS = (
    "I do not know the language",
    "I lack the knowledge to judge it",
    "I do not want to read this text",
    "another reason (see the comment)",
)
"""Reasons for which a person may leave a text without a rating."""

QUESTIONS = {
    "instruction": "How good is this instruction?",
    "response": "How good is this response to the instruction?",
}
"""Question to the rater for each part of an item."""
