"""Model types that can be exported; read before the first job, so nothing heavy is imported."""

GGUF_TYPES = ("gpt2", "llama", "qwen2", "qwen3")
"""transformers' model types that become GGUF files, under the same names. Cerebras-GPT is of type
`gpt2`; SmolLM2 and Llama are of type `llama`."""
CTRANSLATE2_TYPES = ("t5",)
"""transformers' model types that become folders of CTranslate2. Flan-T5 and LaMini-T5 are of type
`t5`."""


def refusal(model_type: str, architecture: str) -> str | None:
    """Reason why a type of models can't be exported; None if it can.

    Args:
        model_type: `model_type` of the model's configuration.
        architecture: `encoder-decoder` or `decoder-only`.
    """
    causal = architecture == "decoder-only"
    known = GGUF_TYPES if causal else CTRANSLATE2_TYPES
    if model_type in known:
        return None
    if model_type == "gpt_neo":
        return "llama.cpp does not know GPT-Neo"
    program = "GGUF files" if causal else "CTranslate2"
    return f"models of type {model_type} can't be exported to {program}; {', '.join(known)} can"
