"""A dataset folder -> a dataset on the Hugging Face Hub; nothing is sent before it was shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ds2.output.dataset import dataset_shards
from signatures.errors import EndpointError, OutputError

TOKEN = "HF_TOKEN"  # noqa: S105 - the name of the variable
_REPO = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What a push would send.

    Args:
        repo: USER/NAME of the dataset on the Hub.
        folder: the dataset folder.
        shards: its Parquet files.
        bytes: their size together.
        rows: rows in them.
        simulated: the rows come from the simulated teacher.
    """

    repo: str
    folder: Path
    shards: tuple[Path, ...]
    bytes: int
    rows: int
    simulated: bool


def plan_push(folder: Path, repo: str) -> PushPlan:
    """Return what a push of a dataset folder would send; no connection is made.

    Raises:
        OutputError: no dataset there, no card, or a name that no repository can have.
    """
    import pyarrow.parquet as pq

    if not _REPO.fullmatch(repo):
        raise OutputError.rule(
            "Pushing failed",
            name="the repository",
            rule="be USER/NAME, of letters, digits, '-', '_' and '.'",
            value=repo,
            todo="Name yours, such as maria/medqa-rows.",
        )
    shards = dataset_shards(folder)
    card = folder / "README.md"
    if not card.is_file():
        raise OutputError.rule(
            "Pushing failed",
            unit=str(folder),
            name="the dataset card",
            rule="be there as README.md",
            value=None,
            todo="Give the same `ds2 run` command again: it writes the card anew without new calls.",
        )
    return PushPlan(
        repo=repo,
        folder=folder,
        shards=tuple(shards),
        bytes=sum(shard.stat().st_size for shard in shards),
        rows=sum(pq.read_metadata(shard).num_rows for shard in shards),
        simulated="- simulated-teacher\n"
        in card.read_text("utf-8", "replace").partition("\n---")[0],
    )


def push(plan: PushPlan, environ: Mapping[str, str], *, private: bool) -> str:
    """Send a planned dataset and its card to the Hub and return its address.

    The card goes first, then the rows by `Dataset.push_to_hub`, which keeps the card's text and adds
    to its head what the Hub wants to know of the columns.

    Args:
        plan: what `plan_push` returned.
        environ: where the token is looked up, as `HF_TOKEN`.
        private: make a repository that is not there yet a private one.

    Raises:
        EndpointError: no token, or the Hub refused.
    """
    from datasets import Dataset, concatenate_datasets
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    token = _token(environ)
    tables = [Dataset.from_parquet(str(shard), keep_in_memory=True) for shard in plan.shards]
    try:
        api = HfApi(token=token)
        api.create_repo(plan.repo, repo_type="dataset", private=private, exist_ok=True)
        api.upload_file(
            path_or_fileobj=plan.folder / "README.md",
            path_in_repo="README.md",
            repo_id=plan.repo,
            repo_type="dataset",
        )
        rows = concatenate_datasets(tables)
        rows.push_to_hub(plan.repo, token=token, private=private, num_shards=len(plan.shards))
    except (HfHubHTTPError, OSError) as error:
        # The words of the library may quote the request: the token must not be among them.
        said = f"{type(error).__name__}: {error}".replace(token, "***").splitlines()[0][:300]
        raise EndpointError.rule(
            "Pushing failed",
            unit=plan.repo,
            name="the Hub",
            rule="accept the dataset",
            value=said,
            todo=f"Check that {TOKEN} may write to this repository, then give the command again.",
        ) from None
    return f"https://huggingface.co/datasets/{plan.repo}"


def _token(environ: Mapping[str, str]) -> str:
    token = environ.get(TOKEN, "").strip()
    if not token:
        raise EndpointError.rule(
            "Pushing failed",
            name=f"the environment variable {TOKEN}",
            rule="hold a token that may write",
            value=None,
            todo=f"Make one in your Hub settings, then: export {TOKEN}=...",
        )
    return token
