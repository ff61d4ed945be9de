"""Fine-tuning of the students with the paper's batches, on any machine.

The pairs of an optimiser step and its loss depend on the recipe only. Layout, token budget and
number of devices change the speed, not the result. The modules, in the order of a run: `job`
(settings), `launch` and `ranks` (processes), `start` (initial model), `loop` (one step after
another), `pairs` (of each step), `layout` and `batches` (micro-batches), `ways`, `computation`,
`losses` and `activations` (forward and backward pass), `optimization` (learning rate, AdamW, mixed
precision), `checkpoints` and `interrupts` (stop and resume), `export`.
"""
