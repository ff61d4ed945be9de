"""Models in the paper's tables, in the paper's order and with the paper's names."""

PAPER_TEACHER = "gpt-3.5-turbo"
"""The paper's teacher; its dated versions (`gpt-3.5-turbo-0125`) are the same model."""
PUBLISHED_TABLE_4 = (
    "T5-large",
    "LaMini-T5-738M",
    "Flan-T5-large",
    "LaMini-Flan-T5-783M",
    "Cerebras-GPT-1.3B",
    "LaMini-Cerebras-1.3B",
    "GPT-2-xl",
    "LaMini-GPT-1.5B",
    "LLaMA-7B",
    "Alpaca-7B",
)
PUBLISHED_FAMILIES = {
    "T5": ("T5-small", "LaMini-T5-61M", "T5-base", "LaMini-T5-223M", "T5-large", "LaMini-T5-738M"),
    "Flan-T5": (
        "Flan-T5-small",
        "LaMini-Flan-T5-77M",
        "Flan-T5-base",
        "LaMini-Flan-T5-248M",
        "Flan-T5-large",
        "LaMini-Flan-T5-783M",
    ),
    "GPT-Neo": ("GPT-Neo-125M", "LaMini-Neo-125M", "GPT-Neo-1.3B", "LaMini-Neo-1.3B"),
    "Cerebras-GPT": tuple(
        f"{start}-{size}"
        for size in ("111M", "256M", "590M", "1.3B")
        for start in ("Cerebras-GPT", "LaMini-Cerebras")
    ),
    "GPT-2": (
        "GPT-2",
        "LaMini-GPT-124M",
        "GPT-2-large",
        "LaMini-GPT-774M",
        "GPT-2-xl",
        "LaMini-GPT-1.5B",
    ),
}
"""Initializations and students of each family, in the order of Tables 9 to 13."""

PUBLISHED_MODELS = (
    *(name for names in PUBLISHED_FAMILIES.values() for name in names),
    "LLaMA-7B",
    "Alpaca-7B",
)
"""All models with scores in the paper's tables."""

PUBLISHED_INITIALIZATIONS = frozenset(
    pair
    for names in PUBLISHED_FAMILIES.values()
    for pair in zip(names[::2], names[1::2], strict=True)
)
"""Pairs (initialization, student) of the paper."""

PAPER = "config/paper"
"""Folder of the published numbers."""
