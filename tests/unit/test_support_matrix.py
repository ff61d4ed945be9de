"""No family is computed wrong without a message; docs/support-matrix.md has each outcome."""

import re

import families
import pytest
import support

from lamini.students.token_cache import TokenCache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> TokenCache:
    return support.small_cache(tmp_path_factory.mktemp("cache"))


def documented() -> dict[str, list[str]]:
    """Outcome of training and evaluation per family, read from the page."""
    rows = re.findall(r"^\| (\S+) \| (\S*) ?\| (\S+) \| (\S+) \|$", support.PAGE.read_text(), re.M)
    return {variant or kind: [way.strip("`") for way in ways] for kind, variant, *ways in rows}


@pytest.mark.parametrize("name", families.FAMILIES)
def test_each_family_has_the_outcome_of_the_page(name: str, cache: TokenCache) -> None:
    measured = support.measure(name, cache)
    assert measured.loss < 1e-5
    assert measured.gradient < 1e-5
    assert measured.likelihood < 1e-4
    assert [measured.training, measured.evaluation] == documented()[name]


def test_the_page_names_every_family_and_what_was_not_built() -> None:
    assert set(documented()) == set(families.FAMILIES)
    assert all(
        f"| {name} | {why} |" in support.PAGE.read_text()
        for name, why in families.NOT_BUILT.items()
    )


def test_models_that_are_not_causal_are_not_trained() -> None:
    """In evaluation short requests may hide it; they are then scored by the model's own forward."""
    rows = documented()
    assert {name for name in families.NOT_CAUSAL if rows[name][0] != "refused"} == set()
    assert {rows[name][1] for name in families.NOT_CAUSAL} <= {"refused", "alike", "alone"}
