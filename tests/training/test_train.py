"""Training: the same weights twice, the same weights after a kill, the same batches for every member."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from archbench.data.stream import TokenStream
from archbench.errors import RequestError
from archbench.models.build import build_model
from archbench.training.loop import train as training
from archbench.training.loop.optimizers import Optimizers
from archbench.training.loop.train import train_member
from archbench.training.recipe import Recipe, Sweep, parse_recipe
from archbench.training.result import TrainResult, finished_result

RECIPE = Recipe(tokens=16 * 4 * 10, sequence_length=16, batch_sequences=4, validation_windows=6, warmup=0.2)
LLAMA = {
    "model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 2, "tie_word_embeddings": True,
}  # fmt: skip
HYBRID = {
    "model_type": "nemotron_h", "pattern": "M*", "hidden_size": 16, "num_attention_heads": 2, "head_dim": 8,
    "num_key_value_heads": 2, "mamba_num_heads": 2, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1,
    "chunk_size": 8,
}  # fmt: skip
MAMBA = {
    "model_type": "mamba", "hidden_size": 16, "num_hidden_layers": 1, "state_size": 4,
    "tie_word_embeddings": True,
}  # fmt: skip


def stream(offset: int = 0) -> TokenStream:
    return TokenStream(
        lambda shard, number: f"{shard * 7 + number + offset}",
        lambda texts: [[1 + (int(t) + k) % 30 for k in range(5)] for t in texts],
        end=0,
        length=16,
        windows_per_shard=8,
    )


def train(
    folder: Path,
    architecture: dict[str, object] = LLAMA,
    report: Callable[[str, int, int, float], None] = lambda *_: None,
    recipe: Recipe = RECIPE,
) -> TrainResult:
    return train_member(
        "m", architecture, recipe, stream(), stream(1000), folder,
        vocab_size=32, digest=recipe.digest(architecture, "t"), report=report,
    )  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("architecture", [LLAMA, HYBRID], ids=["llama", "hybrid"])
@pytest.mark.parametrize("killed_after", [1, 4, 9])
def test_a_killed_run_ends_with_the_same_bits(
    tmp_path: Path,
    architecture: dict[str, object],
    killed_after: int,
    optimizer: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "_SECONDS_BETWEEN_SAVES", 0.0)
    recipe = RECIPE.model_copy(update={"optimizer": optimizer})
    straight = train(tmp_path / "straight", architecture, recipe=recipe)
    seen: list[int] = []

    def kill(member: str, step: int, steps: int, loss: float) -> None:
        seen.append(step)
        if step == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", architecture, kill, recipe)
    assert finished_result(tmp_path / "killed", straight.recipe) is None
    resumed = train(tmp_path / "killed", architecture, lambda m, step, steps, loss: seen.append(step), recipe)
    assert seen == [*range(1, killed_after + 1), *range(killed_after, 11)], "resumes at the last saved step"
    for name, tensor in weights(tmp_path / "straight").items():
        assert torch.equal(tensor, weights(tmp_path / "killed")[name]), name
    timing = {"seconds", "tokens_per_second", "folder"}
    assert resumed.model_dump(exclude=timing) == straight.model_dump(exclude=timing)


def test_members_read_the_same_batches_and_the_record_says_so(tmp_path: Path) -> None:
    results = [train(tmp_path / name, a) for name, a in (("llama", LLAMA), ("hybrid", HYBRID))]
    assert results[0].data == results[1].data
    assert results[0].recipe != results[1].recipe
    with safe_open(tmp_path / "llama" / "model.safetensors", "pt") as file:
        assert file.metadata()["archbench_recipe"] == results[0].recipe
    assert json.loads((tmp_path / "llama" / "training.json").read_text())["outcome"] == "finished"
    assert not (tmp_path / "llama" / ".state").exists()


def test_the_loss_falls_and_the_published_model_has_it(tmp_path: Path) -> None:
    result = train(tmp_path, recipe=RECIPE.model_copy(update={"tokens": 16 * 4 * 150, "learning_rate": 1e-2}))
    assert result.validation_loss is not None
    assert result.validation_loss < 0.7 * math.log(32)
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert training.validation_loss(model, RECIPE, stream(1000)) == pytest.approx(
        result.validation_loss, abs=1e-5
    )


@pytest.mark.parametrize("architecture", [LLAMA, HYBRID, MAMBA], ids=["llama", "hybrid", "mamba"])
def test_muon_has_the_matrices_inside_the_layers_and_adamw_the_rest(architecture: dict[str, object]) -> None:
    model = build_model(architecture, seed=0, vocab_size=32)
    recipe = RECIPE.model_copy(update={"optimizer": "muon"})
    optimizers = Optimizers(model, recipe)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    model(torch.arange(1, 9)[None]).logits.sum().backward()
    optimizers.step(recipe.steps - 1)
    kept = optimizers.moments(model)
    assert {key.split(".", 2)[2] for key in kept} == set(before), "every parameter has one optimizer"
    assert any(not torch.equal(before[name], one) for name, one in model.named_parameters())
    muon = {key.removeprefix("muon.momentum_buffer.") for key in kept if key.startswith("muon.")}
    assert all(name.endswith("proj.weight") for name in muon)
    assert not {name for name in muon if "embed" in name or "lm_head" in name}
    assert {name for name in before if "proj.weight" in name} == muon


def test_divergence_is_an_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def explode(*_: object, **__: object) -> Iterator[Callable[[object], torch.Tensor]]:
        yield lambda windows: torch.tensor(float("nan"), requires_grad=True)

    monkeypatch.setattr(training, "objective", explode)
    result = train(tmp_path)
    assert (result.outcome, result.training_loss, result.validation_loss) == ("diverged", None, None)
    assert not (tmp_path / "model.safetensors").exists(), "no checkpoint of a run that diverged"
    assert "NaN" not in (tmp_path / "training.json").read_text()
    assert finished_result(tmp_path, result.recipe) is None, "the next call tries again"


@pytest.mark.parametrize("after", [0, 1])
def test_a_validation_loss_that_is_no_number_is_divergence_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    losses = iter([*[5.0] * after, *[float("nan")] * 9])
    monkeypatch.setattr(training, "_mean_loss", lambda *_: next(losses))
    result = train(tmp_path)
    assert (result.outcome, result.validation_loss) == ("diverged", None)
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("architecture", [LLAMA, HYBRID, MAMBA], ids=["llama", "hybrid", "mamba"])
@pytest.mark.parametrize("changes", [{}, {"optimizer": "muon"}, {"precision": "bfloat16"}], ids=str)
def test_a_rate_that_explodes_diverges(
    tmp_path: Path, architecture: dict[str, object], changes: dict[str, object]
) -> None:
    rates = {"learning_rate": 1e6, "muon_learning_rate": 1e6}
    result = train(tmp_path, architecture, recipe=RECIPE.model_copy(update=rates | changes))
    assert (result.outcome, result.training_loss, result.validation_loss) == ("diverged", None, None)
    assert result.steps < RECIPE.steps
    assert [path.name for path in tmp_path.iterdir()] == ["training.json"]
    assert all(math.isfinite(loss) for _, loss in [*result.curve, *result.validation_curve])


def test_a_model_that_is_no_number_at_first_is_not_said_to_look_over_borders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(*args: Any, **kwargs: Any) -> Any:
        model = build_model(*args, **kwargs)
        next(model.parameters()).data.fill_(math.nan)
        return model

    monkeypatch.setattr(training, "build_model", spoilt)
    result = train(tmp_path, recipe=RECIPE.model_copy(update={"reset_at_borders": True}))
    assert (result.outcome, result.steps) == ("diverged", 0)


def test_a_record_of_an_older_version_with_nan_is_no_finished_training(tmp_path: Path) -> None:
    result = train(tmp_path)
    card = tmp_path / "training.json"
    told = json.loads(card.read_text())
    card.write_text(json.dumps(told | {"validation_loss": math.nan}))
    with pytest.raises(RequestError, match=r"training\.json is no record of a training .*NaN.*--restart"):
        finished_result(tmp_path, result.recipe)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("field", ["learning_rate", "clip", "weight_decay"])
def test_a_recipe_holds_finite_numbers(field: str, value: float) -> None:
    with pytest.raises(RequestError, match=rf"{field}: input should be a finite number"):
        parse_recipe({"tokens": 64, field: value}, "f.yaml")


def test_weights_that_a_last_step_spoiled_are_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_all_finite", lambda model: False)
    assert train(tmp_path).outcome == "diverged"
    assert not (tmp_path / "model.safetensors").exists()


def test_the_schedule_rises_then_follows_a_cosine_to_its_share() -> None:
    recipe = RECIPE.model_copy(update={"tokens": 16 * 4 * 100, "final_learning_rate": 0.1, "warmup": 0.1})
    rates = [recipe.learning_rate_at(step) for step in range(recipe.steps)]
    assert rates[0] == pytest.approx(recipe.learning_rate / 10)
    assert max(rates) == rates[10] == recipe.learning_rate
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1 * recipe.learning_rate, rel=0.02)


def test_every_field_of_the_recipe_changes_its_digest() -> None:
    changed = {
        "vocab_size": 999, "tokens": 1, "sequence_length": 9, "batch_sequences": 3, "learning_rate": 1.0,
        "final_learning_rate": 0.5, "warmup": 0.5, "betas": (0.5, 0.5), "weight_decay": 0.5, "clip": 3.0,
        "seed": 9, "validation_windows": 3, "corpus": RECIPE.corpus.model_copy(update={"people": 99}),
        "optimizer": "muon", "muon_learning_rate": 0.5, "reset_at_borders": True, "precision": "bfloat16",
        "seeds": (0,),
        "sweep": Sweep(learning_rate=(1e-3,)),
    }  # fmt: skip
    assert set(changed) == set(Recipe.model_fields) - {"tokenizer"}, "its digest is a part of its own"
    digests = {RECIPE.model_copy(update={key: value}).digest(LLAMA, "t") for key, value in changed.items()}
    digests |= {RECIPE.digest(LLAMA, "t"), RECIPE.digest(HYBRID, "t"), RECIPE.digest(LLAMA, "u")}
    assert len(digests) == len(changed) + 3


def test_a_wrong_recipe_names_file_and_key() -> None:
    with pytest.raises(RequestError, match=r"f\.yaml.*corpus\.poeple: extra inputs"):
        parse_recipe({"tokens": 5, "corpus": {"poeple": 3}}, "f.yaml")


def test_a_recipe_without_the_later_settings_keeps_its_digest() -> None:
    later = {"reset_at_borders", "precision", "sweep", "seeds", "optimizer", "muon_learning_rate"}
    assert not later & set(RECIPE.model_dump())
    assert RECIPE.digest(LLAMA, "t") == "5c70ba617a7c61b272b969843b9c35748d2c5ade6f1908d54629a9ed0fe7d2a6", (
        "members trained before these settings existed would lose their proof"
    )


def test_validation_loss_on_the_way_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPE.model_copy(update={"tokens": 16 * 4 * 40, "validation_windows": 4})
    with_curve = train(tmp_path / "with", HYBRID, recipe=recipe)
    monkeypatch.setattr(training, "_VALIDATION_POINTS", 0)
    without = train(tmp_path / "without", HYBRID, recipe=recipe)
    assert [step for step, _ in with_curve.validation_curve] == [1, 2, 5, 10, 20, 40]
    assert with_curve.validation_curve[-1] == without.validation_curve[-1]
    assert without.validation_loss == with_curve.validation_loss
    for name, tensor in weights(tmp_path / "with").items():
        assert torch.equal(tensor, weights(tmp_path / "without")[name]), name


def test_checkpointed_activations_give_the_same_weights(tmp_path: Path) -> None:
    train(tmp_path / "kept", HYBRID)
    train_member(
        "m", HYBRID, RECIPE, stream(), stream(1000), tmp_path / "again",
        vocab_size=32, digest=RECIPE.digest(HYBRID, "t"), report=lambda *_: None, checkpointing=True,
    )  # fmt: skip
    for name, tensor in weights(tmp_path / "kept").items():
        assert torch.equal(tensor, weights(tmp_path / "again")[name]), name


def test_bfloat16_trains_to_nearly_the_same_loss_over_fp32_weights(tmp_path: Path) -> None:
    low = RECIPE.model_copy(update={"precision": "bfloat16"})
    results = [train(tmp_path / "full", HYBRID), train(tmp_path / "low", HYBRID, recipe=low)]
    assert results[0].validation_loss != results[1].validation_loss
    assert results[0].validation_loss == pytest.approx(results[1].validation_loss, rel=0.02)
    assert {tensor.dtype for tensor in weights(tmp_path / "low").values()} == {torch.float32}
