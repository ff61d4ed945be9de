"""Fine-tuning of the students with the paper's batches, on any machine.

The pairs of an optimizer step and its loss depend on the recipe only. Layout, token budget and
number of devices change the speed, not the result. The modules, in the order of a run:

- `job` (settings), `launch` and `ranks` (processes), `run` (the run of one process);
- `initialization` and `adapter` (initial model), `pairs` and `samples` (the pairs of the run and of
  each step), `loop` (one step after another);
- `layout`, `micro_batches` and `batches` (micro-batches), `ways`, `computation` and `losses`
  (forward and backward pass), `compilation` and `fast_modules` (the same, faster);
- `gradients` (sums over the processes), `optimization` (learning rate, AdamW, mixed precision);
- `kept_epoch`, `checkpoints` and `interrupts` (stop and resume), `export`.

A way is how a forward pass is computed, such as with several pairs in a row (`ways`); it is proven
on the model, also in evaluation. A layout is which pairs are in which row of which micro-batch
(`layout`); the way decides what a row may hold.
"""
