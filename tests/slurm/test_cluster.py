"""The test cluster has the properties that the other tests assume."""

from cluster import Cluster


def test_jobs_get_their_partition_memory_and_gpus(cluster: Cluster) -> None:
    shown = cluster.run(
        "srun",
        "--partition=gpu",
        "--gpus=1",
        "--mem=300",
        "--time=1",
        "bash",
        "-c",
        "echo $SLURM_JOB_PARTITION $SLURM_STEP_GPUS ${CUDA_VISIBLE_DEVICES-none}",
    )
    assert shown.split() == ["gpu", "0", "none"]
    job = cluster.jobs()[-1]
    assert (job["partition"], job["memory"], job["minutes"]) == ("gpu", "300M", "1:00")
    assert "gres/gpu=1" in job["gpus"]
