"""Measurements of `make bench-dataset` and `make bench-memory`.

`dataset_jobs.py JOB JSON` runs one and prints its numbers: seconds, the process's peak memory in
MB, and counts of the results. `megabytes` has the pages of mapped files, which the system drops
when memory is short; `own_megabytes` has not.
"""

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamini.settings.params.common import Location

Measurement = dict[str, float]


def peak_megabytes() -> float:
    """Peak resident memory of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def own_megabytes() -> float:
    """Resident memory of this process without mapped files, in MB, now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


class Watch(threading.Thread):
    """Looks at `own_megabytes` every 20 ms, because the system keeps no peak of it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0

    def run(self) -> None:
        """Look until the process ends."""
        while True:
            self.peak = max(self.peak, own_megabytes())
            time.sleep(0.02)


def select_topics(dump: str) -> Measurement:
    """Select the topics of a category dump."""
    from lamini.generation.topics import select_topics as ours
    from lamini.settings.params.generation import SelectTopics
    from lamini.settings.sources import Topics

    settings = SelectTopics(topics=Topics(dump=dump), files=None)
    started = time.perf_counter()
    ours(dump=dump, topics="topics.jsonl", funnel="funnel.json", settings=settings)
    seconds = time.perf_counter() - started
    first = json.loads(Path("funnel.json").read_text())["stages"][0]
    return {"rows": first["left"], "own_seconds": seconds}


def select_topics_mwsql(dump: str) -> Measurement:
    """Apply the same filters to rows read by mwsql."""
    from mwsql import Dump

    started = time.perf_counter()
    rows = kept = 0
    for _, title, pages, subcategories, files in Dump.from_file(dump).rows(convert_dtypes=True):
        rows += 1
        if len(title.split("_")) <= 2 and subcategories > 10 and pages - subcategories - files > 50:
            kept += 1
    return {"rows": rows, "kept": kept, "own_seconds": time.perf_counter() - started}


def merge(pairs: list[str], sources: list[str], name: str, unique: bool = True) -> Measurement:
    """Merge shards; duplicate instructions are removed if `unique` is set."""
    from lamini.dataset.merge import merge_pairs
    from lamini.settings.params.dataset import MergePairs

    settings = MergePairs(
        mixture=name, sources=sources, unique_instructions=unique, published=None, files=None
    )
    started = time.perf_counter()
    merge_pairs(
        pairs=pairs,
        hits=[],
        dataset=f"{name}.parquet",
        manifest=f"{name}.manifest.json",
        card=f"{name}.card.md",
        settings=settings,
    )
    seconds = time.perf_counter() - started
    rows = json.loads(Path(f"{name}.manifest.json").read_text())["rows"]
    return {"rows": rows, "own_seconds": seconds}


def merge_datasets(pairs: list[str], sources: list[str], name: str) -> Measurement:
    """Merge the same shards with the `datasets` library."""
    from datasets import load_dataset

    from lamini.generation.normalization import normalized

    started = time.perf_counter()
    seen: set[bytes] = set()

    def is_new(text: str) -> bool:
        key = hashlib.blake2b(normalized(text).encode(), digest_size=16).digest()
        known = key in seen
        seen.add(key)
        return not known

    rows = load_dataset("json", data_files=pairs, split="train", cache_dir="hf-cache")
    rows = rows.sort(["instruction_source", "id"])
    rows = rows.filter(is_new, input_columns="instruction", load_from_cache_file=False)
    rows.to_parquet(f"{name}-datasets.parquet")
    with open(f"{name}-datasets.parquet", "rb") as handle:
        hashlib.file_digest(handle, "sha256")
    return {"rows": len(rows), "own_seconds": time.perf_counter() - started}


def mattr(dataset: str) -> Measurement:
    """MATTR (Table 2) of a dataset's instructions and responses, from its Parquet file."""
    from lamini.analysis.columns import read_batches
    from lamini.analysis.mattr import LexicalDiversity
    from lamini.analysis.words import word_hashes

    texts = ("instruction", "response")
    cutter = partial(word_hashes, punctuation=True)
    measured = [LexicalDiversity("parts_in_order", 50, 1, cutter=cutter) for _ in texts]
    started = time.perf_counter()
    with ThreadPoolExecutor(len(texts)) as pool:
        for source, batch in read_batches(dataset, list(texts)):
            columns = [batch[text] for text in texts]
            list(pool.map(LexicalDiversity.add, measured, [source] * len(texts), columns))
        list(pool.map(LexicalDiversity.of_each, measured))
    seconds = time.perf_counter() - started
    return {"words": sum(one.words for one in measured), "own_seconds": seconds}


def mattr_sample(dataset: str, rows: int) -> Measurement:
    """MATTR of one long text by ours and by lexicalrichness, in alternating runs."""
    import pyarrow.parquet as pq
    from lexicalrichness import LexicalRichness
    from rounds import alternate, ratio

    from lamini.analysis.mattr import mattr as ours

    texts = next(pq.ParquetFile(dataset).iter_batches(rows, columns=["instruction"]))[0]
    text = " ".join(texts.to_pylist())
    ours("a b c", 2)
    values: dict[str, float] = {}
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: values.update(ours=ours(text, 50)),
        "peer": lambda: values.update(peer=LexicalRichness(text).mattr(window_size=50)),
    }
    timings = alternate(sides, 3)
    words = len(text.split())
    return {
        "ratio": ratio(timings["peer"], timings["ours"]),
        "difference": abs(values["ours"] - values["peer"]),
        "peer_words_per_second": words / min(timing.wall for timing in timings["peer"]),
    }


def count_tokens(dataset: str, rows: int) -> Measurement:
    """Count tokens by ours and by the library's batch call alone, in alternating runs."""
    import pyarrow.parquet as pq
    from rounds import alternate, median_wall, ratio
    from transformers import PreTrainedTokenizerFast

    from lamini.analysis.tokens import TokenCounter

    texts = next(pq.ParquetFile(dataset).iter_batches(rows, columns=["instruction"]))[0]
    written = texts.to_pylist()
    counter = TokenCounter(_tokenizer(dataset))
    library = PreTrainedTokenizerFast.from_pretrained("tokenizer").backend_tokenizer
    counted: dict[str, int] = {}
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: counted.update(ours=int(counter.count(texts).sum())),
        "peer": lambda: counted.update(
            peer=sum(len(e.ids) for e in library.encode_batch(written, add_special_tokens=False))
        ),
    }
    timings = alternate(sides, 5)
    assert counted["ours"] == counted["peer"]
    return {
        "ratio": ratio(timings["peer"], timings["ours"]),
        "tokens_per_second": counted["ours"] / median_wall(timings["ours"]),
    }


def find_contamination(dataset: str, manifest: str) -> Measurement:
    """Find contamination by the examples of the folder's mirror."""
    import pyarrow.parquet as pq

    from lamini.analysis.contamination import find_contamination as ours
    from lamini.settings.dataset import Contamination
    from lamini.settings.evaluation import TaskData
    from lamini.settings.params.analysis import FindContamination

    tasks = {"task": TaskData(repo="task", split="test")}
    ours(
        manifest=manifest,
        dataset=dataset,
        contamination="contamination.csv",
        hits="contamination.parquet",
        examples="examples.parquet",
        settings=FindContamination(
            contamination=Contamination(), tasks=tasks, mirror="mirror", files=None
        ),
    )
    return {"hits": pq.read_metadata("contamination.parquet").num_rows}


def find_near_duplicates(dataset: str, manifest: str) -> Measurement:
    """Find near-duplicate instructions of a dataset."""
    import pyarrow.parquet as pq

    from lamini.analysis.near_duplicates import find_near_duplicates as ours
    from lamini.settings.params.analysis import FindNearDuplicates

    ours(
        manifest=manifest,
        dataset=dataset,
        near_duplicates="near.parquet",
        counts="near.csv",
        settings=FindNearDuplicates(),
    )
    return {"near_duplicates": pq.read_metadata("near.parquet").num_rows}


def measure(dataset: str, manifest: str) -> Measurement:
    """Measure a dataset: tokens, MATTR, quality, lengths, readability."""
    from lamini.analysis.statistics import measure_dataset
    from lamini.settings.params.analysis import MeasureDataset

    names = ("statistics", "diversity", "quality", "lengths", "readability")
    measure_dataset(
        manifest=manifest,
        dataset=dataset,
        **{name: f"{name}.csv" for name in names},
        settings=MeasureDataset(
            tokenizer="trained",
            tokenizer_location=_tokenizer(dataset),
            version=1,
            mattr_window=50,
            mattr_texts="parts_in_order",
            mattr_tokens="words_and_punctuation",
            mattr_lower_case=True,
            symbols={},
            seed=1,
        ),
    )
    return {}


def measure_mattr_readings(dataset: str, manifest: str) -> Measurement:
    """Measure the lexical diversity of a dataset in all readings."""
    from lamini.analysis.mattr_readings import measure_mattr_readings as ours
    from lamini.settings.params.analysis import MeasureMattrReadings

    location = _tokenizer(dataset)
    ours(
        manifest=manifest,
        dataset=dataset,
        readings="readings.csv",
        settings=MeasureMattrReadings(
            mattr_window=50, tokenizer_location=location, version=1, seed=1
        ),
    )
    return {}


def _tokenizer(dataset: str) -> "Location":
    """A tokenizer trained on a dataset's first instructions."""
    import pyarrow.parquet as pq
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    from lamini.settings.params.common import Location

    if not Path("tokenizer").exists():
        texts = next(pq.ParquetFile(dataset).iter_batches(20_000, columns=["instruction"]))[0]
        trained = ByteLevelBPETokenizer()
        trained.train_from_iterator(texts.to_pylist(), vocab_size=8000, show_progress=False)
        whole = PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, eos_token="</s>")
        whole.save_pretrained("tokenizer")
    return Location(path="tokenizer")


def count_funnel(dataset: str, manifest: str) -> Measurement:
    """Count the funnel, from the files of `find_near_duplicates` and `find_contamination`."""
    from lamini.analysis.funnel import count_funnel as ours
    from lamini.settings.params.analysis import CountFunnel

    ours(
        manifest=manifest,
        dataset=dataset,
        near_duplicates="near.parquet",
        hits="contamination.parquet",
        funnel="funnel.csv",
        settings=CountFunnel(language_score=0.5, shared_words=13),
    )
    return {}


def near_duplicates_sample(texts: str) -> Measurement:
    """Find near-duplicates in a file of texts, one per line, in memory."""
    import pyarrow as pa

    from lamini.analysis.minhash import Hashing, NearDuplicates
    from lamini.settings.dataset import Duplicates

    chosen = Duplicates()
    lines = Path(texts).read_text().splitlines()
    hashing = Hashing(chosen.ngram, chosen.bands, chosen.band_rows)
    hashing.shingles(pa.array(["a b c d"]))  # compile, or read the compiled code from the cache
    started = time.perf_counter()
    known = NearDuplicates(
        len(lines),
        hashing=hashing,
        threshold=chosen.threshold,
        most_compared=chosen.most_compared,
    )
    originals = known.add(hashing.shingles(pa.array(lines)))
    seconds = time.perf_counter() - started
    return {"near_duplicates": int((originals.original >= 0).sum()), "own_seconds": seconds}


def near_duplicates_datasketch(texts: str) -> Measurement:
    """Find them with datasketch, with equal numbers of hashes and bands."""
    from datasketch import MinHash, MinHashLSH

    lines = Path(texts).read_text().splitlines()
    started = time.perf_counter()
    index = MinHashLSH(params=(20, 6), num_perm=120)
    near_duplicates = 0
    for number, line in enumerate(lines):
        words = line.lower().split()
        shingles = {" ".join(words[i : i + 3]) for i in range(max(len(words) - 2, 1))}
        sketch = MinHash(num_perm=120, seed=1)
        sketch.update_batch([shingle.encode() for shingle in shingles])
        if any(True for _ in index.query(sketch)):
            near_duplicates += 1
        else:
            index.insert(number, sketch)
    return {"near_duplicates": near_duplicates, "own_seconds": time.perf_counter() - started}


JOBS: dict[str, Callable[..., Measurement]] = {
    job.__name__: job
    for job in (
        select_topics,
        select_topics_mwsql,
        merge,
        merge_datasets,
        measure,
        measure_mattr_readings,
        mattr,
        mattr_sample,
        count_tokens,
        find_contamination,
        find_near_duplicates,
        count_funnel,
        near_duplicates_sample,
        near_duplicates_datasketch,
    )
}


def main() -> None:
    """Run one measurement and print its numbers."""
    arguments: dict[str, Any] = json.loads(sys.argv[2])
    watch = Watch()
    watch.start()
    started = time.perf_counter()
    measured = JOBS[sys.argv[1]](**arguments)
    measured |= {
        "seconds": time.perf_counter() - started,
        "megabytes": peak_megabytes(),
        "own_megabytes": watch.peak,
    }
    print(json.dumps(measured), flush=True)
    os._exit(0)  # libraries of the peers may wait for threads


if __name__ == "__main__":
    main()
