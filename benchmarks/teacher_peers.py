"""Frameworks that `make bench-teacher` compares with ours, used as their documentation shows.

Each has the smallest pipeline that sends each prompt once and writes the answers to `folder`. Its
cache is enabled, so that the same call resumes after a kill, if the framework can resume.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from teacher_clients import MODEL, SYSTEM, messages, prompts, write_rows

UNLIMITED = 1_000_000_000


def curator(base_url: str, count: int, concurrency: int, folder: Path) -> int:
    """bespokelabs-curator; its limits come from the headers, or are too high to have an effect."""
    import importlib.util

    import datasets

    litellm = importlib.util.find_spec("litellm")
    assert litellm and litellm.submodule_search_locations
    tokenizers = Path(litellm.submodule_search_locations[0]) / "litellm_core_utils/tokenizers"
    os.environ |= {
        "TIKTOKEN_CACHE_DIR": str(tokenizers),
        "TELEMETRY_ENABLED": "0",
        "CURATOR_DISABLE_RICH_DISPLAY": "1",
        "HOME": str(folder),
    }
    from bespokelabs import curator as package

    class Responder(package.LLM):  # type: ignore[misc, name-defined]
        def prompt(self, row: dict[str, Any]) -> Any:
            return messages(row["prompt"])

        def parse(self, row: dict[str, Any], response: str) -> dict[str, Any]:
            return {"prompt": row["prompt"], "response": response}

    responder = Responder(
        model_name=MODEL,
        backend="openai",
        generation_params={"temperature": 0.7, "max_tokens": 256},
        backend_params={
            "base_url": base_url,
            "max_requests_per_minute": None if os.environ.get("BENCH_LIMITED") else UNLIMITED,
            "max_tokens_per_minute": UNLIMITED,
            "max_concurrent_requests": concurrency,
            "require_all_responses": False,
        },
    )
    rows = datasets.Dataset.from_list([{"prompt": prompt} for prompt in prompts(count)])
    answered = responder(rows, working_dir=str(folder / "curator")).dataset
    return write_rows(folder, answered["response"])


def datatrove(base_url: str, count: int, concurrency: int, folder: Path) -> int:
    """datatrove's inference runner, with its request cache."""
    from datatrove.data import Document
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
    from datatrove.pipeline.writers import JsonlWriter

    def documents(data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        for number, prompt in enumerate(prompts(count)):
            yield Document(text=prompt, id=str(number))

    async def ask(document: Any, generate: Any) -> Any:
        return await generate({"messages": messages(document.text)})

    runner = InferenceRunner(
        rollout_fn=ask,
        config=InferenceConfig(
            server_type="endpoint",
            model_name_or_path=MODEL,
            endpoint_url=base_url.removesuffix("/v1"),
            api_key="none",
            default_generation_params={"temperature": 0.7, "max_tokens": 256},
            max_concurrent_generations=concurrency,
        ),
        output_writer=JsonlWriter(
            str(folder / "out"),
            output_filename="${rank}_chunk_${chunk_index}.jsonl",
            compression=None,
        ),
        checkpoints_local_dir=str(folder / "checkpoints"),
        records_per_chunk=1000,
    )
    LocalPipelineExecutor([documents, runner], logging_dir=str(folder / "logs")).run()
    outputs = [path.read_text() for path in sorted((folder / "out").rglob("*.jsonl"))]
    rows = [json.loads(line) for output in outputs for line in output.splitlines()]
    return write_rows(folder, [row["metadata"]["rollout_results"][0]["text"] for row in rows])


def distilabel(base_url: str, count: int, concurrency: int, folder: Path) -> int:
    """A distilabel pipeline with one text generation step."""
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps import LoadDataFromDicts
    from distilabel.steps.tasks import TextGeneration

    with Pipeline(name="bench", cache_dir=folder / "cache") as pipeline:
        rows = [{"instruction": prompt, "system_prompt": SYSTEM} for prompt in prompts(count)]
        load = LoadDataFromDicts(data=rows, batch_size=concurrency)
        answer = TextGeneration(
            llm=OpenAILLM(
                model=MODEL,
                base_url=base_url,
                api_key="none",
                generation_kwargs={"temperature": 0.7, "max_new_tokens": 256},
            ),
            input_batch_size=concurrency,
        )
        load >> answer
    rows = pipeline.run(use_cache=True)["default"]["train"]
    return write_rows(folder, [text for text in rows["generation"] if text is not None])


def data_designer(base_url: str, count: int, concurrency: int, folder: Path) -> int:
    """NeMo Data Designer with one text column."""
    import pandas as pd
    from data_designer import config
    from data_designer.interface import DataDesigner, ResumeMode

    provider = config.ModelProvider(name="bench", endpoint=base_url, api_key="none")
    designer = DataDesigner(artifact_path=folder / "artifacts", model_providers=[provider])
    model = config.ModelConfig(
        alias="m",
        model=MODEL,
        provider="bench",
        skip_health_check=True,
        inference_parameters=config.ChatCompletionInferenceParams(
            temperature=0.7, max_tokens=256, max_parallel_requests=concurrency
        ),
    )
    builder = config.DataDesignerConfigBuilder(model_configs=[model])
    seeds = folder / "seeds.parquet"
    pd.DataFrame({"prompt": list(prompts(count))}).to_parquet(seeds)
    builder.with_seed_dataset(config.LocalFileSeedSource(path=str(seeds)))
    builder.add_column(
        config.LLMTextColumnConfig(
            name="response", model_alias="m", system_prompt=SYSTEM, prompt="{{ prompt }}"
        )
    )
    results = designer.create(builder, num_records=count, resume=ResumeMode.IF_POSSIBLE)
    return write_rows(folder, results.load_dataset()["response"])
