"""What triage is compared with: the most frequent label, the labels' names in the text, and TF-IDF with a linear model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from bench.triage.issues import LABELS, WrittenIssue
from kodo.ci.forge import Issue
from kodo.ci.triage.kinds import NAMES
from kodo.ci.triage.labels import LabelClassifier
from kodo.ci.triage.words import words_of

Contestant = Callable[[Issue], str]
"""From an issue to a label; empty where it abstains."""


def majority(taught: Sequence[WrittenIssue]) -> Contestant:
    """Always the most frequent label."""
    [(label, _)] = Counter(item.label for item in taught if item.label).most_common(1)
    return lambda issue: label


def label_names(taught: Sequence[WrittenIssue]) -> Contestant:
    """The label whose names occur most often in the text."""

    def choose(issue: Issue) -> str:
        text = f"{issue.title} {issue.body}".lower()
        counts = {label: sum(text.count(name) for name in NAMES[label]) for label in LABELS}
        best = max(counts, key=lambda label: counts[label])
        return best if counts[best] else ""

    return choose


def linear_model(taught: Sequence[WrittenIssue]) -> Contestant:
    """TF-IDF of the same words, and multinomial logistic regression (L2, full gradient, 500 steps)."""
    texts = [words_of(f"{item.issue.title}\n{item.issue.body}") for item in taught if item.label]
    wanted = np.array([LABELS.index(item.label) for item in taught if item.label])
    vocabulary = {word: at for at, word in enumerate(sorted({word for words in texts for word in words}))}
    frequency = Counter(word for words in texts for word in set(words))
    idf = np.array([np.log((1 + len(texts)) / (1 + frequency[word])) + 1 for word in vocabulary])

    def vector(words: Sequence[str]) -> np.ndarray:
        made = np.zeros(len(vocabulary))
        for word in words:
            if word in vocabulary:
                made[vocabulary[word]] += 1
        made *= idf
        return made / (np.linalg.norm(made) or 1)

    inputs = np.array([vector(words) for words in texts])
    targets = np.eye(len(LABELS))[wanted]
    weights, bias = np.zeros((len(vocabulary), len(LABELS))), np.zeros(len(LABELS))
    for _ in range(500):
        logits = inputs @ weights + bias
        likely = np.exp(logits - logits.max(axis=1, keepdims=True))
        likely /= likely.sum(axis=1, keepdims=True)
        weights -= 2.0 * (inputs.T @ (likely - targets) / len(texts) + 0.001 * weights)
        bias -= 2.0 * (likely - targets).mean(axis=0)

    def choose(issue: Issue) -> str:
        logits = vector(words_of(f"{issue.title}\n{issue.body}")) @ weights + bias
        return LABELS[int(np.argmax(logits))]

    return choose


def kodo(taught: Sequence[WrittenIssue], threshold: float = 0.5) -> Contestant:
    """What ``kodo ci triage`` does."""
    classifier = LabelClassifier(LABELS, [item.labelled for item in taught])

    def choose(issue: Issue) -> str:
        choice = classifier.choose(issue)
        return choice.label if choice is not None and choice.confidence >= threshold else ""

    return choose


CONTESTANTS: dict[str, Callable[[Sequence[WrittenIssue]], Contestant]] = {
    "the most frequent label": majority,
    "label names in the text": label_names,
    "TF-IDF, linear model": linear_model,
    "kodo, no labelled issues": lambda taught: kodo(()),
    "kodo": kodo,
}
