"""Token F1 and exact match of short answers, as defined by SQuAD 1.1.

lm-eval's ReCoRD imports these functions from a module that transformers 5 has removed. `provide`
registers this module's functions under the removed name, and does nothing if the original exists.
"""

import importlib.util
import re
import string
import sys
from collections import Counter
from types import ModuleType

_MISSING = "transformers.data.metrics.squad_metrics"
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(answer: str) -> str:
    """Convert to lower case; remove punctuation, articles and repeated spaces."""
    text = answer.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def compute_exact(gold: str, predicted: str) -> int:
    """1 if both answers are equal after normalization, else 0."""
    return int(normalize(gold) == normalize(predicted))


def compute_f1(gold: str, predicted: str) -> float:
    """F1 of the normalized words, 0 to 1; 1 if both answers are empty."""
    gold_words, predicted_words = normalize(gold).split(), normalize(predicted).split()
    if not gold_words or not predicted_words:
        return float(gold_words == predicted_words)
    common = (Counter(gold_words) & Counter(predicted_words)).total()
    return 2 * common / (len(gold_words) + len(predicted_words))


def provide() -> None:
    """Register the removed module, so that it can be imported."""
    parts = _MISSING.split(".")
    for depth in range(2, len(parts) + 1):
        name = ".".join(parts[:depth])
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            module = ModuleType(name)
            module.__path__ = []
            sys.modules[name] = module
            setattr(sys.modules[".".join(parts[: depth - 1])], parts[depth - 1], module)
    metrics = sys.modules.get(_MISSING)
    if metrics is not None and not hasattr(metrics, "compute_f1"):
        metrics.compute_exact = compute_exact  # type: ignore[attr-defined]
        metrics.compute_f1 = compute_f1  # type: ignore[attr-defined]
