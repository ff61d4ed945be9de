"""The programs that run exported files, with one interface: greedy tokens and log-likelihoods.

llama.cpp runs as a server inside the job, CTranslate2 as a library. Both get token ids, so that a
difference between tokenizers is not mistaken for one between weights.
"""

import contextlib
import http.client
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from lamini.errors import LaminiError
from lamini.evaluation.requests import TokenRequest
from lamini.evaluation.scoring import Score

_FORCED = 1e5
"""Bias with which llama.cpp chooses a token; its reported log-probability has no bias."""


class Runtime(Protocol):
    """A program with an exported file."""

    def greedy(self, prompt: list[int], begun: list[int], most: int) -> list[int]:
        """Greedy tokens after a prompt and the first tokens of its answer, end token included.

        Args:
            prompt: tokens of the prompt; of an encoder-decoder, the input of its encoder.
            begun: tokens of the answer so far.
            most: maximum number of new tokens.
        """

    def score(
        self, requests: Sequence[TokenRequest], advance: Callable[[int], None]
    ) -> Iterator[Score]:
        """Log-likelihood of each continuation, and whether it is the greedy one, in order."""

    def tokens(self, text: str, special: bool) -> list[int] | None:
        """Tokens of a text by the file's own tokenizer; None if the program has none.

        Args:
            text: a prompt, which may have special tokens in it.
            special: whether the tokenizer adds its special tokens.
        """


class _Closed(ABC):
    """A context manager that is closed at its end."""

    @abstractmethod
    def close(self) -> None:
        """Release the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class LlamaCpp(_Closed):
    """llama.cpp's server with a GGUF file; a context manager.

    Args:
        path: the GGUF file.
        context: tokens that it has room for, prompt and answer together.
        threads: number of threads.

    Raises:
        LaminiError: if package `xllamacpp` is missing, or llama.cpp can't load the file.
    """

    def __init__(self, path: Path, context: int, threads: int = 1) -> None:
        try:
            import xllamacpp
        except ImportError:
            raise LaminiError(
                "exports: package xllamacpp, which has llama.cpp, is missing; run `make install`"
            ) from None
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = 0
        parameters.n_parallel = 1
        parameters.n_ctx = context
        parameters.cpuparams.n_threads = threads
        parameters.cpuparams_batch.n_threads = threads
        parameters.ui = False
        parameters.offline = True
        parameters.verbosity = -1
        parameters.cache_ram_mib = 0
        try:
            self._server = xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise LaminiError(f"{path}: llama.cpp can't load this file ({error})") from None
        address = self._server.listening_address.removeprefix("http://")
        self._connection = http.client.HTTPConnection(address)
        self.context = context

    def close(self) -> None:
        """Stop the server."""
        self._connection.close()
        del self._server

    def _ask(self, path: str, **fields: Any) -> Any:
        self._connection.request(
            "POST", path, json.dumps(fields), {"Content-Type": "application/json"}
        )
        reply = self._connection.getresponse()
        content = json.loads(reply.read())
        if reply.status != http.client.OK:
            raise LaminiError(f"llama.cpp refuses a request: {content!s:.400}")
        return content

    def greedy(self, prompt: list[int], begun: list[int], most: int) -> list[int]:
        """See `Runtime`."""
        reply = self._ask(
            "/completion",
            prompt=prompt + begun,
            n_predict=most,
            samplers=["top_k"],
            top_k=1,
            return_tokens=True,
        )
        return list(reply["tokens"])

    def score(
        self, requests: Sequence[TokenRequest], advance: Callable[[int], None]
    ) -> Iterator[Score]:
        """See `Runtime`. The server keeps what it computed for the prefix of the request before."""
        order = sorted(range(len(requests)), key=lambda n: requests[n].context.tolist())
        scores: dict[int, Score] = {}
        for number in order:
            tokens = requests[number].context.tolist()
            total, greedy = 0.0, True
            for token in requests[number].continuation.tolist():
                likelihood, first = self._forced(tokens, token)
                total, greedy = total + likelihood, greedy and first
                tokens.append(token)
            scores[number] = (total, greedy)
            advance(1)
        yield from (scores[number] for number in range(len(requests)))

    def _forced(self, prompt: list[int], token: int) -> tuple[float, bool]:
        """Log-probability of a token after a prompt, and whether it is the greedy one."""
        reply = self._ask(
            "/completion",
            prompt=prompt,
            n_predict=1,
            samplers=["top_k"],
            top_k=1,
            n_probs=1,
            logit_bias=[[token, _FORCED]],
        )
        (chosen,) = reply["completion_probabilities"]
        if chosen["id"] != token:
            raise LaminiError(f"llama.cpp answered with token {chosen['id']}, not {token}")
        return chosen["logprob"], chosen["top_logprobs"][0]["id"] == token

    def tokens(self, text: str, special: bool) -> list[int] | None:
        """See `Runtime`."""
        reply = self._ask("/tokenize", content=text, add_special=special, parse_special=True)
        return list(reply["tokens"])


class CTranslate2(_Closed):
    """CTranslate2 with a folder of an encoder-decoder; a context manager.

    Args:
        folder: the folder.
        threads: number of threads.

    Raises:
        LaminiError: if package `ctranslate2` is missing, or it can't load the folder.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        ctranslate2 = import_ctranslate2()
        try:
            self._translator = ctranslate2.Translator(
                str(folder), device="cpu", inter_threads=1, intra_threads=threads
            )
        except RuntimeError as error:
            raise LaminiError(f"{folder}: CTranslate2 can't load this folder ({error})") from None
        texts = json.loads((folder / "shared_vocabulary.json").read_text(encoding="utf-8"))
        self._texts: list[str] = texts
        self._numbers: dict[str, int] = {}
        for number, text in enumerate(texts):
            self._numbers.setdefault(text, number)

    def close(self) -> None:
        """Release the file."""
        self._translator.unload_model()

    def _named(self, tokens: Sequence[int]) -> list[str]:
        return [self._texts[token] for token in tokens]

    def greedy(self, prompt: list[int], begun: list[int], most: int) -> list[int]:
        """See `Runtime`."""
        (result,) = self._translator.translate_batch(
            [self._named(prompt)],
            target_prefix=[self._named(begun)],
            beam_size=1,
            max_input_length=0,
            max_decoding_length=len(begun) + most,
            return_end_token=True,
        )
        return [self._numbers[text] for text in result.hypotheses[0]][len(begun) :]

    def score(
        self, requests: Sequence[TokenRequest], advance: Callable[[int], None]
    ) -> Iterator[Score]:
        """See `Runtime`. Whether a continuation is greedy is found by generating it."""
        for request in requests:
            context, wanted = request.context.tolist(), request.continuation.tolist()
            (result,) = self._translator.score_batch(
                [self._named(context)], [self._named(wanted)], max_input_length=0
            )
            total = float(np.sum(result.log_probs[: len(wanted)]))
            yield total, self.greedy(context, [], len(wanted)) == wanted
            advance(1)

    def tokens(self, text: str, special: bool) -> list[int] | None:
        """See `Runtime`."""
        return None


def import_ctranslate2() -> Any:
    """Package `ctranslate2`.

    Raises:
        LaminiError: if it is missing.
    """
    with contextlib.suppress(ImportError):
        import ctranslate2

        return ctranslate2
    raise LaminiError("exports: package ctranslate2 is missing; run `make install`")
