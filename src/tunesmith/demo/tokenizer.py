"""The demo tokenizer: byte-level BPE with a vocabulary small enough for a model of under two megabytes."""

from collections.abc import Iterable
from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY: Final = 896
CONTEXT: Final = 512
EOS: Final = "<|eos|>"
PAD: Final = "<|pad|>"
SPECIAL_TOKENS: Final = (PAD, EOS)

# A newline always stands alone, so a prompt that ends in one meets its completion in the same tokens whether
# the two are encoded apart or together. Digits and punctuation marks stand alone too; each of these and every
# word may take one leading space.
_PIECES: Final = r"\n| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]|[^\S\n]+(?!\S)|[^\S\n]+"


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Learn the merges from `texts`. All 256 bytes are in the vocabulary: any text survives a round trip."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=CONTEXT,
        model_input_names=["input_ids", "attention_mask"],  # a Llama refuses token types
        clean_up_tokenization_spaces=False,
    )
