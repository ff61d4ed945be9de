"""Settings of exports: students as files for llama.cpp and CTranslate2."""

from typing import Annotated, Literal

from pydantic import Field

from lamini.settings.base import Name, Settings, Version

GgufType = Literal["f16", "q8_0", "q4_k_m"]
CTranslate2Type = Literal["float32", "float16", "int8"]
ExportType = GgufType | CTranslate2Type


class Exports(Settings):
    """Students as files for other programs: GGUF for llama.cpp (decoder-only), and folders for
    CTranslate2 (encoder-decoder). Each is checked against its checkpoint."""

    models: list[Name] = []
    """Students to export; empty: none."""
    gguf: list[GgufType] = ["f16", "q8_0", "q4_k_m"]
    """Types of the GGUF files of each decoder-only student, the largest first."""
    ctranslate2: list[CTranslate2Type] = ["float32", "int8"]
    """Types of the folders of each encoder-decoder student. A CPU computes `float16` in fp32."""
    task: Name | None = None
    """Task whose score is compared, with a metric of accuracy; null: the first such task of
    `evaluated_tasks`."""
    max_new_tokens: Annotated[int, Field(gt=0)] = 128
    """Greedy tokens that are compared per user-oriented instruction (`answers.instructions`)."""
    version: Version = 1
