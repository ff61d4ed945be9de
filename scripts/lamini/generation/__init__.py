"""From the Wikipedia dump and the seed collections to instruction-response pairs (section 3).

Order of the stages: `topics`, `prompts`, `instructions`, `queries`, `pairs`, `summary`.
"""
