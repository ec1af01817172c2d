"""The words of reasons and of rules, in each language that lists can be answered in. Knows no evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]
"""A language of reasons: English, or Chinese in simplified characters."""


@dataclass(frozen=True)
class Phrasebook:
    """The words of one language; `{}` is where a title or a list of titles and words stands, `{name}` a value.

    Attributes:
        popular: Of an item that is in a list because many users have it.
        trending: Of one that many users had in the last days.
        rare: Of one that few users have, in a list that favours such.
        no_evidence: Of one that nothing in the history speaks for.
        unknown: Of one that is not in the catalogue.
        at_random: Of one that was put at its place at random.
        placed: Of one that a rule, named in it, put at its place.
        moved_up: Of one that a rule moved up.
        not_at_place: A pin that could not be kept, and why: `unknown` or one of the next three.
        hidden: Another rule hides the item.
        had: The user had it, and seen items are left out.
        pinned_twice: Another rule has pinned the item, or another item at the place.
        too_few: A share that could not be kept.
        too_many: A limit that pinned items are above.
        too_many_of: The same, in one category.
        because: Titles of the history that raise the score.
        also: The same, behind other evidence.
        shares: Words in common.
        similar: The title that an item is near.
        together: The title that users of an item have, too.
        like: Titles that a query in words names.
        without: Words that a query rules out.
        nothing_fits: Behind `popular` or `without`, where no item fits a query.
        leads: The words for evidence that weighs more than the history, by its name in `Explanation.parts`.
        joiner: Between two titles.
        comma: Between words.
        semicolon: Between parts of a sentence.
    """

    popular: str
    trending: str
    rare: str
    no_evidence: str
    unknown: str
    at_random: str
    placed: str
    moved_up: str
    not_at_place: str
    hidden: str
    had: str
    pinned_twice: str
    too_few: str
    too_many: str
    too_many_of: str
    because: str
    also: str
    shares: str
    similar: str
    together: str
    like: str
    without: str
    nothing_fits: str
    leads: Mapping[str, str]
    joiner: str
    comma: str
    semicolon: str

    def titles(self, template: str, titles: Sequence[str]) -> str:
        """Fill titles into a template.

        Args:
            template: One of the attributes with a `{}`.
            titles: The titles.

        Returns:
            The text.
        """
        return template.replace("{}", self.joiner.join(titles))

    def words(self, template: str, words: Sequence[str]) -> str:
        """Fill words into a template.

        Args:
            template: One of the attributes with a `{}`.
            words: The words.

        Returns:
            The text.
        """
        return template.replace("{}", self.comma.join(words))


ENGLISH = Phrasebook(
    popular="popular with everybody",
    trending="trending",
    rare="rarer than most",
    no_evidence="nothing in the history speaks for it",
    unknown="not in the catalogue",
    at_random="drawn at random, to learn from",
    placed="placed here by a rule ({})",
    moved_up="moved up by a rule ({})",
    not_at_place="{rule}: item {item} is not at place {place}: {why}",
    hidden="hidden by another rule",
    had="the user had it",
    pinned_twice="another rule pins the item or the place",
    too_few="{rule}: {have} of {wanted} places; no more items fit it and the other rules",
    too_many="{rule}: {n} pinned items, {most} allowed",
    too_many_of="{rule}: {n} pinned items of {category}, {most} allowed",
    because="because of {}",
    also="also because of {}",
    shares="shares: {}",
    similar="similar to {}",
    together="often chosen with {}",
    like="like {}",
    without="popular, without: {}",
    nothing_fits="nothing fits your words",
    leads={
        "popular": "popular",
        "profile": "fits the profile",
        "synthetic_item": "like an invented next item",
        "synthetic_chained_item": "like an invented next item",
        "reordering": "put higher by a language model",
        "order": "often next after the newest items",
        "together": "goes with the history",
        "text": "reads like the newest items",
        "lists": "high on several lists",
        "context": "taken at such times",
        "friends": "liked by friends",
        "taste": "of like taste",
        "neighbours": "frequent with users of like habits",
    },
    joiner=" and ",
    comma=", ",
    semicolon="; ",
)
CHINESE = Phrasebook(
    popular="大家都在选",
    trending="近期热门",
    rare="较为小众",
    no_evidence="历史记录中没有支持它的依据",
    unknown="不在目录中",
    at_random="随机抽取，用于学习",
    placed="由规则（{}）放在这里",
    moved_up="由规则（{}）提前",
    not_at_place="{rule}：条目 {item} 不在第 {place} 位：{why}",
    hidden="被另一条规则隐藏",
    had="该用户已有",
    pinned_twice="另一条规则固定了该条目或该位置",
    too_few="{rule}：{wanted} 个位置中只有 {have} 个；没有更多条目同时符合它和其他规则",
    too_many="{rule}：固定了 {n} 个条目，至多允许 {most} 个",
    too_many_of="{rule}：固定了 {n} 个属于 {category} 的条目，至多允许 {most} 个",
    because="因为 {}",
    also="也因为 {}",
    shares="共同词：{}",
    similar="与 {} 相似",
    together="常与 {} 一起被选",
    like="类似 {}",
    without="热门，不含：{}",
    nothing_fits="没有符合描述的内容",
    leads={
        "popular": "热门",
        "profile": "符合画像",
        "synthetic_item": "与模型设想的下一项相近",
        "synthetic_chained_item": "与模型设想的下一项相近",
        "reordering": "由语言模型提前",
        "order": "常紧接在最近的内容之后",
        "together": "常与历史中的内容一起出现",
        "text": "文字与最近的内容相近",
        "lists": "在多个列表中靠前",
        "context": "常在此时此境被选",
        "friends": "好友喜欢",
        "taste": "喜好相近",
        "neighbours": "习惯相近的用户常选",
    },
    joiner=" 和 ",
    comma="、",
    semicolon="；",
)
PHRASEBOOKS: dict[Language, Phrasebook] = {"en": ENGLISH, "zh": CHINESE}


def with_note(reason: str, note: str, language: Language = "en") -> str:
    """Put what else is to be said of an item, such as what a rule did for it, before its reason.

    Args:
        reason: A sentence, or an empty text.
        note: Another one, or an empty text.
        language: Their language.

    Returns:
        Both.
    """
    return f"{note}{PHRASEBOOKS[language].semicolon}{reason}" if note and reason else note or reason
