"""Tools for the organizer of a study: the progress of each annotator, and the rating files.

No server is needed: pages and rating files are sent by mail or copied on a USB drive.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from lamini import paths
from lamini.errors import LaminiError
from lamini.human_evaluation.items import Item, read_items
from lamini.human_evaluation.rating_files import ASK_AGAIN, Rating, read_file, read_ratings
from lamini.settings.params.human_evaluation import CollectRatings
from lamini.text_table import text_table
from lamini.user_text import parse_json

MAIL = """Subject: Rating {texts} short texts ({study})

Please rate the texts in the attached page, {page}: open it in a browser on a computer
or a phone. It explains the four levels (Help) and works without a network. Rate alone, in as
many sittings as you like; at the end of each, press Export. When you are done, send me the
last exported file (.json).{effort}"""


@dataclass
class RatingFiles:
    """The folder of a study's rating files, with the items that they rate.

    Raises:
        LaminiError: if the pages of the study were not written yet.
    """

    settings: CollectRatings
    folder: Path
    items: list[Item] = field(init=False)

    def __post_init__(self) -> None:
        path = Path(paths.ITEMS.format(study=self.name))
        if not path.exists():
            raise LaminiError(
                f"{path}: the study has no texts yet; run `snakemake rating_sheets` first"
            )
        self.items = read_items(path)

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.settings.study

    def sheet(self, annotator: str) -> str:
        """The page of an annotator."""
        return paths.SHEET.format(study=self.name, annotator=annotator)

    def add(self, path: Path) -> str:
        """Check a rating file and copy it into the study's folder; returns what was done."""
        problems: list[str] = []
        ratings = read_file(str(path), {i.item: i for i in self.items}, self.settings, problems)
        if problems:
            raise LaminiError("\n  ".join([f"{path} was not taken in:", *problems]))
        self.folder.mkdir(parents=True, exist_ok=True)
        target = _free(self.folder / path.name, path)
        if target.exists():
            return f"{path}: {target} has the same content already"
        shutil.copyfile(path, target)
        rated = sum(bool(rating.rating) for rating in ratings)
        return f"{path}: {rated} ratings taken in as {target}"

    def text(self) -> str:
        """Progress of each annotator, and the mail to those who have not sent anything."""
        ratings = read_ratings(sorted(self.folder.glob("*.json")), self.items, self.settings)
        rows, waiting = [], []
        for name in self.settings.annotators:
            texts = sum(name in item.annotators for item in self.items)
            own = [rating for rating in ratings if rating.annotator == name]
            rated = sum(bool(rating.rating) for rating in own)
            skipped = sum(bool(rating.skipped) for rating in own)
            last = max((rating.time for rating in own), default="")[:16].replace("T", " ")
            left = texts - rated - skipped
            seconds = _seconds(own) or "–"
            rows.append([self.sheet(name), texts, rated, skipped, left, seconds, last or "–"])
            if not own:
                waiting.append((name, texts))
        header = ["page", "texts", "rated", "skipped", "left", "seconds a text", "last change"]
        lines = [f"Study {self.name}, rating files in {self.folder}:", text_table(header, rows)]
        if waiting:
            lines.append(self._mail(*waiting[0], [name for name, _ in waiting], ratings))
        return "\n".join(lines)

    def _mail(
        self, name: str, texts: int, waiting: Sequence[str], ratings: Iterable[Rating]
    ) -> str:
        measured = _seconds(ratings)
        effort = f" Others needed about {measured} seconds a text." if measured else ""
        page = Path(self.sheet(name)).name
        mail = MAIL.format(texts=texts, study=self.name, page=page, effort=effort)
        shown = "\n".join(f"  {line}".rstrip() for line in mail.splitlines())
        return f"\nNothing yet from {', '.join(waiting)}. A mail, here for {name}:\n\n{shown}"


def add_rating_files(studies: Mapping[str, RatingFiles], files: Iterable[Path]) -> list[str]:
    """Copy rating files, each into the folder of the study that it names.

    Raises:
        LaminiError: a file is no rating file, is of no study of this run, or has problems.
    """
    done = []
    for path in files:
        try:
            content = parse_json(path.read_bytes(), path, remedy=ASK_AGAIN)
        except OSError as error:
            raise LaminiError(f"{path}: cannot be read ({error.strerror})") from error
        name = content.get("study") if isinstance(content, dict) else None
        if not isinstance(name, str) or name not in studies:
            raise LaminiError(
                f"{path}: is of study {name!r}; this run has {', '.join(studies) or 'none'}"
            )
        done.append(studies[name].add(path))
    return done


def _seconds(ratings: Iterable[Rating]) -> int | None:
    """Median number of seconds per rated text; None if it was not measured."""
    measured = [rating.seconds for rating in ratings if rating.rating and rating.seconds]
    return round(median(measured)) if measured else None


def _free(target: Path, source: Path) -> Path:
    """A path that does not exist yet or has the same content: name.json, name-2.json ..."""
    number, path = 1, target
    while path.exists() and path.read_bytes() != source.read_bytes():
        number += 1
        path = target.with_stem(f"{target.stem}-{number}")
    return path
