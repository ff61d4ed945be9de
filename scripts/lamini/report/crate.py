"""The run as a Workflow Run RO-Crate: machine-readable lineage.

Follows RO-Crate 1.1 and the Workflow Run Crate profile 0.5
(https://w3id.org/ro/wfrun/workflow/0.5). The crate's root is the results folder. A crate contains
only files below its root, so files outside it (such as `config/`) are listed by name and SHA-256.
"""

import json
import shutil
from pathlib import Path

import yaml
from pydantic import BaseModel
from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from lamini import __version__
from lamini.catalogue.params.report import CrateParams
from lamini.files import atomic_writer, write_json
from lamini.jobs.provenance import provenance_path
from lamini.report.lineage_file import Artifact, Lineage

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
OUTPUTS = {"report": "The report", "tables": "The tables", "figures": "The figures"}
UNKNOWN_DATE = "1970-01-01"
"""Publication date of code outside git; the current time would change the file in each run."""
FORMATS = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".png": "image/png",
    ".html": "text/html",
    ".yaml": "application/yaml",
    ".parquet": "application/vnd.apache.parquet",
}


def write_crate(
    *,
    lineage: Path,
    report: Path,
    config: Path,
    snakefile: Path,
    citation: Path,
    settings: CrateParams,
    metadata: str | Path,
    workflow: str | Path,
) -> None:
    """Write the crate's metadata, and a copy of the Snakefile as the crate's workflow.

    Args:
        lineage: JSON of the lineage.
        report: HTML of the report.
        config: YAML of the resolved configuration.
        snakefile: the workflow.
        citation: `CITATION.cff`.
        settings: the rule's params.
        metadata: `ro-crate-metadata.json` in the crate's root, the results folder.
        workflow: path of the Snakefile's copy, below that root.
    """
    with open(snakefile, "rb") as source, atomic_writer(workflow, "wb") as target:
        shutil.copyfileobj(source, target)
    root = Path(metadata).parent
    cited = Citation.model_validate(yaml.safe_load(citation.read_text(encoding="utf-8")))
    crate = Crate(root, Lineage.read(lineage), cited)
    main = crate.add_workflow(Path(workflow), settings.title)
    crate.add_run(main, str(config), str(report))
    write_json(metadata, crate.metadata())


class Author(BaseModel):
    """An author in `CITATION.cff`."""

    name: str


class Citation(BaseModel):
    """The fields of `CITATION.cff` that a crate repeats."""

    title: str
    license: str
    authors: list[Author]


class Crate:
    """Builds the metadata of the crate.

    Args:
        root: the results folder.
        lineage: the run's lineage.
        citation: content of `CITATION.cff`.
    """

    def __init__(self, root: Path, lineage: Lineage, citation: Citation) -> None:
        self._root, self._lineage, self._citation = root, lineage, citation
        self._crate = ROCrate(version="1.1")
        dates = [code.date for code in lineage.code if code.date]
        self._crate.root_dataset["datePublished"] = max(dates, default=UNKNOWN_DATE)

    def metadata(self) -> dict[str, object]:
        """The JSON-LD document."""
        document: dict[str, object] = json.loads(json.dumps(self._crate.metadata.generate()))
        return document

    def add_workflow(self, snakefile: Path, title: str) -> Entity:
        """Add the root data set and the workflow."""
        relative = str(snakefile.relative_to(self._root))
        main: Entity = self._crate.add_workflow(
            str(snakefile),
            relative,
            main=True,
            lang="snakemake",
            lang_version=self._version("snakemake"),
            properties={"name": self._citation.title},
        )
        authors = [self._add(author.name, "Organization") for author in self._citation.authors]
        licence = f"https://spdx.org/licenses/{self._citation.license}"
        main.append_to("creator", authors)
        main["license"] = licence
        main["version"] = __version__
        commits = sorted(code.commit for code in self._lineage.code if code.commit)
        main["softwareVersion"] = ", ".join(commits) or "outside git"
        main.append_to("softwareRequirements", self._packages())
        profiles = [
            self._entity(i, "CreativeWork", {"name": n, "version": i.rpartition("/")[2]})
            for i, n in PROFILES.items()
        ]
        dataset = self._crate.root_dataset
        dataset["name"] = title
        dataset["description"] = f"A run of {self._citation.title}: tables, figures and report."
        dataset["license"] = licence
        dataset.append_to("conformsTo", profiles)
        return main

    def add_run(self, main: Entity, config: str, report: str) -> None:
        """Add the run: inputs, outputs, and one action per artifact."""
        settings = self._parameter("configuration", "The resolved configuration")
        user_files = self._parameter("given_files", "Files that people put there")
        outputs = {key: self._parameter(key, name) for key, name in OUTPUTS.items()}
        main.append_to("input", [settings, user_files])
        main.append_to("output", list(outputs.values()))
        objects = [self._file(config, settings)]
        objects += [self._input_file(path, user_files) for path in self._user_files()]
        results = [self._file(report, outputs["report"])]
        for path in self._lineage.products:
            kind = "tables" if "/tables/" in path else "figures"
            results.append(self._file(path, outputs[kind]))
        run = self._crate.add_action(
            main,
            identifier="#run",
            object=objects,
            result=results,
            properties={
                "name": "The run",
                "actionStatus": "http://schema.org/CompletedActionStatus",
            },
        )
        run.append_to("agent", main["creator"])
        for path, artifact in self._lineage.artifacts.items():
            self._add_making(path, artifact)

    def _add_making(self, path: str, artifact: Artifact) -> None:
        """Add the action that made an artifact: rule, code version, inputs and records."""
        records = [provenance_path(path, self._root), *map(Path, filter(None, [artifact.job]))]
        code = self._lineage.code[artifact.code]
        version = f"{code.commit or 'outside git'}{', modified' if code.modified else ''}"
        rule = self._entity(
            f"#rule-{artifact.rule}-{artifact.code}",
            "SoftwareApplication",
            {"name": artifact.rule, "softwareVersion": version},
        )
        inputs = [
            self._file(p) if p in self._lineage.artifacts else self._input_file(p, None)
            for p in sorted(artifact.inputs)
        ]
        if artifact.ledger:
            inputs += self._ledger(artifact.ledger)
        inputs += [self._file(str(record)) for record in records if record.is_file()]
        self._crate.add_action(
            rule,
            identifier=f"#making-{path}",
            object=inputs,
            result=[self._file(path)],
            properties={"name": f"{artifact.rule} made {path}"},
        )

    def _user_files(self) -> list[str]:
        """User-provided files: inputs outside the results folder."""
        inputs = {p for one in self._lineage.artifacts.values() for p in one.inputs}
        return sorted(path for path in inputs if not self._inside(path))

    def _file(self, path: str, parameter: Entity | None = None) -> Entity:
        """Entity of a file in the crate, with its SHA-256 if the lineage has it."""
        relative = str(Path(path).relative_to(self._root))
        entity = self._crate.get(relative)
        if entity is None:
            known = self._lineage.artifacts.get(path)
            properties = {"name": relative, "encodingFormat": FORMATS.get(Path(path).suffix)}
            properties["sha256"] = known.sha256 if known else None
            present = {key: value for key, value in properties.items() if value}
            entity = self._crate.add_file(path, relative, properties=present)
        if parameter is not None:
            entity["exampleOfWork"] = parameter
        return entity

    def _input_file(self, path: str, parameter: Entity | None) -> Entity:
        """Entity of an input file: outside the crate, or inside without a record."""
        if self._inside(path):
            return self._file(path, parameter)
        artifacts = self._lineage.artifacts.values()
        digests = {one.inputs[path] for one in artifacts if path in one.inputs}
        entity = self._entity(
            f"#given-{path}", "DigitalDocument", {"name": path, "sha256": sorted(digests)}
        )
        if parameter is not None:
            entity["exampleOfWork"] = parameter
        return entity

    def _ledger(self, path: str) -> list[Entity]:
        ledger = self._lineage.ledgers[path]
        if ledger is None:
            return []
        entity = self._file(ledger.file)
        entity["sha256"], entity["contentSize"] = ledger.sha256, str(ledger.bytes)
        return [entity]

    def _inside(self, path: str) -> bool:
        return Path(path).is_relative_to(self._root)

    def _parameter(self, name: str, description: str) -> Entity:
        parameter: Entity = self._crate.add_formal_parameter(
            name,
            "File",
            identifier=f"#parameter-{name}",
            description=description,
            properties={
                "conformsTo": {"@id": "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"}
            },
        )
        return parameter

    def _packages(self) -> list[Entity]:
        """One entity per version of each package."""
        versions = {item for packages in self._lineage.packages for item in packages.items()}
        return [
            self._entity(
                f"#package-{name}-{version}",
                "SoftwareApplication",
                {"name": name, "softwareVersion": version},
            )
            for name, version in sorted(versions)
            if version != "not installed"
        ]

    def _version(self, package: str) -> str | None:
        versions = [packages.get(package) for packages in self._lineage.packages]
        return max((v for v in versions if v and v != "not installed"), default=None)

    def _add(self, name: str, kind: str) -> Entity:
        return self._entity(f"#{name.replace(' ', '-').lower()}", kind, {"name": name})

    def _entity(self, identifier: str, kind: str, properties: dict[str, object]) -> Entity:
        """Contextual entity of this identifier; created at the first call."""
        entity = self._crate.get(identifier)
        if entity is None:
            typed = {"@type": kind, **properties}
            entity = self._crate.add(ContextEntity(self._crate, identifier, properties=typed))
        return entity
