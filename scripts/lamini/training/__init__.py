"""Fine-tuning the students: exactly the paper's batches, whatever the machine.

Which pairs make up an optimiser step, and the step's loss, depend on the recipe alone; how a step
is computed (layout, budget, number of devices) changes its speed and nothing else. The modules, in
the order of a run: `job` (what to train), `launch` and `ranks` (processes), `pairs` and `plan`
(what each step sees), `layout` and `batches` (how it is computed), `losses`, `activations`,
`precision`, `optimizer`, `loop`, `checkpoints` and `interrupts` (stopping and going on), `export`.
"""
