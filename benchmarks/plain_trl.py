"""The same training as a plain TRL script: what somebody would run without Tunesmith. Prints seconds to the first step.

`python -m benchmarks.plain_trl ROWS.jsonl MODEL STARTED` where STARTED is the boot time at which it was spawned.
"""

import json
import sys
import time

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer


class FirstStep(TrainerCallback):
    """Prints when the first optimizer step is done, and stops."""

    def on_step_end(self, args, state, control, **kwargs):
        """Called by the trainer."""
        print("first step after", time.clock_gettime(time.CLOCK_BOOTTIME) - float(sys.argv[3]), flush=True)
        control.should_training_stop = True


def main() -> None:
    """Train until the first step is done."""
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    dataset = Dataset.from_list(
        [
            {
                "prompt": f"### Instruction\n{row['instruction']}\n\n### Response\n",
                "completion": row["response"],
            }
            for row in rows
        ]
    )
    model = AutoModelForCausalLM.from_pretrained(sys.argv[2], dtype=torch.float32)
    trainer = SFTTrainer(
        model=model,
        processing_class=AutoTokenizer.from_pretrained(sys.argv[2]),
        train_dataset=dataset,
        args=SFTConfig(
            output_dir="/tmp/plain-trl",
            per_device_train_batch_size=8,
            max_length=128,
            use_cpu=not torch.cuda.is_available(),
            bf16=False,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
        ),
        peft_config=LoraConfig(r=16, lora_alpha=32, lora_dropout=0.05, target_modules=["q_proj", "v_proj"]),
        callbacks=[FirstStep()],
    )
    trainer.train()


if __name__ == "__main__":
    main()
