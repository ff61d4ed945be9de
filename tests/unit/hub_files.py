"""The part of a model hub's HTTP interface that downloads use: files of repositories at commits.

As on Hugging Face's hub, a large file is a redirect to a store of contents by SHA-256, answers name
the commit, and codes of errors are in a header. Clients try many optional files. The hub notes each
request for anything else that it does not have, so that a test can fail and name it.
"""

import fnmatch
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

LFS_ENDINGS = (".parquet", ".safetensors", ".bin", ".model", ".h5", ".msgpack")
OPTIONAL = (
    "README.md",
    ".huggingface.yaml",
    "dataset_infos.json",
    "*.py",
    "config.json",
    "adapter_config.json",
    "generation_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tekken.json",
    "chat_template.*",
    "additional_chat_templates",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "2_Normalize/config.json",
    "data",
)
"""Files and folders that clients try in each repository, whether it has them or not."""

_REPOSITORY = r"([\w.-]+/[\w.-]+)"
_FILE = re.compile(rf"/(datasets/)?{_REPOSITORY}/resolve/([^/]+)/(.+)")
_KINDS = "revision|tree|paths-info"
_INTERFACE = re.compile(
    rf"/api/(models|datasets)/{_REPOSITORY}(?:/({_KINDS})(?:/([^/]+)(?:/(.+))?)?)?"
)


@dataclass(frozen=True)
class Reply:
    """An answer to an HTTP request."""

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(status: int, code: str, message: str) -> Reply:
    """An error as the hub words it; clients read the code in the header."""
    content = json.dumps({"error": message}).encode()
    kind = {"Content-Type": "application/json"}
    return Reply(status, content, {"X-Error-Code": code, "X-Error-Message": message, **kind})


@dataclass
class Snapshots:
    """Files of repositories at commits."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Contents by path, by `REPO@COMMIT`; the name of a data repository starts with `datasets/`."""
    commits: dict[str, dict[str, str]] = field(default_factory=dict)
    """Commit of each branch, and of each commit that exists, by repository."""
    gated: set[str] = field(default_factory=set)
    """Repositories that nobody with the request's token may read."""
    refused: list[str] = field(default_factory=list)
    """Requests for repositories, revisions and files that the hub does not have."""
    store: str = ""
    """Address of the store of large files. Its host is another than the hub's, as in reality:
    clients take a redirect on the same host for a renamed repository."""
    _large: dict[str, bytes] = field(default_factory=dict)

    def add(
        self, repository: str, commit: str, files: Mapping[str, bytes], branch: str | None = None
    ) -> None:
        """Add a commit with its files, which a branch may point to."""
        self.files[f"{repository}@{commit}"] = dict(files)
        names = [commit] if branch is None else [commit, branch]
        self.commits.setdefault(repository, {}).update(dict.fromkeys(names, commit))

    def reply(self, method: str, url: str, body: bytes, asked_range: str = "") -> Reply | None:
        """Answer to a request; None: it is none of those for reading files."""
        path, _, query = url.partition("?")
        if path.startswith("/stored/"):
            return part_of(self._large[path.rpartition("/")[2]], asked_range)
        if found := _FILE.fullmatch(path):
            repository, commit = self._asked(found[1] or "", found[2], found[3])
            if isinstance(commit, Reply):
                return commit
            return self._content(repository, commit, unquote(found[4]), asked_range)
        if method not in ("GET", "POST") or not (found := _INTERFACE.fullmatch(path)):
            return None
        prefix = "datasets/" if found[1] == "datasets" else ""
        repository, commit = self._asked(prefix, found[2], found[4] or "main")
        if isinstance(commit, Reply):
            return commit
        recursive = "recursive=true" in query.lower()
        kinds = {
            "tree": lambda: self._tree(repository, commit, unquote(found[5] or ""), recursive),
            "paths-info": lambda: self._paths_info(repository, commit, parse_qs(body.decode())),
        }
        return kinds.get(found[3], lambda: self._information(repository, commit))()

    def _asked(self, prefix: str, name: str, revision: str) -> tuple[str, str | Reply]:
        """The repository of a request, and the commit or a refusal."""
        repository = f"{prefix}{name}"
        return repository, self._commit(repository, unquote(revision))

    def _commit(self, repository: str, revision: str) -> str | Reply:
        if repository in self.gated:
            return refusal(403, "GatedRepo", "Access is restricted.")
        if repository not in self.commits:
            self.refused.append(repository)
            return refusal(401, "RepoNotFound", "Repository not found")
        if (commit := self.commits[repository].get(revision)) is None:
            self.refused.append(f"{repository} at revision {revision}")
            return refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def _information(self, repository: str, commit: str) -> Reply:
        day = f"20{10 + int(commit[0], 16)}-01-02T03:04:05.000Z"
        paths = self.files.get(f"{repository}@{commit}", {"config.json": b""})
        return _json(
            {
                "_id": "621ffdc036468d709f174328",
                "id": repository.removeprefix("datasets/"),
                "sha": commit,
                "lastModified": day,
                "private": False,
                "gated": False,
                "disabled": False,
                "downloads": 1,
                "likes": 1,
                "tags": [],
                "siblings": [{"rfilename": path} for path in sorted(paths)],
            }
        )

    def _content(self, repository: str, commit: str, path: str, asked_range: str) -> Reply:
        content = self.files.get(f"{repository}@{commit}", {}).get(path)
        if content is None:
            return self._no_entry(repository, commit, path)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_git_id(content)}"'}
        if not path.endswith(LFS_ENDINGS):
            answer = part_of(content, asked_range)
            return Reply(answer.status, answer.content, {**answer.headers, **headers})
        digest = hashlib.sha256(content).hexdigest()
        self._large[digest] = content
        headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        return Reply(302, b"", {**headers, "Location": f"{self.store}/stored/{digest}"})

    def _no_entry(self, repository: str, commit: str, path: str) -> Reply:
        if not any(fnmatch.fnmatch(path, name) for name in OPTIONAL):
            self.refused.append(f"{path} of {repository} at {commit}")
        answer = refusal(404, "EntryNotFound", f"Entry not found: {path}")
        return Reply(404, answer.content, {**answer.headers, "X-Repo-Commit": commit})

    def _tree(self, repository: str, commit: str, folder: str, recursive: bool) -> Reply:
        files = self.files.get(f"{repository}@{commit}", {})
        inside = f"{folder}/" if folder else ""
        within = {path: content for path, content in files.items() if path.startswith(inside)}
        if folder and not within:
            return self._no_entry(repository, commit, folder)
        entries = [
            _entry(path, content)
            for path, content in within.items()
            if recursive or "/" not in path.removeprefix(inside)
        ]
        folders = {parent for path in within for parent in _parents(path) if parent > folder}
        entries += [
            _folder_entry(name)
            for name in folders
            if name.startswith(inside) and (recursive or "/" not in name.removeprefix(inside))
        ]
        return _json(sorted(entries, key=lambda entry: str(entry["path"])))

    def _paths_info(self, repository: str, commit: str, form: dict[str, Any]) -> Reply:
        paths = form["paths"]
        files = self.files.get(f"{repository}@{commit}", {})
        folders = {parent for path in files for parent in _parents(path)}
        entries = [_entry(path, files[path]) for path in paths if path in files]
        return _json(entries + [_folder_entry(path) for path in paths if path in folders])


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(content), "oid": _git_id(content)}
    if path.endswith(LFS_ENDINGS):
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
    return entry


def _folder_entry(path: str) -> dict[str, Any]:
    return {"type": "directory", "path": path, "size": 0, "oid": _git_id(path.encode())}


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def _git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _json(value: Any) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def part_of(content: bytes, asked_range: str) -> Reply:
    """The content, or the bytes of a range such as `bytes=100-` or `bytes=0-99`."""
    headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked_range)
    if not found:
        return Reply(200, content, headers)
    first, last = int(found[1]), int(found[2] or len(content) - 1)
    if first >= len(content):
        return Reply(416, b"", {"Content-Range": f"bytes */{len(content)}"})
    last = min(last, len(content) - 1)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    return Reply(206, content[first : last + 1], headers)
