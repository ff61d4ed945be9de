"""The LaTeX of tables: any text compiles and prints as it is, and nothing exceeds the page."""

import random
from pathlib import Path

import pytest

from lamini.tables.latex import latex, verbatim, write_latex
from lamini.tables.table import Cell, TitledTable
from tex import PROGRAMS, WITH_TEX, problems

HOSTILE = (
    r"\input{x} 50% of $5 & #1 {a}_b^c ~ `code` <b>|</b> --help ''quoted''",
    "[a] in brackets, *stars*, [",
    "naïve Œuvre – — “quoted” … € ™ ß Łódź, D\N{COMBINING CIRCUMFLEX ACCENT}_P3 and X_SI",
    "中文 العربية 😀 Ελλάδα ≤ ≥ → −1 \N{ZERO WIDTH SPACE}\N{SOFT HYPHEN}",
    "e\N{COMBINING ACUTE ACCENT}\a",
    "https://example.org/" + "a" * 300,
    "".join(map(chr, range(0x20, 0x180))),
    "".join(map(chr, range(0x370, 0x400))),  # Greek and Coptic
    "中" * 300,
)


def table(columns: list[str], rows: list[list[Cell]], **more: object) -> TitledTable:
    given = {"name": "x", "title": "A title.", "heading": "A title.", "reproduction": True}
    return TitledTable(columns=columns, rows=rows, **(given | more))  # type: ignore[arg-type]


def answers() -> TitledTable:
    """Table 5 at the paper's size: 19 answers of 200 words, and hostile ones."""
    words = random.Random(1)
    texts = [" ".join("answer"[: words.randint(1, 6)] for _ in range(200)) for _ in range(19)]
    rows = [[Cell("LaMini-Flan-T5-783M"), Cell(text), Cell("A")] for text in (*texts, *HOSTILE)]
    return table(["Model", "Response", "Rate"], rows, notes=list(HOSTILE[:6]))


def scores() -> TitledTable:
    """32 models, three rows each, on 15 tasks."""
    tasks = [f"WinoGrande{n}" for n in range(15)]
    columns = ["Model", "Parameters", "Score", *tasks, "Average"]
    values = [Cell(62.54, ours=True, digits=1, signed=True, suffix="°") for _ in range(16)]
    rows = [[Cell("LaMini-Cerebras-590M"), Cell("590M"), Cell("published"), *values]] * 96
    return table(columns, rows, name="scores", reproduction=False)


def few() -> TitledTable:
    """A table of one column of the page, with a missing value and a number in bold."""
    rows = [[Cell("D\N{COMBINING CIRCUMFLEX ACCENT}_t,SI"), Cell(1000)], [Cell("a"), Cell(None)]]
    rows.append([Cell("b_c"), Cell(2, bold=True)])
    return table(["Dataset", "Samples"], rows, name="few", notes=["Of `gpt2`."])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("D\N{COMBINING CIRCUMFLEX ACCENT}_P3", r"$\widehat{D}_{\mathrm{P3}}$"),
        ("X\N{COMBINING CIRCUMFLEX ACCENT}_t,SI", r"$\widehat{X}_{\mathrm{t,SI}}$"),
        ("D_Cook", r"$D_{\mathrm{Cook}}$"),
        ("D_ALL: pairs", r"$D_{\mathrm{ALL}}$: pairs"),
        ("D\N{COMBINING CIRCUMFLEX ACCENT}", r"$\widehat{D}$"),
        ("d_all", r"d\_all"),
        ("of `a_b`", r"of \texttt{a\_b}"),
    ],
)
def test_sets_and_code(text: str, expected: str) -> None:
    assert latex(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`a`", r"\textasciigrave{}a\textasciigrave{}"),
        ("--x", "-{}-x"),
        ("''", "'{}'"),
        ("X_SI", r"X\_SI"),
        ("λΩΑς", r"$\lambda$$\Omega$A$\varsigma$"),
        ("中", r"[U+4E2D]\allowbreak{}"),
        ("a\N{NO-BREAK SPACE}b\N{ZERO WIDTH JOINER}", "a b"),
        ("a" * 26, "a" * 24 + r"\allowbreak{}a\allowbreak{}a"),
        ("e\N{COMBINING ACUTE ACCENT}\N{SOFT HYPHEN}", "é"),
        ("ħ", r"[U+0127]\allowbreak{}"),
        ("ϛ", r"[U+03DB]\allowbreak{}"),
        ("a\nb\tc", "a b c"),
    ],
)
def test_a_text_is_printed_as_it_is(text: str, expected: str) -> None:
    assert verbatim(text) == expected


def test_a_small_table(tmp_path: Path) -> None:
    write_latex(few(), tmp_path / "few.tex")
    assert (tmp_path / "few.tex").read_text().splitlines() == [
        r"% needs \usepackage{booktabs,graphicx,array}; pdflatex also \usepackage[T1]{fontenc}",
        r"\begin{table}",
        r"\centering",
        r"\caption{A title.}",
        r"\label{tab:few}",
        r"\smallskip",
        r"\fontsize{7}{8.5}\selectfont",
        r"\setlength{\tabcolsep}{5pt}",
        r"\begin{tabular}{@{}lr@{}}",
        r"\toprule",
        r"Dataset & Samples \\",
        r"\midrule",
        r"$\widehat{D}_{\mathrm{t,SI}}$ & 1,000 \\",
        r"a & – \\",
        r"b\_c & \textbf{2} \\",
        r"\bottomrule",
        r"\end{tabular}\par\smallskip",
        r"\parbox{\linewidth}{\raggedright Of \texttt{gpt2}.}\par\smallskip",
        r"\end{table}",
    ]


def test_equal_columns_keep_their_own_bold(tmp_path: Path) -> None:
    rows = [[Cell("a"), Cell(1), Cell(1, bold=True)]]
    write_latex(table(["Name", "Score", "Score"], rows), tmp_path / "equal.tex")
    assert "a & 1 & \\textbf{1} \\\\\n" in (tmp_path / "equal.tex").read_text()


def test_every_row_and_column_is_in_one_float(tmp_path: Path) -> None:
    """Of a table that is too wide and too long, each value once."""
    shown = scores()
    shown.rows = [
        [*row[:3], *(Cell(100 * n + i, digits=1) for i in range(16))]
        for n, row in enumerate(shown.rows)
    ]
    write_latex(shown, tmp_path / "scores.tex")
    text = (tmp_path / "scores.tex").read_text()
    assert all(text.count(f" {100 * n + i:,.1f} ") == 1 for n in range(96) for i in range(16))
    floats = text.count(r"\begin{table*}")
    assert floats == text.count("(continued)") + 1 == text.count(r"\addtocounter{table}{-1}") + 1
    assert floats > 1
    assert text.count(r"\label{tab:scores}") == 1


def test_only_characters_that_the_fonts_have(tmp_path: Path) -> None:
    write_latex(answers(), tmp_path / "answers.tex")
    beyond = {c for c in (tmp_path / "answers.tex").read_text() if ord(c) > 0x17F}
    assert beyond <= set("–—“”…€™")


@WITH_TEX
@pytest.mark.parametrize("program", PROGRAMS)
def test_both_programs_compile_it_within_the_margins(program: str, tmp_path: Path) -> None:
    paths = []
    for made in (answers(), scores(), few()):
        paths.append(tmp_path / f"table_{made.name}.tex")
        write_latex(made, paths[-1])
    (tmp_path / program).mkdir()
    assert problems(program, paths, tmp_path / program) == []
