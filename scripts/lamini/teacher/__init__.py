"""Teacher client: sends requests to an OpenAI-compatible endpoint; no answer is paid twice or lost.

    from lamini.teacher.session import open_teacher

    with open_teacher(settings, ledger, other_ledgers, job) as teacher:
        for request, answer in teacher.ask(requests):
            ...

`requests` is read lazily; answers are yielded in the order of the requests. Each answer is on disk,
in the append-only ledger beside the shard, before it is yielded. This holds for every
`teacher.backend` (package `backends`): the live API, the Batch API, a local server.

The package itself imports nothing: the Snakefile reads the backends' properties in every job.
"""
