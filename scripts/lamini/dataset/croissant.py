"""Croissant metadata of a dataset (MLCommons, version 1.1): JSON-LD for search and loaders.

The file describes the Parquet file beside it, so that it is valid next to the card and in an
exported folder alike. `make croissant` checks it with the format's own library.
"""

from typing import Any

from lamini.dataset.manifest import DatasetManifest
from lamini.dataset.turns import MESSAGES
from lamini.settings.dataset import PERSONAL_KINDS

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES = {"string": "sc:Text", "int32": "sc:Integer"}
_CITATION = (
    "Wu, M., Waheed, A., Zhang, C., Abdul-Mageed, M., Aji, A. F. (2024). LaMini-LM: A Diverse Herd"
    " of Distilled Models from Large-Scale Instructions. EACL 2024. arXiv:2304.14402"
)


def croissant(manifest: DatasetManifest, columns: dict[str, str], sensitive: int) -> dict[str, Any]:
    """The metadata as JSON-LD.

    Args:
        manifest: the dataset's manifest.
        columns: description of each column.
        sensitive: number of texts in which the scan for personal data found something.
    """
    name, settings = manifest.mixture, manifest.settings
    file = f"{name}.parquet"
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": name,
        "description": (
            f"{manifest.rows:,} pairs of instructions and responses from"
            f" {len(manifest.sources)} sources; the responses are a teacher model's."
        ),
        "license": settings.license,
        "url": "https://arxiv.org/abs/2304.14402",
        "citeAs": _CITATION,
        "version": f"{settings.version}.0.0",
        "rai:dataCollectionType": ["Synthetic generation by a language model"],
        "rai:personalSensitiveInformation": [
            f"{sensitive:,} of {2 * manifest.rows:,} texts have the form of one of:"
            f" {', '.join(PERSONAL_KINDS)}"
        ],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": file,
                "name": file,
                "contentUrl": file,
                "contentSize": f"{manifest.bytes} B",
                "encodingFormat": "application/x-parquet",
                "sha256": manifest.sha256,
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "pairs",
                "name": "pairs",
                "field": [
                    _field(file, column, kind, columns[column])
                    for column, kind in manifest.columns.items()
                ],
            }
        ],
    }


def _field(file: str, column: str, kind: str, description: str) -> dict[str, Any]:
    listed = kind.startswith("list<")
    source = {"fileObject": {"@id": file}, "extract": {"column": column}}
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"pairs/{column}",
        "name": column,
        "description": description,
    }
    if column == MESSAGES.name:
        field["subField"] = [
            {
                "@type": "cr:Field",
                "@id": f"pairs/{column}/{part}",
                "name": part,
                "dataType": "sc:Text",
                "source": source | {"transform": {"jsonPath": part}},
            }
            for part in ("role", "content")
        ]
    else:
        field |= {"dataType": "sc:Text" if listed else _TYPES[kind], "source": source}
    return field | ({"repeated": True} if listed else {})
