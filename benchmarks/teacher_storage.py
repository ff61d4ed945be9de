"""Measurements of `make bench-teacher` without a server: `teacher_storage.py JOB JSON`.

They are resuming from a ledger of millions of answers, and the three deduplication filters against
other libraries. Each measurement is a separate process, with its own peak memory, and prints its
numbers.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataset_inputs import Writer

Measurement = dict[str, float]
INSTRUCTION_WORDS = 20
REPEATED, SIMILAR = 0.05, 0.1


def instructions(count: int) -> list[str]:
    """Synthetic instructions, some of them duplicates or near-duplicates of an earlier one."""
    writer = Writer(4)
    texts = writer.texts(count, INSTRUCTION_WORDS)
    kinds, sources = writer.random.random(count), writer.random.random(count)
    for number in range(1, count):
        if kinds[number] < REPEATED + SIMILAR:
            text = texts[int(sources[number] * number)]
            cut = int(kinds[number] * 1000) % len(text)
            similar = [*text[:cut], "anders", *text[cut + 1 :]]
            texts[number] = text if kinds[number] < REPEATED else similar
    return [" ".join(words).capitalize() + "." for words in texts]


def write_ledger(path: str, rows: int) -> Measurement:
    """Write a ledger in the format of our client."""
    from lamini.files import stable_hash
    from lamini.teacher.ledger import Ledger, row_line

    ledger = Ledger(Path(path))
    lines = []
    for number in range(rows):
        row = {
            "key": stable_hash(number),
            "body": stable_hash(number, 1),
            "prompt_tokens": 60,
            "completion_tokens": 64,
            "finish_reason": "stop",
            "model": "gpt-3.5-turbo-0301",
            "request_id": f"req_{number:032d}",
            "attempts": 1,
            "sent_at": 1_700_000_000.123,
            "text": "The shortest useful answer to this one takes about forty words. " * 4,
        }
        lines.append(row_line(row))
        if len(lines) == 20_000 or number == rows - 1:
            ledger.append(lines)
            lines = []
    ledger.close()
    return {"bytes": Path(path).stat().st_size}


def resume(path: str, rows: int) -> Measurement:
    """Open a ledger as a resumed job does, and look up some answers."""
    from lamini.files import stable_hash
    from lamini.teacher.ledger import Ledger

    started = time.perf_counter()
    ledger = Ledger(Path(path))
    seconds = time.perf_counter() - started
    assert len(ledger) == rows
    assert all(ledger.get(stable_hash(number)) for number in range(0, rows, max(rows // 1000, 1)))
    ledger.close()
    return {"rows": rows, "own_seconds": seconds}


def exact(rows: int) -> Measurement:
    """Exact deduplication of normalized instructions, by ours and by polars."""
    import polars as pl

    from lamini.generation.normalization import text_key

    texts = instructions(rows)
    started = time.process_time()
    left = len(set(map(text_key, texts)))
    ours = time.process_time() - started
    started = time.process_time()
    column = pl.col("t").str.normalize("NFKC").str.to_lowercase()
    normalized = column.str.replace_all(r"\s+", " ").str.strip_chars()
    unique = pl.DataFrame({"t": texts}).unique(normalized, keep="first", maintain_order=True)
    theirs = time.process_time() - started
    assert len(unique) == left
    return {"ours": rows / ours, "theirs": rows / theirs, "left": left}


def minhash(rows: int) -> Measurement:
    """Deduplication by verified MinHash; `equal`: whether similarities equal the exact Jaccard."""
    import pyarrow as pa

    from lamini.analysis.minhash import Hashing, NearDuplicates
    from lamini.settings.dataset import Duplicates

    texts, chosen = instructions(rows), Duplicates()
    hashing = Hashing(chosen.ngram, chosen.bands, chosen.band_rows)

    def originals(part: list[str]) -> Any:
        known = NearDuplicates(
            len(part),
            hashing=hashing,
            threshold=chosen.threshold,
            most_compared=chosen.most_compared,
        )
        return known.add(hashing.shingles(pa.array(part, pa.string())))

    originals(texts[:10])  # compile, or read the compiled code from the cache
    started = time.process_time()
    result = originals(texts)
    seconds = time.process_time() - started
    repeats = (result.original >= 0).nonzero()[0].tolist()
    right = all(
        abs(result.similarity[n] - _jaccard(texts[n], texts[result.original[n]])) < 1e-9
        and result.similarity[n] >= chosen.threshold
        for n in repeats[:500]
    )
    return {"ours": rows / seconds, "left": rows - len(repeats), "equal": float(right)}


def _jaccard(one: str, other: str) -> float:
    sets = []
    for text in (one, other):
        words = text.lower().rstrip(".").split()
        size = min(3, len(words))
        sets.append({tuple(words[i : i + size]) for i in range(len(words) - size + 1)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def minhash_datasketch(rows: int) -> Measurement:
    """Deduplication by datasketch with equal hashes and bands; candidates are not verified."""
    from datasketch import MinHash, MinHashLSH

    texts = instructions(rows)
    started = time.process_time()
    index = MinHashLSH(params=(20, 6), num_perm=120)
    for number, line in enumerate(texts):
        words = line.lower().split()
        shingles = {" ".join(words[i : i + 3]) for i in range(max(len(words) - 2, 1))}
        sketch = MinHash(num_perm=120, seed=1)
        sketch.update_batch([shingle.encode() for shingle in shingles])
        if not any(True for _ in index.query(sketch)):
            index.insert(number, sketch)
    return {"theirs": rows / (time.process_time() - started)}


def rouge(rows: int, sample: int) -> Measurement:
    """ROUGE-L filter of self-instruct at 0.7; `equal`: whether rouge_score gives equal results."""
    from rouge_score.rouge_scorer import RougeScorer

    from lamini.analysis.rouge import RougeTexts

    def unrepeated(part: list[str]) -> list[bool]:
        together = RougeTexts()
        together.add(part)
        kept: list[bool] = together.unrepeated(0.7).tolist()
        return kept

    texts = instructions(rows)
    unrepeated(texts[:10])  # compile, or read the compiled code from the cache
    started = time.process_time()
    left = sum(unrepeated(texts))
    seconds = time.process_time() - started
    few = texts[:sample]
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    kept: list[str] = []
    verdicts, pairs, started = [], 0, time.process_time()
    for text in few:
        pairs += len(kept)
        scores = [scorer.score(other, text)["rougeL"].fmeasure for other in kept]
        verdicts.append(max(scores, default=0.0) < 0.7)
        if verdicts[-1]:
            kept.append(text)
    theirs = pairs / (time.process_time() - started)
    return {
        "ours": rows * (rows - 1) / 2 / seconds,
        "theirs": theirs,
        "left": left,
        "equal": float(verdicts == unrepeated(few)),
        "repeats_in_sample": float(sample - sum(verdicts)),
    }


JOBS: dict[str, Callable[..., Measurement]] = {
    job.__name__: job for job in (write_ledger, resume, exact, minhash, minhash_datasketch, rouge)
}


def main(job: str, arguments: str) -> None:
    """Run one measurement and print its numbers."""
    started = time.perf_counter()
    measured = JOBS[job](**json.loads(arguments))
    measured["seconds"] = time.perf_counter() - started
    measured["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
