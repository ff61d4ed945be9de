"""Checks of a Workflow Run RO-Crate: required entities, and references that resolve."""

import json
from pathlib import Path
from typing import Any

from lamini.report.crate import PROFILES

Graph = dict[str, dict[str, Any]]


def entities(root: Path) -> Graph:
    """The entities of a crate by their identifier."""
    document = json.loads((root / "ro-crate-metadata.json").read_text())
    assert document["@context"] == "https://w3id.org/ro/crate/1.1/context"
    graph: Graph = {entity["@id"]: entity for entity in document["@graph"]}
    assert len(graph) == len(document["@graph"]), "each entity once"
    return graph


def check_crate(root: Path) -> None:
    """Check the requirements of RO-Crate 1.1 and Workflow Run Crate 0.5, and all references."""
    graph = entities(root)
    dataset, descriptor = graph["./"], graph["ro-crate-metadata.json"]
    assert descriptor["about"] == {"@id": "./"} and dataset["@type"] == "Dataset"
    assert {"name", "description", "datePublished", "license"} <= set(dataset)
    assert {item["@id"] for item in dataset["conformsTo"]} == set(PROFILES)
    workflow = graph[dataset["mainEntity"]["@id"]]
    assert set(workflow["@type"]) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
    assert {"name", "programmingLanguage", "input", "output"} <= set(workflow)
    for key in ("input", "output"):
        for item in workflow[key]:
            parameter = graph[item["@id"]]
            assert parameter["@type"] == "FormalParameter" and parameter["additionalType"]
    run = graph["#run"]
    assert run["@type"] == "CreateAction" and run["instrument"] == dataset["mainEntity"]
    shown = [graph[item["@id"]] for item in (*run["object"], *run["result"])]
    assert shown and all("exampleOfWork" in entity for entity in shown)
    parts = {item["@id"] for item in dataset["hasPart"]}
    for entity in graph.values():
        if "File" in entity["@type"]:
            assert (root / entity["@id"]).is_file(), entity["@id"]
            assert entity["@id"] in parts
    for reference in _references(list(graph.values())):
        assert reference in graph or reference.startswith("http"), reference


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in _references(item)]
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            return [value["@id"]]
        return [found for item in value.values() for found in _references(item)]
    return []
