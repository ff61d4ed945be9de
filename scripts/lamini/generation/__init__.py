"""Generation of instruction-response pairs from Wikipedia topics and seed prompts (section 3).

Order of the stages: `topics`, `prompts`, `instructions`, `queries`, `pairs`, `summary`.
"""
