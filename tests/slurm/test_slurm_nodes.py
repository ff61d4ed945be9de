"""Training on two nodes with the rule's resources has the loss curve of a single process.

The site's GPU partition has another name here, which one block of the profile says.
"""

import json
import os
import shutil

import pytest
from cluster import Cluster
from runs import Run

from checkouts import Checkout

MODEL = "lamini-demo-gpt2"
FOLDER = f"results/checkpoints/{MODEL}"
# Each rank draws its own dropout; without it the number of ranks changes rounding alone.
NO_DROPOUT = {"config": dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)}


def losses(checkout: Checkout) -> list[float]:
    rows = (checkout.folder / FOLDER / "final/metrics.jsonl").read_text().splitlines()
    return [json.loads(row)["loss"] for row in rows[1:]]


@pytest.mark.skipif(
    "LAMINI_SLOW_TESTS" not in os.environ,
    reason="training on two nodes takes over a minute: set LAMINI_SLOW_TESTS=1",
)
def test_two_nodes_have_the_losses_of_one(cluster: Cluster, before_training: Checkout) -> None:
    target = f"{FOLDER}/final/manifest.json"
    overlay = {
        "models": {"demo-gpt2": {"weights": {"build": NO_DROPOUT}}},
        "recipes": {"decoder_only": {"epochs": 3}},
    }
    block = before_training.folder / "config/profiles/slurm/partitions.yaml"
    block.write_text(block.read_text().replace("\n  gpu:\n", "\n  urgent:\n"))
    Run(before_training, target, overlay=overlay).wait()
    alone = losses(before_training)
    shutil.rmtree(before_training.folder / FOLDER)

    overlay["models"][MODEL] = {"nodes": 2}
    run = Run(before_training, target, overlay=overlay)
    run.wait()
    (number,) = run.jobs
    job = next(job for job in cluster.jobs() if job["id"] == number)
    assert job["node"] == "g[1-2]" and "gres/gpu=2" in job["gpus"], job
    assert job["partition"] == "urgent"
    log = (before_training.folder / f"results/logs/train_model/{MODEL}.log").read_text()
    assert "on 2 x cpu" in log
    assert losses(before_training) == pytest.approx(alone, rel=1e-5)
