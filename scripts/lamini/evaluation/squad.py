"""Token F1 and exact match of short answers, as SQuAD 1.1 defines them.

lm-eval's ReCoRD takes them from a module that transformers 5 no longer has. `provide` puts this one
in its place, under its name and with its two functions, and does nothing where the original exists.
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
    """Lower case, no punctuation, no articles, single spaces."""
    text = answer.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def compute_exact(gold: str, predicted: str) -> int:
    """1 if both are equal after normalisation, else 0."""
    return int(normalize(gold) == normalize(predicted))


def compute_f1(gold: str, predicted: str) -> float:
    """F1 of the normalised words, 0 to 1; two empty answers agree."""
    wanted, given = normalize(gold).split(), normalize(predicted).split()
    if not wanted or not given:
        return float(wanted == given)
    common = (Counter(wanted) & Counter(given)).total()
    return 2 * common / (len(wanted) + len(given))


def provide() -> None:
    """Make the missing module importable."""
    parts = _MISSING.split(".")
    for depth in range(2, len(parts) + 1):
        name = ".".join(parts[:depth])
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            module = ModuleType(name)
            module.__path__ = []
            sys.modules[name] = module
            setattr(sys.modules[".".join(parts[: depth - 1])], parts[depth - 1], module)
    found = sys.modules.get(_MISSING)
    if found is not None and not hasattr(found, "compute_f1"):
        found.compute_exact = compute_exact  # type: ignore[attr-defined]
        found.compute_f1 = compute_f1  # type: ignore[attr-defined]
