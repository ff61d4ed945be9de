"""Hook of mkdocs: pages keep their paths in the repository, so links work on the hub and here.

mkdocs reads one folder, but the README and the pages of `config/` are outside `docs/`.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PUBLISHED = [
    "*.md",
    "CITATION.cff",
    "LICENSE",
    "docs/*.md",
    "docs/images/*",
    "docs/files/*",
    "config/**/README.md",
    "config/examples/**/*",
    "tests/mutation/survivors.yaml",
]
"""Pages, and the files that pages link to."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the repository to the files of `docs/site`."""
    root = Path(config.config_file_path).parent
    for path in sorted({path for pattern in PUBLISHED for path in root.glob(pattern)}):
        if path.is_file():
            name = path.relative_to(root).as_posix()
            files.append(File(name, str(root), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Show why a block of commands is not run: mkdocs reads no words after the language."""
    return re.sub(r'^( *```sh) not run: "?(.+?)"?$', r'\1 title="\2"', markdown, flags=re.MULTILINE)
