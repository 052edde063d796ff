"""Embedded sample corpus: `for text, label in reviews("train"): ...`

The small grammar below generates film reviews, so that a model can be trained without a download.
They are not real reviews, and nobody holds these opinions.

The corpus is built so that a model needs memory. A review compares the film with a rival (the
book, the trailer, the play, ...) and says the opposite of each equally often. So both labels use
the same words, and the label is the opinion of the film. At least four neutral words stand between
a subject and what is said of it, and at least three between that and the next subject, so that no
three words in a row connect the two. To label such a review, a model has to remember the subject
until the opinion comes. A smaller part of the reviews is easier (a plain verdict, short sentences,
no rival), so that training makes progress from the start.
"""

import random
import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")

# Split name -> (seed, number of reviews, which sentences: their checksums modulo 3).
# A sentence can occur in one split only, so no test sentence was seen in training.
SPLITS = {
    "train": (20011, 6000, (1, 2)),
    "test": (20021, 2000, (0,)),
    "unlabelled": (20031, 6000, (1, 2)),
}
# Fractions of reviews that are easier: with a verdict, in plain sentences, without a rival.
VERDICT_SHARE, PLAIN_SHARE, ALONE_SHARE = 0.3, 0.15, 0.1

# A symbol becomes one of its alternatives (separated by | or a line break), in which each {name}
# is replaced in turn. {subject}, {adjective}, {noun} and {feeling} are bound for each sentence.
# Nothing else may differ between film and rival, or between praise and criticism.
GRAMMAR = {
    "opinion": """{open}, {subject}, {which}, {proves} {adjective} {tail}
        {open}, {subject}, {which}, {proves} {adjective} and {adjective} {tail}
        {open}, {subject}, {which}, {amounts} {noun} {tail}
        {open}, as far as {subject} goes, {aside}, I came away {feeling} {tail}
        {open}, I gave {subject} {effort} and ended up {feeling} {tail}
        {open}, those behind {subject} had {means}, and it {proves} {adjective} {tail}
        {open}, once {subject} was over, {after}, {people} looked {feeling} {tail}""",
    "plain": """{subject} {proves} {adjective}
        {subject} {proves} {adjective} and {adjective}
        {subject} {amounts} {noun}
        {subject} left me {feeling}
        I found {subject} {adjective}
        I thought {subject} was {adjective}""",
    "open": """|||||||||||||||to be fair|I have to say|for what it's worth|let me add|as it happens
        truth be told|on reflection|here's the thing|speaking for myself|no kidding""",
    "which": """which I had put off for {period}
        which {person} pressed on me {when}
        which came my way {when}
        which isn't hard to find {place}
        which has the same {role} in it
        which spends {period} {place}
        the {thing} and the {thing} aside""",
    "aside": """and I've had {period} to think
        though {person} may not agree
        and I tried it twice {when}
        the {thing} and the {thing} aside""",
    "effort": """a whole evening {when}
        my full attention for {period}
        a second chance {when}
        every chance I could""",
    "means": """{period} to get the {thing} right
        money and a crew {place}
        the same {role} to work with""",
    "after": """later than {person} had said
        with the {thing} on my mind
        somewhere past midnight {place}""",
    "proves": "turned out to be|is, to my mind,|struck me as|seemed|was|felt|proved|came across as",
    "amounts": "amounts to|adds up to|turned out to be|is nothing less than|was, in short,",
    "tail": """from beginning to end|in nearly every way|, if you ask me|all the way through
        , and I'd say so to anyone|, and {person} thought so too|from the first minute on
        , to put it mildly|, in my honest view|, whatever the papers say|for the most part""",
    "people": "people around us|my friends|all of us|the others|my parents|most of the room",
    "person": """my sister|my brother|a friend|my wife|my neighbour|a colleague|my father|my aunt
        an old teacher|my cousin|the man next door|my flatmate|my daughter""",
    "period": """months|a year|several weeks|ten days|most of the summer|two years|half a lifetime
        the best part of a week|a long winter|three weekends""",
    "when": """last spring|on a wet Sunday|late one night|over the holidays|the other day|in March
        after dinner on Friday|during a long flight|on my birthday|a week ago|this autumn""",
    "place": """in Lisbon|by the sea|up north|near the border|in an old hotel|on a farm|in Chicago
        on a night train|in the suburbs|under the city|in the mountains""",
    "role": """detective|young nurse|sailor|piano teacher|widow|bank clerk|soldier|taxi driver
        lawyer|retired spy|baker|student|priest|farmer|reporter|gardener""",
    "deed": """looks for a missing child|inherits a house|hides a letter|falls for a stranger
        takes the wrong suitcase|comes home after the war|sees a robbery|wakes up with no memory
        has to cross the country|starts over|finds an old map|is blamed for a fire""",
    "thing": """music|costumes|ending|dialogue|lighting|opening scene|names|camera work|accents
        chase|flashbacks|final twist|wedding scene|set design|title song|voice over""",
    "neutral": """the story follows a {role} who {deed}
        it's about a {role} who {deed}, and a second {role}
        we meet a {role} {place}, then a {role} who {deed}
        there's a scene {place} where the {role} {deed}
        {person} only knew that a {role} {deed}
        a {role} {deed}
        I won't give away the {thing}, but watch the {role}
        {person} and I talked about the {thing}
        {person} grew up {place}, and noticed the {thing}
        {person} chose it {when}
        the {role} is played by someone {person} once met
        the {thing} and the {thing} were done {place}, I'm told
        did anyone else notice the {thing} when the {role} {deed}?
        why does the {role} go back to the {building}?
        two hours, one {role}, and a {building} {place}!
        {person} dozed off {when}, somewhere around the {thing}""",
    "building": "harbour|school|station|hospital|church|market|old theatre|lake|factory",
    "verdict": """what a {adjective} {kind}!|overall, a {adjective} {kind}|{noun} of a {kind}
        a {adjective}, {adjective} {kind}|in a word: a {adjective} {kind}
        one of the more {adjective} {kind}s of the year|such a {adjective} {kind}!""",
    "kind": "film|movie|picture|feature",
    "film": """the film|this film|the movie|this movie|the picture|the film itself|the finished film
        the movie we saw|this picture|the feature""",
    "book": "the book|the novel|the paperback|the original novel",
    "trailer": "the trailer|the teaser|the preview|the short preview",
    "series": "the series|the old series|the television show|the original show",
    "play": "the play|the stage play|the musical|the stage production",
    "comic": "the comic|the comic strip|the graphic novel|the old comic",
    "good adjective": """wonderful|gripping|brilliant|moving|funny|charming|superb|clever|fresh
        beautiful|excellent|delightful|stunning|touching|witty|thrilling|perfect|lovely|masterful
        warm|inspired|amazing|fantastic|rewarding""",
    "bad adjective": """dreadful|boring|stupid|lifeless|clumsy|dull|awful|silly|stale|ugly|terrible
        tedious|shallow|hollow|lazy|predictable|poor|painful|pointless|cold|bland|horrible|messy
        forgettable""",
    "good noun": "a triumph|a joy|a gem|a masterpiece|a treat|a marvel|a delight",
    "bad noun": "a mess|a disaster|a bore|a failure|a waste|a letdown|a disgrace",
    "good feeling": "delighted|charmed|thrilled|enchanted|impressed|happy|uplifted|amazed|grateful",
    "bad feeling": "bored|annoyed|disappointed|irritated|tired|angry|cheated|weary|frustrated",
}
RIVALS = ("book", "trailer", "series", "play", "comic")
RULES = {
    name: [re.split(r"\{([\w ]+)\}", text) for text in re.split(r"\s*[|\n]\s*", alternatives)]
    for name, alternatives in GRAMMAR.items()
}


def reviews(split: str) -> list[tuple[str, int]]:
    """Returns the (text, label) pairs of a split, the same ones in the same order every time.

    `split` is "train" or "test". Label 1 is a positive review of the film, 0 a negative one; half
    of the list has each, well mixed. Raises ValueError for any other split.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    seed, count, residues = SPLITS[split]
    rng = random.Random(seed)
    labels = _mixed([index % 2 for index in range(count)], rng)
    return [(_review(label, rng, residues), label) for label in labels]


def _pick(items: Sequence[_Item], rng: random.Random) -> _Item:
    # Only random() is guaranteed to give the same numbers in every version of Python.
    return items[int(rng.random() * len(items))]


def _mixed(items: Sequence[_Item], rng: random.Random) -> list[_Item]:
    return sorted(items, key=lambda _: rng.random())


def _review(label: int, rng: random.Random, residues: Collection[int]) -> str:
    kind = "plain" if rng.random() < PLAIN_SHARE else "opinion"
    parts = [(kind, "film", label)]  # (kind of sentence, subject, 1 for praise)
    if rng.random() >= ALONE_SHARE:
        parts.append((kind, _pick(RIVALS, rng), 1 - label))
        if rng.random() < 0.2:
            parts *= 2
    neutral = 5 - len(parts) + (kind == "plain")
    if len(parts) == 4 and kind == "opinion":
        neutral = 0  # four long sentences suffice
    parts = _mixed(parts + [("neutral", "film", label)] * neutral, rng)
    if rng.random() < VERDICT_SHARE:
        parts.insert(_pick((0, len(parts)), rng), ("verdict", "film", label))
    sentences = [_sentence(part, rng, residues) for part in parts]
    if rng.random() < 0.25:
        sentences.insert(_pick(range(1, len(sentences)), rng), "<br /><br />")
    return " ".join(sentences)


def _sentence(part: tuple[str, str, int], rng: random.Random, residues: Collection[int]) -> str:
    kind, subject, good = part
    tone = "good" if good else "bad"
    bound = {name: f"{tone} {name}" for name in ("adjective", "noun", "feeling")}
    bound["subject"] = subject
    while True:  # until no item of a list occurs twice and the sentence belongs to the split
        picks: list[str] = []
        text = _expand(kind, bound, rng, picks)
        if len(picks) == len(set(picks)) and zlib.crc32(text.lower().encode()) % 3 in residues:
            break
    text = re.sub(r"\ba (?=[aeiou])", "an ", text.lstrip(" ,").replace(" ,", ","))
    end = "" if text[-1] in "!?" else "!" if rng.random() < 0.06 else "."
    return text[0].upper() + text[1:] + end


def _expand(symbol: str, bound: Mapping[str, str], rng: random.Random, picks: list[str]) -> str:
    """Returns the text of a symbol, and adds the items it picked from lists to `picks`."""
    pieces = _pick(RULES[bound.get(symbol, symbol)], rng)
    if len(pieces) == 1:
        picks.append(pieces[0])
        return pieces[0]
    return "".join(
        _expand(piece, bound, rng, picks) if index % 2 else piece
        for index, piece in enumerate(pieces)
    )
