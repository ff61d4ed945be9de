"""Generation of instruction-response pairs from Wikipedia topics and seed prompts (section 3).

Stages, in their order, each with the modules that it consists of:

- `topics`: `download`, `dump`.
- `prompts`: `seeds`, `hub_seeds`, `data_files`, `seed_check`.
- `instructions`: `prompt_template`, `requests`, `shard`, `parsing`.
- `queries`: `deduplication`.
- `pairs`: `choice`, `turns`.
- `summary`.

`rows` and `reports` are the files between them; `texts`, `refusals` and `normalization` are about
the texts in these.
"""
