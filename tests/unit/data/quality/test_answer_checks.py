"""Answers that nobody should learn, and sound ones that look like them."""

from __future__ import annotations

import pytest

from tunesmith.data.quality.answer_checks import answer_kinds

REQUEST = "Describe how bread is made at home."

PLACEHOLDER = [
    (REQUEST, "TBD"),
    (REQUEST, "tbd."),
    (REQUEST, "[TODO]"),
    (REQUEST, "<insert response here>"),
    (REQUEST, "[Your answer here]"),
    (REQUEST, "{{response}}"),
    (REQUEST, "Answer goes here."),
    (REQUEST, "N/A"),
    (REQUEST, "n/a."),
    (REQUEST, "None"),
    (REQUEST, "nan"),
    (REQUEST, "NULL"),
    (REQUEST, "Lorem ipsum dolor sit amet"),
    (REQUEST, "(no output)"),
    (REQUEST, "undefined"),
    (REQUEST, "No response"),
    (REQUEST, "[placeholder]"),
    (REQUEST, "TODO: write this"),
    (REQUEST, "PLACEHOLDER"),
    (REQUEST, "[model output]"),
    (REQUEST, "to be added"),
    (REQUEST, "<answer>"),
    (REQUEST, "{answer}"),
    (REQUEST, "(blank)"),
    (REQUEST, "FIXME"),
    (REQUEST, "Coming soon..."),
    (REQUEST, "[ANSWER]"),
    (REQUEST, "---TODO---"),
    (REQUEST, "XXX"),
    (REQUEST, "Insert text here"),
    (REQUEST, "[Response]"),
    (REQUEST, "to be completed later"),
    (REQUEST, "<no input>"),
]
NO_PLACEHOLDER = [
    ("What is the output of print(None)?", "None"),
    ("Which toppings are vegan? Answer N/A if none.", "N/A"),
    ("Which of these animals are reptiles?", "None"),
    (REQUEST, "Yes"),
    (REQUEST, "No"),
    ("Write filler text for a page.", "Lorem ipsum dolor sit amet, consectetur."),
    ("What does SQL use for unknown values?", "NULL"),
    ("Give me a synonym of blank", "Empty"),
]

TOO_SHORT = [
    (REQUEST, "."),
    (REQUEST, "-"),
    (REQUEST, "…"),
    (REQUEST, "!!"),
    (REQUEST, "ok"),
    (REQUEST, "1"),
    ("What is the capital of Peru?", "?"),
    ("Why is the sky blue?", "Ok."),
]
NO_TOO_SHORT = [
    ("What is 3+4?", "7"),
    ("Is this OK?", "ok"),
    ("Rate this from 1 to 5.", "4"),
    ("Which letter comes after A?", "B"),
    ("See you at eight.", "ok"),
    ("Translate to emoji: sun", "☀️"),
    ("Which punctuation mark ends a question?", "?"),
    ("How many wheels has a tricycle?", "3"),
]

REFUSAL = [
    (REQUEST, "I'm sorry, but I can't assist with that."),
    (REQUEST, "I’m sorry, I can’t help with that request."),
    (REQUEST, "I cannot fulfill this request. I am just an AI model."),
    (REQUEST, "Sorry, I am not able to provide an answer to this question."),
    (REQUEST, "As a language model, I cannot browse the internet."),
    (REQUEST, "I apologize, but I am unable to generate that kind of content."),
    (REQUEST, "Unfortunately, I cannot help you with this."),
    (REQUEST, "I'm afraid I can't do that."),
    (REQUEST, "As an AI developed by OpenAI, I don't have feelings or opinions."),
    (REQUEST, "I must decline to answer this question."),
    (REQUEST, "I do not have personal experiences or emotions, as I am an AI."),
    (REQUEST, "It would not be appropriate for me to comment on that."),
    (REQUEST, "I won't be able to help with that."),
    (REQUEST, "I am not comfortable discussing this topic."),
    (REQUEST, "Lo siento, pero no puedo ayudar con eso."),
    (REQUEST, "抱歉，我无法提供这方面的信息。"),
    (REQUEST, "Es tut mir leid, aber ich kann Ihnen dabei nicht helfen."),
    (REQUEST, "I'm really sorry, but I'm not able to write that essay for you."),
    (REQUEST, "My apologies, but I can't create that content as it violates my guidelines."),
    (REQUEST, "I can't provide medical advice. Please see a doctor."),
    (REQUEST, "I'd rather not answer that."),
    (REQUEST, "I am an AI language model and I don't have the ability to see images."),
    (REQUEST, "Sorry, but I can't help you."),
    (REQUEST, "Désolé, mais je ne peux pas répondre à cette demande."),
    (REQUEST, "I refuse to answer."),
    (REQUEST, "I'm unable to answer this question."),
    (REQUEST, "That's not something I can help with."),
]
NO_REFUSAL = [
    (REQUEST, "I'm sorry, but there are no tables left at that restaurant. Would you like another one?"),
    (REQUEST, "Sorry, I couldn't find any movies at that time."),
    (REQUEST, "I can't help but smile when I see her."),
    (REQUEST, "I cannot wait to see you again, my friend!"),
    (REQUEST, "Unfortunately, the museum is closed on Mondays."),
    (REQUEST, "You cannot mix bleach and ammonia."),
    (REQUEST, "Plants cannot grow without light."),
    (
        REQUEST,
        "As an AI language model, I don't have preferences, but here is a list of popular films: 1."
        " Alien 2. Heat 3. Up",
    ),
    (REQUEST, "I am sorry to hear about your loss. Please accept my condolences."),
    (REQUEST, "The model cannot help with this: it is too small."),
    (REQUEST, "Dear Sir, I am unable to attend the meeting on Friday."),
    (REQUEST, "Sorry for the delay. The parcel will arrive on Monday."),
    (REQUEST, "AI language models are trained on text and do not have feelings."),
]

TRUNCATED = [
    (
        REQUEST,
        "Bread is made by mixing flour, water, salt and yeast. The dough is kneaded for ten minutes"
        " until it is smooth and elastic. After that it has to rest in a warm pla",
    ),
    (
        REQUEST,
        "Bread starts with flour and water. You knead the dough, let it rise and then shape it, after"
        " which the",
    ),
    (REQUEST, "First, mix flour and water in a large bowl. Add the yeast and a pinch of salt (about one"),
    (
        REQUEST,
        "1. Mix the flour and the water in a bowl.\n2. Knead the dough for ten minutes.\n3. Let it rest"
        " in a warm place un",
    ),
    (REQUEST, "Here is the code:\n```python\ndef bake():\n    print('bread'"),
    (REQUEST, '{"name": "bread", "steps": ["mix the flour", "knead the dough", "ba'),
    (
        REQUEST,
        "The French Revolution was a period of political change. It began in 1789 with the Estates"
        " General and ended in November 1799 with the formation of the French Con",
    ),
    (
        REQUEST,
        "Baking bread at home is a rewarding experience for everyone who loves the smell of a warm"
        " kitchen, and it requires only flour, water, salt, yeast and",
    ),
    (
        REQUEST,
        "面包的制作首先需要准备面粉和水。然后将面团揉至光滑。最后把面团放进温暖的地方发酵大约一个小时再",
    ),
]
NO_TRUNCATED = [
    (REQUEST, "The Old Man and the Sea"),
    (REQUEST, "1. Flour\n2. Water\n3. Salt\n4. Yeast\n5. A warm oven and patience"),
    (REQUEST, "Roses are red\nViolets are blue\nSugar is sweet\nAnd so are you my dear friend"),
    (REQUEST, "SELECT name, age FROM users WHERE age > 30 ORDER BY name"),
    (
        REQUEST,
        "Dear Anna,\n\nThank you for your kind letter. I was very glad to read it.\n\nBest wishes,\nPaul",
    ),
    (REQUEST, "See the documentation for details: https://example.org/docs/bread"),
    (REQUEST, "The answer is 42"),
    (REQUEST, "def f(x):\n    return x + 1"),
    (REQUEST, "Great idea! Let's do it 🎉"),
    (REQUEST, "Bread is baked at 220 degrees. It takes forty minutes. The crust should be golden."),
    (REQUEST, "positive"),
    (REQUEST, "He said: “I will come tomorrow.”"),
    (
        REQUEST,
        "Ingredients:\n- 500 g flour\n- 300 ml water\n- 10 g salt\n\nSteps:\n- mix everything"
        " together\n- knead for ten minutes\n- bake at 220 degrees",
    ),
    (REQUEST, "| a | b |\n|---|---|\n| 1 | 2 |"),
    (REQUEST, "x = 5, y = 7"),
    (REQUEST, "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, Neptune"),
    (REQUEST, "Sounds good. See you there tomorrow"),
    (REQUEST, "The total cost is $42.50. You save 12 percent, so the final price is 37"),
    (
        REQUEST,
        "Title: Bread. Author: Anna Baker. Publisher: Oven Press, London, a publisher of books about"
        " baking and cooking since 1950. Year: 2004",
    ),
    (
        REQUEST,
        "Write to us. Our address is 12 Mill Lane, Bakerstown, and our office is open from nine to five"
        " every day except for Sunday. Yours sincerely, Paul Baker",
    ),
]

LOOPING = [
    (
        REQUEST,
        "I like bread. I like bread. I like bread. I like bread. I like bread. I like bread. I like"
        " bread. I like bread. I like bread. I like bread. ",
    ),
    (
        REQUEST,
        "bread and butter and bread and butter and bread and butter and bread and butter and bread and"
        " butter and bread and butter and bread and butter and bread and butter and ",
    ),
    (
        REQUEST,
        "The bread is good.\nThe bread is good.\nThe bread is good.\nThe bread is good.\nThe bread is"
        " good.\nThe bread is good.\n",
    ),
    (
        REQUEST,
        "好的，我知道了。好的，我知道了。好的，我知道了。好的，我知道了。好的，我知道了。好的，我知道了。好的，我知道了。好的，我知道了。好的，我知道了。好的，我知道了。好的，我知道了。好的，我知道了。",
    ),
    (
        REQUEST,
        "1. Mix the dough.\n2. Mix the dough.\n3. Mix the dough.\n4. Mix the dough.\n5. Mix the"
        " dough.\n6. Mix the dough.",
    ),
    (
        REQUEST,
        "no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no"
        " no no no no no no no no no no no no no no no no no no no no no no no no no no no no ",
    ),
    (
        REQUEST,
        "Bread is made of flour and water and it is baked. It is very good and very tasty. It is very"
        " good and very tasty. It is very good and very tasty. It is very good and very tasty. It is"
        " very good and very tasty. It is very good and very tasty. It is very good and very tasty. It"
        " is very good and very tasty. It is very good and very tasty. ",
    ),
    (
        REQUEST,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ),
    (
        REQUEST,
        "Sure! the the the the the the the the the the the the the the the the the the the the the the"
        " the the the the the the the the the the the the the the the the the the the the the the the"
        " the the the the the ",
    ),
]
NO_LOOPING = [
    (
        REQUEST,
        "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life is"
        " but a dream.",
    ),
    (REQUEST, "| 1 | 2 | 3 |\n|---|---|---|\n| 4 | 5 | 6 |\n| 7 | 8 | 9 |\n| 1 | 1 | 1 |\n| 1 | 1 | 2 |\n"),
    (REQUEST, "0 0 0 0 0 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0"),
    (
        "Repeat the word hello twenty times",
        "hello hello hello hello hello hello hello hello hello hello hello hello hello hello hello hello"
        " hello hello hello hello ",
    ),
    (
        REQUEST,
        "The cat sat. The dog ran. The bird flew. The fish swam. The horse stood. The cow ate. The pig"
        " slept.",
    ),
    (
        REQUEST,
        "Let it go, let it go\nCan't hold it back anymore\nLet it go, let it go\nTurn away and slam the door",
    ),
]

PROMPT_ECHO = [
    (REQUEST, "Describe how bread is made at home."),
    (REQUEST, "Describe how bread is made at home"),
    ("Summarise the text.\n\nThe cat sat on the mat.\n", "Summarise the text. The cat sat on the mat."),
    ("Write a haiku about the rain.\nInput: spring", "Write a haiku about the rain."),
]
NO_PROMPT_ECHO = [
    ("Correct the grammar: She goes to school every day.", "She goes to school every day."),
    ("Hello there!", "Hello there!"),
    ("Fix the sentence.\nHe goes to the park every day.", "He goes to the park every day."),
    ("Which is wrong? The moon is made of cheese. The sun is hot.", "The moon is made of cheese."),
]


@pytest.mark.parametrize(("prompt", "answer"), PLACEHOLDER)
def test_placeholder_is_found(prompt: str, answer: str) -> None:
    assert "placeholder" in answer_kinds(prompt, answer)


@pytest.mark.parametrize(("prompt", "answer"), NO_PLACEHOLDER)
def test_placeholder_is_not_seen_where_there_is_none(prompt: str, answer: str) -> None:
    assert "placeholder" not in answer_kinds(prompt, answer)


@pytest.mark.parametrize(("prompt", "answer"), TOO_SHORT)
def test_too_short_is_found(prompt: str, answer: str) -> None:
    assert "too_short" in answer_kinds(prompt, answer)


@pytest.mark.parametrize(("prompt", "answer"), NO_TOO_SHORT)
def test_too_short_is_not_seen_where_there_is_none(prompt: str, answer: str) -> None:
    assert "too_short" not in answer_kinds(prompt, answer)


@pytest.mark.parametrize(("prompt", "answer"), REFUSAL)
def test_refusal_is_found(prompt: str, answer: str) -> None:
    assert "refusal" in answer_kinds(prompt, answer)


@pytest.mark.parametrize(("prompt", "answer"), NO_REFUSAL)
def test_refusal_is_not_seen_where_there_is_none(prompt: str, answer: str) -> None:
    assert "refusal" not in answer_kinds(prompt, answer)


@pytest.mark.parametrize(("prompt", "answer"), TRUNCATED)
def test_truncated_is_found(prompt: str, answer: str) -> None:
    assert "truncated" in answer_kinds(prompt, answer)


@pytest.mark.parametrize(("prompt", "answer"), NO_TRUNCATED)
def test_truncated_is_not_seen_where_there_is_none(prompt: str, answer: str) -> None:
    assert "truncated" not in answer_kinds(prompt, answer)


@pytest.mark.parametrize(("prompt", "answer"), LOOPING)
def test_looping_is_found(prompt: str, answer: str) -> None:
    assert "looping" in answer_kinds(prompt, answer)


@pytest.mark.parametrize(("prompt", "answer"), NO_LOOPING)
def test_looping_is_not_seen_where_there_is_none(prompt: str, answer: str) -> None:
    assert "looping" not in answer_kinds(prompt, answer)


@pytest.mark.parametrize(("prompt", "answer"), PROMPT_ECHO)
def test_prompt_echo_is_found(prompt: str, answer: str) -> None:
    assert "prompt_echo" in answer_kinds(prompt, answer)


@pytest.mark.parametrize(("prompt", "answer"), NO_PROMPT_ECHO)
def test_prompt_echo_is_not_seen_where_there_is_none(prompt: str, answer: str) -> None:
    assert "prompt_echo" not in answer_kinds(prompt, answer)


def test_an_answer_without_a_prompt_is_never_an_echo() -> None:
    assert answer_kinds("", "Once upon a time there was a king who had no name.") == set()


def test_a_sound_answer_has_no_kind() -> None:
    assert (
        answer_kinds(REQUEST, "Mix flour, water, salt and yeast. Knead, wait, and bake the dough.") == set()
    )
