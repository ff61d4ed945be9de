"""What a sweep costs, and which part of it is exact enough."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from sweep_cases import Simulated, write_files

from lamini.plan.__main__ import main
from lamini.sweeps.design import expected_error, parts
from lamini.sweeps.results import SweepResult

pytestmark = pytest.mark.usefixtures("empty_project")
SIZES = (0.03, 0.1, 0.3, 1.0)


def _plan(capsys: pytest.CaptureFixture[str], folder: Path, **changes: object) -> list[str]:
    sweep = {"students": ["lamini-t5-61m"], "samples": [0.1, 0.3, 1.0], "seeds": [1, 2], **changes}
    (folder / "sweep.yaml").write_text(yaml.safe_dump({"sweeps": {"sizes": sweep}}))
    assert main(["--configfile", str(folder / "sweep.yaml")]) == 0
    text = capsys.readouterr().out
    return text[text.index("Sweep sizes") :].splitlines()


def test_hours_are_those_of_the_students_by_size(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = _plan(capsys, tmp_path)
    assert lines[0] == (
        "Sweep sizes, 6 trainings (students: 1, mixtures: 1, sizes: 3, seeds: 2);"
        " GPU-hours of one seed by size:"
    )
    rows = {row.split("  ")[0]: re.split(r" {2,}", row)[1:] for row in lines[2:8]}
    assert list(rows) == ["0.1", "0.3", "1", "one seed", "all seeds", "rental"]
    assert [rows[size][:2] for size in ("0.1", "0.3", "1")] == [
        ["257,795", "2"],
        ["773,386", "2"],
        ["2,577,952", "2"],
    ]
    one, every = (np.array(rows[name][-6:], float) for name in ("one seed", "all seeds"))
    assert every == pytest.approx(2 * one, abs=0.15)
    whole = np.array(rows["1"][2:], float)
    assert np.array(rows["0.3"][2:], float) == pytest.approx(0.3 * whole, abs=0.06)


def test_a_student_of_the_run_is_counted_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = _plan(capsys, tmp_path, seeds=[1, 42])
    assert [row.split()[2] for row in lines[2:5]] == ["2", "2", "1"]
    assert "Not counted, as `students` has them too: lamini-t5-61m." in lines


def test_the_cheapest_exact_part_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    seeds = [1, 2, 3, 4]
    line = _plan(capsys, tmp_path, seeds=seeds, samples=list(SIZES), error=1.0)[-1]
    assert line.startswith(
        "Cheapest part that tells the score at the largest size within ±1 points (95 %): sizes"
        " 0.03, 0.1, 0.3, 1 with 2 seeds,"
    )
    assert line.endswith(
        "assumed: seeds differ by 0.5 points (standard deviation; sweeps.sizes.seed_deviation), the"
        " score follows a + b n^-0.3."
    )
    line = _plan(capsys, tmp_path, seeds=seeds, samples=list(SIZES), error=0.1)[-1]
    assert line.startswith("No part of the sweep tells the score at the largest size within ±0.1")
    assert _plan(capsys, tmp_path, samples=[0.1, 1.0])[-1] == (
        "A law of size needs 3 sizes or more."
    )
    assert _plan(capsys, tmp_path, seeds=[1])[-1] == "A law of size needs one more seed or size."


def test_measured_chance_replaces_the_assumed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = _plan(capsys, tmp_path, samples=list(SIZES), error=1.0)
    assert "±0.87 points; assumed: seeds differ by 0.5" in lines[-1]
    files = write_files({("lamini-t5-61m", "d_all"): Simulated(deviation=0.05)})
    (tmp_path / "results/sweeps").mkdir(parents=True)
    (law, _) = SweepResult.read(files.fit("results/sweeps/sizes.json")).laws
    line = _plan(capsys, tmp_path, samples=list(SIZES), error=1.0)[-1]
    error = expected_error(SIZES, 2, 1.0, law.deviation, law.c)
    assert error > 1 and f"all of it: ±{error:.2g} points; measured: seeds differ by" in line
    assert f"by {law.deviation:.2g} points (standard deviation), the score follows" in line


def test_the_expected_error_is_that_of_repeated_fits() -> None:
    """The spread of 400 simulated fits by scipy, with the quantile of so many degrees."""
    from scipy.optimize import curve_fit
    from scipy.stats import t

    generator = np.random.default_rng(5)
    sizes, seeds, deviation = np.array(SIZES), 3, 0.1
    shares = np.repeat(sizes, seeds)

    def law(n: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
        return a + b * n**-c

    found = []
    for _ in range(400):
        scores = law(shares, 60, -10, 0.3) + generator.normal(0, deviation, len(shares))
        fitted, _ = curve_fit(law, shares, scores, p0=(60, -10, 0.3))
        found.append(law(np.ones(1), *fitted)[0])
    spread = float(np.std(found)) * float(t.ppf(0.975, len(shares) - 3))
    assert expected_error(SIZES, seeds, 1.0, deviation) == pytest.approx(spread, rel=0.1)


def test_parts_are_all_those_that_a_law_can_be_fitted_to() -> None:
    hours = dict(zip(SIZES, (3.0, 10.0, 30.0, 100.0), strict=True))
    found = list(parts(hours, 2, 0.5))
    assert len(found) == 4 * 1 + 2  # three sizes with two seeds; all four with one and with two
    whole = next(part for part in found if len(part.sizes) == 4 and part.seeds == 2)
    assert (whole.hours, min(part.error for part in found)) == (286.0, whole.error)
    # Without the largest size the law is carried on, which costs exactness.
    assert next(p for p in found if p.sizes == SIZES[:3]).error > 3 * whole.error
