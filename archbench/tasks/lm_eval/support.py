"""What archbench does not support of lm-eval's tasks, read from their YAMLs before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archbench.errors import RequestError
from archbench.tasks.entry import ENTRY

# lm-eval gives these for a whole set; what it keeps of an item is a log-likelihood or a pair.
_OF_A_SET = {"perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte"}
_PAIRS = {"bleu", "chrf", "chrf++", "ter", "bypass"}
_OF_AN_ITEM = {
    "multiple_choice": {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match"},
    "loglikelihood": {"acc"},
    "loglikelihood_rolling": set[str](),
}


def metric_names(task: Mapping[str, Any]) -> list[str]:
    """Metrics that a task's YAML declares, or lm-eval's defaults where it declares none."""
    from lm_eval.api.registry import DEFAULT_METRIC_REGISTRY

    default = DEFAULT_METRIC_REGISTRY[_output_type(task)]
    listed = task.get("metric_list") or [{"metric": metric} for metric in default]
    return [_bare(str(one["metric"])) for one in listed]


def generation_settings(task: Mapping[str, Any]) -> dict[str, Any]:
    """Generation settings that a task's YAML has; none where it generates nothing or leaves them open."""
    known = task.get("generation_kwargs") if _output_type(task) == "generate_until" else None
    return dict(known or {})


def check_supported(task: Mapping[str, Any], name: str, metric: str, shots: int) -> None:
    """Refuse a task that would fail on the first member.

    Args:
        task: What the task declares (`archbench.tasks.lm_eval.declared.declared`).
        name: Its name.
        metric: The primary metric.
        shots: Largest number of shots.

    Raises:
        RequestError: The task needs something that archbench lacks, or the metric is no score of its items.
    """
    out = f"Take '{name}' out of the suite."
    if task.get("unsafe_code"):
        raise RequestError(
            f"lm-eval's task '{name}' runs programs that a model has written, which archbench does not. {out}"
        )
    if task.get("doc_to_image") or task.get("doc_to_audio"):
        kind = "images" if task.get("doc_to_image") else "sounds"
        raise RequestError(
            f"lm-eval's task '{name}' has {kind} in its prompts, and archbench supports text alone. {out}"
        )
    if shots and task.get("num_fewshot") == 0:
        raise RequestError(
            f"lm-eval's task '{name}' fixes its number of shots to 0 (its prompt has them, or they make no "
            f"sense there), so {shots} shots cannot be given. Leave num_fewshot out of the entry, or use "
            f"--set {ENTRY}.num_fewshot=0."
        )
    _check_metric(task, name, metric)


def _check_metric(task: Mapping[str, Any], name: str, metric: str) -> None:
    scored = _scored(task)
    if metric in (scored or ()) or (scored is None and metric not in _OF_A_SET):
        return
    known = "nothing that it measures is one"
    if scored:
        known = f"scores of its items are {', '.join(scored)}: name one with --set {ENTRY}.metric={scored[0]}"
    texts = ""
    if _output_type(task).startswith("loglikelihood"):
        texts = (
            " How well texts are predicted is measured by an entry of `kind: perplexity` over a text file "
            "(docs/perplexity.md)."
        )
    raise RequestError(
        f"lm-eval's task '{name}': the metric '{metric}' is no score of single items, which members are "
        f"compared on; {known}.{texts}"
    )


def _scored(task: Mapping[str, Any]) -> list[str] | None:
    """Metrics that are scores of single items, in the order declared; None where code decides."""
    if task.get("class") or task.get("process_results"):
        return None
    kind, names = _output_type(task), metric_names(task)
    kept = [name for name in names if name in _OF_AN_ITEM.get(kind, {*names} - _PAIRS - _OF_A_SET)]
    # The first filter's metrics have the plain names (`archbench.tasks.work.item_rows`).
    filters = [str(one["name"]) for one in task.get("filter_list") or ()][1:]
    more = [f"{metric},{one}" for one in filters for metric in kept]
    return [*kept, *more, *["acc_token"] * (kind == "multiple_choice")]


def _output_type(task: Mapping[str, Any]) -> str:
    return str(task.get("output_type") or "generate_until")


def _bare(metric: str) -> str:
    return metric.rpartition(".")[2] if "/" in metric else metric  # !function <folder>/utils.name
