"""Synthetic inputs of realistic size: a category dump, pair shards, evaluated examples."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

SOURCES = ("self_instruct_without_topic", "generated_p3", "alpaca", "original_p3", "original_flan")
WORDS, INSTRUCTION_WORDS, RESPONSE_WORDS = 60_000, 50, 33
REPEATED, SIMILAR, COPIED = 0.03, 0.03, 0.002
"""Shares of instructions that are duplicates, near-duplicates, and that contain an example."""
EXAMPLE_WORDS = 60
_TITLE_ENDS = ("\\'s", "é", *([""] * 14))
"""Ends of category titles: about as many escapes and accents as in the English Wikipedia."""


class Writer:
    """Draws random texts whose word frequencies follow Zipf's law, as in a natural language."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        syllables = [c + v for c in "bcdfghklmnprstvz" for v in "aeiou"]
        numbers = self.random.integers(0, len(syllables), (WORDS, 4))
        lengths = self.random.integers(1, 5, WORDS)
        self.words = [
            "".join(syllables[n] for n in row[:length])
            for row, length in zip(numbers, lengths, strict=True)
        ]
        shares = 1 / (np.arange(WORDS) + 2.7)
        self._shares = np.cumsum(shares / shares.sum())

    def texts(self, count: int, mean: int) -> list[list[str]]:
        """Texts with geometrically distributed lengths: `mean` words on average, at least three."""
        lengths = self.random.geometric(1 / (mean - 3), count) + 2
        drawn = self.draw(int(lengths.sum()))
        ends = np.cumsum(lengths)
        return [drawn[end - n : end] for end, n in zip(ends, lengths, strict=True)]

    def draw(self, count: int) -> list[str]:
        """Random words."""
        indices = np.searchsorted(self._shares, self.random.random(count))
        return [self.words[index] for index in indices.tolist()]


def write_pairs(folder: Path, pairs: int, shards: int, examples: list[list[str]]) -> list[Path]:
    """Write pair shards of five sources, unless all exist; returns their paths."""
    paths = [
        folder / "pairs" / SOURCES[shard * len(SOURCES) // shards] / f"{shard:04}.jsonl"
        for shard in range(shards)
    ]
    if all(path.exists() for path in paths):
        return paths
    writer = Writer(1)
    earlier: list[list[str]] = []
    for shard, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        count = pairs // shards + (shard < pairs % shards)
        instructions = writer.texts(count, INSTRUCTION_WORDS)
        _repeat(instructions, earlier, examples, writer.random)
        earlier = instructions[:2000]
        responses = writer.texts(count, RESPONSE_WORDS)
        with open(path, "wb") as handle:
            for row in _rows(path, instructions, responses):
                handle.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    return paths


def _repeat(
    texts: list[list[str]],
    earlier: list[list[str]],
    examples: list[list[str]],
    random: np.random.Generator,
) -> None:
    """Replace some texts by duplicates or near-duplicates, and insert examples into others."""
    for number in np.flatnonzero(random.random(len(texts)) < REPEATED + SIMILAR + COPIED):
        kind = random.random() * (REPEATED + SIMILAR + COPIED)
        if kind < COPIED:
            start = int(random.integers(0, EXAMPLE_WORDS // 2))
            texts[number] += examples[int(random.integers(len(examples)))][start : start + 20]
        elif earlier:
            text = list(earlier[int(random.integers(len(earlier)))])
            texts[number] = text if kind < COPIED + REPEATED else [*text[:-1], "anders"]


def _rows(
    path: Path, instructions: list[list[str]], responses: list[list[str]]
) -> Iterator[dict[str, Any]]:
    source, shard = path.parent.name, path.stem
    for number, (instruction, response) in enumerate(zip(instructions, responses, strict=True)):
        yield {
            "id": f"{source}/{shard}/{number:06}",
            "instruction": " ".join(instruction).capitalize() + ".",
            "response": " ".join(response).capitalize() + ".",
            "instruction_source": source,
            "finish_reason": "stop",
            "prompt_tokens": len(instruction),
            "completion_tokens": len(response),
            "model": "gpt-3.5-turbo",
            "request": f"{shard}{number:028x}",
            "flags": [],
        }


def example_words(count: int) -> list[list[str]]:
    """The words of the evaluated examples."""
    return [words[:EXAMPLE_WORDS] for words in Writer(2).texts(count, 3 * EXAMPLE_WORDS)]


def write_examples(folder: Path, examples: list[list[str]]) -> None:
    """Write a mirror with one task."""
    path = folder / "mirror/task/default/test.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": " ".join(words)}) + "\n" for words in examples))


def write_dump(path: Path, rows: int) -> None:
    """Write a `category` table in the format of mysqldump, compressed with gzip."""
    if path.exists():
        return
    writer = Writer(3)
    create = b"""-- MySQL dump 10.19  Distrib 10.3.38-MariaDB
--
-- Host: localhost    Database: enwiki
-- ------------------------------------------------------
DROP TABLE IF EXISTS `category`;
CREATE TABLE `category` (
  `cat_id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `cat_title` varbinary(255) NOT NULL DEFAULT '',
  `cat_pages` int(11) NOT NULL DEFAULT 0,
  `cat_subcats` int(11) NOT NULL DEFAULT 0,
  `cat_files` int(11) NOT NULL DEFAULT 0,
  PRIMARY KEY (`cat_id`),
  UNIQUE KEY `cat_title` (`cat_title`)
) ENGINE=InnoDB DEFAULT CHARSET=binary;
"""
    per_statement = 30_000
    with gzip.open(path, "wb", compresslevel=6) as handle:
        handle.write(create)
        for first in range(0, rows, per_statement):
            count = min(per_statement, rows - first)
            lengths = writer.random.integers(1, 7, count)
            titles = [
                "_".join(words[:length]) + _TITLE_ENDS[n % len(_TITLE_ENDS)]
                for n, (words, length) in enumerate(
                    zip(writer.texts(count, 9), lengths, strict=True)
                )
            ]
            pages = (writer.random.pareto(0.6, count) * 5).astype(int).clip(0, 10**6)
            subcategories = (writer.random.pareto(1.5, count) * 1.5).astype(int).clip(0, 10**5)
            values = (
                f"({first + n},'{title}',{page},{sub},0)"
                for n, (title, page, sub) in enumerate(
                    zip(titles, pages.tolist(), subcategories.tolist(), strict=True)
                )
            )
            handle.write(f"INSERT INTO `category` VALUES {','.join(values)};\n".encode())
