"""Headings of tables that show an analysis CSV are written as in a paper."""

import pytest

from lamini.tables.csv_headings import csv_heading


@pytest.mark.parametrize(
    ("column", "heading"),
    [
        ("instruction_source", "Instruction source"),
        ("english", "English"),
        ("non_english_percent", "Non-English, %"),
        ("near_duplicates_of_other_sources", "Near-duplicates of other sources"),
        ("near_duplicates_percent", "Near-duplicates, %"),
        ("non_answers", "Non-answers"),
        ("email", "E-mail"),
        ("url", "Web address"),
        ("ssn", "US social security number"),
        ("mean_cosine_distance", "Mean cosine distance"),
        ("mean_cosine_distance_low", "from"),
        ("mean_cosine_distance_high", "to"),
        ("instruction_characters_p95", "Instruction characters p95"),
        ("cut_by_character_percent", "Cut by character, %"),
    ],
)
def test_heading_of_a_column(column: str, heading: str) -> None:
    assert csv_heading(column) == heading
