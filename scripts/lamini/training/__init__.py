"""Fine-tuning of the students with the paper's batches, on any machine.

The pairs of an optimiser step and its loss depend on the recipe only. Layout, token budget and
number of devices change the speed, not the result. The modules, in the order of a run: `job`
(settings), `launch` and `ranks` (processes), `pairs` and `plan` (pairs of each step), `layout` and
`batches` (micro-batches), `losses`, `activations`, `precision`, `optimizer`, `loop`, `checkpoints`
and `interrupts` (stop and resume), `export`.
"""
