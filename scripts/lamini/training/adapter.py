"""LoRA (Hu et al. 2021) by `peft`: a low-rank adapter is trained, the model's weights are frozen.

An adapted module with weights W computes (W + alpha / rank * B A) x. A has `rank` rows and starts
with random numbers, B has `rank` columns and starts with zeros. The modules of the model are
replaced in place, so that its class, forward and names stay.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers.pytorch_utils import Conv1D

from lamini.errors import LaminiError
from lamini.files import derive_seed
from lamini.students.numerics import DTYPES, Precision
from lamini.training.initialization import load_initialization
from lamini.training.job import TrainingJob
from lamini.training.manifest import AdapterSize

if TYPE_CHECKING:
    from peft import PeftModel

_LINEAR = (torch.nn.Linear, Conv1D)
_NOISE = 0.1
"""Size of the updates during a proof, relative to the weights."""


def train_adapter_only(job: TrainingJob, model: Any, precision: Precision) -> None:
    """Add an adapter to a model if the recipe has one, and freeze all other weights."""
    if job.recipe.lora is not None:
        add_adapter(job, model)
        lower_frozen_precision(model, precision)


def add_adapter(job: TrainingJob, model: Any) -> "PeftModel":
    """Freeze a model and replace its target modules by ones with an adapter, which is trainable.

    Args:
        job: settings of the run; the recipe has `lora`.
        model: the initial model with all its embedding rows, changed in place.

    Returns:
        peft's wrapper of the model, which can merge and save the adapter.

    Raises:
        LaminiError: when the target modules are missing or can't have an adapter of their own.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    lora = job.recipe.lora
    assert lora is not None
    causal, automatic = job.architecture == "decoder-only", lora.target_modules == "auto"
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM if causal else TaskType.SEQ_2_SEQ_LM,
        revision=job.initialization.revision,
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules="all-linear" if automatic else list(lora.target_modules),
    )
    torch.manual_seed(derive_seed("lora", job.recipe.seed))  # the same matrices A on all ranks
    try:
        with warnings.catch_warnings():
            # peft corrects `fan_in_fan_out` for GPT-2's layers itself, and uses a deprecated name.
            warnings.filterwarnings("ignore", message="fan_in_fan_out|`is_gradient_checkpointing`")
            adapted = get_peft_model(model, config)
    except ValueError as error:
        linear = sorted({name.rpartition(".")[2] for name, _ in _linear_modules(model)})
        raise LaminiError(
            f"{job.model}: lora.target_modules: no adapter for {lora.target_modules}"
            f" ({error!s:.200}); linear modules of this model: {', '.join(linear)}"
        ) from error
    _check_modules(job, model)
    adapted.peft_config["default"].base_model_name_or_path = job.initialization.path
    return adapted


def adapted_modules(model: torch.nn.Module) -> dict[str, Any]:
    """The modules with an adapter, by name; none in a model without one."""
    return {name: part for name, part in model.named_modules() if hasattr(part, "lora_B")}


def lower_frozen_precision(model: Any, precision: Precision) -> None:
    """Store the frozen matrices in the run's 16-bit format, to which autocast rounds them anyway.

    The results do not change, and the matrices take half the memory. Embeddings, norms and the
    output head stay in fp32.

    Args:
        model: a model with an adapter.
        precision: of the run; in fp32 nothing changes.
    """
    if precision == "fp32":
        return
    exact = set(model._keep_in_fp32_modules_strict or [])
    if precision == "fp16":  # T5's `wo` overflows
        exact |= set(model._keep_in_fp32_modules or [])
    head = model.get_output_embeddings()
    for name, module in _linear_modules(model):
        if module is head or exact & set(name.split(".")):
            continue
        for parameter in module.parameters(recurse=False):
            if not parameter.requires_grad:
                parameter.data = parameter.data.to(DTYPES[precision])


@contextmanager
def perturbed(model: Any) -> Iterator[None]:
    """Give the matrices B random values for a proof, and restore them.

    With zeros in B the adapter adds nothing, so a proof would not notice a wrong computation of it.
    """
    matrices = [
        (module, matrix.weight, matrix.weight.detach().clone())
        for module in adapted_modules(model).values()
        for matrix in module.lora_B.values()
    ]
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module, weight, _ in matrices:
            weight.copy_(torch.randn(weight.shape, generator=random))
            update = module.get_delta_weight(module.active_adapters[0]).std()
            weight.mul_(_NOISE * module.weight.float().std() / update.clamp_min(1e-12))
    try:
        yield
    finally:
        with torch.no_grad():
            for _, weight, before in matrices:
                weight.copy_(before)


@contextmanager
def trainable_embeddings(model: Any) -> Iterator[None]:
    """Let gradients reach the input embeddings, also if they are frozen.

    All states then have gradients. In a frozen first layer some keys have none otherwise, and this
    looks like a model whose cache stops the gradient.
    """
    weight = model.get_input_embeddings().weight
    before = weight.requires_grad
    weight.requires_grad_(True)
    try:
        yield
    finally:
        weight.requires_grad_(before)


def export_form(job: TrainingJob, trained: Any) -> Any:
    """The trained model as its recipe exports it: a whole model, or peft's model for the adapter.

    The initial weights are read again: during training they may have been rounded to 16 bits.

    Args:
        job: settings of the run.
        trained: the trained model.
    """
    lora = job.recipe.lora
    if lora is None:
        return trained.to("cpu")
    initial, _ = load_initialization(job)
    adapted = add_adapter(job, initial)
    weights = dict(trained.named_parameters())
    with torch.no_grad():
        for name, parameter in initial.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(weights[name])
    return adapted if lora.export == "adapter" else adapted.merge_and_unload()


def adapter_size(model: torch.nn.Module) -> AdapterSize | None:
    """Size of a model's adapter; None for a model without one."""
    adapted = adapted_modules(model)
    if not adapted:
        return None
    parameters = {True: 0, False: 0}
    for parameter in model.parameters():
        parameters[parameter.requires_grad] += parameter.numel()
    return AdapterSize(
        parameters_trained=parameters[True],
        parameters_frozen=parameters[False],
        modules=sorted({name.rpartition(".")[2] for name in adapted}),
    )


def _linear_modules(model: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    return [(name, part) for name, part in model.named_modules() if type(part) in _LINEAR]


def _check_modules(job: TrainingJob, model: Any) -> None:
    """Raise a LaminiError if an adapted module is not linear, or shares its weights."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = embedding.weight if embedding.weight is head.weight else None
    for name, module in adapted_modules(model).items():
        problem = None
        if type(module.get_base_layer()) not in _LINEAR:
            problem = "is no linear module"
        elif module.weight is tied:
            problem = "shares its weights with the embeddings, which merging would change too"
        if problem:
            raise LaminiError(
                f"{job.model}: lora.target_modules: {name} {problem}; leave it out, or set `auto`"
            )
