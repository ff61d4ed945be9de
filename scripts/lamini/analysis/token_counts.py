"""Table 1 with other tokenizers, because the paper does not name the tokenizer of its counts."""

from pathlib import Path

from lamini.analysis.columns import read_batches, write_csv
from lamini.analysis.quality import TEXTS
from lamini.analysis.statistics import STATISTICS_COLUMNS, TokenSums, statistics_rows
from lamini.analysis.tokens import TokenCounter
from lamini.dataset.manifest import DatasetManifest
from lamini.log import Progress
from lamini.settings.params.analysis import CountTokens


def count_tokens(
    *, manifest: str | Path, dataset: str | Path, counts: str | Path, settings: CountTokens
) -> None:
    """Count the tokens of a merged dataset with one tokenizer.

    Args:
        manifest: the dataset's manifest.
        dataset: the mixture's Parquet file.
        counts: CSV to write, in `STATISTICS_COLUMNS`.
        settings: the rule's params: location of the tokenizer, and the sources' symbols.

    Raises:
        LaminiError: when the dataset does not match the manifest, or the tokenizer is missing.
    """
    dataset_manifest = DatasetManifest.read(manifest)
    counter = TokenCounter(settings.tokenizer_location)
    tokens = TokenSums()
    with Progress(dataset_manifest.rows, "pairs") as progress:
        for source, batch in read_batches(dataset, TEXTS, manifest, whole=True):
            for text in TEXTS:
                tokens.add(source, text, counter.count(batch[text]))
            progress.advance(len(batch))
    write_csv(
        counts, STATISTICS_COLUMNS, statistics_rows(dataset_manifest, tokens, settings.symbols)
    )
