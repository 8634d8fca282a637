"""Finished adapters in plain transformers and PEFT: what somebody without Tunesmith would do with them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SCRIPT = """
import json, sys, torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
torch.set_num_threads(1)
prompt, found = sys.argv[1], {}
for argument in sys.argv[2:]:
    kind, folder = argument.split("=", 1)
    options = {"dtype": torch.float32}
    if kind == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32)
    if kind == "int8":
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    if "quantization_config" in options:
        options["device_map"] = {"": "cpu"}
    loader = AutoModelForCausalLM if kind == "full" else AutoPeftModelForCausalLM
    model = loader.from_pretrained(folder, **options).eval()
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(prompt, return_tensors="pt")
    with torch.no_grad():
        logits = model(**ids).logits[0, -1].tolist()
    out = model.generate(**ids, max_new_tokens=20, do_sample=False)[0, ids["input_ids"].shape[1]:]
    found[folder] = {"logits": logits, "answer": tokenizer.decode(out, skip_special_tokens=False)}
assert not [name for name in sys.modules if name.startswith("tunesmith")]
print(json.dumps(found))
"""


def answers(adapters: Mapping[Path, str], prompt: str) -> dict[Path, dict[str, Any]]:
    """For each adapter's folder the logits behind the prompt, and the answer with its end token.

    `adapters` says how to load each: "full", "nf4", "int8", or anything else for an unquantized base.
    """
    named = [f"{kind}={folder}" for folder, kind in adapters.items()]
    command = [sys.executable, "-c", _SCRIPT, prompt, *named]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=170, cwd="/").stdout
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return {Path(folder): result for folder, result in found.items()}
