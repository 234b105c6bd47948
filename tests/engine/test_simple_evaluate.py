"""The LM can be handed to `lm_eval.simple_evaluate` as it is, with data from local files."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from archbench.engine import load_lm
from archbench.errors import RequestError
from tests.engine.tiny import SENTENCES, make_model

TASKS = {
    "letters": """
        output_type: multiple_choice
        doc_to_text: "{{question}}\\nAnswer:"
        doc_to_choice: ["A", "B"]
        doc_to_target: "{{gold}}"
        metric_list: [{metric: acc}]
    """,
    "perplexity": """
        output_type: loglikelihood_rolling
        doc_to_text: ""
        doc_to_target: "{{question}}"
        metric_list: [{metric: bits_per_byte}]
    """,
    "writing": """
        output_type: generate_until
        doc_to_text: "{{question}}"
        doc_to_target: "x"
        generation_kwargs: {until: ["."], max_gen_toks: 5}
        metric_list: [{metric: exact_match}]
    """,
}


def test_simple_evaluate_runs_every_kind_of_request(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lm_eval
        from lm_eval.tasks import TaskManager

        (tmp_path / "items.jsonl").write_text(
            "".join(json.dumps({"question": text, "gold": i % 2}) + "\n" for i, text in enumerate(SENTENCES))
        )
        for name, body in TASKS.items():
            lines = [line.strip() for line in body.strip().splitlines()]
            (tmp_path / f"{name}.yaml").write_text(
                f"task: tiny_{name}\ndataset_path: json\ntest_split: test\n"
                f"dataset_kwargs: {{data_files: {{test: {tmp_path / 'items.jsonl'}}}}}\n"
                + "\n".join(lines)
                + "\n"
            )
        lm = load_lm(make_model("nemotron_h"), tokenizer)
        results = lm_eval.simple_evaluate(
            model=lm,
            tasks=[f"tiny_{name}" for name in TASKS],
            task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
            bootstrap_iters=0,
        )
    assert set(results["results"]) == {f"tiny_{name}" for name in TASKS}
    assert results["results"]["tiny_perplexity"]["bits_per_byte,none"] > 0
    assert results["config"]["model_fingerprint"] == lm.fingerprint
    assert lm.usage.requests == 4 * (2 + 1 + 1)
    sample = results["samples"]["tiny_letters"][0]
    assert lm.token_counts(*sample["arguments"][0]) is not None


def test_chat_templates_are_the_tokenizers_own(tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model("llama"), tokenizer)
    chat = [{"role": "user", "content": "Hi"}]
    with pytest.raises(RequestError, match="chat template"):
        lm.apply_chat_template(chat)
    tokenizer.chat_template = "{% for m in messages %}[{{ m.content }}]{% endfor %}"
    try:
        assert lm.apply_chat_template(chat) == "[Hi]"
        assert lm.chat_template(True) == tokenizer.chat_template
    finally:
        tokenizer.chat_template = None
