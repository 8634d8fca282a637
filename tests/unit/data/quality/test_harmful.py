"""Abuse, and words that only look like it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from tests.unit.data.inputs import Load, write_jsonl
from tunesmith.data.quality.harmful import HubClassifier, harmful_labels, is_harmful
from tunesmith.schemas.errors import Mismatch, ModelNotFound

HARMFUL = [
    "You are an idiot and nobody likes you.",
    "What a load of bullshit.",
    "Go f*** yourself.",
    "Shut your mouth, moron!",
    "You stupid idiot, read the manual.",
    "Kiss my ass.",
    "You're pathetic.",
    "Piss off, you wanker",
    "that is sh1t",
    "Kill yourself.",
    "You are a complete moron.",
    "Don't be such a jerk, you fool.",
    "Damn it, you're useless.",
    "Screw you and your question.",
    "Get lost, loser.",
    "you fucking clown",
    "You're a worthless piece of trash.",
    "This is the dumbest crap I have ever read.",
    "You are so dumb!",
    "Only a moron would ask this.",
]
NO_HARMFUL = [
    "The idiot is a novel by Dostoevsky.",
    "Scunthorpe is a town; assess the cockpit and the class.",
    "The Maine Coon is a cat breed.",
    "You should not call anyone stupid.",
    "The donkey, also called ass, carries loads.",
    "The team lost; losers shake hands with winners.",
    "Jerk chicken is a Jamaican dish.",
    "The dam broke.",
    "You are not an idiot.",
    "He died in 1999.",
    "Hello and welcome to Hell's Kitchen.",
    "The bully called him names. It was useless.",
    "You can dispose of garbage here.",
    "The trash is collected on Mondays.",
    "Dick Van Dyke acted in Mary Poppins.",
    "Moby Dick is a novel",
    "A jerk is the derivative of acceleration.",
    "Pigs are smart. You feed pigs twice.",
    "You look sick, you should see a doctor.",
    "I hate mondays",
    "You are feeding pigs.",
    "Why do you use ugly code, Sam?",
    "Matsushita makes TVs.",
    "Take 5 * 3 and 2 * 2.",
    "Cockatoos and tits are birds.",
    "You can make a dummy variable.",
]


@pytest.mark.parametrize("text", HARMFUL)
def test_abuse_is_found(text: str) -> None:
    assert is_harmful(text)


@pytest.mark.parametrize("text", NO_HARMFUL)
def test_abuse_is_not_seen_where_there_is_none(text: str) -> None:
    assert not is_harmful(text)


def test_labels_that_name_harm_are_taken_and_their_opposites_are_not() -> None:
    assert harmful_labels(["toxic", "non-toxic"]) == {"toxic"}
    assert harmful_labels(["hate", "offensive", "neither"]) == {"hate", "offensive"}
    assert harmful_labels(["LABEL_0", "LABEL_1"]) == {"LABEL_1"}
    assert harmful_labels(["joy", "sadness"]) == set()


def _classifier(folder: Path, labels: list[str]) -> str:
    """A model that embeds `bad` and `good` in opposite directions and takes the second label for `bad`."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "bad", "good"]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = transformers.DistilBertConfig(
        vocab_size=len(words),
        dim=8,
        hidden_dim=8,
        n_layers=1,
        n_heads=1,
        max_position_embeddings=64,
        num_labels=2,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    torch.manual_seed(0)
    model = transformers.DistilBertForSequenceClassification(config)
    _fit(model, words)
    model.save_pretrained(folder)
    return str(folder)


def _fit(model: torch.nn.Module, words: list[str]) -> None:
    """Teach it to tell one word from the other."""
    ids = torch.tensor([[2, words.index("bad"), 3], [2, words.index("good"), 3]])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    model.eval()
    for _ in range(60):
        loss = model(input_ids=ids, labels=torch.tensor([1, 0])).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_a_classifier_judges_each_text(tmp_path: Path) -> None:
    classifier = HubClassifier(_classifier(tmp_path, ["neutral", "toxic"]))
    assert classifier.harmful(["bad", "good"]) == [True, False]


def test_a_classifier_whose_labels_say_nothing_about_harm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="labels"):
        HubClassifier(_classifier(tmp_path, ["joy", "sadness"]))


def test_a_folder_that_is_no_classifier_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="cannot be loaded"):
        HubClassifier(str(tmp_path))


def test_the_answers_that_a_classifier_takes_for_harmful_are_flagged_beside_the_lexicons(
    tmp_path: Path, load: Load
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    rows = [
        {"prompt": f"Question {number}?", "completion": "good " * (number % 5 + 1)} for number in range(30)
    ]
    rows[6]["completion"], rows[9]["completion"] = "bad bad", "you are an asshole"
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    assert load(path).quality["harmful_content"].rows == [10]
    judged = load(path, harm_classifier=_classifier(model, ["clean", "toxic"])).quality["harmful_content"]
    assert 7 in judged.rows
    assert 10 in judged.rows
    assert "a sample of 30" in str(judged.note)
